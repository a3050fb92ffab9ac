package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) rerunCommand() *cobra.Command {
	var failed bool
	cmd := &cobra.Command{
		Use:   "rerun SWEEP --failed",
		Short: "Run the failed trials of a sweep again",
		Long: `Rerun makes the failed trials pending again, with fresh retries; the numbers of their
attempts go on. Finished trials are never run again.`,
		Example: `  swath rerun quickstart --failed`,
		Args:    exactArgs(1, "one sweep, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !failed {
				return errors.New("rerun: say which trials: --failed")
			}
			cl, err := a.connect(cmd.Context(), toChange)
			if err != nil {
				return err
			}
			defer cl.close()
			st, n, err := cl.RerunFailed(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%d trials of %s run again\n", n, st.Name)
			return nil
		},
	}
	cmd.Flags().BoolVar(&failed, "failed", false, "those that failed")
	return cmd
}
