package coordinator_test

import (
	"context"
	"errors"
	"maps"
	"slices"
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

func TestSubmitTwice(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect("a", 1)
		w.submit("s", 2, "")
		a.wantSaid("start s/0#1")
		// The same request again, as after an answer that was lost.
		if st := w.submit("s", 2, ""); st.ID != "s" || st.Counts.Running != 1 {
			t.Errorf("repeated: %+v", st.Sweep)
		}
		a.wantSaid("")
		// Another one of the same name.
		other := submission("s", 2, "")
		other.ID = "other"
		_, err := w.Submit(w.Context(), other)
		if !errors.Is(err, sweeps.ErrConflict) || !strings.Contains(err.Error(), "--name") {
			t.Errorf("a second sweep of the name: %v", err)
		}
		other.Name = "another"
		if st, err := w.Submit(w.Context(), other); err != nil || st.Name != "another" {
			t.Errorf("under another name: %+v, %v", st, err)
		}
		// Names stay taken when sweeps end, and over a restart. Equal sweeps take turns.
		a.run(at("s", 0, 1), sweeps.ClassOK)
		a.run(at("other", 0, 1), sweeps.ClassOK)
		a.run(at("s", 1, 1), sweeps.ClassOK)
		w.want("s", sweeps.SweepFinished, "0 finished 1, 1 finished 1")
		w.restart()
		other.ID, other.Name = "third", ""
		if _, err := w.Submit(w.Context(), other); !errors.Is(err, sweeps.ErrConflict) {
			t.Errorf("a sweep of a name that one had which ended: %v", err)
		}
		if st := w.submit("s", 2, ""); st.State != sweeps.SweepFinished {
			t.Errorf("repeated after the end: %+v", st.Sweep)
		}
	})
}

func TestBadSubmissions(t *testing.T) {
	bubble(t, func(w *world) {
		for name, bad := range map[string]func(*coordinator.Submission){
			"no id":         func(s *coordinator.Submission) { s.ID = "" },
			"no YAML":       func(s *coordinator.Submission) { s.Source = []byte("\x00") },
			"empty":         func(s *coordinator.Submission) { s.Source = nil },
			"unknown key":   func(s *coordinator.Submission) { s.Source = append(s.Source, "metod: grid\n"...) },
			"bad name":      func(s *coordinator.Submission) { s.Name = "a/b" },
			"excludes all":  func(s *coordinator.Submission) { s.Source = append(s.Source, "constraints: [x > 99]\n"...) },
			"name of dots":  func(s *coordinator.Submission) { s.Name = ".." },
			"name of words": func(s *coordinator.Submission) { s.Name = "two words" },
		} {
			s := submission("s", 2, "")
			bad(&s)
			if _, err := w.Submit(w.Context(), s); !errors.Is(err, sweeps.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if list, err := w.Sweeps(); err != nil || len(list) != 0 {
			t.Errorf("recorded: %v, %v", list, err)
		}
	})
}

func TestCancelWithLiveAttempts(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect("a", 2)
		w.submit("s", 9, "retries: 3")
		a.wantSaid("start s/0#1, start s/1#1")
		a.Started(at("s", 0, 1), 0)
		told := w.watch("s")
		st, err := w.Cancel(w.Context(), "name-s")
		if err != nil || st.State != sweeps.SweepCancelling {
			t.Fatalf("cancelled: %+v, %v", st, err)
		}
		a.wantSaid("stop s/0#1, stop s/1#1")
		if _, err := w.Cancel(w.Context(), "s"); err != nil {
			t.Errorf("again: %v", err)
		}
		a.wantSaid("")
		a.exit(at("s", 0, 1), sweeps.ClassCancelled)
		a.wantSaid("forget s/0#1")
		a.exit(at("s", 1, 1), sweeps.ClassOK) // it was just ready
		a.wantSaid("forget s/1#1")
		w.want("s", sweeps.SweepCancelled, "0 cancelled 1, 1 finished 1")
		told.want([]int64{0, 1})
		if st, err := w.Cancel(w.Context(), "s"); err != nil || st.State != sweeps.SweepCancelled {
			t.Errorf("after the end: %+v, %v", st, err)
		}
		if _, err := w.Cancel(w.Context(), "nobody"); !errors.Is(err, sweeps.ErrNotFound) {
			t.Errorf("a sweep that is not there: %v", err)
		}
	})
}

