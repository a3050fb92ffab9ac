package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain TRIAL",
		Short: "Say why a trial waits, where it runs, or how it ended",
		Long:  `TRIAL is its id, the beginning of its id, or SWEEP/INDEX; SWEEP/next is the one whose turn is next.`,
		Example: `  swath explain vit-heads/3
  swath explain vit-heads/next
  swath explain 4f1c9b`,
		Args: exactArgs(1, "one trial: its id, the beginning of its id, or SWEEP/INDEX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.connect(cmd.Context(), toRead)
			if err != nil {
				return err
			}
			defer cl.close()
			sentences, err := cl.Explain(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			for _, s := range sentences {
				fmt.Fprintln(a.stdout, s)
			}
			return nil
		},
	}
}
