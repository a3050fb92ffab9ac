package storetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// Mem is a coordinator.Store in memory. Use NewMem.
type Mem struct {
	mu     sync.RWMutex
	sweeps map[sweeps.SweepID]*memSweep
	// removed are those that were not purged; their rows are gone already.
	removed map[sweeps.SweepID]bool
	aside   map[sweeps.WorkerID]dispatch.Aside
}

var _ coordinator.Store = (*Mem)(nil)

// memSweep is a sweep with its rows.
type memSweep struct {
	record *sweeps.Sweep
	rows   map[int64]*sweeps.Trial
	order  []int64            // the indices of rows, ascending
	live   map[int64]struct{} // those of the pending and running ones
}

// NewMem returns an empty store.
func NewMem() *Mem {
	return &Mem{sweeps: map[sweeps.SweepID]*memSweep{}, removed: map[sweeps.SweepID]bool{}, aside: map[sweeps.WorkerID]dispatch.Aside{}}
}

// Commit implements coordinator.Store.
func (m *Mem) Commit(c dispatch.Changes) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.accepts(c); err != nil {
		return err
	}
	for _, s := range c.Sweeps {
		sw := m.sweeps[s.ID]
		if sw == nil {
			sw = &memSweep{rows: map[int64]*sweeps.Trial{}, live: map[int64]struct{}{}}
			m.sweeps[s.ID] = sw
		}
		sw.record = cloneSweep(s)
	}
	for _, t := range c.Trials {
		m.sweeps[t.Sweep].put(cloneTrial(t))
	}
	for _, a := range c.Aside {
		if m.aside[a.Worker] = a; a.Why == "" {
			delete(m.aside, a.Worker)
		}
	}
	for _, id := range c.Removed {
		if m.sweeps[id] != nil {
			m.removed[id] = true
			delete(m.sweeps, id)
		}
	}
	return nil
}

// accepts refuses changes that cannot be written, before anything of them is.
func (m *Mem) accepts(c dispatch.Changes) error {
	coming := map[sweeps.SweepID]bool{}
	for _, s := range c.Sweeps {
		if s.ID == "" {
			return fmt.Errorf("%w: a sweep without an id", sweeps.ErrInvalid)
		}
		coming[s.ID] = true
	}
	for _, t := range c.Trials {
		if t.Index < 0 {
			return fmt.Errorf("%w: trial %s has a negative index", sweeps.ErrInvalid, t.TrialKey)
		}
		if m.sweeps[t.Sweep] == nil && !coming[t.Sweep] {
			return fmt.Errorf("%w: trial %s: its sweep has no record", sweeps.ErrNotFound, t.TrialKey)
		}
	}
	return nil
}

func (s *memSweep) put(t *sweeps.Trial) {
	if s.rows[t.Index] == nil {
		at, _ := slices.BinarySearch(s.order, t.Index)
		s.order = slices.Insert(s.order, at, t.Index)
	}
	s.rows[t.Index] = t
	if t.State.Terminal() {
		delete(s.live, t.Index)
	} else {
		s.live[t.Index] = struct{}{}
	}
}

// Aside implements coordinator.Store.
func (m *Mem) Aside() ([]dispatch.Aside, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := slices.Collect(maps.Values(m.aside))
	slices.SortFunc(list, func(a, b dispatch.Aside) int { return cmp.Compare(a.Worker, b.Worker) })
	return list, nil
}

// Sweeps implements coordinator.Store.
func (m *Mem) Sweeps() ([]*sweeps.Sweep, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := make([]*sweeps.Sweep, 0, len(m.sweeps))
	for _, s := range m.sweeps {
		list = append(list, cloneSweep(s.record))
	}
	slices.SortFunc(list, bySubmission)
	return list, nil
}

// bySubmission orders sweeps by time of creation, then id.
func bySubmission(a, b *sweeps.Sweep) int {
	if c := a.Created.Compare(b.Created); c != 0 {
		return c
	}
	return cmp.Compare(a.ID, b.ID)
}

