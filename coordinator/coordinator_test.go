package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	"swath/coordinator/storetest"
	"swath/sweeps"
)

// lease is that of the coordinators under test.
const lease = 10 * time.Second

// world is a coordinator over stores in memory, in a bubble of synctest: time stands still
// while anything happens.
type world struct {
	*testing.T
	*coordinator.Coordinator
	store   *storetest.Fault
	metrics *storetest.FaultMetrics
	logs    *storetest.FaultLogs
	files   *storetest.MemCheckpoints
	quota   coordinator.Quota
	log     strings.Builder
	end     func()
}

func newWorld(t *testing.T) *world {
	w := &world{
		T: t, store: &storetest.Fault{Store: storetest.NewMem()},
		metrics: &storetest.FaultMetrics{MetricStore: &storetest.MemMetrics{}},
		logs:    &storetest.FaultLogs{LogStore: &storetest.MemLogs{}},
		files:   &storetest.MemCheckpoints{},
	}
	w.start(nil)
	return w
}

// start runs a coordinator over the stores, as after a restart.
func (w *world) start(rests func(*sweeps.Sweep) bool) {
	cfg := dispatch.DefaultConfig()
	cfg.Lease = lease
	w.Coordinator = coordinator.New(w.store, w.metrics, w.logs, coordinator.Config{
		Dispatch: cfg, Rests: rests, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Checkpoints: w.files, Quota: w.quota,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Coordinator.Run(ctx) }()
	w.end = func() {
		cancel()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	}
	synctest.Wait()
}

// restart ends the coordinator and starts another over the same stores.
func (w *world) restart() {
	w.end()
	w.start(nil)
}

// submit submits a grid of n trials.
func (w *world) submit(id sweeps.SweepID, n int, more string) *coordinator.SweepStatus {
	w.Helper()
	st, err := w.Submit(w.Context(), submission(id, n, more))
	if err != nil {
		w.Fatal(err)
	}
	return st
}

func submission(id sweeps.SweepID, n int, more string) coordinator.Submission {
	values := make([]string, n)
	for i := range values {
		values[i] = strconv.Itoa(i)
	}
	return coordinator.Submission{ID: id, File: "s.yaml", Source: fmt.Appendf(nil,
		"name: name-%s\nmethod: grid\nmetric: {name: loss}\ncommand: [x]\nparameters: {x: {values: [%s]}}\n%s\n", id, strings.Join(values, ", "), more)}
}

// sweep is a sweep as recorded.
func (w *world) sweep(id sweeps.SweepID) *coordinator.SweepStatus {
	w.Helper()
	synctest.Wait()
	st, err := w.Sweep(string(id))
	if err != nil {
		w.Fatal(err)
	}
	return st
}

// trials are the rows of a sweep, in words.
func (w *world) trials(id sweeps.SweepID) string {
	w.Helper()
	synctest.Wait()
	var list []string
	err := w.Trials(string(id), func(t *sweeps.Trial) bool {
		s := fmt.Sprintf("%d %s %d", t.Index, t.State, t.Attempt)
		if t.State == sweeps.TrialRunning {
			s += " on " + string(t.Worker)
		}
		if loss, ok := t.Metrics["loss"]; ok {
			s += fmt.Sprintf(" loss %g", loss.Last)
		}
		list = append(list, s)
		return true
	})
	if err != nil {
		w.Fatal(err)
	}
	return strings.Join(list, ", ")
}

func (w *world) want(id sweeps.SweepID, state sweeps.SweepState, trials string) {
	w.Helper()
	if got := w.trials(id); got != trials {
		w.Errorf("trials of %s are\n%s, want\n%s", id, got, trials)
	}
	if st := w.sweep(id); st.State != state {
		w.Errorf("sweep %s is %s, want %s", id, st.State, state)
	}
}

// machine is a worker as the transport sees it.
type machine struct {
	*coordinator.Session
	w *world
}

func (w *world) connect(id sweeps.WorkerID, slots int, held ...sweeps.AttemptRef) *machine {
	w.Helper()
	s, err := w.Connect(w.Context(), dispatch.Hello{Worker: sweeps.Worker{ID: id, Name: "host-" + string(id), Slots: slots}, Attempts: held})
	if err != nil {
		w.Fatal(err)
	}
	synctest.Wait()
	return &machine{s, w}
}

// receive is what the coordinator has said since the last call. The error says that the
// session is over.
func (m *machine) receive() ([]any, error) {
	synctest.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	list, err := m.Next(ctx)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return list, err
}

// said is what the coordinator has said, in words.
func (m *machine) said() string {
	m.w.Helper()
	list, err := m.receive()
	if err != nil {
		return "over: " + err.Error()
	}
	var words []string
	for _, x := range list {
		switch x := x.(type) {
		case dispatch.Start:
			word := "start " + x.Ref.String()
			if x.From.Digest != "" {
				word += fmt.Sprintf(" from step %d", x.From.Step)
			}
			words = append(words, word)
		case dispatch.Stop:
			words = append(words, "stop "+x.Ref.String())
		case dispatch.Forget:
			words = append(words, "forget "+x.Ref.String())
		case coordinator.PointsAck:
			words = append(words, fmt.Sprintf("points of %s below %d", x.Ref, x.Next))
		case coordinator.LogAck:
			words = append(words, fmt.Sprintf("%s of %s below %d", x.Stream, x.Ref, x.Next))
		default:
			words = append(words, fmt.Sprintf("%T", x))
		}
	}
	return strings.Join(words, ", ")
}

func (m *machine) wantSaid(words string) {
	m.w.Helper()
	if got := m.said(); got != words {
		m.w.Errorf("the worker is told\n%q, want\n%q", got, words)
	}
}

// run reports an attempt from its start to its end.
func (m *machine) run(ref sweeps.AttemptRef, class sweeps.Class, losses ...float64) {
	m.w.Helper()
	m.Started(ref, 0)
	m.points(ref, 0, losses...)
	synctest.Wait()
	m.exit(ref, class)
}

func (m *machine) points(ref sweeps.AttemptRef, first int64, losses ...float64) {
	m.w.Helper()
	if len(losses) == 0 {
		return
	}
	var list []sweeps.Point
	for i, loss := range losses {
		list = append(list, sweeps.Point{Metric: "loss", Step: first + int64(i), Value: loss, Time: time.Now()})
	}
	if err := m.Points(m.w.Context(), ref, first, list); err != nil {
		m.w.Fatal(err)
	}
}

func (m *machine) exit(ref sweeps.AttemptRef, class sweeps.Class) {
	m.w.Helper()
	if err := m.Exited(ref, sweeps.Outcome{Class: class}, 0, 0); err != nil {
		m.w.Fatal(err)
	}
}

func at(id sweeps.SweepID, index int64, attempt int) sweeps.AttemptRef {
	return sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: id, Index: index}, Attempt: attempt}
}

