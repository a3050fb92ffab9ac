package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) cancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel SWEEP",
		Short: "Cancel a sweep: stop its trials, start no more",
		Long: `Cancel keeps all that was recorded. Cancelling a sweep that has ended changes nothing. Where no
coordinator runs on the home, as after an interrupted swath run, the sweep is cancelled in the
home's files.`,
		Example: `  swath cancel quickstart`,
		Args:    exactArgs(1, "one sweep, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.connect(cmd.Context(), toEnd, args[0])
			if err != nil {
				return err
			}
			defer cl.close()
			st, err := cl.Cancel(cmd.Context(), args[0])
			for err == nil && cl.offline && !st.State.Terminal() {
				time.Sleep(10 * time.Millisecond) // until what was running is given up
				st, err = cl.Sweep(cmd.Context(), args[0])
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s is %s: %s trials ended, %d being stopped\n", st.Name, st.State, ofTotal(st), st.Counts.Running)
			return nil
		},
	}
}
