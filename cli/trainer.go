package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"swath/trainer/builtin"
	"swath/trainer/report"
)

// trainerCommand is the verb that workers start built-in trainers by: this same program,
// run again. Without a name it lists them with their parameters.
func (a *app) trainerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "trainer [NAME]",
		Short: "List the built-in trainers, describe one, or (as a worker does) run one",
		Long: `Trainer lists the built-in trainers and, with a name, the parameters and metrics of one. Started by a
worker, that is with the trainer protocol's environment, it trains the trial described there.`,
		Example: `  swath trainer vit`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%s takes one trainer's name, or none, got %d arguments: see `%s --help`", cmd.CommandPath(), len(args), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				for _, name := range builtin.Names() {
					t, _ := builtin.Lookup(name)
					fmt.Fprintf(a.stdout, "%s  %s\n", name, t.Summary)
				}
				return nil
			}
			t, ok := builtin.Lookup(args[0])
			if !ok {
				return fmt.Errorf("trainer %q: there is no such trainer; built in are %s", args[0], strings.Join(builtin.Names(), ", "))
			}
			if !report.Attempted() {
				return a.describeTrainer(t)
			}
			session, err := report.FromEnv()
			if err != nil {
				return err
			}
			err = t.Run(cmd.Context(), session)
			if err != nil {
				fmt.Fprintln(a.stderr, err)
			}
			if code := session.Finish(err); code != 0 {
				return exitCode(code)
			}
			return nil
		},
	}
}

func (a *app) describeTrainer(t builtin.Trainer) error {
	fmt.Fprintf(a.stdout, "%s: %s\n\n", t.Name, t.Summary)
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PARAMETER\tDEFAULT\tMEANING")
	for _, p := range t.Params {
		fmt.Fprintf(w, "%s\t%v\t%s\n", p.Name, p.Default, p.Help)
	}
	fmt.Fprintln(w, "\nMETRIC\t\tMEANING")
	for _, m := range t.Metrics {
		fmt.Fprintf(w, "%s\t\t%s\n", m.Name, m.Help)
	}
	return w.Flush()
}
