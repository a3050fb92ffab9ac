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
}

// Submit records a sweep and begins to hand out its trials. A file that does not parse
// gives ErrInvalid, a name that is taken ErrConflict.
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
	c.specs.put(s.ID, l)
	err = c.do(ctx, dispatch.Submit{
		Sweep: &sweeps.Sweep{ID: s.ID, Name: name, Source: s.Source, File: s.File, WorkDir: s.WorkDir},
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
	sw, err := c.find(nameOrID)
	if err != nil {
		return nil, err
	}
	if err := c.do(ctx, dispatch.Cancel{Sweep: sw.ID}); err != nil {
		return nil, err
	}
	c.cfg.Log.Info("sweep cancelled", "sweep", sw.Name, "id", sw.ID)
	return c.Sweep(string(sw.ID))
}

// RerunFailed makes the failed trials of a sweep pending again and tells how many.
func (c *Coordinator) RerunFailed(ctx context.Context, nameOrID string) (*SweepStatus, int64, error) {
	sw, err := c.find(nameOrID)
	if err != nil {
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
	var failed []*sweeps.Trial
	err = c.store.Trials(sw.ID, 0, func(t *sweeps.Trial) bool {
		if t.State == sweeps.TrialFailed {
			failed = append(failed, t)
		}
		return true
	})
	if err != nil {
		return nil, 0, fmt.Errorf("find the failed trials of sweep %q: %w", sw.Name, err)
	}
	err = c.do(ctx, dispatch.Rerun{
		Submit: dispatch.Submit{Sweep: sw, Plan: l.plan, Policy: l.policy()},
		Trials: failed,
	})
	if err != nil {
		return nil, 0, err
	}
	c.cfg.Log.Info("failed trials rerun", "sweep", sw.Name, "id", sw.ID, "trials", len(failed))
	st, err := c.Sweep(string(sw.ID))
	return st, int64(len(failed)), err
}
