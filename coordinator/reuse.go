package coordinator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// bases knows the basis and the name of sweeps; the loop has one of all there are.
type bases map[sweeps.SweepID]basis

type basis struct {
	name string
	text string // empty for one of a version that did not have it, until it is worked out
}

func (b bases) add(sw *sweeps.Sweep) {
	if _, known := b[sw.ID]; !known {
		b[sw.ID] = basis{sw.Name, sw.Basis}
	}
}

// equals are the sweeps of a basis, of those that are known: their trials are equal where
// their ids are.
func (c *Coordinator) equals(known bases, text string) map[sweeps.SweepID]bool {
	of := map[sweeps.SweepID]bool{}
	for id, b := range known {
		if b.text == "" {
			b.text = c.oldBasis(id)
			known[id] = b
		}
		if b.text == text {
			of[id] = true
		}
	}
	return of
}

// origins returns for each id a trial that finished in one of the sweeps, whose ReusedFrom
// names the attempt that ran; or nil. It has the metrics, as far as it reported them: one that
// the sweep that ran it did not read is missing, though the trial may have printed it.
func (c *Coordinator) origins(known bases, of map[sweeps.SweepID]bool, metrics []string, ids []sweeps.TrialID) ([]*sweeps.Trial, error) {
	read := map[sweeps.SweepID][]string{}
	serves := func(t *sweeps.Trial) bool {
		ran := t.Sweep
		if t.Reused() {
			ran = t.ReusedFrom.Sweep
		}
		if _, there := known[ran]; !there {
			return false // its series went with the sweep that was removed
		}
		if _, asked := read[ran]; !asked {
			read[ran] = c.metricsRead(ran)
		}
		return !slices.ContainsFunc(metrics, func(name string) bool {
			_, has := t.Metrics[name]
			return !has && !slices.Contains(read[ran], name)
		})
	}
	origins := make([]*sweeps.Trial, len(ids))
	ids, of = slices.Clone(ids), maps.Clone(of)
	for again := true; again; {
		found, err := c.store.Finished(ids, of)
		if err != nil {
			return nil, fmt.Errorf("look up results to reuse: %w", err)
		}
		again = false
		for i, t := range found {
			switch {
			case t == nil:
			case !serves(t): // another sweep's may
				delete(of, t.Sweep)
				again = true
				continue
			case !t.Reused():
				t.ReusedFrom = sweeps.Origin{AttemptRef: t.Latest(), SweepName: known[t.Sweep].name}
			}
			origins[i], ids[i] = t, ""
		}
	}
	return origins, nil
}

// metricsRead are the metrics that a sweep reads off what its trials print, where its file is
// understood.
func (c *Coordinator) metricsRead(id sweeps.SweepID) []string {
	sw, err := c.store.Sweep(string(id))
	if err != nil {
		return nil
	}
	l, err := c.specs.get(sw)
	if err != nil {
		return nil
	}
	return l.metricsRead()
}

func (l *loaded) metricsRead() (names []string) {
	for _, rule := range l.spec.MetricRules() {
		names = append(names, rule.Name)
	}
	return names
}

// oldBasis is the basis of a sweep of a version that did not record it: of its program,
// nothing is known. It is none for one whose file is no longer understood.
func (c *Coordinator) oldBasis(id sweeps.SweepID) string {
	sw, err := c.store.Sweep(string(id))
	if err != nil {
		return "none"
	}
	l, err := c.specs.get(sw)
	if err != nil {
		return "none"
	}
	return l.spec.Basis("")
}

// retryLookup is how soon a lookup that failed is tried again.
const retryLookup = 500 * time.Millisecond

// asked takes note of the sweeps that were committed or removed, and of what the dispatcher asked.
func (c *Coordinator) asked(changes dispatch.Changes, effects []dispatch.Effect) {
	for _, sw := range changes.Sweeps {
		c.bases.add(sw)
	}
	for _, id := range changes.Removed {
		delete(c.bases, id)
	}
	for _, e := range effects {
		if q, is := e.(dispatch.Lookup); is {
			c.lookups = append(c.lookups, q)
		}
	}
}

// answers appends the answers to what the dispatcher asked. They do not wait for others to
// share their commit, as the requests of users and workers do: a sweep whose results all
// exist goes through as fast as they are found.
func (c *Coordinator) answers(batch []request) []request {
	for len(c.lookups) > 0 {
		found, err := c.answer(c.lookups[0])
		if err != nil {
			c.cfg.Log.Error("reading failed, and is tried again", "err", err)
			return batch
		}
		c.lookups = c.lookups[1:]
		batch = append(batch, request{event: found})
	}
	return batch
}

// answer looks up what the dispatcher asked.
func (c *Coordinator) answer(q dispatch.Lookup) (dispatch.Found, error) {
	of := c.equals(c.bases, c.bases[q.Sweep].text)
	delete(of, q.Sweep)
	found, err := c.origins(c.bases, of, c.metricsRead(q.Sweep), q.IDs)
	if err != nil {
		return dispatch.Found{}, err
	}
	for i, t := range found {
		if t != nil && t.ReusedFrom.Sweep == q.Sweep {
			found[i] = nil // it is this sweep's own result that the other took over
		}
	}
	return dispatch.Found{Sweep: q.Sweep, First: q.First, Origins: found}, nil
}

// maxReusable is how many trials of a file are looked up for whoever only asks.
const maxReusable = 100_000

// FindReusable tells how many of a file's first trials would take over a result if it were
// submitted now, with reuse, and how many were looked at. It reads the store, not the loop's
// state: a home is asked in the same way where no coordinator runs.
func (c *Coordinator) FindReusable(ctx context.Context, s Submission) (reusable, trials int64, err error) {
	l, err := parse(s.Source, s.File)
	if err != nil {
		return 0, 0, err
	}
	if err := l.spec.CheckReuse(); err != nil {
		return 0, 0, err
	}
	list, err := c.store.Sweeps()
	if err != nil {
		return 0, 0, fmt.Errorf("list the sweeps: %w", err)
	}
	known := bases{}
	for _, sw := range list {
		known.add(sw)
	}
	of := c.equals(known, l.spec.Basis(s.Program))
	most := int64(maxReusable)
	if limit := l.plan.RunCap(); limit > 0 {
		most = min(most, limit)
	}
	var ids []sweeps.TrialID
	look := func() error {
		found, err := c.origins(known, of, l.metricsRead(), ids)
		if err != nil {
			return err
		}
		for _, t := range found {
			if t != nil {
				reusable++
			}
		}
		ids = ids[:0]
		return nil
	}
	for i := int64(0); i < min(l.plan.Size(), 10*maxReusable) && trials < most; i++ {
		if ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
		p, err := l.plan.At(i)
		if errors.Is(err, sweeps.ErrExcluded) {
			continue
		}
		trials++
		if err != nil {
			continue // it will fail
		}
		if ids = append(ids, p.ID); len(ids) == 1000 {
			if err := look(); err != nil {
				return 0, 0, err
			}
		}
	}
	return reusable, trials, look()
}