// A cancel survives a crash: the worker that comes back is told to stop.
func TestCancelThenRestart(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect("a", 1)
		w.submit("s", 3, "")
		a.wantSaid("start s/0#1")
		a.Started(at("s", 0, 1), 0)
		if _, err := w.Cancel(w.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		w.restart()
		a = w.connect("a", 1, at("s", 0, 1))
		a.wantSaid("stop s/0#1")
		a.exit(at("s", 0, 1), sweeps.ClassCancelled)
		w.want("s", sweeps.SweepCancelled, "0 cancelled 1")
	})
}

func TestRerunFailed(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect("a", 3)
		w.submit("s", 3, "")
		a.wantSaid("start s/0#1, start s/1#1, start s/2#1")
		a.run(at("s", 0, 1), sweeps.ClassOK, 0.5)
		a.run(at("s", 1, 1), sweeps.ClassExit, 7)
		a.run(at("s", 2, 1), sweeps.ClassSpec)
		w.want("s", sweeps.SweepFinished, "0 finished 1 loss 0.5, 1 failed 1 loss 7, 2 failed 1")
		if _, err := a.receive(); err != nil {
			t.Fatal(err)
		}
		// Over a restart too: the rows are all there is.
		w.restart()
		a = w.connect("a", 3)
		st, n, err := w.Rerun(w.Context(), "s", true, nil)
		if err != nil || n != 2 || st.State != sweeps.SweepRunning {
			t.Fatalf("rerun: %d, %+v, %v", n, st, err)
		}
		told := w.watch("s")
		a.wantSaid("start s/1#2, start s/2#2")
		a.run(at("s", 1, 2), sweeps.ClassOK, 0.25)
		a.run(at("s", 2, 2), sweeps.ClassExit)
		w.want("s", sweeps.SweepFinished, "0 finished 1 loss 0.5, 1 finished 2 loss 0.25, 2 failed 2")
		told.want([]int64{1, 2})
		if st := w.sweep("s"); st.Counts.Finished != 2 || st.Counts.Failed != 1 {
			t.Errorf("counts %+v", st.Counts)
		}
		if _, err := a.receive(); err != nil {
			t.Fatal(err)
		}
		if _, n, err := w.Rerun(w.Context(), "s", false, []int64{0}); err != nil || n != 0 {
			t.Errorf("rerun of a finished trial: %d, %v", n, err)
		}
		if _, _, err := w.Rerun(w.Context(), "nobody", true, nil); !errors.Is(err, sweeps.ErrNotFound) {
			t.Errorf("rerun of a sweep that is not there: %v", err)
		}
	})
}

func TestQueriesWithoutALoop(t *testing.T) {
	c := coordinator.New(storetest.NewMem(), &storetest.MemMetrics{}, &storetest.MemLogs{}, coordinator.Config{Dispatch: dispatch.DefaultConfig()})
	if list, err := c.Sweeps(); err != nil || len(list) != 0 {
		t.Errorf("sweeps: %v, %v", list, err)
	}
	if list, err := c.Workers(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("workers: %v, %v", list, err)
	}
	if _, err := c.Submit(t.Context(), submission("s", 1, "")); !errors.Is(err, sweeps.ErrUnavailable) {
		t.Errorf("submit: %v", err)
	}
	if _, err := c.Connect(t.Context(), dispatch.Hello{Worker: sweeps.Worker{ID: "a", Slots: 1}}); !errors.Is(err, sweeps.ErrUnavailable) {
		t.Errorf("connect: %v", err)
	}
	for what, err := range map[string]error{
		"sweep":  func() error { _, err := c.Sweep("x"); return err }(),
		"trials": c.Trials("x", func(*sweeps.Trial) bool { return true }),
		"series": c.Series("x", "", "", func(*sweeps.Trial, []sweeps.Point) bool { return true }),
		"log":    c.Log(t.Context(), "abcdef", 0, false, func(string, []byte) bool { return true }),
		"watch":  c.Watch(t.Context(), "x", func(*coordinator.Progress) error { return nil }),
	} {
		if !errors.Is(err, sweeps.ErrNotFound) {
			t.Errorf("%s of what is not there: %v", what, err)
		}
	}
}

