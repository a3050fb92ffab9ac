package storetest

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// TestStore verifies what ports.go promises of a Store. open opens the store that is kept
// in a directory, which is empty at first; the suite closes what it opened, and may open
// it again then.
func TestStore(t *testing.T, open func(t *testing.T, home string) coordinator.Store) {
	tests := []struct {
		name string
		run  func(t *testing.T, s coordinator.Store)
	}{
		{"EmptyStoreAnswers", testEmpty},
		{"EveryFieldSurvives", testEveryField},
		{"FloatsSurvive", testFloats},
		{"LaterRecordReplacesEarlier", testReplace},
		{"SweepsAreInOrderOfCreation", testSweepOrder},
		{"SweepIsFoundByIDThenName", testSweepByName},
		{"TrialsAreInOrderOfIndex", testTrialOrder},
		{"SweepsDoNotMix", testSeparate},
		{"LiveIsThePendingAndRunning", testLive},
		{"LiveAgreesWithTrials", testLiveModel},
		{"CheckpointedHasThoseWithCheckpoints", testCheckpointed},
		{"TrialIsFoundByPrefix", testFind},
		{"FinishedTrialIsFound", testFinished},
		{"FinishedAgreesWithTrials", testFinishedModel},
		{"ReusersAreKnown", testReusers},
		{"RemovedSweepIsGone", testRemoved},
		{"WorkersStayAside", testAside},
		{"CommitIsAllOrNone", testAllOrNone},
		{"RecordsAreCopied", testCopies},
		{"ReadersSeeWhatWasCommitted", testReaders},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			defer closeStore(t, s)
			test.run(t, s)
		})
	}
	t.Run("ReopenedStoreHasEverything", func(t *testing.T) { testReopen(t, open) })
}

func closeStore(t *testing.T, s interface{ Close() error }) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// sameRecord compares records: times as instants, a NaN as itself.
var sameRecord = cmp.Options{cmpopts.EquateNaNs(), cmpopts.EquateEmpty()}

func commit(t *testing.T, s coordinator.Store, records ...any) {
	t.Helper()
	var c dispatch.Changes
	for _, r := range records {
		switch r := r.(type) {
		case *sweeps.Sweep:
			c.Sweeps = append(c.Sweeps, r)
		case *sweeps.Trial:
			c.Trials = append(c.Trials, r)
		}
	}
	if err := s.Commit(c); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func newSweep(id sweeps.SweepID, after time.Duration) *sweeps.Sweep {
	return &sweeps.Sweep{
		ID: id, Name: "name of " + string(id), Source: []byte("method: grid\n"), State: sweeps.SweepRunning,
		Created: epoch.Add(after), Revived: epoch.Add(2 * after),
	}
}

func newTrial(sweep sweeps.SweepID, index int64, state sweeps.TrialState) *sweeps.Trial {
	return &sweeps.Trial{
		TrialKey: sweeps.TrialKey{Sweep: sweep, Index: index},
		ID:       sweeps.TrialID(fmt.Sprintf("%016x", uint64(index+1)*0x9e3779b97f4a7c15)),
		Params:   sweeps.Params{"i": index}, State: state, Attempt: 1,
		Worker: "w1", WorkerName: "host", Assigned: epoch,
	}
}

// trials returns the sweep's rows from an index on.
func trials(t *testing.T, s coordinator.Store, id sweeps.SweepID, from int64) []*sweeps.Trial {
	t.Helper()
	var list []*sweeps.Trial
	if err := s.Trials(id, from, func(r *sweeps.Trial) bool { list = append(list, r); return true }); err != nil {
		t.Fatalf("trials of %s: %v", id, err)
	}
	return list
}

func live(t *testing.T, s coordinator.Store, id sweeps.SweepID) []*sweeps.Trial {
	t.Helper()
	var list []*sweeps.Trial
	if err := s.Live(id, func(r *sweeps.Trial) bool { list = append(list, r); return true }); err != nil {
		t.Fatalf("live trials of %s: %v", id, err)
	}
	return list
}

func find(t *testing.T, s coordinator.Store, prefix string, limit int) []*sweeps.Trial {
	t.Helper()
	list, err := s.FindTrial(prefix, limit)
	if err != nil {
		t.Fatalf("find trial %q: %v", prefix, err)
	}
	return list
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, sameRecord); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func testEmpty(t *testing.T, s coordinator.Store) {
	if list, err := s.Sweeps(); err != nil || len(list) != 0 {
		t.Errorf("sweeps: %v, %v", list, err)
	}
	if _, err := s.Sweep("nobody"); !errors.Is(err, sweeps.ErrNotFound) {
		t.Errorf("sweep that is not there: error %v, want ErrNotFound", err)
	}
	if _, err := s.Sweep(""); !errors.Is(err, sweeps.ErrNotFound) {
		t.Errorf("sweep without a name: error %v, want ErrNotFound", err)
	}
	equal(t, "trials", len(trials(t, s, "nobody", 0)), 0)
	equal(t, "live trials", len(live(t, s, "nobody")), 0)
	equal(t, "found trials", len(find(t, s, "", 10)), 0)
	if err := s.Commit(dispatch.Changes{}); err != nil {
		t.Errorf("commit of nothing: %v", err)
	}
}

func testEveryField(t *testing.T, s coordinator.Store) {
	sw, err := filledSweep("s1")
	if err != nil {
		t.Fatal(err)
	}
	tr, err := filledTrial(sweeps.TrialKey{Sweep: "s1", Index: 7})
	if err != nil {
		t.Fatal(err)
	}
	// A row may have next to nothing, too.
	bare := &sweeps.Trial{TrialKey: sweeps.TrialKey{Sweep: "s1", Index: 8}, ID: "b", State: sweeps.TrialRunning}
	commit(t, s, sw, tr, bare)
	got, err := s.Sweep("s1")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "sweep", got, sw)
	equal(t, "trials", trials(t, s, "s1", 0), []*sweeps.Trial{tr, bare})
	equal(t, "live trials", live(t, s, "s1"), []*sweeps.Trial{tr, bare})
	equal(t, "found trial", find(t, s, string(tr.ID), 10), []*sweeps.Trial{tr})
	if r := trials(t, s, "s1", 8)[0]; !r.Started.IsZero() || !r.NotBefore.IsZero() {
		t.Errorf("zero times came back as %v and %v", r.Started, r.NotBefore)
	}
}

