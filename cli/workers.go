package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"swath/proto/wire"
	"swath/sweeps"
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
	Name    string            `json:"name"`
	ID      string            `json:"id"`
	State   string            `json:"state"`
	Slots   int               `json:"slots"`
	Running int               `json:"running"`
	CPUs    float64           `json:"cpus"`
	GPUs    []gpuJSON         `json:"gpus"`
	Memory  int64             `json:"memory"`
	Labels  map[string]string `json:"labels"`
	Reason  string            `json:"reason,omitempty"`
	GPUNote string            `json:"gpu_note,omitempty"`
}

// gpuJSON is a device for programs.
type gpuJSON struct {
	Index  int    `json:"index"`
	ID     string `json:"id"`
	Model  string `json:"model,omitempty"`
	Memory int64  `json:"memory"`
	Busy   string `json:"busy,omitempty"`
}

func gpusJSON(list []sweeps.GPU) []gpuJSON {
	out := []gpuJSON{}
	for _, g := range list {
		out = append(out, gpuJSON{g.Index, g.ID, g.Model, g.Memory, g.Busy})
	}
	return out
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
			err := enc.Encode(workerJSON{w.Name, string(w.ID), workerState(w), w.Slots, w.Running, w.Total.CPUs, gpusJSON(w.GPUs), w.Total.Memory, w.Labels, w.Aside, w.GPUNote})
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
	fmt.Fprintln(w, "NAME\tID\tSTATE\tRUNNING\tSLOTS\tCPUS\tMEMORY\tGPUS\tLABELS\tREASON")
	for _, x := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%g\t%s\t%s\t%s\t%s\n", x.Name, x.ID, workerState(x), x.Running, x.Slots, x.Total.CPUs, bytesOf(x.Total.Memory),
			gpuSummary(x.GPUs), labelLine(x.Labels), x.Aside)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, x := range list {
		if x.GPUNote != "" {
			fmt.Fprintf(a.stdout, "%s: %s\n", x.Name, x.GPUNote)
		}
		for _, g := range x.GPUs {
			if g.Busy != "" {
				fmt.Fprintf(a.stdout, "%s: GPU %d is left alone: %s\n", x.Name, g.Index, g.Busy)
			}
		}
	}
	return nil
}

// gpuSummary is a worker's devices in few words, as in "8 x NVIDIA H200 (139.8 GiB), 1 in
// use by others".
func gpuSummary(list []sweeps.GPU) string {
	if len(list) == 0 {
		return "-"
	}
	var kinds []string
	count, busy := map[string]int{}, 0
	for _, g := range list {
		kind := g.Model
		if kind == "" {
			kind = "GPU"
		}
		if g.Memory > 0 {
			kind += " (" + sweeps.FormatBytes(g.Memory) + ")"
		}
		if count[kind]++; count[kind] == 1 {
			kinds = append(kinds, kind)
		}
		if g.Busy != "" {
			busy++
		}
	}
	var parts []string
	for _, kind := range kinds {
		parts = append(parts, fmt.Sprintf("%d x %s", count[kind], kind))
	}
	if busy > 0 {
		parts = append(parts, fmt.Sprintf("%d left alone", busy))
	}
	return strings.Join(parts, ", ")
}

// labelLine prints labels as name=value; what every worker has, and the table shows, is
// left out.
func labelLine(labels map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if name != "host" && name != "gpu" || name == "gpu" && !strings.Contains(labels[name], " ") {
			parts = append(parts, name+"="+labels[name])
		}
	}
	return strings.Join(parts, ",")
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