// Sweep implements coordinator.Store. Of several sweeps of one name it returns the
// latest.
func (m *Mem) Sweep(nameOrID string) (*sweeps.Sweep, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if s := m.sweeps[sweeps.SweepID(nameOrID)]; s != nil {
		return cloneSweep(s.record), nil
	}
	var named *sweeps.Sweep
	for _, s := range m.sweeps {
		if s.record.Name == nameOrID && (named == nil || bySubmission(s.record, named) > 0) {
			named = s.record
		}
	}
	if named == nil {
		return nil, fmt.Errorf("sweep %q: %w", nameOrID, sweeps.ErrNotFound)
	}
	return cloneSweep(named), nil
}

// Trials implements coordinator.Store.
func (m *Mem) Trials(id sweeps.SweepID, from int64, fn func(*sweeps.Trial) bool) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.sweeps[id]
	if s == nil {
		return nil
	}
	at, _ := slices.BinarySearch(s.order, from)
	s.each(s.order[at:], fn)
	return nil
}

// Live implements coordinator.Store.
func (m *Mem) Live(id sweeps.SweepID, fn func(*sweeps.Trial) bool) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.sweeps[id]
	if s == nil {
		return nil
	}
	order := make([]int64, 0, len(s.live))
	for i := range s.live {
		order = append(order, i)
	}
	slices.Sort(order)
	s.each(order, fn)
	return nil
}

func (s *memSweep) each(order []int64, fn func(*sweeps.Trial) bool) {
	for _, i := range order {
		if !fn(cloneTrial(s.rows[i])) {
			return
		}
	}
}

// Checkpointed implements coordinator.Store. It looks at every row.
func (m *Mem) Checkpointed(fn func(*sweeps.Trial) bool) error {
	list, err := m.Sweeps()
	if err != nil {
		return err
	}
	more := true
	for _, sw := range list {
		err := m.Trials(sw.ID, 0, func(t *sweeps.Trial) bool {
			if len(t.Checkpoints) > 0 {
				more = fn(t)
			}
			return more
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// FindTrial implements coordinator.Store. It looks at every row.
func (m *Mem) FindTrial(prefix string, limit int) ([]*sweeps.Trial, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var hits []*sweeps.Trial
	for _, s := range m.sweeps {
		for _, t := range s.rows {
			if strings.HasPrefix(string(t.ID), prefix) {
				hits = append(hits, t)
			}
		}
	}
	slices.SortFunc(hits, func(a, b *sweeps.Trial) int {
		if c := cmp.Compare(a.ID, b.ID); c != 0 {
			return c
		}
		if c := bySubmission(m.sweeps[b.Sweep].record, m.sweeps[a.Sweep].record); c != 0 {
			return c
		}
		return cmp.Compare(a.Index, b.Index)
	})
	hits = hits[:max(min(limit, len(hits)), 0)]
	for i, t := range hits {
		hits[i] = cloneTrial(t)
	}
	return hits, nil
}

// Finished implements coordinator.Store. It looks at every row.
func (m *Mem) Finished(ids []sweeps.TrialID, of map[sweeps.SweepID]bool) ([]*sweeps.Trial, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	best := map[sweeps.TrialID]*sweeps.Trial{}
	for id, s := range m.sweeps {
		if !of[id] {
			continue
		}
		for _, t := range s.rows {
			b := best[t.ID]
			if t.State == sweeps.TrialFinished && (b == nil || cmp.Or(cmp.Compare(t.Sweep, b.Sweep), cmp.Compare(t.Index, b.Index)) < 0) {
				best[t.ID] = t
			}
		}
	}
	out := make([]*sweeps.Trial, len(ids))
	for i, id := range ids {
		if t := best[id]; t != nil && id != "" {
			out[i] = cloneTrial(t)
		}
	}
	return out, nil
}

// Reusers implements coordinator.Store.
func (m *Mem) Reusers(id sweeps.SweepID) ([]sweeps.SweepID, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var list []sweeps.SweepID
	for other, s := range m.sweeps {
		for _, t := range s.rows {
			if t.ReusedFrom.Sweep == id && id != "" {
				list = append(list, other)
				break
			}
		}
	}
	return list, nil
}

// Removed implements coordinator.Store.
func (m *Mem) Removed() ([]sweeps.SweepID, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Collect(maps.Keys(m.removed)), nil
}

// Purge implements coordinator.Store.
func (m *Mem) Purge(id sweeps.SweepID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.removed, id)
	return nil
}

// Close implements coordinator.Store. The store can still be used.
func (m *Mem) Close() error { return nil }
