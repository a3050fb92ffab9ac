package cli

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"swath/coordinator/dispatch"
)

var defaultLease = dispatch.DefaultConfig().Lease

func (a *app) coordinatorCommand() *cobra.Command {
	var insecure bool
	cmd := &cobra.Command{
		Use:         "coordinator",
		Short:       "Serve sweeps: dispatch their trials to workers, record and answer",
		Annotations: serving,
		Long: `Coordinator serves until it is stopped. It prints one line with its address when it is
ready. Sweeps that had not ended go on; workers may come and go at any time, and so may the
coordinator: trainers go on without it, and nothing is lost.`,
		Example: `  swath coordinator
  swath coordinator --listen 127.0.0.1:7420 --home /srv/swath`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkListen(a.cfg.Listen, insecure); err != nil {
				return err
			}
			return a.coordinate(cmd.Context())
		},
	}
	cmd.Flags().String("listen", defaultListen, "address HOST:PORT to listen on (port 0: any free one)")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "allow an address that other machines can reach, unencrypted and unauthenticated")
	addServerFlags(cmd.Flags())
	addDiskFlags(cmd.Flags())
	return cmd
}

func (a *app) coordinate(ctx context.Context) error {
	defer surviveBrokenPipe()()
	s, err := a.serve(a.cfg.Listen, a.logger(a.stderr, slog.LevelInfo), nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "coordinator ready at %s (home %s)\n", s.addr, a.cfg.Home)
	select {
	case <-ctx.Done():
		return s.stop()
	case err := <-s.ended:
		s.ended <- nil // stop waits for two
		stopErr := s.stop()
		if err == nil {
			err = stopErr
		}
		return fmt.Errorf("the coordinator ended by itself: %w", err)
	}
}
