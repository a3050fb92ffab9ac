package coordinator_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	"swath/coordinator/storetest"
	"swath/sweeps"
)

// finish runs all trials of a sweep, one after the other, on a worker.
func (w *world) finish(id sweeps.SweepID, n int) {
	w.Helper()
	m := w.connect("a", 1)
	for i := range int64(n) {
		synctest.Wait()
		ref := at(id, i, 1)
		if err := m.Log(w.Context(), ref, "stdout", 0, []byte("said "+ref.String())); err != nil {
			w.Fatal(err)
		}
		m.run(ref, sweeps.ClassOK, float64(10+i))
	}
	synctest.Wait()
	m.Close()
}

func (w *world) submitReusing(id sweeps.SweepID, n int, more string, program string) {
	w.Helper()
	s, yes := submission(id, n, more), true
	s.Reuse, s.Program = &yes, program
	if _, err := w.Submit(w.Context(), s); err != nil {
		w.Fatal(err)
	}
}

func TestReuse(t *testing.T) {
	bubble(t, func(w *world) {
		w.submit("s", 2, "")
		w.finish("s", 2)
		// Two of three exist; the third is to be run.
		w.submitReusing("t", 3, "", "")
		w.want("t", sweeps.SweepRunning, "0 finished 0 loss 10, 1 finished 0 loss 11")
		if st := w.sweep("t"); st.Reused != 2 {
			t.Errorf("%d results were reused, want 2", st.Reused)
		}
		why, err := w.Explain(w.Context(), "name-t/1")
		if err != nil || !strings.Contains(strings.Join(why, " "), "name-s/1, which finished with attempt 1 on worker host-a") {
			t.Errorf("explained as %q, error %v", why, err)
		}
		var points, log string
		err = w.Series("t", "", "1", func(tr *sweeps.Trial, p []sweeps.Point) bool {
			points += tr.String()
			for _, x := range p {
				points += " " + x.Metric
			}
			return true
		})
		if err != nil || points != "t/1 loss" {
			t.Errorf("series %q, error %v", points, err)
		}
		err = w.Log(w.Context(), "t/1", 0, true, func(_ string, data []byte) bool { log += string(data); return true })
		if err != nil || log != "said s/1#1" {
			t.Errorf("log %q, error %v", log, err)
		}

		// What was taken over can be taken over, from where it was run; across a restart.
		w.restart()
		w.submitReusing("u", 2, "", "")
		w.want("u", sweeps.SweepFinished, "0 finished 0 loss 10, 1 finished 0 loss 11")
		err = w.Trials("u", func(tr *sweeps.Trial) bool {
			if tr.ReusedFrom.Sweep != "s" || tr.ReusedFrom.SweepName != "name-s" {
				t.Errorf("trial %v is reused from %v", tr.TrialKey, tr.ReusedFrom)
			}
			return true
		})
		if err != nil {
			t.Error(err)
		}
		// Another program, or another environment, is another trial; and without reuse all run.
		w.submitReusing("v", 2, "", "another")
		w.submitReusing("w", 2, "env: {A: b}", "")
		w.submit("x", 2, "")
		for _, id := range []sweeps.SweepID{"v", "w", "x"} {
			w.want(id, sweeps.SweepRunning, "")
		}
	})
}

