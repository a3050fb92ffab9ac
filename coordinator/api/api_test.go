package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"swath/coordinator"
	"swath/coordinator/api"
	"swath/coordinator/dispatch"
	"swath/coordinator/storetest"
	pb "swath/proto/swath/v1"
	"swath/proto/wire"
	"swath/sweeps"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// serve runs a coordinator over stores in memory at an address of this machine.
func serve(t *testing.T, store coordinator.Store) (addr string, client *wire.Client) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	cfg := coordinator.Config{Dispatch: dispatch.DefaultConfig(), Log: log}
	c := coordinator.New(store, &storetest.MemMetrics{}, &storetest.MemLogs{}, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	server := api.NewServer(c, log)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		server.Stop()
		<-served // says that the server was stopped
	})
	client, err = wire.Dial(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() }) // nothing is in flight any more
	until(t, "the coordinator to run", c.Running)
	return listener.Addr().String(), client
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func submission(id sweeps.SweepID, n int) wire.Submission {
	values := strings.TrimSuffix(strings.Repeat("0.5, ", n), ", ")
	if n > 1 {
		values = ""
		for i := range n {
			values += fmt.Sprintf("%d, ", i)
		}
		values = strings.TrimSuffix(values, ", ")
	}
	return wire.Submission{
		ID: id, File: "s.yaml", WorkDir: "/somewhere",
		Source: fmt.Appendf(nil, "name: name-%s\nmethod: grid\nmetric: {name: loss}\ncommand: [x]\nparameters: {x: {values: [%s]}}\n", id, values),
	}
}

// peer is the worker's end of a session.
type peer struct {
	t *testing.T
	*wire.Session
}

func session(t *testing.T, client *wire.Client, hello wire.WorkerMessage) peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	s, err := client.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p := peer{t, s}
	p.say(hello)
	return p
}

func (p peer) say(m wire.WorkerMessage) {
	p.t.Helper()
	if err := p.Send(m); err != nil {
		p.t.Fatal(err)
	}
}

// hear waits for the next message, which must be a T.
func hear[T wire.CoordinatorMessage](p peer) T {
	p.t.Helper()
	m, err := p.Recv()
	if err != nil {
		p.t.Fatal(err)
	}
	x, ok := m.(T)
	if !ok {
		p.t.Fatalf("the coordinator says %T %+v, want %T", m, m, x)
	}
	return x
}

func hello(id sweeps.WorkerID, slots int, held ...sweeps.AttemptRef) wire.Hello {
	return wire.Hello{Worker: sweeps.Worker{ID: id, Name: "host-" + string(id), Slots: slots}, Attempts: held, Version: "test"}
}

