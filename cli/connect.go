package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"swath/coordinator"
	"swath/coordinator/api"
	"swath/coordinator/boltstore"
	"swath/coordinator/dispatch"
	"swath/proto/wire"
	"swath/sweeps"
)

// use says what a verb wants of a coordinator.
type use int

const (
	toRead   use = iota // what is on disk will do if none runs
	toChange            // one has to run
	toTidy              // if none runs, one in this process will do, which hands nothing out
	toEnd               // likewise, for a sweep of the home that it may touch
)

// client is a connection to a coordinator; close it.
type client struct {
	*wire.Client
	offline bool // it reads the home's files; no coordinator runs there
	closers []func()
}

func (c *client) close() {
	for i := len(c.closers) - 1; i >= 0; i-- {
		c.closers[i]()
	}
}

// connect finds the coordinator: the one that was named; else the one that runs on the
// home; else, as what allows, the home's files themselves; else the one at the default
// address. The sweep is the one that is to end, if one is.
func (a *app) connect(ctx context.Context, what use, sweep ...string) (*client, error) {
	if a.cfg.Coordinator != "" {
		return dial(a.cfg.Coordinator)
	}
	if boltstore.Exists(a.cfg.Home) {
		if c, err := a.onHome(ctx, what, sweep); c != nil || err != nil {
			return c, err
		}
	}
	c, err := dial(defaultListen)
	if err != nil {
		return nil, err
	}
	if !reaches(ctx, c) {
		c.close()
		return nil, fmt.Errorf("%w: no coordinator runs on the home %s or at %s: start one with `swath coordinator`, or say where it is with --coordinator HOST:PORT",
			sweeps.ErrUnavailable, a.cfg.Home, defaultListen)
	}
	return c, nil
}

// atOnce is a lock timeout that does not wait.
const atOnce = time.Millisecond

// onHome returns a client of the coordinator that runs on the home or, where none does and
// what allows, of the home's files; nil if neither will do. Whether one runs, the lock on the
// files tells: the address file alone may be left over from one that was killed, and the
// port be another's by now.
func (a *app) onHome(ctx context.Context, what use, sweep []string) (*client, error) {
	for patience := time.After(3 * time.Second); ; {
		c, err := a.offline(what == toTidy || what == toEnd, sweep)
		switch {
		case err == nil && (what == toChange || what == toEnd && !has(ctx, c, sweep)):
			c.close()
			return nil, nil
		case err == nil:
			return c, nil
		case !errors.Is(err, sweeps.ErrConflict):
			return nil, err
		}
		if addr := readAddress(a.cfg.Home); addr != "" {
			if c, err := dial(addr); err == nil {
				if reaches(ctx, c) {
					return c, nil
				}
				c.close()
			}
		}
		// It may be just starting, or ending.
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-patience:
			return nil, fmt.Errorf("%w: a swath uses the home %s, but no coordinator answers there: try again, or say where it is with --coordinator HOST:PORT",
				sweeps.ErrUnavailable, a.cfg.Home)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// homeInUse reports whether another process holds the home's files: a coordinator, most
// likely.
func homeInUse(home string) bool {
	if !boltstore.Exists(home) {
		return false
	}
	stores, err := boltstore.Open(home, boltstore.Options{ReadOnly: true, LockTimeout: atOnce})
	if err == nil {
		_ = stores.Close() // it was only read
	}
	return errors.Is(err, sweeps.ErrConflict)
}

func dial(addr string) (*client, error) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, fmt.Errorf("address %q of the coordinator: want HOST:PORT", addr)
	}
	c, err := wire.Dial(addr)
	if err != nil {
		return nil, err
	}
	return &client{Client: c, closers: []func(){func() { _ = c.Close() }}}, nil
}

// has reports whether the sweeps are there.
func has(ctx context.Context, c *client, names []string) bool {
	for _, name := range names {
		if _, err := c.Sweep(ctx, name); errors.Is(err, sweeps.ErrNotFound) {
			return false
		}
	}
	return true
}