// What is asked of a coordinator that has ended fails, and does not hang.
func TestAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.submit("s", 1, "")
		a := w.connect("a", 1)
		a.wantSaid("start s/0#1")
		var watching error
		done := make(chan struct{})
		go func() {
			defer close(done)
			watching = w.Watch(t.Context(), "s", func(*coordinator.Progress) error { return nil })
		}()
		w.end()
		<-done
		if !errors.Is(watching, sweeps.ErrUnavailable) {
			t.Errorf("watch: %v", watching)
		}
		if _, err := w.Submit(t.Context(), submission("t", 1, "")); !errors.Is(err, sweeps.ErrUnavailable) {
			t.Errorf("submit: %v", err)
		}
		a.Started(at("s", 0, 1), 0)
		a.exit(at("s", 0, 1), sweeps.ClassOK)
		for range 1000 { // more than any queue takes
			if err := a.Points(t.Context(), at("s", 0, 1), 0, nil); err != nil && !errors.Is(err, sweeps.ErrUnavailable) {
				t.Errorf("points: %v", err)
			}
		}
		a.Close()
	})
}

// A run leaves the other sweeps of its home alone, and says so to whoever wants to change
// one.
func TestSweepsThatRest(t *testing.T) {
	bubble(t, func(w *world) {
		w.submit("s", 2, "")
		w.submit("other", 2, "")
		w.end()
		w.start(func(sw *sweeps.Sweep) bool { return sw.ID != "s" })
		a := w.connect("a", 4)
		a.wantSaid("start s/0#1, start s/1#1")
		w.want("other", sweeps.SweepRunning, "")
		for what, err := range map[string]error{
			"cancel": func() error { _, err := w.Cancel(w.Context(), "other"); return err }(),
			"rerun":  func() error { _, _, err := w.Rerun(w.Context(), "other", true, nil); return err }(),
		} {
			if !errors.Is(err, sweeps.ErrConflict) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := w.Submit(w.Context(), submission("other", 2, "")); err != nil {
			t.Errorf("submitted again: %v", err)
		}
	})
}

// rewrite gives recorded sweeps other files, as if their own were another version's.
func (w *world) rewrite(files map[sweeps.SweepID][]byte) {
	w.Helper()
	var c dispatch.Changes
	for id, source := range files {
		sw, err := w.store.Sweep(string(id))
		if err != nil {
			w.Fatal(err)
		}
		sw.Source = source
		c.Sweeps = append(c.Sweeps, sw)
	}
	if err := w.store.Commit(c); err != nil {
		w.Fatal(err)
	}
}

// A sweep whose file this version does not understand rests: what runs of it goes on, its end is
// recorded, and with a version that does the rest goes on.
func TestSweepFileThatIsNotUnderstood(t *testing.T) {
	begun := func(w *world) (files map[sweeps.SweepID][]byte) {
		chain := w.submit("c", 2, "continue: x")
		plain := w.submit("s", 4, "")
		a := w.connect("a", 4)
		a.wantSaid("start c/0#1, start s/0#1, start s/1#1, start s/2#1")
		for _, ref := range []sweeps.AttemptRef{at("c", 0, 1), at("s", 0, 1), at("s", 1, 1), at("s", 2, 1)} {
			a.Started(ref, 0)
		}
		if err := w.save("a", at("c", 0, 1), 7, content("seven", 10), 1); err != nil {
			w.Fatal(err)
		}
		w.rewrite(map[sweeps.SweepID][]byte{"c": []byte("a: b"), "s": []byte("a: b")})
		w.restart()
		return map[sweeps.SweepID][]byte{"c": chain.Source, "s": plain.Source}
	}
	bubble(t, func(w *world) {
		files := begun(w)
		for _, id := range []string{"c", "s"} {
			st, err := w.Sweep(id)
			if err != nil || st.Total != -1 || len(st.Notes) != 1 || !strings.Contains(st.Notes[0], "its file is not understood by this version") {
				w.Errorf("status of %s: %+v, %v", id, st, err)
			}
		}
		if why, err := w.Explain(w.Context(), "s/3"); err != nil || !strings.Contains(strings.Join(why, "\n"), "s.yaml:1:1: unknown key") {
			w.Errorf("trial s/3 is explained by %q, %v", why, err)
		}
		a := w.connect("a", 5, at("c", 0, 1), at("s", 0, 1), at("s", 1, 1), at("s", 2, 1))
		a.wantSaid("")
		w.submit("t", 1, "") // the others run
		a.wantSaid("start t/0#1")
		a.run(at("s", 0, 1), sweeps.ClassOK, 3, 2)
		a.wantSaid("points of s/0#1 below 2, forget s/0#1")
		a.exit(at("s", 1, 1), sweeps.ClassExit)
		a.exit(at("c", 0, 1), sweeps.ClassOK)
		a.wantSaid("forget s/1#1, forget c/0#1")
		w.want("s", sweeps.SweepRunning, "0 finished 1 loss 2, 1 pending 1, 2 running 1 on a")
		w.want("c", sweeps.SweepRunning, "0 finished 1")

		w.rewrite(files)
		w.restart()
		a = w.connect("a", 5, at("s", 2, 1), at("t", 0, 1))
		a.wantSaid("start c/1#1 from step 7, start s/1#2, start s/3#1")
		a.exit(at("s", 1, 2), sweeps.ClassExit)
		for _, ref := range []sweeps.AttemptRef{at("c", 1, 1), at("s", 2, 1), at("s", 3, 1)} {
			a.exit(ref, sweeps.ClassOK)
		}
		w.want("s", sweeps.SweepFinished, "0 finished 1 loss 2, 1 failed 2, 2 finished 1, 3 finished 1")
		w.want("c", sweeps.SweepFinished, "0 finished 1, 1 finished 1")
	})
	bubble(t, func(w *world) { // nor is it needed to get rid of the sweep
		begun(w)
		a := w.connect("a", 4, at("c", 0, 1), at("s", 0, 1), at("s", 1, 1), at("s", 2, 1))
		for _, id := range []string{"c", "s"} {
			if _, err := w.Cancel(w.Context(), id); err != nil {
				w.Error(err)
			}
		}
		a.wantSaid("stop c/0#1, stop s/0#1, stop s/1#1, stop s/2#1")
		for _, ref := range []sweeps.AttemptRef{at("c", 0, 1), at("s", 0, 1), at("s", 1, 1), at("s", 2, 1)} {
			a.exit(ref, sweeps.ClassCancelled)
		}
		w.want("c", sweeps.SweepCancelled, "0 cancelled 1")
		w.want("s", sweeps.SweepCancelled, "0 cancelled 1, 1 cancelled 1, 2 cancelled 1")
		if st, err := w.Sweep("s"); err != nil || len(st.Notes) > 0 {
			w.Errorf("status: %+v, %v", st, err)
		}
	})
}

// watched is what a follower of a sweep is told.
type watched struct {
	w    *world
	mu   sync.Mutex
	ends map[int64]int
	last *coordinator.Progress
	done chan error
}

// watch follows a sweep from now on.
func (w *world) watch(id sweeps.SweepID) *watched {
	f := &watched{w: w, ends: map[int64]int{}, done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	w.Cleanup(cancel)
	go func() {
		f.done <- w.Watch(ctx, string(id), func(p *coordinator.Progress) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, t := range p.Ended {
				if !t.State.Terminal() {
					w.Errorf("trial %d, told to have ended, is %s", t.Index, t.State)
				}
				f.ends[t.Index]++
			}
			f.last = p
			return nil
		})
	}()
	synctest.Wait()
	return f
}

// want waits for the end of the watch: it was told of these ends, each once.
func (f *watched) want(indices []int64) {
	f.w.Helper()
	select {
	case err := <-f.done:
		if err != nil {
			f.w.Errorf("watch: %v", err)
		}
	case <-time.After(time.Hour):
		f.w.Fatal("the watch never ended")
	}
	if got := slices.Sorted(maps.Keys(f.ends)); !slices.Equal(got, indices) {
		f.w.Errorf("told of the ends of %v, want %v", got, indices)
	}
	for i, n := range f.ends {
		if n != 1 {
			f.w.Errorf("told %d times of the end of trial %d", n, i)
		}
	}
	if !f.last.State.Terminal() {
		f.w.Errorf("last told: %s", f.last.State)
	}
}

// Many trials, several workers, several followers that come at different times.
func TestWatchTellsEveryEndOnce(t *testing.T) {
	bubble(t, func(w *world) {
		const n = 60
		w.submit("s", n, "retries: 1")
		var followers []*watched
		var from []int64 // the first index that a follower can know of
		followers, from = append(followers, w.watch("s")), append(from, 0)
		machines := []*machine{w.connect("a", 3), w.connect("b", 2), w.connect("c", 1)}
		for ended, turn := int64(0), 0; ended < n; turn++ {
			if turn > 10_000 {
				t.Fatalf("%d trials ended: %s", ended, w.trials("s"))
			}
			m := machines[turn%len(machines)]
			m.Alive()
			list, err := m.receive()
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range list {
				s, ok := x.(dispatch.Start)
				if !ok {
					continue
				}
				if s.Ref.Attempt == 1 && s.Ref.Index%3 == 0 {
					m.run(s.Ref, sweeps.ClassExit)
					continue
				}
				m.run(s.Ref, sweeps.ClassOK, float64(s.Ref.Index))
				ended++
			}
			time.Sleep(77 * time.Millisecond)
			if turn == 5 {
				followers, from = append(followers, w.watch("s")), append(from, -1)
			}
		}
		for i, f := range followers {
			if from[i] == 0 {
				f.want(indices(n))
				continue
			}
			if err := <-f.done; err != nil {
				t.Error(err)
			}
			for index, times := range f.ends {
				if times != 1 {
					t.Errorf("a later follower was told %d times of the end of trial %d", times, index)
				}
			}
			if len(f.ends) == 0 || len(f.ends) == n {
				t.Errorf("a later follower was told of %d ends", len(f.ends))
			}
		}
		if st := w.sweep("s"); st.Counts.Finished != n {
			t.Errorf("counts %+v", st.Counts)
		}
	})
}

func indices(n int64) []int64 {
	list := make([]int64, n)
	for i := range list {
		list[i] = int64(i)
	}
	return list
}

// A worker that was set aside and is gone is known for that only.
func TestAWorkerThatIsGoneCanBeAdmitted(t *testing.T) {
	bubble(t, func(w *world) {
		w.connect("a", 1).Close()
		m := w.connect("a", 1)
		if _, err := w.Admit(w.Context(), "a", false); err != nil {
			t.Fatal(err)
		}
		m.Close()
		w.restart() // it is read from the store
		if st, err := w.Admit(w.Context(), "host-a", true); err != nil || st.Aside != "" {
			t.Errorf("admitted: %+v, error %v", st, err)
		}
		if _, err := w.Admit(w.Context(), "host-a", true); !errors.Is(err, sweeps.ErrNotFound) {
			t.Errorf("admitted again: error %v, want not found", err)
		}
	})
}
