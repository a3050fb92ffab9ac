package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"swath/coordinator"
	"swath/coordinator/api"
	"swath/coordinator/boltstore"
	"swath/coordinator/dispatch"
	"swath/proto/wire"
	"swath/sweeps"
)

// leftovers tells what a test leaves behind of a kind: goroutines, open files.
type leftovers struct {
	goroutines int
	files      int // -1 where they cannot be counted
}

func inventory() leftovers {
	l := leftovers{goroutines: runtime.NumGoroutine(), files: -1}
	if list, err := os.ReadDir("/proc/self/fd"); err == nil {
		l.files = len(list)
	}
	return l
}

// checkNothingLeft fails the test if it ends with more goroutines or open files than there
// are now. It waits a little for those that are just ending, and prints the others.
func checkNothingLeft(t *testing.T) {
	t.Helper()
	before := inventory()
	t.Cleanup(func() {
		var after leftovers
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			if after = inventory(); after.goroutines <= before.goroutines && after.files <= before.files {
				return
			}
			if time.Now().After(end) {
				break
			}
		}
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		t.Errorf("left behind: %d goroutines, %d before; %d open files, %d before\n%s",
			after.goroutines, before.goroutines, after.files, before.files, bytes.TrimSpace(stacks))
	})
}

// A coordinator that has served everything there is ends without a trace.
func TestNothingIsLeft(t *testing.T) {
	// The first connection makes what lives as long as the process does.
	useCoordinator(t, filepath.Join(t.TempDir(), "warm"))
	t.Run("again", func(t *testing.T) {
		checkNothingLeft(t)
		for i := range 3 {
			useCoordinator(t, filepath.Join(t.TempDir(), fmt.Sprint(i)))
		}
	})
}

// useCoordinator starts a coordinator on real files, uses it in every way, some of which
// are cut off, and ends it.
func useCoordinator(t *testing.T, home string) {
	t.Helper()
	stores, err := boltstore.Open(home, boltstore.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	c := coordinator.New(stores.State, stores.Metrics, stores.Logs, coordinator.Config{Dispatch: dispatch.DefaultConfig(), Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- c.Run(ctx) }()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := api.NewServer(c, log)
	go func() { ended <- server.Serve(listener) }()
	until(t, "the coordinator to run", c.Running)
	client, err := wire.Dial(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}

	if _, err := client.Submit(ctx, submission("s", 3)); err != nil {
		t.Fatal(err)
	}
	calls, hangUp := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- client.Watch(calls, "s", func(*wire.Progress) bool { return true }) }()
	// Two sessions of one worker: the second takes the place of the first.
	for range 2 {
		s, err := client.Session(calls)
		if err != nil {
			t.Fatal(err)
		}
		p := peer{t, s}
		p.say(wire.Hello{Worker: sweeps.Worker{ID: "w", Name: "w", Slots: 1}})
		hear[wire.Welcome](p)
		ref := hear[wire.Start](p).Ref
		p.say(wire.Started{Ref: ref})
		p.say(wire.Points{Ref: ref, Points: []sweeps.Point{{Metric: "loss", Value: 1, Time: time.Now()}}})
		hear[wire.PointsAck](p)
		p.say(wire.LogChunk{Ref: ref, Stream: wire.Stdout, Data: []byte("x")})
		hear[wire.LogAck](p)
	}
	following := make(chan error, 1)
	go func() { following <- client.Log(calls, "s/0", 0, true, func(wire.LogPiece) bool { return true }) }()
	err = client.Series(ctx, "s", "", "", func(wire.SeriesPiece) bool { return false })
	if err != nil {
		t.Error(err)
	}
	hangUp()
	for _, cut := range []chan error{watched, following} {
		if err := <-cut; !errors.Is(err, context.Canceled) && !strings.Contains(fmt.Sprint(err), "canceled") {
			t.Errorf("a call that was cut off says %v", err)
		}
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	server.Stop()
	for range 2 {
		<-ended // the server says that it was stopped
	}
	if err := stores.Close(); err != nil {
		t.Error(err)
	}
}
