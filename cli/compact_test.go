package cli_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	coord "swath/coordinator"
	"swath/coordinator/boltstore"
	"swath/coordinator/dispatch"
	"swath/sweeps"
)

const compactRows = 20_000

// bigHome makes a home with many rows and points, in which much is free.
func bigHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	s, err := boltstore.Open(home, boltstore.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	sw := &sweeps.Sweep{ID: "s1", Name: "big", State: sweeps.SweepFinished, Source: []byte("method: grid\n")}
	for first := int64(0); first < compactRows; first += 1000 {
		c := dispatch.Changes{Sweeps: []*sweeps.Sweep{sw}}
		var batches []coord.Batch
		for i := first; i < first+1000; i++ {
			key := sweeps.TrialKey{Sweep: "s1", Index: i}
			c.Trials = append(c.Trials, &sweeps.Trial{TrialKey: key, ID: sweeps.TrialID(newID(i)), State: sweeps.TrialFinished, Attempt: 1})
			batches = append(batches, coord.Batch{Ref: sweeps.AttemptRef{TrialKey: key, Attempt: 1}, Points: []sweeps.Point{{Metric: "loss", Step: 1, Value: float64(i)}}})
		}
		_, err := s.Metrics.Append(batches)
		if err := errors.Join(err, s.State.Commit(c)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return home
}

func newID(i int64) string {
	r := rand.New(rand.NewPCG(uint64(i), 1))
	const digits = "0123456789abcdef"
	b := make([]byte, 16)
	for k := range b {
		b[k] = digits[r.IntN(16)]
	}
	return string(b)
}

// verifyBigHome verifies that everything is there.
func verifyBigHome(t *testing.T, home string) {
	t.Helper()
	s, err := boltstore.Open(home, boltstore.Options{LockTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	rows := int64(0)
	err = s.State.Trials("s1", 0, func(tr *sweeps.Trial) bool {
		if tr.Index != rows || string(tr.ID) != newID(rows) {
			t.Errorf("row %d is %v, %s", rows, tr.TrialKey, tr.ID)
			return false
		}
		rows++
		return true
	})
	sum, sumErr := s.Metrics.Summaries(sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s1", Index: compactRows - 1}, Attempt: 1})
	if err := errors.Join(err, sumErr, s.Check()); err != nil {
		t.Error(err)
	}
	if rows != compactRows || sum["loss"].Last != compactRows-1 {
		t.Errorf("%d rows, last metrics %v", rows, sum)
	}
	if left, err := filepath.Glob(filepath.Join(home, "*.compact")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A compaction that is killed at any moment leaves everything as it was, and one that is not
// makes the files smaller.
func TestCompact(t *testing.T) {
	t.Parallel()
	home := bigHome(t)
	size := func() int64 {
		st, err := os.Stat(filepath.Join(home, "state.db"))
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	before := size()
	rng := rand.New(rand.NewPCG(1, 1))
	for range 8 {
		p := start(t, "compact", "--home", home)
		time.Sleep(time.Duration(rng.IntN(250)) * time.Millisecond)
		p.kill()
		verifyBigHome(t, home)
	}
	swath(t, "compact", "--home", home).want(t, 0).says(t, "state.db: ", "metrics.db: ")
	verifyBigHome(t, home)
	if after := size(); after >= before {
		t.Errorf("the file had %d bytes, and has %d", before, after)
	}
	_, addr := coordinator(t, home)
	swath(t, "compact", "--home", home).want(t, 2).says(t, "in use")
	swath(t, "ls", "--coordinator", addr).want(t, 0).says(t, "big")
	swath(t, "compact", "--home", t.TempDir()).want(t, 2).says(t, "nothing is stored")
}