func bubble(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer func() { w.end() }()
		test(w)
	})
}

func TestSweepRuns(t *testing.T) {
	bubble(t, func(w *world) {
		m := w.connect("a", 1)
		if st := w.submit("s", 2, ""); st.Total != 2 || st.Name != "name-s" || st.State != sweeps.SweepRunning {
			t.Errorf("submitted: %+v", st.Sweep)
		}
		m.wantSaid("start s/0#1")
		m.run(at("s", 0, 1), sweeps.ClassOK, 0.5, 0.25)
		m.wantSaid("points of s/0#1 below 2, forget s/0#1, start s/1#1")
		m.run(at("s", 1, 1), sweeps.ClassOK)
		m.wantSaid("forget s/1#1")
		w.want("s", sweeps.SweepFinished, "0 finished 1 loss 0.25, 1 finished 1")
		if st := w.sweep("s"); st.Counts.Finished != 2 || st.Total != 2 || st.Ended.IsZero() {
			t.Errorf("in the end: %+v", st.Sweep)
		}
	})
}

// Persist, then speak: while a commit is under way nobody was told of what is in it.
func TestNothingIsSaidBeforeItIsDurable(t *testing.T) {
	bubble(t, func(w *world) {
		m := w.connect("a", 2)
		var commits, early int
		w.store.Decide = func(c dispatch.Changes) storetest.Verdict {
			commits++
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			said, _ := m.Next(ctx) // the error is that there is nothing
			early += len(said)
			return storetest.Pass
		}
		answered := make(chan error, 1)
		go func() {
			_, err := w.Submit(w.Context(), submission("s", 4, ""))
			answered <- err
		}()
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		if st, err := w.store.Sweep("s"); err != nil || st.Name != "name-s" {
			t.Errorf("the answer came before the record: %v", err)
		}
		for i := range int64(4) {
			if list, err := m.receive(); err != nil || len(list) == 0 {
				t.Fatalf("told %v, %v", list, err)
			}
			m.run(at("s", i, 1), sweeps.ClassOK)
		}
		w.want("s", sweeps.SweepFinished, "0 finished 1, 1 finished 1, 2 finished 1, 3 finished 1")
		if commits == 0 || early != 0 {
			t.Errorf("%d messages were out before one of %d commits", early, commits)
		}
	})
}

