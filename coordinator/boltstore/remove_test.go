package boltstore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// What a removed sweep takes is freed after a crash between the two steps, down to the last
// key; and a sweep that is not removed is never purged.
func TestPurgeAfterACrash(t *testing.T) {
	dir := t.TempDir()
	seed(t, dir)
	s := openHome(t, dir, quick)
	if err := errors.Join(s.State.Purge("s1"), s.State.Commit(dispatch.Changes{Removed: []sweeps.SweepID{"s1"}}), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = openHome(t, dir, quick)
	left, err := s.State.Removed()
	if err != nil || len(left) != 1 || left[0] != "s1" {
		t.Fatalf("to be purged: %v, error %v", left, err)
	}
	if err := errors.Join(s.State.Purge("s1"), s.Metrics.Remove("s1"), s.Logs.Remove("s1"), s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, l := range []layout{stateLayout, metricsLayout} {
		db, err := bbolt.Open(filepath.Join(dir, l.name), 0o644, &bbolt.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(func(tx *bbolt.Tx) error {
			for _, name := range l.buckets {
				if k, _ := tx.Bucket(name).Cursor().First(); k != nil {
					t.Errorf("%s: bucket %s still has %q", l.name, name, k)
				}
			}
			return nil
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "logs", "s1")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the logs' folder: %v", err)
	}
}

// An id never leads out of the logs' folder.
func TestRemoveNamesAFolder(t *testing.T) {
	s := openHome(t, t.TempDir(), quick)
	for _, id := range []sweeps.SweepID{"", ".", "..", "a/b"} {
		if err := s.Logs.Remove(id); !errors.Is(err, sweeps.ErrInvalid) {
			t.Errorf("%q: %v", id, err)
		}
	}
}
