package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"swath/proto/wire"
)

func (a *app) pauseCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "pause SWEEP",
		Short:   "Start no more trials of a sweep for now; those that run go on",
		Example: `  swath pause vit-heads`,
		Args:    exactArgs(1, "one sweep, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.control(cmd.Context(), func(cl *client) (*wire.SweepStatus, error) { return cl.Pause(cmd.Context(), args[0]) })
		},
	}
}

func (a *app) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "resume SWEEP",
		Short:   "Go on with a sweep that was paused, by you or because its trials all failed alike",
		Example: `  swath resume vit-heads`,
		Args:    exactArgs(1, "one sweep, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.control(cmd.Context(), func(cl *client) (*wire.SweepStatus, error) { return cl.Resume(cmd.Context(), args[0]) })
		},
	}
}

// control changes a sweep and says what it is then.
func (a *app) control(ctx context.Context, change func(*client) (*wire.SweepStatus, error)) error {
	cl, err := a.connect(ctx, toChange)
	if err != nil {
		return err
	}
	defer cl.close()
	st, err := change(cl)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s is %s: %s trials ended, %d running\n", st.Name, st.State, ofTotal(st), st.Counts.Running)
	return nil
}