// Every call, along the life of a sweep.
func TestLifeOfASweepOverTheWire(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, client := serve(t, storetest.NewMem())
	st, err := client.Submit(ctx, submission("s", 2))
	if err != nil || st.ID != "s" || st.Name != "name-s" || st.Total != 2 || st.State != sweeps.SweepRunning || st.WorkDir != "/somewhere" {
		t.Fatalf("submit: %+v, %v", st, err)
	}
	w := session(t, client, hello("w", 1))
	if m := hear[wire.Welcome](w); m.Lease != dispatch.DefaultConfig().Lease || m.Heartbeat <= 0 || m.Heartbeat >= m.Lease {
		t.Errorf("welcome: %+v", m)
	}
	start := hear[wire.Start](w)
	ref := start.Ref
	if start.SweepName != "name-s" || string(start.Source) != string(submission("s", 2).Source) || start.File != "s.yaml" ||
		start.WorkDir != "/somewhere" || start.TrialID == "" || start.Params["x"] != int64(0) || ref.Attempt != 1 {
		t.Errorf("start: %+v", start)
	}
	w.say(wire.Started{Ref: ref})
	w.say(wire.Points{Ref: ref, First: 0, Points: []sweeps.Point{{Metric: "loss", Step: 1, Value: 0.5, Time: time.Unix(1, 0)}, {Metric: "loss", Step: 2, Value: 0.25, Time: time.Unix(2, 0)}}})
	if m := hear[wire.PointsAck](w); m.Next != 2 || m.Ref != ref {
		t.Errorf("points: %+v", m)
	}
	w.say(wire.LogChunk{Ref: ref, Stream: wire.Stderr, Offset: 0, Data: []byte("hear, hear")})
	if m := hear[wire.LogAck](w); m.Next != 10 || m.Stream != wire.Stderr {
		t.Errorf("log: %+v", m)
	}
	w.say(wire.Heartbeat{})

	if st, err = client.Sweep(ctx, "name-s"); err != nil || len(st.Running) != 1 || st.Running[0].Metrics["loss"].Last != 0.25 {
		t.Errorf("sweep: %+v, %v", st, err)
	}
	if list, err := client.Workers(ctx); err != nil || len(list) != 1 || list[0].Name != "host-w" || !list[0].Connected || list[0].Running != 1 {
		t.Errorf("workers: %+v, %v", list, err)
	}
	var progress []*wire.Progress
	watched, began := make(chan error, 1), make(chan bool)
	go func() {
		watched <- client.Watch(ctx, "s", func(p *wire.Progress) bool {
			if progress = append(progress, p); len(progress) == 1 {
				close(began)
			}
			return true
		})
	}()
	<-began
	w.say(wire.Exited{Ref: ref, Outcome: sweeps.Outcome{Class: sweeps.ClassExit, ExitCode: 3, Message: "exit code 3"}})
	// The end is acknowledged and the next begins, in whichever order.
	var next wire.Start
	for range 2 {
		m, err := w.Recv()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case wire.Start:
			next = m
		case wire.Forget:
			if m.Ref != ref {
				t.Errorf("forget %v", m.Ref)
			}
		default:
			t.Errorf("told %T", m)
		}
	}
	w.say(wire.Started{Ref: next.Ref})
	w.say(wire.Exited{Ref: next.Ref, Outcome: sweeps.Outcome{Class: sweeps.ClassOK}})
	hear[wire.Forget](w)
	if err := <-watched; err != nil {
		t.Fatal(err)
	}
	ends := map[int64]int{}
	for _, p := range progress {
		for _, trial := range p.Ended {
			ends[trial.Index]++
		}
	}
	if last := progress[len(progress)-1]; last.State != sweeps.SweepFinished || last.Counts.Failed != 1 || last.Counts.Finished != 1 {
		t.Errorf("last told: %+v", last.Sweep)
	}
	if ends[0] != 1 || ends[1] != 1 {
		t.Errorf("told of ends: %v", ends)
	}

	var states []sweeps.TrialState
	if err := client.Trials(ctx, "s", func(trial *sweeps.Trial) bool { states = append(states, trial.State); return true }); err != nil ||
		!slices.Equal(states, []sweeps.TrialState{sweeps.TrialFailed, sweeps.TrialFinished}) {
		t.Errorf("trials: %v, %v", states, err)
	}
	var values []float64
	err = client.Series(ctx, "s", "loss", "0", func(p wire.SeriesPiece) bool {
		for _, point := range p.Points {
			values = append(values, point.Value)
		}
		return true
	})
	if err != nil || !slices.Equal(values, []float64{0.5, 0.25}) {
		t.Errorf("series: %v, %v", values, err)
	}
	var log string
	if err := client.Log(ctx, "s/0", 0, false, func(p wire.LogPiece) bool { log += p.Stream + ": " + string(p.Data); return true }); err != nil || log != "stderr: hear, hear" {
		t.Errorf("log: %q, %v", log, err)
	}
	if list, err := client.Sweeps(ctx); err != nil || len(list) != 1 || len(list[0].Source) != 0 {
		t.Errorf("sweeps: %+v, %v", list, err)
	}
	if _, n, err := client.Rerun(ctx, "s", true, nil); err != nil || n != 1 {
		t.Errorf("rerun: %d, %v", n, err)
	}
	if m := hear[wire.Start](w); m.Ref.Attempt != 2 || m.Ref.Index != 0 {
		t.Errorf("started again: %+v", m.Ref)
	}
	if st, err := client.Cancel(ctx, "s"); err != nil || st.State != sweeps.SweepCancelling {
		t.Errorf("cancel: %+v, %v", st, err)
	}
	if m := hear[wire.Stop](w); m.Ref.Attempt != 2 {
		t.Errorf("stop: %+v", m)
	}
	w.say(wire.Exited{Ref: sweeps.AttemptRef{TrialKey: ref.TrialKey, Attempt: 2}, Outcome: sweeps.Outcome{Class: sweeps.ClassCancelled}})
	hear[wire.Forget](w)
	until(t, "the sweep to be cancelled", func() bool {
		st, err := client.Sweep(ctx, "s")
		return err == nil && st.State == sweeps.SweepCancelled
	})
	w.say(wire.Drain{})
	until(t, "the worker to drain", func() bool {
		list, err := client.Workers(ctx)
		return err == nil && len(list) == 1 && list[0].Draining
	})
	if err := w.CloseSend(); err != nil {
		t.Error(err)
	}
	until(t, "the worker to be gone", func() bool {
		list, err := client.Workers(ctx)
		return err == nil && len(list) == 0
	})
}

