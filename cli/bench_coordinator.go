package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
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

// The benchmarks put load on a coordinator in a process of its own, so that its processor
// time and its memory can be told from those of the load. This file has both ends: the
// hidden verb that is that process, and underLoad, which starts it. They speak through the
// process's standard streams: it prints its address, then a usage for every line that it
// reads, and ends in order when its input does.

// usage is what a process has used so far.
type usage struct {
	CPU     time.Duration // of processors, by the program and by the system on its behalf
	RSS     int64         // resident memory now, in bytes
	PeakRSS int64         // at its highest
	// Files are how much of the store's files is in use, in bytes.
	Files map[string]int64
}

func (a *app) benchCoordinatorCommand() *cobra.Command {
	var (
		noSync          bool
		listen, profile string
	)
	cmd := &cobra.Command{
		Use:    "coordinator",
		Short:  "The process that the benchmarks put load on",
		Hidden: true,
		Args:   exactArgs(0, "no arguments"),
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
	fmt.Fprintln(a.stdout, listener.Addr())
	lines := bufio.NewScanner(a.stdin)
	for lines.Scan() {
		u, err := processUsage()
		if err != nil {
			return err
		}
		if u.Files, err = stores.Sizes(); err != nil {
			return err
		}
		if err := json.NewEncoder(a.stdout).Encode(u); err != nil {
			return err
		}
	}
	return lines.Err()
}

// underLoad is a coordinator in a process of its own, with a client of it.
type underLoad struct {
	*wire.Client
	addr  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Scanner
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
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's file, to run a coordinator with: %w", err)
	}
	if o.listen == "" {
		o.listen = "127.0.0.1:0"
	}
	// The context is not the process's: it is to end in order, when its input does.
	u := &underLoad{cmd: exec.Command(self, "bench", "coordinator", "--home", o.home, "--listen", o.listen,
		fmt.Sprintf("--no-sync=%t", o.noSync), "--profile", o.profile)}
	u.cmd.Stderr = os.Stderr
	if u.stdin, err = u.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start a coordinator to put load on: %w", err)
	}
	out, err := u.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a coordinator to put load on: %w", err)
	}
	u.out = bufio.NewScanner(out)
	if err := u.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a coordinator to put load on: %w", err)
	}
	if !u.out.Scan() {
		_ = u.stdin.Close()
		return nil, fmt.Errorf("the coordinator to put load on did not start: %w", u.cmd.Wait())
	}
	u.addr = u.out.Text()
	if u.Client, err = wire.Dial(u.addr); err != nil {
		return nil, errors.Join(err, u.stop())
	}
	for !reaches(ctx, &client{Client: u.Client}) {
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), u.stop())
		}
	}
	return u, nil
}

// usage asks the process what it has used.
func (u *underLoad) usage() (usage, error) {
	var r usage
	if _, err := io.WriteString(u.stdin, "usage\n"); err != nil {
		return r, fmt.Errorf("ask the coordinator under load for its usage: %w", err)
	}
	if !u.out.Scan() {
		return r, errors.New("the coordinator under load has ended")
	}
	return r, json.Unmarshal(u.out.Bytes(), &r)
}

// stop ends the process in order, unless it was killed.
func (u *underLoad) stop() error {
	if u == nil || u.cmd.ProcessState != nil {
		return nil
	}
	if u.Client != nil {
		_ = u.Close() // nobody uses it any more
	}
	_ = u.stdin.Close() // that it is told to end by this is the point
	if err := u.cmd.Wait(); err != nil {
		return fmt.Errorf("the coordinator under load: %w", err)
	}
	return nil
}

// kill ends the process as a crash would.
func (u *underLoad) kill() {
	_ = u.Close()
	_ = u.cmd.Process.Kill() // it may have ended
	_ = u.cmd.Wait()         // it says that it was killed
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