// A commit that fails, whether it was written or not, disconnects the workers and loses
// nothing: they say again what was not acknowledged.
func TestFailedCommit(t *testing.T) {
	for name, verdict := range map[string]storetest.Verdict{"nothing written": storetest.FailBefore, "written nevertheless": storetest.FailAfter} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				a, b := w.connect("a", 1), w.connect("b", 1)
				w.submit("s", 3, "")
				a.wantSaid("start s/0#1")
				b.wantSaid("start s/1#1")
				a.Started(at("s", 0, 1), 0)
				b.Started(at("s", 1, 1), 0)
				told := w.watch("s")

				fail := true
				w.store.Decide = func(dispatch.Changes) storetest.Verdict {
					if fail {
						fail = false
						return verdict
					}
					return storetest.Pass
				}
				a.exit(at("s", 0, 1), sweeps.ClassOK)
				for _, m := range []*machine{a, b} {
					if said := m.said(); !strings.HasPrefix(said, "over: ") || !strings.Contains(said, "disk") {
						t.Errorf("a worker was told %q, want the end of the session", said)
					}
					m.Close()
				}
				time.Sleep(time.Second)

				a, b = w.connect("a", 1, at("s", 0, 1)), w.connect("b", 1, at("s", 1, 1))
				a.exit(at("s", 0, 1), sweeps.ClassOK) // said again: it was not acknowledged
				if said := a.said(); !strings.Contains(said, "forget s/0#1") || !strings.Contains(said, "start s/2#1") {
					t.Errorf("the worker was told %q", said)
				}
				b.wantSaid("")
				b.run(at("s", 1, 1), sweeps.ClassOK)
				a.run(at("s", 2, 1), sweeps.ClassOK)
				w.want("s", sweeps.SweepFinished, "0 finished 1, 1 finished 1, 2 finished 1")
				told.want([]int64{0, 1, 2})
			})
		})
	}
}

// The last commit of a sweep may fail after it was written: those who follow the sweep
// learn of its end all the same.
func TestFollowersLearnOfAnEndWhoseCommitFailed(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect("a", 1)
		w.submit("s", 1, "")
		a.wantSaid("start s/0#1")
		told := w.watch("s")
		w.store.Decide = func(dispatch.Changes) storetest.Verdict { return storetest.FailAfter }
		a.exit(at("s", 0, 1), sweeps.ClassOK)
		time.Sleep(5 * time.Second)
		told.want([]int64{0})
		w.want("s", sweeps.SweepFinished, "0 finished 1")
	})
}

