package load

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
)

// pipe is a session whose other end the test is.
type pipe struct {
	toWorker   chan wire.CoordinatorMessage
	fromWorker chan wire.WorkerMessage
}

func newPipe() *pipe {
	return &pipe{make(chan wire.CoordinatorMessage, 100), make(chan wire.WorkerMessage, 100)}
}

func (p *pipe) Send(m wire.WorkerMessage) error {
	p.fromWorker <- m
	return nil
}

func (p *pipe) Recv() (wire.CoordinatorMessage, error) {
	m, ok := <-p.toWorker
	if !ok {
		return nil, io.EOF
	}
	return m, nil
}

func (p *pipe) CloseSend() error { return nil }

// said is what the worker has said so far, in short.
func (p *pipe) said() string {
	synctest.Wait()
	var list []string
	for len(p.fromWorker) > 0 {
		switch m := (<-p.fromWorker).(type) {
		case wire.Hello:
			list = append(list, "hello")
		case wire.Heartbeat:
			list = append(list, "alive")
		case wire.Started:
			list = append(list, fmt.Sprint("started ", m.Ref.Index))
		case wire.Exited:
			list = append(list, fmt.Sprint("exited ", m.Ref.Index, " ", m.Outcome.Class))
		case wire.Returned:
			list = append(list, fmt.Sprint("returned ", m.Ref.Index))
		case wire.Points:
			list = append(list, fmt.Sprintf("points %d+%d", m.First, len(m.Points)))
		default:
			list = append(list, fmt.Sprintf("%T", m))
		}
	}
	return strings.Join(list, ", ")
}

func (p *pipe) want(t *testing.T, what string) {
	t.Helper()
	if got := p.said(); got != what {
		t.Errorf("the worker said %q, want %q", got, what)
	}
}

func ref(i int64) sweeps.AttemptRef {
	return sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s", Index: i}, Attempt: 1}
}

func (p *pipe) start(indices ...int64) {
	for _, i := range indices {
		p.toWorker <- wire.Start{Ref: ref(i)}
	}
}

func TestWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		w := &Worker{Worker: sweeps.Worker{ID: "w", Name: "w", Slots: 2}, Run: time.Second, Heartbeat: true}
		ended := make(chan error, 1)
		go func() { ended <- w.Serve(t.Context(), p) }()
		p.want(t, "hello")
		p.toWorker <- wire.Welcome{Heartbeat: 3 * time.Second}
		p.start(0, 1, 2, 3)
		p.want(t, "started 0, started 1") // the others wait for a slot
		p.toWorker <- wire.Recall{Ref: ref(3)}
		p.toWorker <- wire.Recall{Ref: ref(0)} // has started: nothing comes of it
		p.want(t, "returned 3")
		time.Sleep(time.Second)
		got := strings.Split(p.said(), ", ")
		slices.Sort(got)
		if want := []string{"exited 0 ok", "exited 1 ok", "started 2"}; !slices.Equal(got, want) {
			t.Errorf("after a second the worker said %q, want %q", got, want)
		}
		time.Sleep(time.Second)
		p.want(t, "exited 2 ok")
		time.Sleep(3 * time.Second)
		p.want(t, "alive")
		close(p.toWorker)
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "EOF") {
			t.Errorf("a session that broke ends with %v", err)
		}
	})
}

func TestWorkerThatTakesNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		w := &Worker{Worker: sweeps.Worker{ID: "w", Name: "w", Slots: 1}}
		ended := make(chan error, 1)
		go func() { ended <- w.Serve(t.Context(), p) }()
		p.start(0, 1)
		p.want(t, "hello, started 0, exited 0 ok, started 1, exited 1 ok")
		close(p.toWorker)
		<-ended
	})
}

func TestRefills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Refills
		s := r.Watch(newPipe(), 2)
		say := func(m wire.WorkerMessage) {
			if err := s.Send(m); err != nil {
				t.Error(err)
			}
		}
		began := func(i int64) { say(wire.Started{Ref: ref(i)}) }
		exited := func(i int64) { say(wire.Exited{Ref: ref(i)}) }
		began(0)
		began(1) // the first in their slots: no refills
		exited(0)
		time.Sleep(5 * time.Millisecond)
		exited(1)
		time.Sleep(5 * time.Millisecond)
		began(2) // in the slot that is free for longer
		began(3)
		began(4) // its start was reported before the end that made room for it
		exited(2)
		exited(3)
		time.Sleep(20 * time.Millisecond)
		began(5)
		if n := r.Count(); n != 4 {
			t.Errorf("%d refills, want 4", n)
		}
		for _, c := range []struct {
			q    float64
			want time.Duration
		}{{0, 0}, {0.25, 5 * time.Millisecond}, {0.5, 10 * time.Millisecond}, {0.99, 20 * time.Millisecond}, {1, 20 * time.Millisecond}} {
			if got := r.Quantile(c.q); got != c.want {
				t.Errorf("quantile %v is %v, want %v", c.q, got, c.want)
			}
		}
	})
	var none Refills
	if got := none.Quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
}