func testFloats(t *testing.T, s coordinator.Store) {
	tr := newTrial("s1", 0, sweeps.TrialFinished)
	tr.Metrics = map[string]sweeps.Summary{
		"diverged": {Count: 3, Last: math.NaN(), Min: math.Inf(-1), Max: math.Inf(1)},
		"tiny":     {Count: 1, Last: math.SmallestNonzeroFloat64, Min: -math.MaxFloat64, Max: 0.1, MaxStep: math.MaxInt64, MinStep: math.MinInt64},
		"zero":     {Last: math.Copysign(0, -1)},
		"":         {Count: 1 << 62},
	}
	commit(t, s, newSweep("s1", 0), tr)
	got := trials(t, s, "s1", 0)
	equal(t, "trial", got, []*sweeps.Trial{tr})
	if !math.Signbit(got[0].Metrics["zero"].Last) {
		t.Error("-0 came back as 0")
	}
}

func testReplace(t *testing.T, s coordinator.Store) {
	sw, tr := newSweep("s1", 0), newTrial("s1", 3, sweeps.TrialRunning)
	commit(t, s, sw, tr)
	sw, tr = sw.Clone(), cloneTrial(tr)
	sw.State, sw.Next, sw.Counts.Finished = sweeps.SweepFinished, 4, 1
	tr.State, tr.Outcome, tr.Ended = sweeps.TrialFinished, sweeps.Outcome{Class: sweeps.ClassOK}, epoch.Add(time.Minute)
	commit(t, s, sw, tr)
	list, err := s.Sweeps()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "sweeps", list, []*sweeps.Sweep{sw})
	equal(t, "trials", trials(t, s, "s1", 0), []*sweeps.Trial{tr})

	// Of two records of one trial in one commit the later holds.
	first, second := cloneTrial(tr), cloneTrial(tr)
	first.Attempt, second.Attempt = 2, 3
	commit(t, s, first, second)
	equal(t, "trials", trials(t, s, "s1", 0), []*sweeps.Trial{second})
	equal(t, "found trials", find(t, s, string(tr.ID), 9), []*sweeps.Trial{second})
}