// The classes of error are the same on both sides, with the text that was written for people.
func TestClassesOfErrors(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	full := false
	store := &storetest.Fault{Store: storetest.NewMem(), Decide: func(dispatch.Changes) storetest.Verdict {
		if full {
			return storetest.FailBefore
		}
		return storetest.Pass
	}}
	_, client := serve(t, store)
	if _, err := client.Submit(ctx, submission("s", 1)); err != nil {
		t.Fatal(err)
	}
	same, bad := submission("t", 1), submission("u", 1)
	same.Name = "name-s"
	bad.Source = []byte("metod: grid\n")
	none := func(*sweeps.Trial) bool { return true }
	for what, c := range map[string]struct {
		err  error
		is   error
		says string
	}{
		"name taken":     {second(client.Submit(ctx, same)), sweeps.ErrConflict, "--name"},
		"bad file":       {second(client.Submit(ctx, bad)), sweeps.ErrInvalid, `s.yaml:1:1: unknown key "metod"; did you mean "method"?`},
		"no id":          {second(client.Submit(ctx, submission("", 1))), sweeps.ErrInvalid, "id"},
		"no sweep":       {second(client.Sweep(ctx, "nobody")), sweeps.ErrNotFound, `no sweep "nobody"`},
		"cancel nothing": {second(client.Cancel(ctx, "nobody")), sweeps.ErrNotFound, "swath ls"},
		"watch nothing":  {client.Watch(ctx, "nobody", func(*wire.Progress) bool { return true }), sweeps.ErrNotFound, "nobody"},
		"trials of none": {client.Trials(ctx, "nobody", none), sweeps.ErrNotFound, "nobody"},
		"series of none": {client.Series(ctx, "nobody", "", "", func(wire.SeriesPiece) bool { return true }), sweeps.ErrNotFound, "nobody"},
		"log of none":    {client.Log(ctx, "ffffff", 0, false, func(wire.LogPiece) bool { return true }), sweeps.ErrNotFound, "ffffff"},
		"bad trial":      {client.Log(ctx, "s/x", 0, false, func(wire.LogPiece) bool { return true }), sweeps.ErrInvalid, "SWEEP/INDEX"},
	} {
		if !errors.Is(c.err, c.is) || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v, want %v with %q", what, c.err, c.is, c.says)
		}
	}
	full = true
	if _, err := client.Submit(ctx, submission("v", 1)); !errors.Is(err, sweeps.ErrStorage) {
		t.Errorf("full store: %v", err)
	}

	nobody, err := wire.Dial("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nobody.Close() }() // it was never connected
	_, err = nobody.Sweeps(ctx)
	if !errors.Is(err, sweeps.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("nobody listens: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// What is no session is refused, and takes nothing down.
func TestGarbageFromWorkers(t *testing.T) {
	t.Parallel()
	_, client := serve(t, storetest.NewMem())
	if _, err := client.Submit(t.Context(), submission("s", 1)); err != nil {
		t.Fatal(err)
	}
	ends := func(p peer, class error, says string) {
		t.Helper()
		for {
			_, err := p.Recv()
			if err == nil {
				continue // the welcome
			}
			if !errors.Is(err, class) || !strings.Contains(err.Error(), says) {
				t.Errorf("the session ends with %v, want %v with %q", err, class, says)
			}
			return
		}
	}
	ends(session(t, client, wire.Heartbeat{}), sweeps.ErrInvalid, "Hello")
	ends(session(t, client, wire.Exited{}), sweeps.ErrInvalid, "Hello")
	ends(session(t, client, hello("", 1)), sweeps.ErrInvalid, "id")
	ends(session(t, client, hello("w", 0)), sweeps.ErrInvalid, "slot")
	twice := session(t, client, hello("w", 1))
	twice.say(hello("w", 1))
	ends(twice, sweeps.ErrInvalid, "Hello in the middle")

	// Reports about nothing that is known are answered, and the session goes on.
	p := session(t, client, hello("w", 1, sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "nobody", Index: -7}, Attempt: -1}))
	hear[wire.Welcome](p)
	hear[wire.Forget](p)
	start := hear[wire.Start](p)
	strange := sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s", Index: 1 << 60}, Attempt: 9}
	p.say(wire.Started{Ref: strange})
	hear[wire.Forget](p)
	p.say(wire.Exited{Ref: strange, Outcome: sweeps.Outcome{Class: sweeps.ClassOK}})
	hear[wire.Forget](p)
	p.say(wire.Points{Ref: strange, First: -5, Points: []sweeps.Point{{}}})
	hear[wire.Forget](p)
	p.say(wire.LogChunk{Ref: start.Ref, Stream: wire.Stdout, Offset: -3, Data: []byte("x")})
	if m := hear[wire.LogAck](p); m.Next != 0 {
		t.Errorf("acknowledged output at a negative offset: %+v", m)
	}
	p.say(wire.Exited{Ref: start.Ref, Outcome: sweeps.Outcome{Class: sweeps.ClassOK}})
	hear[wire.Forget](p)
	st, err := client.Sweep(t.Context(), "s")
	if err != nil || st.State != sweeps.SweepFinished {
		t.Errorf("in the end: %+v, %v", st, err)
	}
}

// dial connects without swath's client.
func dial(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // at the end of the test
	return conn
}

func TestHealthAndReflection(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	addr, _ := serve(t, storetest.NewMem())
	conn := dial(t, addr)
	r, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", r, err)
	}
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	m, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range m.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	for _, want := range []string{"swath.v1.SweepService", "swath.v1.WorkerService", "grpc.health.v1.Health"} {
		if !slices.Contains(names, want) {
			t.Errorf("reflection lists %v, without %s", names, want)
		}
	}
}