// Ingest keeps a window of points on their way and is content when all are acknowledged.
func TestIngest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		g := Ingest{Points: 2 * (windowPoints + 1500), Attempts: 2}
		type result struct {
			took time.Duration
			err  error
		}
		ended := make(chan result, 1)
		go func() {
			took, err := g.Send(t.Context(), p, "w")
			ended <- result{took, err}
		}()
		p.toWorker <- wire.Welcome{}
		p.start(0, 1)
		window := ""
		for i := range windowPoints / batchPoints {
			window += fmt.Sprintf(", points %d+1000, points %[1]d+1000", i*batchPoints)
		}
		p.want(t, "hello, started 0, started 1"+window)
		ack := func(i, next int64) { p.toWorker <- wire.PointsAck{Ref: ref(i), Next: next} }
		ack(0, 1000)
		p.want(t, "points 10000+1000")
		ack(0, 3000)
		p.want(t, "points 11000+500")
		ack(0, windowPoints+1500)
		p.want(t, "")
		ack(1, windowPoints)
		p.want(t, "points 10000+1000, points 11000+500")
		time.Sleep(time.Second)
		ack(1, windowPoints+1500)
		p.want(t, "exited 0 ok, exited 1 ok")
		close(p.toWorker)
		if r := <-ended; r.err != nil || r.took != time.Second {
			t.Errorf("took %v, %v", r.took, r.err)
		}
	})
}

func TestIngestDistrustsTheCoordinator(t *testing.T) {
	for name, acks := range map[string][]wire.PointsAck{
		"of which none were sent": {{Ref: ref(7), Next: 1}},
		"of 1000 sent":            {{Ref: ref(0), Next: 1001}},
		"acknowledged before":     {{Ref: ref(0), Next: 10}, {Ref: ref(0), Next: 9}},
		"ended the session":       nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPipe()
			g := Ingest{Points: 1000, Attempts: 1}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := g.Send(ctx, p, "w")
				ended <- err
			}()
			p.start(0)
			for _, ack := range acks {
				p.toWorker <- ack
			}
			synctest.Wait()
			close(p.toWorker)
			if err := <-ended; err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("want an error about points %q, got %v", name, err)
			}
		})
	}
}

// The sweep of a benchmark has as many trials as it says.
func TestSweep(t *testing.T) {
	for _, n := range []int{1, 2, 1000} {
		s := Sweep("bench", n, "sleep", "0.1")
		spec, err := sweeps.Parse(s.Source, s.File)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := spec.Plan()
		if err != nil {
			t.Fatal(err)
		}
		if c := plan.Count(); c.Trials != int64(n) {
			t.Errorf("a sweep of %d trials has %d", n, c.Trials)
		}
	}
}

// coordinatorOf is a coordinator that tells of one sweep.
type coordinatorOf struct{ states []*wire.SweepStatus }

func (c *coordinatorOf) Submit(context.Context, wire.Submission) (*wire.SweepStatus, error) {
	return c.states[0], nil
}

func (c *coordinatorOf) Sweeps(context.Context) ([]*wire.SweepStatus, error) {
	st := c.states[0]
	if len(c.states) > 1 {
		c.states = c.states[1:]
	}
	return []*wire.SweepStatus{st}, nil
}

func TestRunSweep(t *testing.T) {
	status := func(state sweeps.SweepState, finished, failed int64) *wire.SweepStatus {
		return &wire.SweepStatus{Sweep: &sweeps.Sweep{ID: "bench", State: state, Reason: "why", Counts: sweeps.Counts{Finished: finished, Failed: failed}}}
	}
	for _, c := range []struct {
		last *wire.SweepStatus
		want string
	}{
		{status(sweeps.SweepFinished, 3, 0), ""},
		{status(sweeps.SweepFinished, 2, 1), "2 trials finished and 1 failed, of 3"},
		{status(sweeps.SweepPaused, 0, 1), "is paused"},
		{status(sweeps.SweepCancelled, 1, 0), "is cancelled"},
	} {
		synctest.Test(t, func(t *testing.T) {
			running := status(sweeps.SweepRunning, 1, 0)
			client := &coordinatorOf{[]*wire.SweepStatus{running, running, c.last}}
			var seen []int64
			ran, err := RunSweep(t.Context(), client, Sweep("bench", 3, "true"), 3, func(ended int64) error {
				seen = append(seen, ended)
				return nil
			})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if ran.Elapsed != 2*interval || len(seen) != 3 {
				t.Errorf("it took %v, and %v trials had ended at each look", ran.Elapsed, seen)
			}
		})
	}
}
