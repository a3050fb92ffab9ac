package coordinator

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// SweepStatus is a sweep as committed.
type SweepStatus struct {
	*sweeps.Sweep
	Total   int64           // trials that it will have; -1 if not known
	Running []*sweeps.Trial // at most maxRunning of them, with summaries as far as they have come
	Notes   []string        // what people should know besides
}

// maxRunning bounds the running trials of a status.
const maxRunning = 100

func (c *Coordinator) find(nameOrID string) (*sweeps.Sweep, error) {
	sw, err := c.store.Sweep(nameOrID)
	if isNotFound(err) {
		return nil, c.noSweep(nameOrID)
	}
	if err != nil {
		return nil, fmt.Errorf("read sweep %q: %w", nameOrID, err)
	}
	return sw, nil
}

// noSweep is the error of a sweep that is not there. It names the one that may be meant.
func (c *Coordinator) noSweep(nameOrID string) error {
	all, err := c.store.Sweeps()
	if err != nil {
		return fmt.Errorf("read the sweeps: %w", err)
	}
	names := make([]string, len(all))
	for i, sw := range all {
		names[i] = sw.Name
	}
	hint := ""
	if near := sweeps.Nearest(nameOrID, names); near != "" {
		hint = fmt.Sprintf(" (did you mean %s?)", near)
	}
	return fmt.Errorf("%w: no sweep %q here%s: `swath ls` lists those there are", sweeps.ErrNotFound, nameOrID, hint)
}

// Record returns a sweep's record, and nothing of its trials.
func (c *Coordinator) Record(id sweeps.SweepID) (*sweeps.Sweep, error) { return c.find(string(id)) }