// Messages that swath's own client never sends.
func TestMessagesWithNothingInThem(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	addr, client := serve(t, storetest.NewMem())
	conn := dial(t, addr)
	users := pb.NewSweepServiceClient(conn)
	for what, err := range map[string]error{
		"submit": second(users.Submit(ctx, &pb.SubmitRequest{})),
		"status": second(users.GetSweep(ctx, &pb.GetSweepRequest{})),
		"cancel": second(users.CancelSweep(ctx, &pb.CancelSweepRequest{})),
		"rerun":  second(users.RerunSweep(ctx, &pb.RerunSweepRequest{})),
	} {
		if code := status.Code(err); code != codes.InvalidArgument && code != codes.NotFound {
			t.Errorf("an empty %s: %v", what, err)
		}
	}
	stream, err := pb.NewWorkerServiceClient(conn).Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&pb.SessionRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("an empty first message: %v", err)
	}
	// A connection that speaks another protocol altogether.
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n\x00\xff\xfe")); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Error(err)
	}
	if _, err := client.Sweeps(ctx); err != nil {
		t.Errorf("the coordinator afterwards: %v", err)
	}
}

// panicking is a store that has a bug.
type panicking struct{ coordinator.Store }

func (panicking) Sweep(string) (*sweeps.Sweep, error) { panic("a bug") }

// A bug in a handler is an error of that one call.
func TestPanicOfAHandler(t *testing.T) {
	t.Parallel()
	_, client := serve(t, panicking{storetest.NewMem()})
	if _, err := client.Sweep(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "internal error") || strings.Contains(err.Error(), "goroutine") {
		t.Errorf("the error is %v", err)
	}
	if _, err := client.Sweeps(t.Context()); err != nil {
		t.Errorf("the coordinator afterwards: %v", err)
	}
}
