package wire

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "swath/proto/swath/v1"
	"swath/sweeps"
)

var (
	at   = time.Date(2026, 3, 1, 12, 30, 15, 123456789, time.UTC)
	gpus = []sweeps.GPU{{ID: "GPU-a", Index: 3, Model: "NVIDIA H200", Memory: 140 << 30, Busy: "used by pid 7"}, {ID: "GPU-b"}}
	ref  = sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s1", Index: 7}, Attempt: 3}
)

// overTheWire sends a message through protobuf's encoding, as the network does.
func overTheWire[M proto.Message](t *testing.T, in, out M) M {
	t.Helper()
	b, err := proto.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTrialRoundTrip(t *testing.T) {
	want := &sweeps.Trial{
		TrialKey: ref.TrialKey, ID: "0123456789abcdef",
		Params: sweeps.Params{"lr": 1e-4, "heads": int64(12), "name": "ä b", "on": true, "none": nil, "list": []any{int64(1), 2.5}, "g": map[string]any{"x": int64(1)}},
		State:  sweeps.TrialFailed, Attempt: 3, Returned: 1, Charged: 2, Losses: 1, NotBefore: at,
		Worker: "w1", WorkerName: "host", Assigned: at, Started: at.Add(time.Second), Ended: at.Add(time.Minute),
		Outcome: sweeps.Outcome{Class: sweeps.ClassExit, ExitCode: 3, Message: "exit code 3: oops"},
		Alone:   true,
		Metrics: map[string]sweeps.Summary{"loss": {Count: 4, Last: 0.1, LastStep: 4, Min: math.Inf(-1), MinStep: 2, Max: math.NaN(), MaxStep: 1}},
	}
	got, err := TrialFromProto(overTheWire(t, TrialToProto(want), &pb.Trial{}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("a trial changes on the wire (-sent +received):\n%s", diff)
	}
}

func TestSweepRoundTrip(t *testing.T) {
	want := &sweeps.Sweep{
		ID: "s1", Name: "name", Source: []byte("method: grid\n"), File: "a.yaml", WorkDir: "/w",
		State: sweeps.SweepCancelling, Created: at, Ended: at.Add(time.Hour), Next: 9, Dispatched: 8, Excluded: 1,
		Reason: "by a user", Closed: true,
		Counts: sweeps.Counts{Running: 1, Finished: 2, Failed: 3, Cancelled: 4, Retrying: 5, Unstarted: 6},
	}
	got, total, err := SweepFromProto(overTheWire(t, SweepToProto(want, 42), &pb.Sweep{}))
	if err != nil || total != 42 {
		t.Fatalf("total %d, err %v", total, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a sweep changes on the wire (-sent +received):\n%s", diff)
	}
}

// TestStatesSurvive sends every state and class, so that one that the wire does not know
// is noticed.
func TestStatesSurvive(t *testing.T) {
	for _, s := range sweeps.TrialStates() {
		got, err := TrialFromProto(TrialToProto(&sweeps.Trial{State: s, Params: sweeps.Params{}}))
		if err != nil || got.State != s {
			t.Errorf("trial state %s arrives as %v, %v", s, got, err)
		}
	}
	for _, s := range sweeps.SweepStates() {
		got, _, err := SweepFromProto(SweepToProto(&sweeps.Sweep{State: s}, 0))
		if err != nil || got.State != s {
			t.Errorf("sweep state %s arrives as %v, %v", s, got, err)
		}
	}
	for _, c := range sweeps.Classes() {
		want := sweeps.Outcome{Class: c, ExitCode: -1, Message: "m"}
		got, err := OutcomeFromProto(OutcomeToProto(want))
		if err != nil || got != want {
			t.Errorf("outcome %v arrives as %v, %v", want, got, err)
		}
	}
	if _, err := TrialFromProto(&pb.Trial{State: "asleep"}); err == nil {
		t.Error("an unknown state is accepted")
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	fromWorker := []WorkerMessage{
		Hello{
			Worker: sweeps.Worker{ID: "w", Name: "n", Slots: 4, Prefetch: 2, Burst: 9, Total: sweeps.Resources{CPUs: 2.5, GPUs: 1, GPUMemory: 3, Memory: 1 << 40},
				GPUs: gpus, GPUNote: "the driver sleeps", Labels: map[string]string{"zone": "lab", "os": "linux"},
				Agent: sweeps.Agent{Place: "boot/1", File: "/d/id", Host: "h", PID: 7}},
			Attempts: []sweeps.AttemptRef{ref}, Version: "v", Home: "home",
			GPUs: map[sweeps.AttemptRef][]sweeps.GPUShare{ref: {{GPU: "GPU-a", Part: 500_000, Memory: 5 << 30}}},
		},
		Offer{GPUs: gpus, Note: "n"}, Offer{},
		Heartbeat{}, Started{ref, time.Second},
		Points{ref, 5, []sweeps.Point{{Metric: "loss", Step: -1, Value: math.Inf(1), Time: at}, {Metric: "x", Step: 1 << 40, Value: 0.1}}},
		LogChunk{ref, Stderr, 99, []byte("a\x00b")}, LogChunk{ref, Stdout, 0, []byte("x")},
		Exited{ref, sweeps.Outcome{Class: sweeps.ClassOOM, ExitCode: 137, Message: "m"}, time.Hour, time.Minute}, Drain{}, Hold{"its disk is full"}, Hold{}, Returned{ref},
	}
	for _, want := range fromWorker {
		got, err := WorkerMessageFromProto(overTheWire(t, WorkerMessageToProto(want), &pb.SessionRequest{}))
		if err != nil {
			t.Errorf("%T: %v", want, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%T changes on the wire (-sent +received):\n%s", want, diff)
		}
	}
	toWorker := []CoordinatorMessage{
		Welcome{time.Second, time.Minute, "home"}, Stop{ref}, Forget{ref}, Recall{ref}, PointsAck{ref, 12}, LogAck{ref, Stdout, 13},
		Start{ref, "id", sweeps.Params{"a": int64(1), "b": "c"}, "sweep", []byte("src"), "f.yaml", "/dir", []sweeps.GPUShare{{GPU: "GPU-a", Part: 1_000_000, Memory: 80 << 30}}, nil},
		Start{ref, "id", sweeps.Params{}, "sweep", nil, "f.yaml", "/dir", nil, &sweeps.Checkpoint{Attempt: 1, Step: 2, Digest: "d", Size: 3, Value: 0.5, Saved: time.Unix(4, 5).UTC()}},
	}
	for _, want := range toWorker {
		got, err := CoordinatorMessageFromProto(overTheWire(t, CoordinatorMessageToProto(want), &pb.SessionResponse{}))
		if err != nil {
			t.Errorf("%T: %v", want, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%T changes on the wire (-sent +received):\n%s", want, diff)
		}
	}
	if _, err := WorkerMessageFromProto(&pb.SessionRequest{}); !errors.Is(err, sweeps.ErrInvalid) {
		t.Errorf("an empty message from a worker: %v", err)
	}
	if _, err := CoordinatorMessageFromProto(&pb.SessionResponse{}); !errors.Is(err, sweeps.ErrInvalid) {
		t.Errorf("an empty message from the coordinator: %v", err)
	}
}

// TestErrorClasses sends an error of every class: errors.Is must answer on the other side
// as on this one, and the text must be the one that was written.
func TestErrorClasses(t *testing.T) {
	for _, c := range classes {
		sent := fmt.Errorf("%w: the details", c.err)
		got := ErrorFromStatus(ErrorToStatus(sent))
		if !errors.Is(got, c.err) || got.Error() != sent.Error() {
			t.Errorf("%v arrives as %v", sent, got)
		}
		for _, other := range classes {
			if !errors.Is(c.err, other.err) && errors.Is(got, other.err) {
				t.Errorf("%v arrives as %v too", sent, other.err)
			}
		}
	}
	// What earlier versions sent, and what they understood: the code for every conflict.
	for sent, code := range map[error]codes.Code{sweeps.ErrExists: codes.AlreadyExists, sweeps.ErrConflict: codes.FailedPrecondition} {
		if got := status.Code(ErrorToStatus(fmt.Errorf("submit: %w: it is there", sent))); got != code {
			t.Errorf("%v goes as %v, want %v", sent, got, code)
		}
		text := "conflict: sweep \"s\" has not ended"
		if got := ErrorFromStatus(status.Error(code, text)); !errors.Is(got, sweeps.ErrConflict) || got.Error() != text {
			t.Errorf("%v arrives as %v", code, got)
		}
	}
	if err := ErrorToStatus(errors.New("plain")); status.Code(err) != codes.Internal {
		t.Errorf("an error without a class gets code %v", status.Code(err))
	}
	if ErrorToStatus(nil) != nil || ErrorFromStatus(nil) != nil {
		t.Error("no error becomes one")
	}
}

func TestUnreachable(t *testing.T) {
	c, err := Dial("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := c.Sweeps(ctx); !errors.Is(err, sweeps.ErrUnavailable) {
		t.Errorf("a coordinator that is not there: %v, want ErrUnavailable", err)
	}
}
