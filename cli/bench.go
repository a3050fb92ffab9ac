package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"swath/trainer/bench"
	"swath/trainer/builtin"
)

func (a *app) benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast this machine dispatches, records and trains",
		Example: `  swath bench train --model vit --threads 2
  swath bench dispatch --no-spawn`,
		Args: exactArgs(0, "a verb: train, dispatch, ingest or scale"),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		a.benchTrainCommand(), a.benchDispatchCommand(), a.benchIngestCommand(), a.benchScaleCommand(),
		a.benchCoordinatorCommand(), a.benchAgentsCommand(),
	)
	return cmd
}

func (a *app) benchTrainCommand() *cobra.Command {
	var (
		o        bench.Options
		params   []string
		jsonForm bool
	)
	cmd := &cobra.Command{
		Use:   "train --model NAME",
		Short: "Measure the training steps of a built-in trainer",
		Long: `Train builds the model of a built-in trainer with the trainer's own code, trains it on
images of noise, and prints the median time of a step (forward, backward, update), what that
is in floating-point operations a second and as a part of what this machine's processors
reach at best, and the highest memory of the process. No data set is needed.

Measure on an idle machine. bench/torch has programs that do the same work with PyTorch.`,
		Example: `  swath bench train --model vit --threads 2
  swath bench train --model vit --threads 1 --param patch_size=8 --param heads=16 --json`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, ok := builtin.Lookup(o.Model)
			if !ok || !slices.Contains(bench.Models(), o.Model) {
				return fmt.Errorf("--model %q: there is no benchmark of it; choose one of: %s", o.Model, strings.Join(bench.Models(), ", "))
			}
			var err error
			if o.Params, err = bench.Params(t.Params, params); err != nil {
				return err
			}
			r, err := bench.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if jsonForm {
				return json.NewEncoder(a.stdout).Encode(r)
			}
			a.printBench(r)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Model, "model", "", "what to train: "+strings.Join(bench.Models(), ", "))
	f.IntVar(&o.Threads, "threads", 0, "threads to compute with (default all processors)")
	f.IntVar(&o.Steps, "steps", 10, "steps to measure, after 2 to warm up")
	f.BoolVar(&o.AllTokens, "all-tokens", false, "vit: compute the last encoder layer for every token, not for the class token alone as the trainer does")
	f.StringArrayVar(&params, "param", nil, "a parameter of the trainer, as `name=value`; may be repeated (swath trainer NAME lists them)")
	f.BoolVar(&jsonForm, "json", false, "print one line of JSON")
	return cmd
}

func (a *app) printBench(r bench.Result) {
	fmt.Fprintf(a.stdout, "%s, %d threads, %s kernels, median of %d steps\n", r.Model, r.Threads, r.Kernel, r.Steps)
	fmt.Fprintf(a.stdout, "  step    %.1f ms (%.1f GFLOP)\n", r.StepMS, r.StepGFLOP)
	fmt.Fprintf(a.stdout, "  speed   %.1f GFLOP/s", r.GFLOPS)
	if r.PeakFraction > 0 {
		fmt.Fprintf(a.stdout, ", %.0f %% of this machine's peak", 100*r.PeakFraction)
	}
	fmt.Fprintf(a.stdout, "\n  memory  %.0f MB at its highest\n", r.RSSMB)
}
