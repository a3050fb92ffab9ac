package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// makeOld turns a home's state.db into what a program of an older schema wrote. Its trials
// must have no checkpoints, and have taken over no results.
func makeOld(t *testing.T, dir string, schema uint32) {
	t.Helper()
	path := filepath.Join(dir, stateLayout.name)
	db, err := bbolt.Open(path, 0o644, nil)
	if err != nil {
		t.Fatal(err)
	}
	later := 0 // bytes at the end of a record
	gone := [][]byte{asideBucket}
	if schema < 4 {
		gone = append(gone, removedBucket)
	}
	if schema < 3 {
		later++ // that there is no origin
		gone = append(gone, reusesBucket)
	}
	if schema < 2 {
		later += 2 // and before it that it was not continued, and of how many checkpoints
		gone = append(gone, checkpointedBucket)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		trials := tx.Bucket(trialsBucket)
		rows := map[string][]byte{}
		err := trials.ForEach(func(k, v []byte) error {
			old := slices.Clone(v[:len(v)-later])
			old[0] = byte(min(schema, trialVersion)) // the versions of both went together so far
			rows[string(k)] = old
			return nil
		})
		for k, v := range rows {
			err = errors.Join(err, trials.Put([]byte(k), v))
		}
		for _, name := range gone {
			err = errors.Join(err, tx.DeleteBucket(name))
		}
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	setSchema(t, path, schema)
}

// What an old home holds is read, its results can be reused, and it has a place for all that
// later versions record. Who only reads it upgrades it as well.
func TestOldSchemas(t *testing.T) {
	for _, schema := range []uint32{1, 2, 3, 4} {
		dir := t.TempDir()
		s := openHome(t, dir, quick)
		c := seedChanges()
		c.Trials[0].State = sweeps.TrialFinished
		c.Trials[0].Metrics = map[string]sweeps.Summary{"loss": {Count: 1, Last: 2}}
		if err := errors.Join(s.State.Commit(c), s.Close()); err != nil {
			t.Fatal(err)
		}
		makeOld(t, dir, schema)
		readOnly := quick
		readOnly.ReadOnly = true
		makeReadable(t, dir, readOnly, schema)

		s = openHome(t, dir, quick)
		found, err := s.State.Finished([]sweeps.TrialID{"abc"}, map[sweeps.SweepID]bool{"s1": true})
		if err != nil || len(found) != 1 || found[0] == nil {
			t.Fatalf("schema %d: found %+v, error %v", schema, found, err)
		}
		old := found[0]
		if old.Metrics["loss"].Last != 2 || old.Reused() || old.Continued || len(old.Checkpoints) != 0 {
			t.Errorf("schema %d: found %+v", schema, old)
		}
		if reusers, err := s.State.Reusers("s1"); err != nil || len(reusers) != 0 {
			t.Errorf("schema %d: reused by %v, error %v", schema, reusers, err)
		}
		if aside, err := s.State.Aside(); err != nil || len(aside) != 0 {
			t.Errorf("schema %d: set aside are %v, error %v", schema, aside, err)
		}
		old.Checkpoints = []sweeps.Checkpoint{{Attempt: 1, Step: 5, Digest: "d"}}
		taken := *old
		taken.Index, taken.Checkpoints = old.Index+1, nil
		taken.ReusedFrom = sweeps.Origin{AttemptRef: old.Latest(), SweepName: "first"}
		if err := s.State.Commit(dispatch.Changes{Trials: []*sweeps.Trial{old, &taken}}); err != nil {
			t.Fatal(err)
		}
		n := 0
		err = s.State.Checkpointed(func(tr *sweeps.Trial) bool { n += len(tr.Checkpoints); return true })
		if n != 1 || err != nil {
			t.Errorf("schema %d: %d checkpoints, %v", schema, n, err)
		}
		if reusers, err := s.State.Reusers("s1"); err != nil || len(reusers) != 1 {
			t.Errorf("schema %d: reused by %v, error %v", schema, reusers, err)
		}
	}
}

// makeReadable opens an old home for reading: beside nobody who has it open, and only if it
// can be written, does that upgrade it.
func makeReadable(t *testing.T, dir string, readOnly Options, schema uint32) {
	t.Helper()
	path := filepath.Join(dir, stateLayout.name)
	if os.Geteuid() != 0 { // root may write everything
		if err := os.Chmod(path, 0o444); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, readOnly, sweeps.ErrStorage, fmt.Sprintf("old schema %d, not %d", schema, stateLayout.schema), "permission denied", "make it writable", "a copy of this one")
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := bbolt.Open(filepath.Join(dir, metricsLayout.name), 0o644, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, dir, readOnly, sweeps.ErrConflict, "in use by another swath")
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // beside others once it is upgraded
		s, err := Open(dir, readOnly)
		if err != nil {
			t.Fatalf("schema %d: %v", schema, err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		if sw, err := s.State.Sweep("s1"); err != nil || sw.ID != "s1" {
			t.Errorf("schema %d: sweep %+v, error %v", schema, sw, err)
		}
	}
}
