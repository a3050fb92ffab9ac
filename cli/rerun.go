package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"swath/results"
	"swath/sweeps"
)

func (a *app) rerunCommand() *cobra.Command {
	var failed bool
	var where string
	cmd := &cobra.Command{
		Use:   "rerun SWEEP (--failed | --where EXPR)",
		Short: "Run the failed trials of a sweep again",
		Long: `Rerun makes trials pending again, with fresh retries; the numbers of their attempts go on.
--failed takes those that failed, --where of those that match the ones that failed or were
cancelled. Finished trials are never run again.`,
		Example: `  swath rerun quickstart --failed
  swath rerun quickstart --where 'class == "oom" and patch_size == 2'`,
		Args: exactArgs(1, "one sweep, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if failed == (where != "") {
				return errors.New("rerun: say which trials, with either --failed or --where EXPR")
			}
			return a.rerun(cmd.Context(), args[0], failed, where)
		},
	}
	cmd.Flags().BoolVar(&failed, "failed", false, "those that failed")
	cmd.Flags().StringVar(&where, "where", "", "those that match the expression (as for results) and failed or were cancelled")
	return cmd
}

func (a *app) rerun(ctx context.Context, sweep string, failed bool, where string) error {
	cl, err := a.connect(ctx, toChange)
	if err != nil {
		return err
	}
	defer cl.close()
	var indices []int64
	if where != "" {
		if indices, err = a.matching(ctx, cl, sweep, where); err != nil {
			return err
		}
	}
	st, n, err := cl.Rerun(ctx, sweep, failed, indices)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%d trials of %s run again\n", n, st.Name)
	return nil
}

// matching are the indices of the trials that match and may be rerun.
func (a *app) matching(ctx context.Context, cl *client, sweep, where string) ([]int64, error) {
	found, err := a.ask(ctx, cl, sweep, resultsFlags{where: where})
	if err != nil {
		return nil, err
	}
	a.hint(found.hints)
	var indices []int64
	for _, r := range found.rows {
		if mayRerun(r) {
			indices = append(indices, r.Index)
		}
	}
	return indices, nil
}

func mayRerun(r results.Row) bool {
	return r.State == sweeps.TrialFailed || r.State == sweeps.TrialCancelled
}
