package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"swath/proto/wire"
)

func (a *app) logsCommand() *cobra.Command {
	var attempt int
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs TRIAL",
		Short: "Print what a trial printed",
		Long: `Logs prints a trial's standard output to standard output and its standard error to standard
error. TRIAL is its id, the beginning of its id, or SWEEP/INDEX.`,
		Example: `  swath logs quickstart/3
  swath logs 4f1c9b --follow`,
		Args: exactArgs(1, "one trial: its id, the beginning of its id, or SWEEP/INDEX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.connect(cmd.Context(), toRead)
			if err != nil {
				return err
			}
			defer cl.close()
			var writeErr error
			printed := false
			err = cl.Log(cmd.Context(), args[0], attempt, follow, func(p wire.LogPiece) bool {
				w := a.stdout
				if p.Stream == wire.Stderr {
					w = a.stderr
				}
				printed = true
				_, writeErr = w.Write(p.Data)
				return writeErr == nil
			})
			if err == nil && writeErr == nil && !printed {
				a.note("trial %s printed nothing", args[0])
			}
			if err == nil && writeErr != nil {
				err = fmt.Errorf("print the output: %w", writeErr)
			}
			return err
		},
	}
	cmd.Flags().IntVar(&attempt, "attempt", 0, "which attempt (default the latest)")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the trial has ended")
	return cmd
}