// Sweep tells a sweep by id or name.
func (c *Coordinator) Sweep(nameOrID string) (*SweepStatus, error) {
	sw, err := c.find(nameOrID)
	if err != nil {
		return nil, err
	}
	st := &SweepStatus{Sweep: sw, Total: c.total(sw)}
	if _, err := c.specs.get(sw); err != nil && !sw.State.Terminal() {
		st.Notes = append(st.Notes, describeUnread(err))
	}
	if n, last := c.checkpoints.refusals(sw.ID); n > 0 {
		st.Notes = append(st.Notes, fmt.Sprintf("the last checkpoints of %d trials were not kept: %s", n, last.Reason))
	}
	if sw.Counts.Running == 0 {
		return st, nil
	}
	err = c.store.Live(sw.ID, func(t *sweeps.Trial) bool {
		if t.State == sweeps.TrialRunning {
			st.Running = append(st.Running, t)
		}
		return len(st.Running) < maxRunning
	})
	if err != nil {
		return nil, fmt.Errorf("read the running trials of sweep %q: %w", sw.Name, err)
	}
	for _, t := range st.Running {
		if err := c.addSummaries(t); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// addSummaries gives a running trial the summaries of its points so far.
func (c *Coordinator) addSummaries(t *sweeps.Trial) error {
	m, err := c.metrics.Summaries(t.Latest())
	if err != nil {
		return fmt.Errorf("summarise the metrics of trial %s: %w", t.ID, err)
	}
	t.Metrics = m
	return nil
}

func (c *Coordinator) total(sw *sweeps.Sweep) int64 {
	if sw.State == sweeps.SweepFinished || sw.Closed {
		return sw.Dispatched
	}
	l, err := c.specs.get(sw)
	if err != nil {
		return -1
	}
	return l.total
}

// Sweeps lists all sweeps, the latest first.
func (c *Coordinator) Sweeps() ([]*SweepStatus, error) {
	list, err := c.store.Sweeps()
	if err != nil {
		return nil, fmt.Errorf("list the sweeps: %w", err)
	}
	slices.Reverse(list)
	out := make([]*SweepStatus, len(list))
	for i, sw := range list {
		out[i] = &SweepStatus{Sweep: sw, Total: c.total(sw)}
	}
	return out, nil
}

// Trials calls fn with every trial of the sweep that was started, in order of index,
// running ones with their summaries so far, until fn returns false.
func (c *Coordinator) Trials(nameOrID string, fn func(*sweeps.Trial) bool) error {
	sw, err := c.find(nameOrID)
	if err != nil {
		return err
	}
	// Rows are taken from the store in pages, so that a slow reader holds no
	// transaction open.
	const page = 1000
	var rows []*sweeps.Trial
	for from := int64(0); ; from = rows[len(rows)-1].Index + 1 {
		rows = rows[:0]
		err := c.store.Trials(sw.ID, from, func(t *sweeps.Trial) bool {
			rows = append(rows, t)
			return len(rows) < page
		})
		if err != nil {
			return fmt.Errorf("read the trials of sweep %q: %w", sw.Name, err)
		}
		for _, t := range rows {
			if t.State == sweeps.TrialRunning {
				if err := c.addSummaries(t); err != nil {
					return err
				}
			}
			if !fn(t) {
				return nil
			}
		}
		if len(rows) < page {
			return nil
		}
	}
}

// Series calls fn with the points of each trial's latest attempt, trial by trial in
// order of index, until fn returns false. An empty metric or trial stands for all; a
// trial is named by its index, its id or a prefix of it.
func (c *Coordinator) Series(nameOrID, metric, trial string, fn func(*sweeps.Trial, []sweeps.Point) bool) error {
	const piece = 4096
	found, more := false, true
	names := map[string]bool{}
	var readErr error
	err := c.Trials(nameOrID, func(t *sweeps.Trial) bool {
		if !named(t, trial) {
			return true
		}
		found = true
		for name := range t.Metrics {
			names[name] = true
		}
		// The rows of a metric are gathered before they are handed on: fn may be slow,
		// and the store must not wait for it.
		var points []sweeps.Point
		readErr = c.metrics.Read(t.Latest(), metric, func(p sweeps.Point) bool {
			points = append(points, p)
			return true
		})
		if readErr != nil {
			readErr = fmt.Errorf("read the series of trial %s: %w", t.ID, readErr)
			return false
		}
		for chunk := range slices.Chunk(points, piece) {
			if more = fn(t, chunk); !more {
				return false
			}
		}
		return true
	})
	switch {
	case err != nil:
		return err
	case readErr != nil:
		return readErr
	case !more:
		return nil
	case trial != "" && !found:
		return fmt.Errorf("%w: no trial %q of sweep %q was started: `swath results %s` lists them", sweeps.ErrNotFound, trial, nameOrID, nameOrID)
	case metric != "" && !names[metric] && len(names) > 0:
		return fmt.Errorf("%w: no metric %q: recorded are %s", sweeps.ErrNotFound, metric, strings.Join(sortedNames(names), ", "))
	}
	return nil
}

// named reports whether a user's name for a trial means t; the empty name means all.
func named(t *sweeps.Trial, name string) bool {
	return name == "" || strconv.FormatInt(t.Index, 10) == name || (len(name) >= minPrefix && strings.HasPrefix(string(t.ID), name))
}

// minPrefix is the length from which a prefix of a trial's id names the trial; shorter
// ones are taken for an index.
const minPrefix = 4

func sortedNames(m map[string]bool) []string {
	list := make([]string, 0, len(m))
	for n := range m {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// FindTrial returns the trial that a user's name means: its id, a prefix of the id that
// fits one trial only, or SWEEP/INDEX. Of equal trials in several sweeps it is that of
// the latest sweep.
func (c *Coordinator) FindTrial(name string) (*sweeps.Trial, error) {
	if sweep, index, ok := strings.Cut(name, "/"); ok {
		sw, err := c.find(sweep)
		if err != nil {
			return nil, err
		}
		i, err := strconv.ParseInt(index, 10, 64)
		if err != nil || i < 0 {
			return nil, fmt.Errorf("%w: trial %q: want SWEEP/INDEX with a number as INDEX", sweeps.ErrInvalid, name)
		}
		var hit *sweeps.Trial
		err = c.store.Trials(sw.ID, i, func(t *sweeps.Trial) bool { hit = t; return false })
		if err != nil {
			return nil, fmt.Errorf("read trial %q: %w", name, err)
		}
		if hit == nil || hit.Index != i {
			return nil, fmt.Errorf("%w: trial %d of sweep %q was not started", sweeps.ErrNotFound, i, sweep)
		}
		return hit, nil
	}
	hits, err := c.store.FindTrial(name, 10)
	if err != nil {
		return nil, fmt.Errorf("find trial %q: %w", name, err)
	}
	if len(hits) == 0 || name == "" {
		return nil, fmt.Errorf("%w: no trial %q: name it by its id, the beginning of its id, or SWEEP/INDEX", sweeps.ErrNotFound, name)
	}
	for _, t := range hits {
		if t.ID != hits[0].ID {
			return nil, fmt.Errorf("%w: %q is the beginning of several trials' ids (%s, %s, …): give more of it", sweeps.ErrInvalid, name, hits[0].ID, t.ID)
		}
	}
	return hits[0], nil
}

// Log calls fn with what an attempt of a trial printed, stdout and stderr by turns, until
// fn returns false. Attempt 0 is the latest. With follow it goes on until the attempt
// has ended.
func (c *Coordinator) Log(ctx context.Context, trial string, attempt int, follow bool, fn func(stream string, data []byte) bool) error {
	t, err := c.FindTrial(trial)
	if err != nil {
		return err
	}
	ref := t.Latest()
	if attempt != 0 {
		if attempt < 1 || attempt > ref.Attempt {
			return fmt.Errorf("%w: trial %s has attempts 1 to %d, not %d", sweeps.ErrNotFound, t.ID, ref.Attempt, attempt)
		}
		ref.Attempt = attempt
	}
	offsets := map[string]int64{}
	for {
		// Asked before reading, so that nothing printed before the end is missed.
		live := c.fence.live(ref)
		for _, stream := range []string{"stdout", "stderr"} {
			for {
				data, err := c.logs.Read(ref, stream, offsets[stream], 256<<10)
				if err != nil {
					return fmt.Errorf("read the output of trial %s: %w", t.ID, err)
				}
				if len(data) == 0 {
					break
				}
				offsets[stream] += int64(len(data))
				if !fn(stream, data) {
					return nil
				}
			}
		}
		if !follow || !live {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Workers lists the workers that are connected or hold trials.
func (c *Coordinator) Workers(ctx context.Context) ([]dispatch.WorkerStatus, error) {
	if !c.Running() {
		return nil, nil
	}
	var list []dispatch.WorkerStatus
	err := c.ask(ctx, func(s *dispatch.State) { list = s.Workers() })
	return list, err
}
