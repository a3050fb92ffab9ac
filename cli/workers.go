package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"swath/proto/wire"
)

func (a *app) workersCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "workers",
		Short:   "List the workers that are connected or hold trials",
		Example: `  swath workers`,
		Args:    exactArgs(0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.workers(cmd.Context(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line and worker")
	return cmd
}

// workerJSON is a worker for programs.
type workerJSON struct {
	Name    string  `json:"name"`
	ID      string  `json:"id"`
	State   string  `json:"state"`
	Slots   int     `json:"slots"`
	Running int     `json:"running"`
	CPUs    float64 `json:"cpus"`
	GPUs    float64 `json:"gpus"`
	Memory  int64   `json:"memory"`
	Reason  string  `json:"reason,omitempty"`
}

func (a *app) workers(ctx context.Context, asJSON bool) error {
	cl, err := a.connect(ctx, toChange)
	if err != nil {
		return err
	}
	defer cl.close()
	list, err := cl.Workers(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(a.stdout)
		for _, w := range list {
			err := enc.Encode(workerJSON{w.Name, string(w.ID), workerState(w), w.Slots, w.Running, w.Total.CPUs, w.Total.GPUs, w.Total.Memory, w.Aside})
			if err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		a.note("no workers: start one with `swath worker`")
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tID\tSTATE\tRUNNING\tSLOTS\tCPUS\tGPUS\tMEMORY\tREASON")
	for _, x := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%g\t%g\t%s\t%s\n", x.Name, x.ID, workerState(x), x.Running, x.Slots, x.Total.CPUs, x.Total.GPUs, bytesOf(x.Total.Memory), x.Aside)
	}
	return w.Flush()
}

// workerState is a worker's state in a word.
func workerState(w wire.WorkerStatus) string {
	switch {
	case !w.Connected:
		return "away"
	case w.Draining, w.Aside != "":
		return "drained"
	case w.Running > 0:
		return "busy"
	default:
		return "idle"
	}
}

func (a *app) drainCommand() *cobra.Command {
	var undo bool
	cmd := &cobra.Command{
		Use:   "drain WORKER",
		Short: "Give a worker no more trials; it finishes those that it runs",
		Long: `Drain sets a worker aside, before its machine is needed for something else. A worker on
which trial after trial failed while others finished elsewhere is set aside by itself;
--undo admits it again.`,
		Example: `  swath drain gpu-box-3
  swath drain gpu-box-3 --undo`,
		Args: exactArgs(1, "one worker, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.connect(cmd.Context(), toChange)
			if err != nil {
				return err
			}
			defer cl.close()
			w, err := cl.Admit(cmd.Context(), args[0], undo)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "worker %s is %s: %d trials running\n", w.Name, workerState(w), w.Running)
			return nil
		},
	}
	cmd.Flags().BoolVar(&undo, "undo", false, "give it trials again")
	return cmd
}