// A store that fails for a while takes nothing and forgets nothing.
func TestStoreIsFullForAWhile(t *testing.T) {
	bubble(t, func(w *world) {
		w.submit("s", 2, "")
		full := true
		w.store.Decide = func(dispatch.Changes) storetest.Verdict {
			if full {
				return storetest.FailBefore
			}
			return storetest.Pass
		}
		if _, err := w.Submit(w.Context(), submission("t", 1, "")); !errors.Is(err, sweeps.ErrStorage) {
			t.Errorf("submit to a full store: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := w.Connect(w.Context(), dispatch.Hello{Worker: sweeps.Worker{ID: "a", Slots: 1}}); err == nil {
			// The worker itself is not recorded; that its trial cannot be is told by
			// the end of the session.
			time.Sleep(time.Second)
		}
		if _, err := w.Cancel(w.Context(), "s"); !errors.Is(err, sweeps.ErrStorage) {
			t.Errorf("cancel in a full store: %v", err)
		}
		time.Sleep(time.Minute)
		w.want("s", sweeps.SweepRunning, "")
		full = false
		time.Sleep(time.Second)
		a := w.connect("a", 2)
		w.submit("t", 1, "")
		a.wantSaid("start s/0#1, start s/1#1")
	})
}

func TestRestart(t *testing.T) {
	bubble(t, func(w *world) {
		a, b := w.connect("a", 1), w.connect("b", 1)
		w.submit("s", 5, "retries: 2")
		a.wantSaid("start s/0#1")
		b.wantSaid("start s/1#1")
		a.run(at("s", 0, 1), sweeps.ClassExit, 7)
		b.run(at("s", 1, 1), sweeps.ClassOK, 0.5)
		a.wantSaid("points of s/0#1 below 1, forget s/0#1, start s/2#1")
		b.wantSaid("points of s/1#1 below 1, forget s/1#1, start s/3#1")
		before := w.trials("s")
		if before != "0 pending 1 loss 7, 1 finished 1 loss 0.5, 2 running 1 on a, 3 running 1 on b" {
			t.Fatalf("before: %s", before)
		}
		counts := w.sweep("s").Counts
		w.submit("t", 1, "")

		w.restart()
		if said := a.said(); !strings.Contains(said, "shutting down") {
			t.Errorf("a worker of the old coordinator is told %q", said)
		}
		if after := w.trials("s"); after != before || w.sweep("s").Counts != counts {
			t.Errorf("after the restart:\n%s %+v, before it\n%s %+v", after, w.sweep("s").Counts, before, counts)
		}
		// One worker comes back with what it has, the other never does.
		a = w.connect("a", 1, at("s", 2, 1))
		a.wantSaid("")
		if st := w.sweep("s"); st.Counts.Running != 2 {
			t.Errorf("running: %+v", st.Counts)
		}
		// As much time passes as the other's lease may take, and all is run here.
		a.run(at("s", 2, 1), sweeps.ClassOK)
		for range 20 {
			list, err := a.receive()
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range list {
				if s, ok := x.(dispatch.Start); ok {
					a.run(s.Ref, sweeps.ClassOK)
				}
			}
			time.Sleep(lease / 4)
			a.Alive()
		}
		w.want("s", sweeps.SweepFinished, "0 finished 2, 1 finished 1 loss 0.5, 2 finished 1, 3 finished 2, 4 finished 1")
		w.want("t", sweeps.SweepFinished, "0 finished 1")
	})
}

// An attempt that was superseded changes nothing, whatever its worker still says of it.
func TestFencing(t *testing.T) {
	bubble(t, func(w *world) {
		old := w.connect("old", 1)
		w.submit("s", 1, "")
		old.wantSaid("start s/0#1")
		old.Started(at("s", 0, 1), 0)
		old.points(at("s", 0, 1), 0, 0.5)
		if err := old.Log(w.Context(), at("s", 0, 1), "stdout", 0, []byte("one\n")); err != nil {
			t.Fatal(err)
		}
		if said := old.said(); !strings.Contains(said, "points of s/0#1 below 1") || !strings.Contains(said, "stdout of s/0#1 below 4") {
			t.Errorf("acknowledged: %q", said)
		}
		time.Sleep(lease + time.Second) // it says nothing
		if said := old.said(); !strings.HasPrefix(said, "over: ") {
			t.Errorf("a worker whose lease expired is told %q", said)
		}
		heir := w.connect("heir", 1)
		heir.wantSaid("start s/0#2")
		heir.Started(at("s", 0, 2), 0)
		heir.points(at("s", 0, 2), 0, 0.125)

		// The old worker wakes up and has not noticed.
		late := w.connect("old", 1)
		late.wantSaid("")
		late.Started(at("s", 0, 1), 0)
		late.wantSaid("forget s/0#1")
		late.points(at("s", 0, 1), 1, 99, 98)
		late.wantSaid("forget s/0#1")
		if err := late.Log(w.Context(), at("s", 0, 1), "stdout", 4, []byte("late\n")); err != nil {
			t.Fatal(err)
		}
		late.wantSaid("forget s/0#1")
		late.exit(at("s", 0, 1), sweeps.ClassOK)
		late.wantSaid("forget s/0#1")
		// Nor can it speak of the attempt of another.
		late.points(at("s", 0, 2), 1, 77)
		late.exit(at("s", 0, 2), sweeps.ClassOK)
		late.wantSaid("forget s/0#2, forget s/0#2")
		w.want("s", sweeps.SweepRunning, "0 running 2 on heir loss 0.125")

		heir.wantSaid("points of s/0#2 below 1")
		heir.exit(at("s", 0, 2), sweeps.ClassOK)
		w.want("s", sweeps.SweepFinished, "0 finished 2 loss 0.125")
		b, err := w.logs.Read(at("s", 0, 1), "stdout", 0, 100)
		if err != nil || string(b) != "one\n" {
			t.Errorf("the old attempt's log is %q, %v", b, err)
		}
	})
}

// A worker that comes with attempts that nobody knows, or that have ended, is told so.
func TestForgottenAttempts(t *testing.T) {
	bubble(t, func(w *world) {
		w.submit("s", 1, "")
		a := w.connect("a", 1)
		a.run(at("s", 0, 1), sweeps.ClassOK)
		if said := a.said(); said != "start s/0#1, forget s/0#1" {
			t.Errorf("told %q", said)
		}
		a.exit(at("s", 0, 1), sweeps.ClassExit) // repeated, and different: the first holds
		a.wantSaid("forget s/0#1")
		a.Close()
		a = w.connect("a", 1, at("s", 0, 1), at("nobody", 4, 2))
		a.wantSaid("forget s/0#1, forget nobody/4#2")
		w.want("s", sweeps.SweepFinished, "0 finished 1")
	})
}

func TestPointsAreCountedOnce(t *testing.T) {
	bubble(t, func(w *world) {
		w.submit("s", 1, "")
		a := w.connect("a", 1)
		a.wantSaid("start s/0#1")
		ref := at("s", 0, 1)
		a.points(ref, 0, 1, 2, 3)
		a.wantSaid("points of s/0#1 below 3")
		a.points(ref, 1, 2, 3, 4) // overlapping
		a.wantSaid("points of s/0#1 below 4")
		a.points(ref, 0, 1, 2) // repeated
		a.wantSaid("points of s/0#1 below 4")
		a.points(ref, 7, 9) // beyond a gap: what is missing is told
		a.wantSaid("points of s/0#1 below 4")
		a.points(ref, 4, 0.5)
		a.wantSaid("points of s/0#1 below 5")
		a.exit(ref, sweeps.ClassOK)
		synctest.Wait()
		var values []float64
		err := w.Series("s", "loss", "0", func(_ *sweeps.Trial, points []sweeps.Point) bool {
			for _, p := range points {
				values = append(values, p.Value)
			}
			return true
		})
		if err != nil || !slices.Equal(values, []float64{1, 2, 3, 4, 0.5}) {
			t.Errorf("series %v, %v", values, err)
		}
		w.want("s", sweeps.SweepFinished, "0 finished 1 loss 0.5")
	})
}

// Signs of life keep a lease for ever, silence ends it.
func TestLease(t *testing.T) {
	bubble(t, func(w *world) {
		w.submit("s", 1, "")
		a := w.connect("a", 1)
		a.wantSaid("start s/0#1")
		for range 40 {
			time.Sleep(lease / 4)
			a.Alive()
		}
		a.wantSaid("")
		w.want("s", sweeps.SweepRunning, "0 running 1 on a")
		// A broken connection is no death.
		a.Close()
		time.Sleep(lease / 2)
		w.want("s", sweeps.SweepRunning, "0 running 1 on a")
		a = w.connect("a", 1, at("s", 0, 1))
		a.wantSaid("")
		a.Close()
		time.Sleep(lease + time.Second)
		w.want("s", sweeps.SweepRunning, "0 pending 1")
	})
}

// A worker that was cut off for longer than its lease goes on with what nobody else began, and what
// its last connection still said does not come between: neither where it is heard in the same turn
// as the new one, nor where it is heard in the turn before.
func TestCutOffWorkerGoesOn(t *testing.T) {
	for _, dialled := range []time.Duration{600 * time.Millisecond, 1500 * time.Millisecond} {
		t.Run(dialled.String(), func(t *testing.T) {
			bubble(t, func(w *world) {
				w.submit("s", 2, "")
				m := w.connect("a", 2)
				m.wantSaid("start s/0#1, start s/1#1")
				m.Started(at("s", 0, 1), 0)
				m.points(at("s", 0, 1), 0, 3)
				m.wantSaid("points of s/0#1 below 1")
				time.Sleep(2 * lease)
				w.want("s", sweeps.SweepRunning, "0 pending 1, 1 pending 1")
				w.store.Decide = func(dispatch.Changes) storetest.Verdict {
					time.Sleep(time.Second)
					return storetest.Pass
				}
				go func() { _, _ = w.Pause(w.Context(), "s") }()
				time.Sleep(500 * time.Millisecond)
				m.exit(at("s", 0, 1), sweeps.ClassOK)
				go func() { _, _ = w.Resume(w.Context(), "s") }()
				time.Sleep(dialled - 500*time.Millisecond)
				m = w.connect("a", 2, at("s", 0, 1), at("s", 1, 1))
				m.wantSaid("")
				w.want("s", sweeps.SweepRunning, "0 running 1 on a loss 3, 1 running 1 on a")
				m.points(at("s", 0, 1), 1, 2)
				m.wantSaid("points of s/0#1 below 2")
				m.exit(at("s", 0, 1), sweeps.ClassOK)
				time.Sleep(2 * time.Second)
				m.wantSaid("forget s/0#1")
				w.want("s", sweeps.SweepRunning, "0 finished 1 loss 2, 1 running 1 on a")
			})
		})
	}
}

// A coordinator whose store is stuck for longer than the lease has not listened: that is no
// silence of the workers.
func TestLeaseOutlastsAStall(t *testing.T) {
	bubble(t, func(w *world) {
		w.submit("s", 1, "")
		a := w.connect("a", 1)
		a.wantSaid("start s/0#1")
		a.Started(at("s", 0, 1), 0)
		synctest.Wait()
		stuck := sync.OnceFunc(func() { time.Sleep(3 * lease) })
		w.store.Decide = func(dispatch.Changes) storetest.Verdict {
			stuck()
			return storetest.Pass
		}
		go func() { _, _ = w.Pause(w.Context(), "s") }()
		time.Sleep(3*lease + 100*time.Millisecond)
		a.Alive() // what it said meanwhile is read only now
		w.want("s", sweeps.SweepPaused, "0 running 1 on a")
		a.wantSaid("")
	})
}

// A disk that takes no points, or no output, keeps the coordinator from reading what the worker
// says, signs of life among it. It does not cost the worker its trials; its end does.
func TestLeaseOutlastsAStuckPointOrLogStore(t *testing.T) {
	stuck := 4 * lease
	for _, what := range []string{"points", "output", "the end"} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(w *world) {
				w.submit("s", 1, "")
				m := w.connect("a", 1)
				m.wantSaid("start s/0#1")
				ref := at("s", 0, 1)
				m.Started(ref, 0)
				synctest.Wait()
				free := time.Now().Add(stuck)
				w.metrics.Decide = func([]coordinator.Batch) storetest.Verdict { time.Sleep(time.Until(free)); return storetest.Pass }
				w.logs.Decide = func(sweeps.AttemptRef, string) storetest.Verdict { time.Sleep(time.Until(free)); return storetest.Pass }
				go func() { // as the transport's receiver does
					for i := range int64(1000) {
						var err error
						if what == "output" {
							err = m.Log(w.Context(), ref, "stdout", i, []byte("x"))
						} else {
							err = m.Points(w.Context(), ref, i, []sweeps.Point{{Metric: "loss", Step: i, Value: 1}})
						}
						if err != nil {
							return
						}
						m.Alive()
					}
				}()
				if what == "the end" {
					time.Sleep(lease)
					m.Close()
					time.Sleep(2 * lease)
					w.want("s", sweeps.SweepRunning, "0 pending 1")
				} else {
					time.Sleep(stuck - time.Second)
					w.want("s", sweeps.SweepRunning, "0 running 1 on a")
					m.wantSaid("")
				}
				time.Sleep(2 * stuck)
				m.Close()
			})
		})
	}
}

