package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"swath/sweeps"
)

// waste leaves space free in a home's file of metrics, in MiB, by writing it and deleting it
// again.
func waste(t *testing.T, dir string, mib int) {
	t.Helper()
	s, err := Open(dir, quick)
	if err != nil {
		t.Fatal(err)
	}
	name, value := []byte("waste"), bytes.Repeat([]byte{1}, 1<<20)
	write := func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(name)
		for i := range mib {
			err = errors.Join(err, b.Put(binary.BigEndian.AppendUint32(nil, uint32(i)), value))
		}
		return err
	}
	remove := func(tx *bbolt.Tx) error { return tx.DeleteBucket(name) }
	if err := errors.Join(s.files[1].update(write), s.files[1].update(remove), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// reclaimed opens a home for a coordinator, verifies that what seed stored is there, and
// returns what was compacted.
func reclaimed(t *testing.T, dir string) (done []Compaction, errs []error) {
	t.Helper()
	opts := quick
	opts.Reclaim = func(c Compaction, err error) {
		done = append(done, c)
		errs = append(errs, err)
	}
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	err = s.State.Trials("s1", 0, func(tr *sweeps.Trial) bool { rows++; return tr.ID == "abc" })
	sums, sumErr := s.Metrics.Summaries(sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s1"}, Attempt: 1})
	if err := errors.Join(err, sumErr, checkedClose(s)); err != nil || rows != 1 || sums["loss"].Count != 1 {
		t.Errorf("%d trials, summaries %v: %v", rows, sums, err)
	}
	return done, errs
}

// A coordinator that begins has a file compacted of which much is free, also if the one before
// was killed while it did that; and leaves the others alone.
func TestReclaim(t *testing.T) {
	dir := t.TempDir()
	seed(t, dir)
	waste(t, dir, 50)
	if done, _ := reclaimed(t, dir); len(done) > 0 {
		t.Errorf("too little was free, and compacted was %v", done)
	}
	waste(t, dir, 70)
	path := filepath.Join(dir, metricsLayout.name)
	// What is left of a compaction that was killed in the middle.
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copyOf(path), whole[:len(whole)/3], 0o600); err != nil {
		t.Fatal(err)
	}
	done, errs := reclaimed(t, dir)
	if err := errors.Join(errs...); err != nil || len(done) != 1 || done[0].File != metricsLayout.name || done[0].Before < 70<<20 || done[0].After > 1<<20 {
		t.Errorf("compacted were %v, error %v", done, err)
	}
	if size, err := fileSize(path); err != nil || size > 1<<20 {
		t.Errorf("the file has %d bytes, error %v", size, err)
	}
	if got := entries(t, dir); got != "metrics.db state.db" {
		t.Errorf("the home has: %s", got)
	}
	if done, _ := reclaimed(t, dir); len(done) > 0 {
		t.Errorf("compacted again were %v", done)
	}
}

// One that finds no room for a copy says so and goes on with the file as it is.
func TestReclaimOnAFullDisk(t *testing.T) {
	dir := smallDisk(t, 120<<20)
	seed(t, dir)
	waste(t, dir, 70)
	done, errs := reclaimed(t, dir)
	if len(done) != 1 || len(errs) != 1 || !errors.Is(errs[0], sweeps.ErrStorage) {
		t.Errorf("compacted were %v, errors %v", done, errs)
	}
	if size, err := fileSize(filepath.Join(dir, metricsLayout.name)); err != nil || size < 70<<20 {
		t.Errorf("the file has %d bytes, error %v", size, err)
	}
}