func testSweepOrder(t *testing.T, s coordinator.Store) {
	late, early := newSweep("a", time.Hour), newSweep("z", 0)
	twinB, twinA := newSweep("twin-b", time.Minute), newSweep("twin-a", time.Minute)
	commit(t, s, late)
	commit(t, s, twinB, early)
	commit(t, s, twinA)
	list, err := s.Sweeps()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "sweeps", list, []*sweeps.Sweep{early, twinA, twinB, late})
}

func testSweepByName(t *testing.T, s coordinator.Store) {
	a, b := newSweep("a", 0), newSweep("b", time.Minute)
	b.Name = "a" // a's id: the id wins
	commit(t, s, a, b)
	for query, want := range map[string]*sweeps.Sweep{"a": a, "name of a": a, "b": b} {
		got, err := s.Sweep(query)
		if err != nil {
			t.Errorf("sweep %q: %v", query, err)
			continue
		}
		equal(t, "sweep "+query, got, want)
	}
	for _, query := range []string{"name of b", "name", "name of a ", "A", ""} {
		if _, err := s.Sweep(query); !errors.Is(err, sweeps.ErrNotFound) {
			t.Errorf("sweep %q: error %v, want ErrNotFound", query, err)
		}
	}
	b = b.Clone()
	b.Name = "renamed"
	commit(t, s, b)
	if got, err := s.Sweep("renamed"); err != nil || got.ID != "b" {
		t.Errorf("sweep by its new name: %v, %v", got, err)
	}
}

func testTrialOrder(t *testing.T, s coordinator.Store) {
	// More rows than a store may read at a time, sparse, committed out of order.
	const rows = 1500
	indices := make([]int64, rows)
	for i := range indices {
		indices[i] = int64(i) * 3
	}
	indices[rows-1] = math.MaxInt64
	records := []any{newSweep("s1", 0)}
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(rows) {
		records = append(records, newTrial("s1", indices[i], sweeps.TrialFinished))
		if len(records) > 400 {
			commit(t, s, records...)
			records = nil
		}
	}
	commit(t, s, records...)
	for _, from := range []int64{0, 1, 3, 2998, 4491, 4492, math.MaxInt64} {
		var want, got []int64
		for _, i := range indices {
			if i >= from {
				want = append(want, i)
			}
		}
		for _, r := range trials(t, s, "s1", from) {
			got = append(got, r.Index)
		}
		equal(t, fmt.Sprintf("indices from %d", from), got, want)
	}
	for _, stop := range []int{1, 2, 256, 257, 1000} {
		seen := 0
		if err := s.Trials("s1", 0, func(*sweeps.Trial) bool { seen++; return seen < stop }); err != nil {
			t.Fatal(err)
		}
		equal(t, "rows before the stop", seen, stop)
	}
}

func testSeparate(t *testing.T, s coordinator.Store) {
	// Ids that are prefixes of each other, as keys of a careless store would mix up.
	ids := []sweeps.SweepID{"s", "s1", "s10", "s1\x00", "t"}
	var records []any
	for i, id := range ids {
		records = append(records, newSweep(id, time.Duration(i)*time.Second))
		for k := range int64(i + 1) {
			records = append(records, newTrial(id, k, sweeps.TrialRunning))
		}
	}
	commit(t, s, records...)
	for i, id := range ids {
		for _, list := range [][]*sweeps.Trial{trials(t, s, id, 0), live(t, s, id)} {
			equal(t, fmt.Sprintf("rows of %q", id), len(list), i+1)
			for _, r := range list {
				if r.Sweep != id {
					t.Errorf("rows of %q: a row of %q", id, r.Sweep)
				}
			}
		}
	}
}

func testLive(t *testing.T, s coordinator.Store) {
	commit(t, s, newSweep("s1", 0))
	want := []*sweeps.Trial{}
	for i, state := range sweeps.TrialStates() {
		tr := newTrial("s1", int64(i), state)
		commit(t, s, tr)
		if !state.Terminal() {
			want = append(want, tr)
		}
	}
	equal(t, "live trials", live(t, s, "s1"), want)

	// A rerun brings an ended trial back.
	again := newTrial("s1", 3, sweeps.TrialPending)
	commit(t, s, again, newTrial("s1", 0, sweeps.TrialCancelled))
	equal(t, "live trials", live(t, s, "s1"), []*sweeps.Trial{want[1], again})
	seen := 0
	if err := s.Live("s1", func(*sweeps.Trial) bool { seen++; return false }); err != nil {
		t.Fatal(err)
	}
	equal(t, "rows before the stop", seen, 1)
}