// A worker process that takes another's identity over ends the other's session.
func TestTwoSessionsOfOneWorker(t *testing.T) {
	bubble(t, func(w *world) {
		w.submit("s", 1, "")
		first := w.connect("a", 1)
		first.wantSaid("start s/0#1")
		second := w.connect("a", 1, at("s", 0, 1))
		if said := first.said(); !strings.Contains(said, "another connection presented itself as this worker") {
			t.Errorf("the first is told %q", said)
		}
		first.Close() // late: it must not count as the second's
		second.run(at("s", 0, 1), sweeps.ClassOK)
		second.wantSaid("forget s/0#1")
		if list, err := w.Workers(w.Context()); err != nil || len(list) != 1 || !list[0].Connected {
			t.Errorf("workers: %+v, %v", list, err)
		}
	})
}

func TestBadWorkers(t *testing.T) {
	bubble(t, func(w *world) {
		for _, worker := range []sweeps.Worker{{Slots: 1}, {ID: "a"}, {ID: "a", Slots: -1}} {
			if _, err := w.Connect(w.Context(), dispatch.Hello{Worker: worker}); !errors.Is(err, sweeps.ErrInvalid) {
				t.Errorf("%+v: %v", worker, err)
			}
		}
	})
}

// The second of two agents that have the same identity is refused, and the first one's session
// goes on. One that has the place of the first is let in.
func TestASecondAgentOfAWorkerIsRefused(t *testing.T) {
	bubble(t, func(w *world) {
		w.submit("s", 1, "")
		present := func(place string, held ...sweeps.AttemptRef) (*machine, error) {
			s, err := w.Connect(w.Context(), dispatch.Hello{Worker: sweeps.Worker{
				ID: "a", Name: "host-a", Slots: 1, Agent: sweeps.Agent{Place: place, File: "/" + place + "/id", Host: "host-" + place, PID: 4711},
			}, Attempts: held})
			synctest.Wait()
			return &machine{s, w}, err
		}
		first, err := present("one")
		if err != nil {
			t.Fatal(err)
		}
		first.wantSaid("start s/0#1")
		first.Started(at("s", 0, 1), 0)
		for range 3 {
			_, err = present("two")
			if !errors.Is(err, sweeps.ErrConflict) || !strings.Contains(err.Error(), "process 4711 on host host-one") || !strings.Contains(err.Error(), "remove /two/id") {
				t.Errorf("the second is answered %v", err)
			}
			time.Sleep(lease / 2)
			first.Alive()
		}
		first.wantSaid("")
		heir, err := present("one", at("s", 0, 1))
		if err != nil {
			t.Fatal(err)
		}
		if said := first.said(); !strings.Contains(said, "another connection presented itself as this worker") {
			t.Errorf("the first is told %q", said)
		}
		heir.wantSaid("")
		w.want("s", sweeps.SweepRunning, "0 running 1 on a")
	})
}
