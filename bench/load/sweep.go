package load

import (
	"context"
	"fmt"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
)

// Client is what the package needs of a coordinator's client; *wire.Client is one.
type Client interface {
	Submit(ctx context.Context, s wire.Submission) (*wire.SweepStatus, error)
	Sweeps(ctx context.Context) ([]*wire.SweepStatus, error)
}

// Sweep is a sweep file of n trials that run the command, with as many parameters as a
// typical trial has: they are in every record and in every message.
func Sweep(name string, n int, command ...string) wire.Submission {
	argv := ""
	for i, arg := range command {
		if i > 0 {
			argv += ", "
		}
		argv += fmt.Sprintf("%q", arg)
	}
	source := fmt.Sprintf(`name: %s
method: grid
command: [%s]
run_cap: %d
parameters:
  seed: {distribution: int_uniform, min: 1, max: %d}
  learning_rate: {value: 0.001}
  optimizer: {value: adamw}
  dropout: {value: 0.1}
  depth: {value: 12}
  heads: {value: 8}
`, name, argv, n, n+1)
	return wire.Submission{ID: sweeps.SweepID(name), Source: []byte(source), File: name + ".yaml"}
}

// Ran is how a sweep went.
type Ran struct {
	Submit  time.Duration // how long the submission took
	Elapsed time.Duration // from the submission to the end of the last trial, as a user saw it
}

// interval is how often a sweep is looked at, and so the error of its time.
const interval = 20 * time.Millisecond

// Status looks at a sweep. It asks for the list of sweeps, which costs the coordinator less
// than a sweep with all its trials that run.
func Status(ctx context.Context, c Client, id sweeps.SweepID) (*wire.SweepStatus, error) {
	list, err := c.Sweeps(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the benchmark's sweep: %w", err)
	}
	for _, st := range list {
		if st.ID == id {
			return st, nil
		}
	}
	return nil, fmt.Errorf("%w: the benchmark's sweep %s is not in the coordinator's list", sweeps.ErrNotFound, id)
}

// RunSweep submits a sweep and waits until all its n trials have finished. It calls each,
// if that is not nil, with how many have ended, a few times a second.
func RunSweep(ctx context.Context, c Client, s wire.Submission, n int, each func(ended int64) error) (Ran, error) {
	begun := time.Now()
	if _, err := c.Submit(ctx, s); err != nil {
		return Ran{}, fmt.Errorf("submit the benchmark's sweep: %w", err)
	}
	ran := Ran{Submit: time.Since(begun)}
	err := Wait(ctx, c, s, n, each)
	ran.Elapsed = time.Since(begun)
	return ran, err
}

// Wait waits until all n trials of a sweep have finished.
func Wait(ctx context.Context, c Client, s wire.Submission, n int, each func(ended int64) error) error {
	for {
		st, err := Status(ctx, c, s.ID)
		if err != nil {
			return err
		}
		if each != nil {
			if err := each(st.Counts.Ended()); err != nil {
				return err
			}
		}
		switch {
		case st.State == sweeps.SweepFinished && st.Counts.Finished == int64(n):
			return nil
		case st.State == sweeps.SweepPaused, st.State.Terminal():
			return fmt.Errorf("the benchmark's sweep is %s after %d trials finished and %d failed, of %d: %s",
				st.State, st.Counts.Finished, st.Counts.Failed, n, st.Reason)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(interval):
		}
	}
}
