package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"swath/coordinator"
	"swath/coordinator/api"
	"swath/coordinator/boltstore"
	"swath/coordinator/dispatch"
	"swath/proto/wire"
	"swath/sweeps"
)

// BenchmarkDispatch measures durable no-op trials a second: a coordinator on real bbolt
// files, a real gRPC connection, and a worker that answers every start at once. Every
// change of state is synced to disk.
func BenchmarkDispatch(b *testing.B) {
	for _, sync := range []bool{true, false} {
		b.Run(fmt.Sprintf("fsync=%t", sync), func(b *testing.B) { benchDispatch(b, !sync) })
	}
}

func benchDispatch(b *testing.B, noSync bool) {
	stores, err := boltstore.Open(b.TempDir(), boltstore.Options{NoSync: noSync})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := stores.Close(); err != nil {
			b.Error(err)
		}
	}()
	log := slog.New(slog.DiscardHandler)
	c := coordinator.New(stores.State, stores.Metrics, stores.Logs, coordinator.Config{Dispatch: dispatch.DefaultConfig(), Log: log})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	server := api.NewServer(c, log)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		cancel()
		<-ended
		server.Stop()
		<-served
	}()
	client, err := wire.Dial(listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = client.Close() }()

	session, err := client.Session(ctx)
	if err != nil {
		b.Fatal(err)
	}
	go noopWorker(b, session, 256)
	for !c.Running() {
		time.Sleep(time.Millisecond)
	}
	b.ResetTimer()
	source := fmt.Sprintf("name: bench\nmethod: grid\ncommand: ['true']\nparameters: {x: {distribution: int_uniform, min: 1, max: %d}, y: {values: [1]}}\n", max(b.N, 2))
	st, err := client.Submit(ctx, wire.Submission{ID: "s1", Source: []byte(source), File: "bench.yaml"})
	if err != nil {
		b.Fatal(err)
	}
	if err := client.Watch(ctx, string(st.ID), func(*wire.Progress) bool { return true }); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "trials/s")
}

// noopWorker ends every attempt the moment it is told to start it.
func noopWorker(b *testing.B, s *wire.Session, slots int) {
	err := s.Send(wire.Hello{Worker: sweeps.Worker{ID: "w", Name: "w", Slots: slots, Prefetch: slots}})
	for err == nil {
		var m wire.CoordinatorMessage
		if m, err = s.Recv(); err != nil {
			return // the benchmark is over
		}
		if start, is := m.(wire.Start); is {
			if err = s.Send(wire.Started{Ref: start.Ref}); err == nil {
				err = s.Send(wire.Exited{Ref: start.Ref, Outcome: sweeps.Outcome{Class: sweeps.ClassOK}})
			}
		}
	}
	b.Log(err)
}