func testLiveModel(t *testing.T, s coordinator.Store) {
	r := rand.New(rand.NewPCG(7, 7))
	commit(t, s, newSweep("s1", 0))
	states := sweeps.TrialStates()
	for range 20 {
		var records []any
		for range 40 {
			records = append(records, newTrial("s1", r.Int64N(400), states[r.IntN(len(states))]))
		}
		commit(t, s, records...)
	}
	var want []*sweeps.Trial
	for _, tr := range trials(t, s, "s1", 0) {
		if !tr.State.Terminal() {
			want = append(want, tr)
		}
	}
	equal(t, "live trials", live(t, s, "s1"), want)
}

func testCheckpointed(t *testing.T, s coordinator.Store) {
	list := func() (keys []string) {
		t.Helper()
		err := s.Checkpointed(func(tr *sweeps.Trial) bool {
			keys = append(keys, fmt.Sprintf("%s:%d", tr.TrialKey, len(tr.Checkpoints)))
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	equal(t, "rows of an empty store", list(), []string{})
	with := func(sweep sweeps.SweepID, index int64, state sweeps.TrialState, n int) *sweeps.Trial {
		tr := newTrial(sweep, index, state)
		for i := range n {
			tr.Checkpoints = append(tr.Checkpoints, sweeps.Checkpoint{Attempt: 1, Step: int64(i), Digest: fmt.Sprint(i), Value: math.NaN()})
		}
		return tr
	}
	commit(t, s, newSweep("a", 0), newSweep("b", time.Second), with("a", 3, sweeps.TrialRunning, 1), with("a", 1, sweeps.TrialFinished, 2),
		with("a", 2, sweeps.TrialRunning, 0), with("b", 0, sweeps.TrialFailed, 1))
	equal(t, "rows with checkpoints", list(), []string{"a/1:2", "a/3:1", "b/0:1"})
	commit(t, s, with("a", 3, sweeps.TrialFinished, 0), with("a", 2, sweeps.TrialRunning, 3))
	equal(t, "rows with checkpoints", list(), []string{"a/1:2", "a/2:3", "b/0:1"})
	seen := 0
	if err := s.Checkpointed(func(*sweeps.Trial) bool { seen++; return false }); err != nil {
		t.Fatal(err)
	}
	equal(t, "rows before the stop", seen, 1)
}

func testFind(t *testing.T, s coordinator.Store) {
	trial := func(sweep sweeps.SweepID, index int64, id sweeps.TrialID) *sweeps.Trial {
		tr := newTrial(sweep, index, sweeps.TrialFinished)
		tr.ID = id
		return tr
	}
	// The later sweep is committed first: what counts is when it was created.
	commit(t, s, newSweep("late", time.Hour), trial("late", 5, "abcd"), trial("late", 6, "abff"), trial("late", 7, "b000"))
	commit(t, s, newSweep("early", 0), trial("early", 0, "abcd"), trial("early", 1, "abc"), trial("early", 2, "aa"))
	for _, test := range []struct {
		prefix string
		limit  int
		want   string
	}{
		{"abcd", 9, "late/5 early/0 "},
		{"abcd", 1, "late/5 "},
		{"abc", 9, "early/1 late/5 early/0 "},
		{"ab", 9, "early/1 late/5 early/0 late/6 "},
		{"ab", 2, "early/1 late/5 "},
		{"", 9, "early/2 early/1 late/5 early/0 late/6 late/7 "},
		{"b", 9, "late/7 "},
		{"ab", 0, ""},
		{"abcde", 9, ""},
		{"c", 9, ""},
		{"ABCD", 9, ""},
	} {
		got := ""
		for _, r := range find(t, s, test.prefix, test.limit) {
			got += r.String() + " "
		}
		equal(t, fmt.Sprintf("at most %d trials of %q", test.limit, test.prefix), got, test.want)
	}
}

func testAllOrNone(t *testing.T, s coordinator.Store) {
	sw, tr := newSweep("s1", 0), newTrial("s1", 0, sweeps.TrialRunning)
	commit(t, s, sw, tr)
	changed, ended, orphan := sw.Clone(), newTrial("s1", 0, sweeps.TrialFinished), newTrial("unknown", 0, sweeps.TrialRunning)
	changed.Next = 99
	err := s.Commit(dispatch.Changes{
		Sweeps: []*sweeps.Sweep{changed, newSweep("s2", 0)},
		Trials: []*sweeps.Trial{ended, newTrial("s1", 1, sweeps.TrialRunning), orphan},
	})
	if !errors.Is(err, sweeps.ErrNotFound) {
		t.Errorf("commit of a trial without a sweep: error %v, want ErrNotFound", err)
	}
	list, err := s.Sweeps()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "sweeps", list, []*sweeps.Sweep{sw})
	equal(t, "trials", trials(t, s, "s1", 0), []*sweeps.Trial{tr})
	equal(t, "live trials", live(t, s, "s1"), []*sweeps.Trial{tr})
	equal(t, "found trials", len(find(t, s, "", 9)), 1)
}

func testCopies(t *testing.T, s coordinator.Store) {
	sw, err := filledSweep("s1")
	if err != nil {
		t.Fatal(err)
	}
	tr, err := filledTrial(sweeps.TrialKey{Sweep: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	wantSweep, wantTrial := cloneSweep(sw), cloneTrial(tr)
	spoil := func(sw *sweeps.Sweep, tr *sweeps.Trial) {
		sw.State, sw.Source[0] = "spoilt", '!'
		tr.State = "spoilt"
		tr.Params["spoilt"] = true
		tr.Params["group"].(map[string]any)["beta"].([]any)[0] = "spoilt"
		tr.Metrics["spoilt"] = sweeps.Summary{}
	}
	commit(t, s, sw, tr)
	spoil(sw, tr)
	for range 2 {
		got, err := s.Sweep("s1")
		if err != nil {
			t.Fatal(err)
		}
		rows := trials(t, s, "s1", 0)
		equal(t, "sweep", got, wantSweep)
		equal(t, "trials", rows, []*sweeps.Trial{wantTrial})
		spoil(got, rows[0])
	}
}

func testReaders(t *testing.T, s coordinator.Store) {
	const commits, perCommit = 60, 7
	sw := newSweep("s1", 0)
	commit(t, s, sw)
	var committed atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				atLeast := committed.Load()
				got, err := s.Sweep("s1")
				if err != nil || got.Next < atLeast {
					t.Errorf("sweep: cursor %v, error %v; %d rows had been committed", got, err, atLeast)
					return
				}
				// The cursor and the rows were written together.
				n := int64(0)
				err = s.Trials("s1", 0, func(r *sweeps.Trial) bool {
					if r.Index != n {
						t.Errorf("row %d comes at place %d", r.Index, n)
					}
					n++
					return true
				})
				if err != nil || n < got.Next {
					t.Errorf("%d rows, error %v; the cursor was %d", n, err, got.Next)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for range commits {
		next := sw.Clone()
		records := []any{next}
		for range perCommit {
			records = append(records, newTrial("s1", next.Next, sweeps.TrialRunning))
			next.Next++
		}
		commit(t, s, records...)
		committed.Store(next.Next)
		sw = next
	}
	close(stop)
	wg.Wait()
	equal(t, "rows", len(trials(t, s, "s1", 0)), commits*perCommit)
}

func testReopen(t *testing.T, open func(t *testing.T, home string) coordinator.Store) {
	home := t.TempDir()
	var wantSweeps []*sweeps.Sweep
	var wantTrials []*sweeps.Trial
	verify := func(s coordinator.Store) {
		t.Helper()
		list, err := s.Sweeps()
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "sweeps", list, wantSweeps)
		equal(t, "trials", trials(t, s, "s0", 0), wantTrials)
		equal(t, "live trials", len(live(t, s, "s0")), len(wantTrials)/2)
		equal(t, "found trials", len(find(t, s, "", 1000)), len(wantTrials))
	}
	for round := range 4 {
		s := open(t, home)
		verify(s)
		sw := newSweep(sweeps.SweepID(fmt.Sprintf("s%d", round)), time.Duration(round)*time.Second)
		records := []any{sw}
		for i := range int64(20) {
			tr := newTrial("s0", int64(round)*20+i, sweeps.TrialRunning)
			if i%2 == 0 {
				tr.State = sweeps.TrialFailed
			}
			records = append(records, tr)
			wantTrials = append(wantTrials, tr)
		}
		wantSweeps = append(wantSweeps, sw)
		commit(t, s, records...)
		verify(s)
		closeStore(t, s)
	}
}
