package cli

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"swath/sweeps"
	"swath/worker"
)

func (a *app) workerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:         "worker",
		Short:       "Run trials on this machine for a coordinator",
		Annotations: serving,
		Long: `Worker runs the trials that a coordinator gives it, --slots at a time, until it is stopped.
It prints one line when the coordinator has accepted it. If the coordinator goes away, the
trials go on, what they report waits on disk, and the worker reconnects for as long as it
takes; one that was killed takes its trials over when it is started again on the same home.
SIGTERM or Ctrl-C stops the trials and gives them back, uncharged.

It offers the machine's cores, its memory and its GPUs, as nvidia-smi or rocm-smi lists them
and CUDA_VISIBLE_DEVICES (ROCR_VISIBLE_DEVICES) of its own environment allows; --gpus
narrows that. A GPU that a program of somebody else computes on is left alone until that has
ended. Each trial is shown the GPUs that it was given and no others.`,
		Example: `  swath worker --coordinator 127.0.0.1:7420 --slots 2
  swath worker --coordinator 127.0.0.1:7420 --gpus device=0,2 --label zone=lab
  SWATH_DATA=~/datasets swath worker --coordinator 127.0.0.1:7420`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.work(cmd.Context()) },
	}
	addWorkerFlags(cmd.Flags())
	addDiskFlags(cmd.Flags())
	cmd.Flags().String("name", "", "name of the worker (default the host's)")
	return cmd
}

func (a *app) work(ctx context.Context) error {
	defer surviveBrokenPipe()()
	roomyHeap()
	addr := a.cfg.Coordinator
	if addr == "" && homeInUse(a.cfg.Home) {
		addr = readAddress(a.cfg.Home)
	}
	if addr == "" {
		addr = defaultListen
	}
	cl, err := dial(addr)
	if err != nil {
		return err
	}
	defer cl.close()
	// The first connection is tried before anything else, so that a wrong address is an
	// error and not a log that scrolls. From then on the worker is patient, and so is one
	// that takes over from another: trainers wait for it, whatever has become of the
	// coordinator.
	switch left := worker.LeftBehind(a.cfg.Home); {
	case reaches(ctx, cl):
	case left > 0:
		a.note("cannot reach the coordinator at %s: the worker takes over %d trials of an earlier one, and goes on trying", addr, left)
	default:
		return fmt.Errorf("%w: cannot reach the coordinator at %s: start one with `swath coordinator`, or say where it is with --coordinator HOST:PORT",
			sweeps.ErrUnavailable, addr)
	}
	if err := checkSpace(a.cfg.Home); err != nil {
		return err
	}
	m, err := a.thisMachine(ctx)
	if err != nil {
		return err
	}
	// After two leases another agent of this worker has proved that it lives.
	agent, err := a.newAgent(cl, m, a.logger(a.stderr, slog.LevelInfo), 2*a.cfg.Lease, func(id sweeps.WorkerID) {
		fmt.Fprintf(a.stdout, "worker %s ready: %d slots for the coordinator at %s\n", id, a.cfg.Slots, addr)
	})
	if err != nil {
		return err
	}
	return agent.Run(ctx)
}
