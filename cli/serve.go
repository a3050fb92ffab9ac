package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"

	"swath/coordinator"
	"swath/coordinator/api"
	"swath/coordinator/boltstore"
	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// server is a running coordinator with its stores and its listener.
type server struct {
	addr   string
	coord  *coordinator.Coordinator
	grpc   *grpc.Server
	stores *boltstore.Stores
	home   string
	cancel context.CancelFunc
	ended  chan error // Run's and Serve's, one each
}

// serve starts a coordinator on the home. rests tells sweeps that it should leave alone;
// nil for none.
func (a *app) serve(listen string, log *slog.Logger, rests func(*sweeps.Sweep) bool) (*server, error) {
	roomyHeap()
	if homeInUse(a.cfg.Home) {
		return nil, a.errHomeInUse()
	}
	if err := checkSpace(a.cfg.Home); err != nil {
		return nil, err
	}
	// Before the home is made: what cannot serve leaves nothing behind.
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("cannot listen on %s: %w: choose another address with --listen HOST:PORT", listen, err)
	}
	stores, err := boltstore.Open(a.cfg.Home, boltstore.Options{Reclaim: func(c boltstore.Compaction, err error) {
		if err != nil {
			log.Warn("free space in a file is not given back", "file", c.File, "err", err)
			return
		}
		log.Info("gave back the space that was free in a file", "file", c.File,
			"before", sweeps.FormatBytes(c.Before), "after", sweeps.FormatBytes(c.After))
	}})
	if err != nil {
		_ = listener.Close() // nobody was served
		return nil, err
	}
	dcfg := dispatch.DefaultConfig()
	dcfg.Lease = a.cfg.Lease
	s := &server{
		addr: listener.Addr().String(), stores: stores, home: a.cfg.Home,
		coord: coordinator.New(stores.State, stores.Metrics, stores.Logs, coordinator.Config{
			Dispatch: dcfg, Log: log, Home: stores.Identity, Rests: rests, Room: a.room(), Pace: coordinator.DefaultPace,
			Checkpoints: stores.Checkpoints, Quota: a.checkpointQuota(stores.Checkpoints),
		}),
		ended: make(chan error, 2),
	}
	s.grpc = api.NewServer(s.coord, log)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() { s.ended <- s.coord.Run(ctx) }()
	select {
	case <-s.coord.Ready(): // whoever reads that it is ready may submit at once
	case err := <-s.ended:
		cancel()
		_ = listener.Close() // nobody was served
		return nil, errors.Join(err, stores.Close())
	}
	go func() { s.ended <- s.grpc.Serve(listener) }()
	if err := writeAddress(s.home, s.addr); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// checkpointQuota is how much space checkpoints may take: what the user says, or else a tenth
// of the disk, but no more than 50 GiB. A twentieth of the disk, but no more than 1 GiB, is
// left free in any case, so that checkpoints never fill the disk that the store is on.
func (a *app) checkpointQuota(files coordinator.CheckpointStore) coordinator.Quota {
	_, disk := files.Space()
	q := coordinator.Quota{Total: a.cfg.CheckpointQuota, Reserve: min(disk/20, 1<<30)}
	if q.Total == 0 {
		q.Total = min(disk/10, 50<<30)
	}
	return q
}

// errHomeInUse tells what to do about a coordinator that runs on the home already.
func (a *app) errHomeInUse() error {
	where := ""
	if addr := readAddress(a.cfg.Home); addr != "" {
		where = " at " + addr
	}
	return fmt.Errorf("%w: the home %s is in use by another swath%s: give it sweeps with `swath submit FILE`, stop it, or choose another home with --home DIR",
		sweeps.ErrConflict, a.cfg.Home, where)
}

// stop ends the coordinator in order: the loop, the connections, the files.
func (s *server) stop() error {
	removeAddress(s.home, s.addr)
	s.cancel()
	done := make(chan struct{})
	go func() { s.grpc.GracefulStop(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
		s.grpc.Stop()
		<-done
	}
	var errs []error
	for range 2 {
		if err := <-s.ended; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, s.stores.Close())...)
}

// checkListen refuses addresses that other machines can reach, unless it is said aloud.
func checkListen(listen string, insecure bool) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen %s: want HOST:PORT", listen)
	}
	if insecure || host == "localhost" {
		return nil
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("--listen %s: other machines could reach it, and whoever can may run programs on your workers, for nothing is encrypted or authenticated yet: "+
		"listen on 127.0.0.1 and use a tunnel (ssh -L), or say --insecure on a network that you trust", listen)
}
