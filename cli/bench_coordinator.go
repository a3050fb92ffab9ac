package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/spf13/cobra"

	"swath/coordinator"
	"swath/coordinator/api"
	"swath/coordinator/boltstore"
	"swath/coordinator/dispatch"
	"swath/proto/wire"
	"swath/sweeps"
)

func (a *app) benchCoordinatorCommand() *cobra.Command {
	var (
		noSync          bool
		listen, profile string
	)
	cmd := &cobra.Command{
		Use:         "coordinator",
		Annotations: serving,
		Short:       "The process that the benchmarks put load on",
		Hidden:      true,
		Args:        exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if profile != "" {
				f, err := os.Create(profile)
				if err != nil {
					return fmt.Errorf("write the profile: %w", err)
				}
				if err := pprof.StartCPUProfile(f); err != nil {
					return fmt.Errorf("write the profile: %w", err)
				}
				defer func() { pprof.StopCPUProfile(); _ = f.Close() }() // a profile that is cut short does not open
			}
			return a.serveLoad(cmd.Context(), listen, noSync)
		},
	}
	cmd.Flags().BoolVar(&noSync, "no-sync", false, "do not sync what is committed")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address HOST:PORT to listen on")
	cmd.Flags().StringVar(&profile, "profile", "", "write a processor profile to this file")
	addServerFlags(cmd.Flags())
	return cmd
}

// serveLoad is the life of the process: a coordinator on the home.
func (a *app) serveLoad(ctx context.Context, listen string, noSync bool) (err error) {
	roomyHeap()
	stores, err := boltstore.Open(a.cfg.Home, boltstore.Options{NoSync: noSync})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stores.Close()) }()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen for the benchmark's workers: %w", err)
	}
	log := slog.New(slog.DiscardHandler)
	if a.cfg.Verbose {
		log = a.logger(a.stderr, slog.LevelInfo)
	}
	dcfg := dispatch.DefaultConfig()
	dcfg.Lease = a.cfg.Lease
	c := coordinator.New(stores.State, stores.Metrics, stores.Logs, coordinator.Config{Dispatch: dcfg, Log: log, Pace: coordinator.DefaultPace})
	server := api.NewServer(c, log)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 2)
	go func() { ended <- c.Run(ctx) }()
	go func() { ended <- server.Serve(listener) }()
	defer func() {
		cancel()
		server.Stop()
		_, _ = <-ended, <-ended // both end as they are told to
	}()
	select {
	case <-c.Ready(): // workers are taken from now on
	case err := <-ended:
		ended <- err // for the end
		return err
	}
	return a.answerUsage(listener.Addr().String(), stores.Sizes)
}

// underLoad is a coordinator in a process of its own, with a client of it.
type underLoad struct {
	*benchProcess
	*wire.Client
	addr string
}

// loadOptions say how a coordinator is to be started for a benchmark.
type loadOptions struct {
	home    string
	listen  string // any free port if empty
	noSync  bool
	profile string
}

// startUnderLoad starts the process and returns when it listens.
func startUnderLoad(ctx context.Context, o loadOptions) (*underLoad, error) {
	if o.listen == "" {
		o.listen = "127.0.0.1:0"
	}
	p, err := startBench("the coordinator under load", "coordinator", "--home", o.home, "--listen", o.listen,
		fmt.Sprintf("--no-sync=%t", o.noSync), "--profile", o.profile)
	if err != nil {
		return nil, err
	}
	u := &underLoad{benchProcess: p, addr: p.ready}
	if u.Client, err = wire.Dial(u.addr); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	for !reaches(ctx, &client{Client: u.Client}) {
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), u.stop())
		}
	}
	return u, nil
}

// stop ends the coordinator in order, unless it was killed.
func (u *underLoad) stop() error {
	if u == nil {
		return nil
	}
	_ = u.Close() // nobody uses it any more
	return u.benchProcess.stop()
}

// kill ends the coordinator as a crash would.
func (u *underLoad) kill() {
	_ = u.Close()
	u.benchProcess.kill()
}

// benchHome makes a folder for a benchmark's files beside those of real sweeps, so that
// they are on the disk that counts: the system's folder for temporary files may be memory,
// which syncs for nothing. remove removes it again.
func (a *app) benchHome() (dir string, remove func() error, err error) {
	_, err = os.Stat(a.cfg.Home)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(a.cfg.Home, 0o755); err != nil {
		return "", nil, fmt.Errorf("%w: make the home %s: %w", sweeps.ErrStorage, a.cfg.Home, cause(err))
	}
	dir, err = os.MkdirTemp(a.cfg.Home, "bench-")
	if err != nil {
		return "", nil, fmt.Errorf("%w: make a folder for the benchmark's files: %w", sweeps.ErrStorage, cause(err))
	}
	return dir, func() error {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove the benchmark's files: %w", err)
		}
		if fresh {
			_ = os.Remove(a.cfg.Home) // not if anybody else uses it by now
		}
		return nil
	}, nil
}

// milliseconds is a time as the benchmarks print it.
func milliseconds(d time.Duration) float64 { return round3(d.Seconds() * 1e3) }

// megabytes is a size as the benchmarks print it.
func megabytes(n int64) float64 { return round3(float64(n) / 1e6) }

// round3 rounds to three decimals: the rest is noise.
func round3(x float64) float64 {
	return float64(int64(x*1e3+0.5)) / 1e3
}

// processors is how many this process may use.
func processors() int { return runtime.GOMAXPROCS(0) }
