package coordinator

import (
	"fmt"
	"math"
	"sync"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// loaded is a sweep's file, parsed.
type loaded struct {
	spec  *sweeps.Spec
	plan  *sweeps.Plan
	total int64 // trials in all; -1 if not known
}

func parse(source []byte, file string) (*loaded, error) {
	spec, err := sweeps.Parse(source, file)
	if err != nil {
		return nil, err
	}
	plan, err := spec.Plan()
	if err != nil {
		return nil, err
	}
	l := &loaded{spec: spec, plan: plan, total: -1}
	if n := plan.Count(); n.Bounded && n.Exact {
		l.total = n.Trials
	}
	return l, nil
}

func (l *loaded) policy() dispatch.Policy {
	return dispatch.Policy{
		RunCap: l.plan.RunCap(), Retries: l.spec.Retries, Needs: l.spec.Resources, Requires: l.spec.Requires,
		Priority: l.spec.Priority, TimeLimit: l.spec.TimeLimit,
		Continues: l.spec.Continue != "", Keep: l.spec.Keep, Goal: l.spec.Objective.Goal,
	}
}

// unread stands for the plan and the policy of a sweep whose file is not understood, because
// another version accepted it. What workers run of it goes on, and its end is recorded; what fails
// meanwhile waits for another attempt, for nobody knows how many it has. All else rests until a
// version that understands the file runs.
func unread(err error, live []*sweeps.Trial) (dispatch.Plan, dispatch.Policy) {
	p := dispatch.Policy{Rests: true, Unread: describeUnread(err), Keep: sweeps.Keep{Last: 1}}
	for _, t := range live { // it may keep so many
		p.Keep.Last = max(p.Keep.Last, len(t.Checkpoints))
	}
	return noPlan{}, p
}

func describeUnread(err error) string {
	return fmt.Sprintf("nothing of the sweep begins, for its file is not understood by this version of swath: %v: what runs of it goes on, and so does the rest with a version that understands it, or cancel it", err)
}

// noPlan is a plan of which nothing is known: it has no end.
type noPlan struct{}

func (noPlan) Size() int64                      { return math.MaxInt64 }
func (noPlan) At(int64) (sweeps.Planned, error) { return sweeps.Planned{}, errNoPlan }
func (noPlan) Before(int64) (int64, bool)       { return 0, false }
func (noPlan) After(int64) (int64, bool)        { return 0, false }

var errNoPlan = fmt.Errorf("%w: the sweep file is not understood", sweeps.ErrInvalid)

// specCache keeps the parsed files of sweeps, by id.
type specCache struct {
	mu sync.Mutex
	m  map[sweeps.SweepID]*loaded
}

// maxSpecs bounds the cache; parsing again costs well under a millisecond.
const maxSpecs = 256

func (c *specCache) get(sw *sweeps.Sweep) (*loaded, error) {
	c.mu.Lock()
	l := c.m[sw.ID]
	c.mu.Unlock()
	if l != nil {
		return l, nil
	}
	l, err := parse(sw.Source, sw.File)
	if err != nil {
		return nil, fmt.Errorf("sweep %q: %w", sw.Name, err)
	}
	c.put(sw.ID, l)
	return l, nil
}

func (c *specCache) put(id sweeps.SweepID, l *loaded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= maxSpecs {
		c.m = map[sweeps.SweepID]*loaded{}
	}
	c.m[id] = l
}
