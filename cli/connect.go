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
)

// client is a connection to a coordinator; close it.
type client struct {
	*wire.Client
	closers []func()
}

func (c *client) close() {
	for i := len(c.closers) - 1; i >= 0; i-- {
		c.closers[i]()
	}
}

// connect finds the coordinator: the one that was named; else the one that runs on the
// home; else, to read, the home's files themselves; else the one at the default address.
func (a *app) connect(ctx context.Context, what use) (*client, error) {
	if a.cfg.Coordinator != "" {
		return dial(a.cfg.Coordinator)
	}
	if addr := readAddress(a.cfg.Home); addr != "" {
		if c, err := dial(addr); err == nil {
			if reaches(ctx, c) {
				return c, nil
			}
			c.close()
		}
	}
	if what == toRead && boltstore.Exists(a.cfg.Home) {
		return a.offline()
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

func dial(addr string) (*client, error) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, fmt.Errorf("address %q of the coordinator: want HOST:PORT", addr)
	}
	c, err := wire.Dial(addr)
	if err != nil {
		return nil, err
	}
	return &client{c, []func(){func() { _ = c.Close() }}}, nil
}

func reaches(ctx context.Context, c *client) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := c.Workers(ctx)
	return err == nil
}

// offline serves the home's files to this process alone, through the same wire.
func (a *app) offline() (*client, error) {
	stores, err := boltstore.Open(a.cfg.Home, boltstore.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	c := coordinator.New(stores.State, stores.Metrics, stores.Logs, coordinator.Config{Dispatch: dispatch.DefaultConfig(), Log: log})
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
		return nil, errors.Join(err, stores.Close())
	}
	return &client{cl, []func(){
		func() { _ = stores.Close() },
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

// readFile reads a sweep file.
func (a *app) readFile(file string) ([]byte, error) {
	if file == "-" {
		b, err := io.ReadAll(a.stdin)
		if err != nil {
			return nil, fmt.Errorf("read the sweep file from standard input: %w", err)
		}
		return b, nil
	}
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: no such file", file)
	case err != nil:
		return nil, fmt.Errorf("%s: cannot read the sweep file: %w", file, errors.Unwrap(err))
	}
	return b, nil
}