// Whether a metric is in a result depends on who read what the trial printed.
func TestReuseTakesNoResultWithoutAMetricThatIsReadNow(t *testing.T) {
	bubble(t, func(w *world) {
		w.submit("s", 1, "")
		w.finish("s", 1)
		w.submitReusing("t", 1, "metrics: [acc]", "")
		w.want("t", sweeps.SweepRunning, "")
		w.finish("t", 1)
		// It printed none, as is known now, so there is nothing to be gained by another.
		w.submitReusing("u", 1, "metrics: [acc]", "")
		w.want("u", sweeps.SweepFinished, "0 finished 0 loss 10")
		if err := w.Trials("u", func(tr *sweeps.Trial) bool {
			if tr.ReusedFrom.Sweep != "t" {
				t.Errorf("it is of sweep %v, want t's, which read the metric", tr.ReusedFrom)
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		w.submitReusing("v", 1, "metrics: [{name: loss, pattern: 'best (.*)'}]", "")
		w.want("v", sweeps.SweepRunning, "")
		w.finish("v", 1)
		w.submitReusing("x", 1, "metrics: [{name: loss, pattern: 'last (.*)'}]", "")
		w.want("x", sweeps.SweepRunning, "")
		w.finish("x", 1)
		w.submitReusing("y", 1, "metrics: [{name: loss, pattern: 'last (.*)'}]", "")
		w.want("y", sweeps.SweepFinished, "0 finished 0 loss 10")
	})
}

// A commit of results that are reused fails, before or after it was written: they are
// recorded once.
func TestReuseWhileTheStoreFails(t *testing.T) {
	bubble(t, func(w *world) {
		w.submit("s", 30, "")
		w.finish("s", 30)
		n := 0
		w.store.Decide = func(c dispatch.Changes) storetest.Verdict {
			if len(c.Trials) == 0 {
				return storetest.Pass
			}
			n++
			return []storetest.Verdict{storetest.FailBefore, storetest.FailAfter, storetest.Pass}[min(n-1, 2)]
		}
		w.submitReusing("t", 30, "", "")
		var last *coordinator.Progress
		if err := w.Watch(w.Context(), "t", func(p *coordinator.Progress) error { last = p; return nil }); err != nil {
			t.Fatal(err)
		}
		if last.State != sweeps.SweepFinished || last.Reused != 30 || last.Counts.Finished != 30 || last.Dispatched != 30 {
			t.Errorf("sweep %+v", last.Sweep)
		}
	})
}

// Below the reserve of its disk a coordinator takes no sweep and hands out no trial, and says
// so; what runs goes on.
func TestNoRoom(t *testing.T) {
	bubble(t, func(w *world) {
		var full atomic.Value // a string; read by the coordinator
		full.Store("")
		cfg := dispatch.DefaultConfig()
		cfg.Lease = lease
		c := coordinator.New(storetest.NewMem(), &storetest.MemMetrics{}, &storetest.MemLogs{},
			coordinator.Config{Dispatch: cfg, Room: func() string { return full.Load().(string) }})
		ctx, cancel := context.WithCancel(w.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		wait := func() {
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		wait()
		if _, err := c.Submit(ctx, submission("s", 3, "")); err != nil {
			t.Fatal(err)
		}
		m, err := c.Connect(ctx, dispatch.Hello{Worker: sweeps.Worker{ID: "a", Slots: 1}})
		if err != nil {
			t.Fatal(err)
		}
		wait()
		full.Store("the disk has 3 MiB left")
		m.Started(at("s", 0, 1), 0)
		wait()
		if what, stuck := c.Obstacle(); what != full.Load() || stuck {
			t.Errorf("obstacle %q, stuck %v, and a trial runs", what, stuck)
		}
		if err := m.Exited(at("s", 0, 1), sweeps.Outcome{Class: sweeps.ClassOK}, 0, 0); err != nil {
			t.Fatal(err)
		}
		wait()
		counts := func() sweeps.Counts {
			st, err := c.Sweep("s")
			if err != nil {
				t.Fatal(err)
			}
			return st.Counts
		}
		if got := counts(); got != (sweeps.Counts{Finished: 1}) {
			t.Errorf("trials: %+v", got)
		}
		if why, err := c.Explain(ctx, "s/1"); err != nil || !strings.Contains(strings.Join(why, "; "), full.Load().(string)) {
			t.Errorf("explained as %q, error %v", why, err)
		}
		if _, err := c.Submit(ctx, submission("t", 1, "")); err == nil || !strings.Contains(err.Error(), full.Load().(string)) {
			t.Errorf("submit: %v", err)
		}
		if what, stuck := c.Obstacle(); what != full.Load() || !stuck {
			t.Errorf("obstacle %q, stuck %v", what, stuck)
		}
		full.Store("")
		wait()
		if got := counts(); got != (sweeps.Counts{Finished: 1, Running: 1}) {
			t.Errorf("trials: %+v", got)
		}
		if what, _ := c.Obstacle(); what != "" {
			t.Errorf("obstacle %q", what)
		}
		m.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
