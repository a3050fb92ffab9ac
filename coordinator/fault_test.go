package coordinator_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	"swath/coordinator/storetest"
	"swath/sweeps"
)

// Points that cannot be recorded, or whose recording fails afterwards, are not acknowledged:
// the worker keeps them and says them again in its next session.
func TestPointsOnAFullDisk(t *testing.T) {
	for _, verdict := range []storetest.Verdict{storetest.FailBefore, storetest.FailAfter} {
		bubble(t, func(w *world) {
			w.metrics.Decide = func([]coordinator.Batch) storetest.Verdict { return verdict }
			w.submit("s", 1, "")
			a := w.connect("a", 1)
			a.wantSaid("start s/0#1")
			a.points(at("s", 0, 1), 0, 1)
			if said := a.said(); !strings.HasPrefix(said, "over: ") {
				t.Errorf("told %q", said)
			}
			a.Close()
			w.metrics.Decide = nil
			a = w.connect("a", 1, at("s", 0, 1))
			a.points(at("s", 0, 1), 0, 1)
			a.wantSaid("points of s/0#1 below 1")
		})
	}
}

// faithful is a worker that says all that it has to say of a trial until it is acknowledged,
// in as many sessions as that takes.
type faithful struct {
	w      *world
	m      *machine
	held   *sweeps.AttemptRef // the one trial that it holds
	points int64              // acknowledged
	log    int64
}

const (
	faithfulPoints = 7
	faithfulLog    = "what it printed\nand more\n"
)

// hear takes in what it was told; false if the session is over.
func (f *faithful) hear() bool {
	list, err := f.m.receive()
	for _, x := range list {
		switch x := x.(type) {
		case dispatch.Start:
			if f.held == nil {
				f.held, f.points, f.log = &x.Ref, 0, 0
			}
		case coordinator.PointsAck:
			f.points = x.Next
		case coordinator.LogAck:
			f.log = x.Next
		case dispatch.Forget:
			f.held = nil
		}
	}
	return err == nil
}

// say says one thing more.
func (f *faithful) say(r *rand.Rand) error {
	switch ref := *f.held; {
	case f.points < faithfulPoints:
		n := 1 + r.Int64N(faithfulPoints-f.points)
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(f.points + int64(i))
		}
		f.m.points(ref, f.points, values...)
	case f.log < int64(len(faithfulLog)):
		return f.m.Log(f.w.Context(), ref, "stdout", f.log, []byte(faithfulLog)[f.log:])
	default:
		return f.m.Exited(ref, sweeps.Outcome{Class: sweeps.ClassOK}, 0, 0)
	}
	return nil
}

// Whichever writes fail, of records, points and output, before they are written, half way or
// after: in the end everything is recorded once.
func TestWhateverFailsIsRecordedOnce(t *testing.T) {
	total := 0
	for seed := range uint64(40) {
		bubble(t, func(w *world) {
			r := rand.New(rand.NewPCG(seed, 1)) // of what is said
			var mu sync.Mutex                   // the stores are written to by several goroutines
			fate, failures := rand.New(rand.NewPCG(seed, 2)), 0
			decide := func() storetest.Verdict {
				mu.Lock()
				defer mu.Unlock()
				if failures < 30 && fate.IntN(3) == 0 {
					failures++
					return storetest.Verdict(1 + fate.IntN(3))
				}
				return storetest.Pass
			}
			w.submit("s", 3, "")
			w.store.Decide = func(dispatch.Changes) storetest.Verdict { return decide() }
			w.metrics.Decide = func([]coordinator.Batch) storetest.Verdict { return decide() }
			w.logs.Decide = func(sweeps.AttemptRef, string) storetest.Verdict { return decide() }
			f := &faithful{w: w}
			for range 2000 {
				if w.sweep("s").State.Terminal() {
					break
				}
				if f.m == nil {
					var held []sweeps.AttemptRef
					if f.held != nil {
						held = append(held, *f.held)
					}
					s, err := w.Connect(w.Context(), dispatch.Hello{Worker: sweeps.Worker{ID: "a", Slots: 1}, Attempts: held})
					if err != nil { // its commit failed
						time.Sleep(time.Second)
						continue
					}
					f.m = &machine{s, w}
				}
				ok := f.hear()
				if ok && f.held != nil {
					ok = f.say(r) == nil
				}
				if !ok {
					f.m.Close()
					f.m = nil
				}
				time.Sleep(time.Second)
			}
			// A start whose commit failed after it was written is not sent, and the trial has
			// another attempt; but no failure of the disk is taken for the trial's.
			n := 0
			err := w.Trials("s", func(tr *sweeps.Trial) bool {
				n++
				if tr.State != sweeps.TrialFinished || tr.Charged != 0 || tr.Metrics["loss"].Last != faithfulPoints-1 {
					t.Errorf("seed %d: trial %+v", seed, tr)
				}
				return true
			})
			if st := w.sweep("s"); err != nil || n != 3 || st.State != sweeps.SweepFinished || st.Counts != (sweeps.Counts{Finished: 3}) {
				t.Errorf("seed %d: %d trials, sweep %+v, %v", seed, n, st.Sweep, err)
			}
			for i := range int64(3) {
				var values []float64
				var log strings.Builder
				err := w.Series("s", "loss", fmt.Sprint(i), func(_ *sweeps.Trial, points []sweeps.Point) bool {
					for _, p := range points {
						values = append(values, p.Value)
					}
					return true
				})
				if err != nil || !slices.Equal(values, []float64{0, 1, 2, 3, 4, 5, 6}) {
					t.Errorf("seed %d: trial %d: series %v, %v", seed, i, values, err)
				}
				err = w.Log(w.Context(), fmt.Sprintf("s/%d", i), 0, false, func(_ string, b []byte) bool { log.Write(b); return true })
				if err != nil || log.String() != faithfulLog {
					t.Errorf("seed %d: trial %d: log %q, %v", seed, i, &log, err)
				}
			}
			total += failures
		})
	}
	if total < 100 {
		t.Errorf("%d writes failed", total)
	}
}
