package coordinator

import (
	"context"
	"fmt"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// Submission is a sweep file and what its submitter says beside it.
type Submission struct {
	ID      sweeps.SweepID // drawn by the submitter; a repetition is recognised by it
	Source  []byte
	File    string // its name, for messages
	Name    string // overrides the file's if not empty
	WorkDir string // what the program is relative to
	Reuse   *bool  // overrides the file's if not nil
	Program string // a digest of the program's content, for Spec.Basis; empty if it was not read
}

// Submit records a sweep and begins to hand out its trials. A file that does not parse
// gives ErrInvalid, a name that is taken ErrExists.
func (c *Coordinator) Submit(ctx context.Context, s Submission) (*SweepStatus, error) {
	if s.ID == "" {
		return nil, fmt.Errorf("%w: a submission needs an id", sweeps.ErrInvalid)
	}
	l, err := parse(s.Source, s.File)
	if err != nil {
		return nil, err
	}
	name := l.spec.Name
	if s.Name != "" {
		name = s.Name
	}
	if err := sweeps.CheckName(name); err != nil {
		return nil, err
	}
	reuse := l.spec.Reuse
	if s.Reuse != nil {
		reuse = *s.Reuse
	}
	if reuse {
		if err := l.spec.CheckReuse(); err != nil {
			return nil, err
		}
	}
	c.specs.put(s.ID, l)
	err = c.do(ctx, dispatch.Submit{
		Sweep: &sweeps.Sweep{ID: s.ID, Name: name, Source: s.Source, File: s.File, WorkDir: s.WorkDir, Reuse: reuse, Basis: l.spec.Basis(s.Program)},
		Plan:  l.plan, Policy: l.policy(),
	})
	if err != nil {
		return nil, err
	}
	c.cfg.Log.Info("sweep submitted", "sweep", name, "id", s.ID, "trials", l.total)
	return c.Sweep(string(s.ID))
}

// Cancel hands out no more trials of a sweep and stops the running ones.
func (c *Coordinator) Cancel(ctx context.Context, nameOrID string) (*SweepStatus, error) {
	return c.change(ctx, nameOrID, "cancelled", func(id sweeps.SweepID) dispatch.Event { return dispatch.Cancel{Sweep: id} })
}

// Pause hands out no more trials of a sweep; its running ones go on.
func (c *Coordinator) Pause(ctx context.Context, nameOrID string) (*SweepStatus, error) {
	return c.change(ctx, nameOrID, "paused", func(id sweeps.SweepID) dispatch.Event { return dispatch.Pause{Sweep: id} })
}

// Resume takes a pause back.
func (c *Coordinator) Resume(ctx context.Context, nameOrID string) (*SweepStatus, error) {
	return c.change(ctx, nameOrID, "resumed", func(id sweeps.SweepID) dispatch.Event { return dispatch.Resume{Sweep: id} })
}

// change applies an event to a sweep and tells the sweep after it.
func (c *Coordinator) change(ctx context.Context, nameOrID, what string, event func(sweeps.SweepID) dispatch.Event) (*SweepStatus, error) {
	sw, err := c.find(nameOrID)
	if err != nil {
		return nil, err
	}
	if err := c.leftAlone(sw); err != nil {
		return nil, err
	}
	if err := c.do(ctx, event(sw.ID)); err != nil {
		return nil, err
	}
	c.cfg.Log.Info("sweep "+what, "sweep", sw.Name, "id", sw.ID)
	return c.Sweep(string(sw.ID))
}

// leftAlone is the error of changing a sweep that the coordinator does not touch.
func (c *Coordinator) leftAlone(sw *sweeps.Sweep) error {
	if c.cfg.Rests == nil || sw.State.Terminal() || !c.cfg.Rests(sw) {
		return nil
	}
	return fmt.Errorf("%w: sweep %q rests while a `swath run` works on another sweep of this home: try again when that has ended", sweeps.ErrConflict, sw.Name)
}

// Rerun makes trials of a sweep pending again and tells how many: those that failed, or of
// those at the indices the ones that failed or were cancelled.
func (c *Coordinator) Rerun(ctx context.Context, nameOrID string, failed bool, indices []int64) (*SweepStatus, int64, error) {
	sw, err := c.find(nameOrID)
	if err != nil {
		return nil, 0, err
	}
	if err := c.leftAlone(sw); err != nil {
		return nil, 0, err
	}
	l, err := c.specs.get(sw)
	if err != nil {
		return nil, 0, err
	}
	// One at a time: the rows read must not have been rerun, and have ended again, before
	// the dispatcher takes them over.
	c.reruns.Lock()
	defer c.reruns.Unlock()
	chosen := make(map[int64]bool, len(indices))
	for _, i := range indices {
		chosen[i] = true
	}
	var again []*sweeps.Trial
	err = c.store.Trials(sw.ID, 0, func(t *sweeps.Trial) bool {
		if t.State == sweeps.TrialFailed && (failed || chosen[t.Index]) || t.State == sweeps.TrialCancelled && chosen[t.Index] {
			again = append(again, t)
		}
		return true
	})
	if err != nil {
		return nil, 0, fmt.Errorf("find the trials to rerun of sweep %q: %w", sw.Name, err)
	}
	err = c.do(ctx, dispatch.Rerun{
		Submit: dispatch.Submit{Sweep: sw, Plan: l.plan, Policy: l.policy()},
		Trials: again,
	})
	if err != nil {
		return nil, 0, err
	}
	c.cfg.Log.Info("trials rerun", "sweep", sw.Name, "id", sw.ID, "trials", len(again))
	st, err := c.Sweep(string(sw.ID))
	return st, int64(len(again)), err
}

// Admit says whether a worker, named by its id or its name, may be given trials.
func (c *Coordinator) Admit(ctx context.Context, worker string, admit bool) (dispatch.WorkerStatus, error) {
	w, err := c.worker(ctx, worker)
	if err != nil {
		return w, err
	}
	if err := c.do(ctx, dispatch.Admit{Worker: w.ID, Admit: admit}); err != nil {
		return w, err
	}
	c.cfg.Log.Info("worker admitted or set aside", "worker", w.Name, "id", w.ID, "admitted", admit)
	now, err := c.worker(ctx, string(w.ID))
	if admit && isNotFound(err) {
		w.Aside = "" // it was known for that only
		return w, nil
	}
	return now, err
}

// worker finds a worker by its id or its name.
func (c *Coordinator) worker(ctx context.Context, nameOrID string) (dispatch.WorkerStatus, error) {
	list, err := c.Workers(ctx)
	if err != nil {
		return dispatch.WorkerStatus{}, err
	}
	var hits []dispatch.WorkerStatus
	for _, w := range list {
		if string(w.ID) == nameOrID {
			return w, nil
		}
		if w.Name == nameOrID {
			hits = append(hits, w)
		}
	}
	switch len(hits) {
	case 1:
		return hits[0], nil
	case 0:
		return dispatch.WorkerStatus{}, fmt.Errorf("%w: no worker %q is connected: `swath workers` lists them", sweeps.ErrNotFound, nameOrID)
	default:
		return dispatch.WorkerStatus{}, fmt.Errorf("%w: %d workers are named %q: say which by its id, as `swath workers` lists them", sweeps.ErrInvalid, len(hits), nameOrID)
	}
}
