package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"swath/coordinator"
	"swath/sweeps"
)

func testFinished(t *testing.T, s coordinator.Store) {
	trial := func(sweep sweeps.SweepID, index int64, id sweeps.TrialID, state sweeps.TrialState) *sweeps.Trial {
		tr := newTrial(sweep, index, state)
		tr.ID = id
		return tr
	}
	done := sweeps.TrialFinished
	commit(t, s, newSweep("a", 0), trial("a", 0, "1111", done), trial("a", 1, "2222", sweeps.TrialFailed), trial("a", 2, "33", done))
	commit(t, s, newSweep("b", time.Second), trial("b", 0, "1111", sweeps.TrialRunning), trial("b", 1, "2222", done), trial("b", 2, "2222", done))
	commit(t, s, newSweep("c", 2*time.Second), trial("c", 9, "1111", sweeps.TrialCancelled), trial("c", 10, "3333", done), trial("c", 11, "4444", sweeps.TrialPending))
	all := map[sweeps.SweepID]bool{"a": true, "b": true, "c": true, "nobody": true}
	for _, test := range []struct {
		of   map[sweeps.SweepID]bool
		ids  []sweeps.TrialID
		want string
	}{
		{all, []sweeps.TrialID{"1111", "2222", "3333", "4444", "5555", "33"}, "a/0 b c/10 - - a/2 "},
		{all, []sweeps.TrialID{"", "111", "11111", "2222"}, "- - - b "},
		{map[sweeps.SweepID]bool{"a": true, "c": true, "b": false}, []sweeps.TrialID{"2222", "1111", "1111"}, "- a/0 a/0 "},
		{map[sweeps.SweepID]bool{"b": true}, []sweeps.TrialID{"3333", "1111"}, "- - "},
		{nil, []sweeps.TrialID{"1111"}, "- "},
		{all, nil, ""},
	} {
		found, err := s.Finished(test.ids, test.of)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, tr := range found {
			switch {
			case tr == nil:
				got += "- "
			case tr.Sweep == "b":
				got += "b " // which of the two is the store's choice
			default:
				got += tr.String() + " "
			}
		}
		equal(t, fmt.Sprintf("finished %v of %v", test.ids, test.of), got, test.want)
	}
	found, err := s.Finished([]sweeps.TrialID{"33"}, all)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the row", found, trials(t, s, "a", 2))
	// Once it has finished, it is found; and what else is found is what it was.
	commit(t, s, trial("c", 11, "4444", done))
	found, err = s.Finished([]sweeps.TrialID{"4444", "33"}, all)
	if err != nil || found[0] == nil || found[0].Index != 11 || found[1] == nil {
		t.Errorf("found %v, %v", found, err)
	}
}

// Finished agrees with what a look at all rows finds.
func testFinishedModel(t *testing.T, s coordinator.Store) {
	r := rand.New(rand.NewPCG(3, 3))
	states := sweeps.TrialStates()
	var ids []sweeps.TrialID
	for i := range 40 {
		ids = append(ids, sweeps.TrialID(fmt.Sprintf("%04x", 7*i)))
	}
	model := map[sweeps.SweepID]map[sweeps.TrialID]bool{}
	for n := range 12 {
		id := sweeps.SweepID(fmt.Sprintf("s%d", n))
		model[id] = map[sweeps.TrialID]bool{}
		records := []any{newSweep(id, time.Duration(n)*time.Second)}
		for i := range int64(20) {
			tr := newTrial(id, i, states[r.IntN(len(states))])
			tr.ID = ids[r.IntN(len(ids))]
			if tr.State == sweeps.TrialFinished {
				model[id][tr.ID] = true
			}
			records = append(records, tr)
		}
		commit(t, s, records...)
	}
	for range 30 {
		of := map[sweeps.SweepID]bool{}
		for id := range model {
			of[id] = r.IntN(3) == 0
		}
		found, err := s.Finished(ids, of)
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			want := false
			for sweep, in := range of {
				want = want || in && model[sweep][id]
			}
			tr := found[i]
			if (tr != nil) != want || tr != nil && (tr.ID != id || !of[tr.Sweep] || tr.State != sweeps.TrialFinished) {
				t.Errorf("finished %s of %v: %v, want one: %v", id, of, tr, want)
			}
		}
	}
}

func testReusers(t *testing.T, s coordinator.Store) {
	commit(t, s, newSweep("a", 0), newSweep("b", 1), newSweep("c", 2))
	from := func(tr *sweeps.Trial, origin sweeps.SweepID, index int64) *sweeps.Trial {
		tr.ReusedFrom = sweeps.Origin{AttemptRef: ref(origin, index, 1), SweepName: "name"}
		return tr
	}
	commit(t, s, newTrial("a", 0, sweeps.TrialFinished), newTrial("a", 1, sweeps.TrialFinished))
	commit(t, s, from(newTrial("b", 0, sweeps.TrialFinished), "a", 0), from(newTrial("b", 1, sweeps.TrialFinished), "a", 1))
	commit(t, s, from(newTrial("c", 0, sweeps.TrialFinished), "a", 0), newTrial("c", 1, sweeps.TrialFinished))
	for id, want := range map[sweeps.SweepID][]sweeps.SweepID{"a": {"b", "c"}, "b": nil, "c": nil, "nobody": nil, "": nil} {
		got, err := s.Reusers(id)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		equal(t, fmt.Sprintf("reusers of %q", id), got, want)
	}
}
