package coordinator

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// Explain says why a trial is where it is: which attempt runs where, what it waits for,
// or how it ended. The trial is named as in FindTrial; one that was never started by
// SWEEP/INDEX, and the one whose turn is next by SWEEP/next.
func (c *Coordinator) Explain(ctx context.Context, name string) ([]string, error) {
	if sweep, is := strings.CutSuffix(name, "/next"); is {
		return c.explainNext(ctx, sweep)
	}
	key, t, err := c.locate(name)
	if err != nil {
		return nil, err
	}
	if t != nil && t.State.Terminal() {
		return []string{explainEnd(t)}, nil
	}
	var why []string
	if c.Running() {
		if err := c.ask(ctx, func(s *dispatch.State) { why = s.Explain(c.cfg.Now(), key) }); err != nil {
			return nil, err
		}
	} else {
		why = []string{noCoordinator}
	}
	if r, is := c.checkpoints.refusal(key); is && len(why) > 0 {
		why = append(why, fmt.Sprintf("its checkpoint of step %d was not kept: %s", r.Step, r.Reason))
	}
	if len(why) > 0 {
		return why, nil
	}
	// It ended between the two looks, or never was.
	sw, err := c.find(string(key.Sweep))
	if err != nil {
		return nil, err
	}
	return c.explainUnstarted(sw, key.Index)
}

const noCoordinator = "no coordinator runs on this home: start one with `swath coordinator`"

func (c *Coordinator) explainNext(ctx context.Context, sweep string) (why []string, err error) {
	sw, err := c.find(sweep)
	switch {
	case err != nil:
		return nil, err
	case sw.State.Terminal():
	case !c.Running():
		return []string{noCoordinator}, nil
	default:
		if err := c.ask(ctx, func(s *dispatch.State) { why = s.ExplainNext(c.cfg.Now(), sw.ID) }); err != nil {
			return nil, err
		}
	}
	if len(why) == 0 {
		why = []string{fmt.Sprintf("sweep %s has ended", sw.Name)}
	}
	return why, nil
}

// locate finds the place of a trial, and its record if it was started.
func (c *Coordinator) locate(name string) (sweeps.TrialKey, *sweeps.Trial, error) {
	t, err := c.FindTrial(name)
	if err == nil {
		return t.TrialKey, t, nil
	}
	sweep, index, ok := strings.Cut(name, "/")
	if !isNotFound(err) || !ok {
		return sweeps.TrialKey{}, nil, err
	}
	sw, findErr := c.find(sweep)
	if findErr != nil {
		return sweeps.TrialKey{}, nil, findErr
	}
	i, parseErr := strconv.ParseInt(index, 10, 64)
	if parseErr != nil {
		return sweeps.TrialKey{}, nil, err
	}
	return sweeps.TrialKey{Sweep: sw.ID, Index: i}, nil, nil
}

func explainEnd(t *sweeps.Trial) string {
	s := fmt.Sprintf("it %s with attempt %d on worker %s", t.State, t.Attempt, t.WorkerName)
	if t.Reused() {
		return fmt.Sprintf("it was not run: its result is that of %s/%d, which finished with attempt %d on worker %s (reuse)",
			t.ReusedFrom.SweepName, t.ReusedFrom.Index, t.ReusedFrom.Attempt, t.WorkerName)
	}
	if t.Attempt == 0 {
		s = fmt.Sprintf("it %s without an attempt", t.State)
	}
	if t.State == sweeps.TrialCancelled {
		s = "it was cancelled"
	}
	if t.Outcome.Message != "" {
		s += ": " + t.Outcome.Message
	}
	return s
}

func (c *Coordinator) explainUnstarted(sw *sweeps.Sweep, index int64) ([]string, error) {
	l, err := c.specs.get(sw)
	if err != nil {
		return nil, err
	}
	if index >= l.plan.Size() {
		return nil, fmt.Errorf("%w: sweep %q has indices below %d", sweeps.ErrNotFound, sw.Name, l.plan.Size())
	}
	if _, err := l.plan.At(index); err != nil {
		return []string{err.Error()}, nil //nolint:nilerr // that the trial cannot be is the answer
	}
	return []string{fmt.Sprintf("it was never started, and the sweep is %s", sw.State)}, nil
}
