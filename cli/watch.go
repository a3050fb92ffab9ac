package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"swath/proto/wire"
	"swath/results"
	"swath/sweeps"
)

func (a *app) watchCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "watch SWEEP",
		Short: "Follow a sweep to its end, and show what came out",
		Long: `Watch shows a sweep's progress as run does, and its results when it has ended. Leaving it
with Ctrl-C does nothing to the sweep.`,
		Example: `  swath watch quickstart
  swath watch quickstart --json | jq 'select(.event=="trial")'`,
		Args: exactArgs(1, "one sweep, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.watch(cmd.Context(), args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print events as JSON lines")
	return cmd
}

func (a *app) watch(ctx context.Context, sweep string, asJSON bool) error {
	cl, err := a.connect(ctx, toRead)
	if err != nil {
		return err
	}
	defer cl.close()
	st, err := cl.Sweep(ctx, sweep)
	if err != nil {
		return err
	}
	if cl.offline && !st.State.Terminal() {
		return fmt.Errorf("%w: sweep %s has not ended, and no coordinator runs on the home %s: `swath coordinator` and `swath worker`, or the `swath run` that began it, go on with it",
			sweeps.ErrUnavailable, st.Name, a.cfg.Home)
	}
	f, err := parsed(st)
	if err != nil {
		return err
	}
	return a.follow(ctx, cl, string(st.ID), f, followOptions{asJSON: asJSON})
}

// followOptions say how a sweep is followed.
type followOptions struct {
	asJSON bool
	// leavePaused ends the following when the sweep is paused and nothing of it runs
	// any more, for a caller without whom nobody could resume it.
	leavePaused bool
}

// parsed is the file of a sweep that is recorded.
func parsed(st *wire.SweepStatus) (*sweepFile, error) {
	spec, err := sweeps.Parse(st.Source, st.File)
	if err != nil {
		return nil, err
	}
	plan, err := spec.Plan()
	if err != nil {
		return nil, err
	}
	return &sweepFile{file: st.File, source: st.Source, spec: spec, plan: plan, count: plan.Count(), workDir: st.WorkDir}, nil
}

// follow shows a sweep's progress until it has ended, then its results. The error is
// errTrialsFailed if trials failed.
func (a *app) follow(ctx context.Context, cl *client, id string, f *sweepFile, opt followOptions) error {
	view := a.newView(f, opt.asJSON)
	last, err := show(ctx, cl, id, view, opt.leaves)
	view.close()
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case err != nil:
		return err
	case last == nil || !last.State.Terminal() && !opt.leaves(last):
		return errors.New("the coordinator stopped telling of the sweep: `swath status` may know more")
	}
	rows, err := a.rows(ctx, cl, id, f)
	if err != nil {
		return err
	}
	if err := view.report(last, rows); err != nil {
		return err
	}
	if last.State == sweeps.SweepPaused {
		a.note("paused: %s", last.Reason)
	}
	if last.Counts.Failed > 0 {
		return errTrialsFailed
	}
	return nil
}

// show shows a sweep's progress whenever it changed, and at intervals while it does not,
// until the sweep has ended or leave says so. It returns the last that was told.
func show(ctx context.Context, cl *client, id string, view view, leave func(*wire.Progress) bool) (last *wire.Progress, err error) {
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan *wire.Progress)
	watched := make(chan error, 1)
	go func() {
		watched <- cl.Watch(ctx, id, func(p *wire.Progress) bool {
			select {
			case told <- p:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	defer func() {
		cancel()
		<-watched //nolint:errcheck // it ends as it is told to
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case last = <-told:
			err = view.update(last)
		case e := <-watched:
			watched <- nil
			return last, e
		case <-tick.C:
			if last != nil {
				err = view.refresh(last)
			}
		}
		if err != nil || last != nil && leave(last) {
			return last, err
		}
	}
}

func (o followOptions) leaves(p *wire.Progress) bool {
	return o.leavePaused && p.State == sweeps.SweepPaused && p.Counts.Running == 0
}

// rows are the results of a sweep.
func (a *app) rows(ctx context.Context, cl *client, id string, f *sweepFile) ([]results.Row, error) {
	goals := goalsOf(f.spec)
	var rows []results.Row
	err := cl.Trials(ctx, id, func(t *sweeps.Trial) bool {
		rows = append(rows, results.FromTrial(t, goals, now()))
		return true
	})
	return rows, err
}

// goalsOf are the metrics whose better direction the file tells.
func goalsOf(spec *sweeps.Spec) map[string]sweeps.Goal {
	goals := results.Goals(spec.Objective)
	for _, m := range spec.Metrics {
		if m.Goal != "" {
			goals[m.Name] = m.Goal
		}
	}
	return goals
}