func reaches(ctx context.Context, c *client) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := c.Workers(ctx)
	return err == nil
}

// offline serves the home's files to this process alone, through the same wire: to be read,
// or by a coordinator that leaves all sweeps alone that have not ended, but the ones to end.
// What workers still hold of those is given up at once: none can reach it, and they are told
// when they meet the next coordinator.
func (a *app) offline(write bool, end []string) (*client, error) {
	stores, err := boltstore.Open(a.cfg.Home, boltstore.Options{ReadOnly: !write, LockTimeout: atOnce})
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	cfg := dispatch.DefaultConfig()
	if write {
		cfg.Lease = time.Millisecond
	}
	c := coordinator.New(stores.State, stores.Metrics, stores.Logs, coordinator.Config{
		Dispatch: cfg, Log: log, Checkpoints: stores.Checkpoints,
		Rests: func(sw *sweeps.Sweep) bool {
			return !slices.Contains(end, sw.Name) && !slices.Contains(end, string(sw.ID))
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	stop := func() {}
	if write {
		go func() { ended <- c.Run(ctx) }()
		select {
		case <-c.Ready():
			stop = func() {
				if err := <-ended; err != nil {
					log.Error("the coordinator in this process ended", "err", err)
				}
			}
		case err := <-ended:
			cancel()
			return nil, errors.Join(err, stores.Close())
		}
	}
	listener := bufconn.Listen(1 << 20)
	server := api.NewServer(c, log)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends with Stop
	}()
	cl, err := wire.Dial("home", grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return listener.DialContext(ctx)
	}))
	if err != nil {
		server.Stop()
		cancel()
		stop()
		return nil, errors.Join(err, stores.Close())
	}
	return &client{Client: cl, offline: true, closers: []func(){
		func() { _ = stores.Close() },
		func() { cancel(); stop() },
		func() { server.Stop(); <-served },
		func() { _ = cl.Close() },
	}}, nil
}

// The address file tells the verbs where the coordinator of a home listens.
func addressFile(home string) string { return filepath.Join(home, "coordinator.addr") }

func readAddress(home string) string {
	b, err := os.ReadFile(addressFile(home))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func writeAddress(home, addr string) error {
	tmp := addressFile(home) + ".new"
	if err := os.WriteFile(tmp, []byte(addr+"\n"), 0o644); err != nil {
		return fmt.Errorf("%w: write the coordinator's address: %w", sweeps.ErrStorage, err)
	}
	if err := os.Rename(tmp, addressFile(home)); err != nil {
		return fmt.Errorf("%w: write the coordinator's address: %w", sweeps.ErrStorage, err)
	}
	return nil
}

func removeAddress(home, addr string) {
	if readAddress(home) == addr {
		_ = os.Remove(addressFile(home))
	}
}

// logger logs to w: warnings, and with --verbose what happens.
func (a *app) logger(w io.Writer, level slog.Level) *slog.Logger {
	if a.cfg.Verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// maxFile bounds a sweep file. It is kept with the sweep's record, and sent with trials.
const maxFile = 4 << 20

// readFile reads a sweep file; "-" is standard input.
func (a *app) readFile(file string) ([]byte, error) {
	in := a.stdin
	if file != "-" {
		f, err := os.Open(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s: no such file", file)
		case err != nil:
			return nil, fmt.Errorf("%s: cannot read the sweep file: %w", file, cause(err))
		}
		defer func() { _ = f.Close() }() // opened for reading
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: cannot read the sweep file: %w", file, cause(err))
	case len(b) > maxFile:
		return nil, fmt.Errorf("%s: more than %d MiB, too large for a sweep file: is it the right file? A range of whole numbers needs no list: min and max give it", file, maxFile>>20)
	}
	return b, nil
}

// cause is the system's error without the path, which the message has already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
