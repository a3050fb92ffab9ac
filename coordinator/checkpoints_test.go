package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	"swath/coordinator/storetest"
	"swath/sweeps"
)

// content is that of a checkpoint of so many bytes.
func content(name string, size int) []byte {
	return append([]byte(name), make([]byte, size-len(name))...)
}

// save uploads a checkpoint, and returns why that did not come to its end.
func (w *world) save(worker sweeps.WorkerID, ref sweeps.AttemptRef, step int64, data []byte, value float64) error {
	c := sweeps.Checkpoint{Step: step, Digest: storetest.Digest(data), Size: int64(len(data)), Value: value}
	u, err := w.Upload(worker, ref, c)
	if err != nil {
		return err
	}
	defer u.Close()
	if have := u.Have(); have < c.Size {
		if err := u.Write(have, data[have:]); err != nil {
			return err
		}
	}
	return u.Finish(w.Context())
}

// kept are the sweep's checkpoints: index, step and why.
func (w *world) kept(id sweeps.SweepID) string {
	w.Helper()
	synctest.Wait()
	list, err := w.Checkpoints(string(id), "")
	if err != nil {
		w.Fatal(err)
	}
	var words []string
	for _, k := range list {
		word := fmt.Sprintf("%d at %d", k.Index, k.Step)
		if k.Best {
			word += " best"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func (w *world) wantKept(id sweeps.SweepID, want string) {
	w.Helper()
	if got := w.kept(id); got != want {
		w.Errorf("kept are %q, want %q", got, want)
	}
}

func (w *world) wantFiles(n int) {
	w.Helper()
	synctest.Wait()
	if sizes, err := w.files.List(); len(sizes) != n || err != nil {
		w.Errorf("%d files, %v, want %d", len(sizes), err, n)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckpointIsHandedToTheNextAttempt(t *testing.T) {
	bubble(t, func(w *world) {
		m := w.connect("a", 1)
		w.submit("s", 1, "retries: 1")
		m.wantSaid("start s/0#1")
		m.Started(at("s", 0, 1), 0)
		must(t, w.save("a", at("s", 0, 1), 5, content("five", 100), 1))
		must(t, w.save("a", at("s", 0, 1), 10, content("ten", 100), 1))
		must(t, w.save("a", at("s", 0, 1), 10, content("ten", 100), 1)) // repeated
		w.wantKept("s", "0 at 10")
		w.wantFiles(1)
		m.exit(at("s", 0, 1), sweeps.ClassExit)
		synctest.Wait()
		w.restart()
		w.wantKept("s", "0 at 10")
		n := w.connect("b", 1)
		time.Sleep(2 * time.Second) // the back-off
		n.wantSaid("start s/0#2 from step 10")
		if err := w.save("a", at("s", 0, 1), 15, content("late", 100), 1); !errors.Is(err, coordinator.ErrRefused) {
			t.Errorf("the checkpoint of a superseded attempt: %v", err)
		}
		n.run(at("s", 0, 2), sweeps.ClassOK)
		w.want("s", sweeps.SweepFinished, "0 finished 2")
		w.wantKept("s", "")
		w.wantFiles(0)
	})
}

// The machine that brought it may die before anybody could tell it.
func TestWhatHasArrivedIsRecordedThoughTheWorkerIsGone(t *testing.T) {
	bubble(t, func(w *world) {
		m := w.connect("a", 1)
		w.submit("s", 1, "")
		synctest.Wait()
		m.Started(at("s", 0, 1), 0)
		data := content("x", 100)
		gone, cancel := context.WithCancel(w.Context())
		cancel()
		for step := range int64(20) { // what is ready and done with is chosen between at random
			data[50] = byte(step)
			u, err := w.Upload("a", at("s", 0, 1), sweeps.Checkpoint{Step: step, Digest: storetest.Digest(data), Size: 100})
			must(t, err)
			must(t, u.Write(0, data))
			must(t, u.Finish(gone))
			u.Close()
			w.wantKept("s", fmt.Sprintf("0 at %d", step))
		}
	})
}

func TestUploadGoesOnWhereItStopped(t *testing.T) {
	bubble(t, func(w *world) {
		m := w.connect("a", 1)
		w.submit("s", 1, "")
		m.Started(at("s", 0, 1), 0)
		data := content("big", 1000)
		c := sweeps.Checkpoint{Step: 1, Digest: storetest.Digest(data), Size: 1000}
		u, err := w.Upload("a", at("s", 0, 1), c)
		must(t, err)
		must(t, u.Write(0, data[:400]))
		if _, err := w.Upload("a", at("s", 0, 1), c); !errors.Is(err, sweeps.ErrUnavailable) {
			t.Errorf("a second upload of the same at once: %v", err)
		}
		if err := u.Finish(w.Context()); !errors.Is(err, sweeps.ErrInvalid) {
			t.Errorf("half a checkpoint was recorded: %v", err)
		}
		u.Close()
		w.wantKept("s", "")
		w.restart()
		u, err = w.Upload("a", at("s", 0, 1), c)
		must(t, err)
		if u.Have() != 400 {
			t.Errorf("%d bytes are there, want 400", u.Have())
		}
		must(t, u.Write(400, data[400:]))
		must(t, u.Finish(w.Context()))
		u.Close()
		w.wantKept("s", "0 at 1")
		// Of another checkpoint that was begun, nothing stays behind when a newer one comes.
		u, err = w.Upload("a", at("s", 0, 1), sweeps.Checkpoint{Step: 2, Digest: storetest.Digest(data[1:]), Size: 999})
		must(t, err)
		must(t, u.Write(0, data[1:100]))
		u.Close()
		must(t, w.save("a", at("s", 0, 1), 3, content("three", 50), 0))
		if n, _, _ := w.files.Have(storetest.Digest(data[1:])); n != 0 {
			t.Errorf("%d bytes of a checkpoint that nobody wants are there", n)
		}
		// One that arrives damaged is not recorded.
		bad := content("bad", 60)
		u, err = w.Upload("a", at("s", 0, 1), sweeps.Checkpoint{Step: 4, Digest: storetest.Digest(content("good", 60)), Size: 60})
		must(t, err)
		must(t, u.Write(0, bad))
		if err := u.Finish(w.Context()); !errors.Is(err, sweeps.ErrInvalid) {
			t.Errorf("damaged: %v", err)
		}
		u.Close()
		w.wantKept("s", "0 at 3")
	})
}

func TestLastAndBestAreKept(t *testing.T) {
	bubble(t, func(w *world) {
		m := w.connect("a", 3)
		w.submit("s", 3, "checkpoints: {keep_last: 1, keep_best: 2}")
		for i, values := range [][]float64{{3, 1, 2}, {5, 6, 7}, {4, 0.5, 9}} {
			ref := at("s", int64(i), 1)
			m.Started(ref, 0)
			for step, v := range values {
				must(t, w.save("a", ref, int64(step+1), content(fmt.Sprint(i, step), 10), v))
			}
		}
		w.wantKept("s", "0 at 3, 0 at 2 best, 1 at 3, 2 at 3, 2 at 2 best")
		for i := range int64(3) {
			m.exit(at("s", i, 1), sweeps.ClassOK)
		}
		w.wantKept("s", "0 at 3, 0 at 2 best, 1 at 3, 2 at 3, 2 at 2 best")
		w.restart()
		w.wantFiles(5)
		list, err := w.Checkpoints("", "name-s/2")
		if err != nil || len(list) != 2 || !slices.IsSortedFunc(list, func(a, b coordinator.ListedCheckpoint) int { return b.Saved.Compare(a.Saved) }) {
			t.Errorf("of trial 2: %+v, %v", list, err)
		}
	})
}

func TestOrphansAreCollected(t *testing.T) {
	bubble(t, func(w *world) {
		m := w.connect("a", 1)
		w.submit("s", 1, "")
		m.Started(at("s", 0, 1), 0)
		must(t, w.save("a", at("s", 0, 1), 1, content("mine", 10), 0))
		orphan := content("orphan", 10)
		must(t, w.files.Append(storetest.Digest(orphan), 0, orphan))
		must(t, w.files.Complete(storetest.Digest(orphan)))
		w.wantFiles(2)
		w.restart()
		w.wantFiles(1)
		w.wantKept("s", "0 at 1")
	})
}

func TestQuotaEvictsTheLeastValuable(t *testing.T) {
	bubble(t, func(w *world) {
		w.quota = coordinator.Quota{Total: 250}
		w.restart()
		m := w.connect("a", 3)
		w.submit("s", 3, "checkpoints: {keep_last: 1}")
		for i := range int64(3) {
			m.Started(at("s", i, 1), 0)
		}
		must(t, w.save("a", at("s", 0, 1), 1, content("zero", 100), 0))
		must(t, w.save("a", at("s", 1, 1), 1, content("one", 100), 0))
		m.exit(at("s", 1, 1), sweeps.ClassOK)
		w.wantKept("s", "0 at 1, 1 at 1")
		// That of the trial that has finished goes first, though the other is older.
		must(t, w.save("a", at("s", 2, 1), 1, content("two", 100), 0))
		w.wantKept("s", "0 at 1, 2 at 1")
		// A trial's own does not count: it is replaced.
		must(t, w.save("a", at("s", 2, 1), 2, content("two again", 140), 0))
		w.wantKept("s", "0 at 1, 2 at 2")
		// One too large for the quota is refused, with the reason where people look.
		err := w.save("a", at("s", 2, 1), 3, content("huge", 300), 0)
		if !errors.Is(err, coordinator.ErrRefused) || !strings.Contains(err.Error(), "300 bytes") || !strings.Contains(err.Error(), "checkpoint-quota") {
			t.Errorf("huge: %v", err)
		}
		w.wantKept("s", "0 at 1, 2 at 2")
		why, err := w.Explain(w.Context(), "name-s/2")
		if err != nil || !strings.Contains(strings.Join(why, "\n"), "its checkpoint of step 3 was not kept: it has 300 bytes") {
			t.Errorf("explained by %q, %v", why, err)
		}
		if st := w.sweep("s"); len(st.Notes) != 1 || !strings.Contains(st.Notes[0], "300 bytes") {
			t.Errorf("notes %q", st.Notes)
		}
		must(t, w.save("a", at("s", 2, 1), 4, content("small", 10), 0))
		if st := w.sweep("s"); len(st.Notes) != 0 {
			t.Errorf("notes %q of a trial whose last checkpoint is kept", st.Notes)
		}
	})
}

// What the quota bounds is what is there and what is on its way.
func TestQuotaHoldsForUploadsAtOnce(t *testing.T) {
	bubble(t, func(w *world) {
		w.quota = coordinator.Quota{Total: 1000}
		w.restart()
		m := w.connect("a", 8)
		w.submit("s", 8, "")
		size := func() (total int64) {
			synctest.Wait()
			sizes, err := w.files.List()
			must(t, err)
			for _, n := range sizes {
				total += n
			}
			return total
		}
		var begun []*coordinator.Upload
		for i := range int64(8) {
			m.Started(at("s", i, 1), 0)
			data := content(fmt.Sprint("ck", i), 400)
			u, err := w.Upload("a", at("s", i, 1), sweeps.Checkpoint{Step: 1, Digest: storetest.Digest(data), Size: 400})
			if len(begun) == 2 {
				if !errors.Is(err, sweeps.ErrUnavailable) || !strings.Contains(err.Error(), "checkpoint-quota") {
					t.Errorf("a third at once: %v", err)
				}
				continue
			}
			must(t, err)
			must(t, u.Write(0, data))
			begun = append(begun, u)
		}
		for _, u := range begun {
			must(t, u.Finish(w.Context()))
			u.Close()
		}
		w.wantKept("s", "0 at 1, 1 at 1")
		for i := range int64(8) {
			time.Sleep(time.Second)
			must(t, w.save("a", at("s", i, 1), 2, content(fmt.Sprint("next", i), 400), 0))
			if n := size(); n > 1000 {
				t.Errorf("%d bytes are there", n)
			}
		}
		w.wantKept("s", "6 at 2, 7 at 2")
	})
}

// A trial's checkpoint stays until the next one has arrived, and that is taken though there is
// no room for both, also if it is both the last and the best one.
func TestQuotaOfOneCheckpoint(t *testing.T) {
	for seed := range 10 { // nothing depends on the order of a map
		bubble(t, func(w *world) {
			w.quota = coordinator.Quota{Total: 150}
			w.restart()
			m := w.connect("a", 1)
			w.submit("s", 1, "checkpoints: {keep_last: 1, keep_best: 1}")
			ref := at("s", 0, 1)
			m.Started(ref, 0)
			must(t, w.save("a", ref, 1, content("one", 100), 5))
			w.wantKept("s", "0 at 1 best")
			data := content("two", 100)
			u, err := w.Upload("a", ref, sweeps.Checkpoint{Step: 2, Digest: storetest.Digest(data), Size: 100, Value: 4})
			must(t, err)
			must(t, u.Write(0, data))
			w.wantKept("s", "0 at 1 best")
			must(t, u.Finish(w.Context()))
			u.Close()
			w.wantKept("s", "0 at 2 best")
			must(t, w.save("a", ref, 3, content("three", 100), 6)) // a worse one
			w.wantKept("s", "0 at 3")
			must(t, w.save("a", ref, 4, content("four", 100), 3))
			w.wantKept("s", "0 at 4 best")
			if st := w.sweep("s"); len(st.Notes) > 0 {
				t.Errorf("seed %d: notes %q", seed, st.Notes)
			}
		})
	}
}

// Checkpoints never fill the disk that the store is on.
func TestReserveOfTheDiskIsLeftAlone(t *testing.T) {
	bubble(t, func(w *world) {
		w.quota = coordinator.Quota{Reserve: 1000}
		w.files.Total, w.files.Free = 10_000, 1050
		w.restart()
		m := w.connect("a", 2)
		w.submit("s", 2, "checkpoints: {keep_last: 1}")
		m.Started(at("s", 0, 1), 0)
		m.Started(at("s", 1, 1), 0)
		must(t, w.save("a", at("s", 0, 1), 1, content("fits", 50), 0))
		w.files.Free = 1000
		if err := w.save("a", at("s", 1, 1), 1, content("does not", 60), 0); !errors.Is(err, coordinator.ErrRefused) || !strings.Contains(err.Error(), "reserved") {
			t.Errorf("over the reserve: %v", err)
		}
		m.exit(at("s", 0, 1), sweeps.ClassOK)
		synctest.Wait()
		must(t, w.save("a", at("s", 1, 1), 2, content("takes its place", 50), 0))
		w.wantKept("s", "1 at 2")
	})
}

// A checkpoint whose file was evicted is not handed out; its trial begins anew.
func TestTrialsGoOnFromEachOther(t *testing.T) {
	bubble(t, func(w *world) {
		m := w.connect("a", 2)
		w.submit("s", 3, "continue: x")
		m.wantSaid("start s/0#1")
		why, err := w.Explain(w.Context(), "name-s/1")
		if err != nil || !strings.Contains(strings.Join(why, "\n"), "it goes on from trial 0, and waits until that has ended, which is on worker host-a") {
			t.Errorf("explained by %q, %v", why, err)
		}
		m.Started(at("s", 0, 1), 0)
		must(t, w.save("a", at("s", 0, 1), 80, content("eighty", 10), 0))
		m.exit(at("s", 0, 1), sweeps.ClassOK)
		m.wantSaid("forget s/0#1, start s/1#1 from step 80")
		w.want("s", sweeps.SweepRunning, "0 finished 1, 1 running 1 on a")
		w.wantKept("s", "1 at 80")
		// It fails before it wrote one of its own: the next goes on from the last there is.
		m.run(at("s", 1, 1), sweeps.ClassExit)
		m.wantSaid("forget s/1#1, start s/2#1 from step 80")
		m.run(at("s", 2, 1), sweeps.ClassOK)
		w.want("s", sweeps.SweepFinished, "0 finished 1, 1 failed 1, 2 finished 1")
	})
}

// The commit that records a checkpoint fails: it is tried again, and nothing is lost.
func TestCheckpointOfAFailedCommit(t *testing.T) {
	for _, verdict := range []storetest.Verdict{storetest.FailBefore, storetest.FailAfter} {
		bubble(t, func(w *world) {
			m := w.connect("a", 1)
			w.submit("s", 1, "retries: 1")
			m.Started(at("s", 0, 1), 0)
			synctest.Wait()
			failed := false
			w.store.Decide = func(c dispatch.Changes) storetest.Verdict {
				if len(c.Trials) > 0 && len(c.Trials[0].Checkpoints) > 0 && !failed {
					failed = true
					return verdict
				}
				return storetest.Pass
			}
			data := content("five", 100)
			if err := w.save("a", at("s", 0, 1), 5, data, 1); !errors.Is(err, sweeps.ErrStorage) {
				t.Errorf("the commit failed, and the upload says %v", err)
			}
			synctest.Wait()
			m = w.connect("a", 1, at("s", 0, 1))
			must(t, w.save("a", at("s", 0, 1), 5, data, 1))
			w.wantKept("s", "0 at 5")
			m.exit(at("s", 0, 1), sweeps.ClassExit)
			w.connect("b", 1)
			synctest.Wait()
			w.wantFiles(1)
		})
	}
}
