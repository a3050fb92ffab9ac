package boltstore

import (
	"errors"
	"path/filepath"
	"testing"

	"swath/coordinator"
	"swath/coordinator/storetest"
)

// openHome opens the stores in dir and, when the test ends, checks the files and
// closes them.
func openHome(t testing.TB, dir string, opts Options) *Stores {
	t.Helper()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := checkedClose(s); err != nil {
			t.Error(err)
		}
	})
	return s
}

// checkedClose verifies the files, unless they are closed already, and closes them.
func checkedClose(s *Stores) error {
	if s.files[0].db.Path() == "" {
		return nil
	}
	return errors.Join(s.Check(), s.Close())
}

// The suites close one store of a home and open it again; these close the whole home.
type homeState struct {
	coordinator.Store
	home *Stores
}

func (s homeState) Close() error { return checkedClose(s.home) }

type homeMetrics struct {
	coordinator.MetricStore
	home *Stores
}

func (s homeMetrics) Close() error { return checkedClose(s.home) }

func TestState(t *testing.T) {
	storetest.TestStore(t, func(t *testing.T, dir string) coordinator.Store {
		s := openHome(t, dir, Options{NoSync: true})
		return homeState{s.State, s}
	})
}

func TestMetrics(t *testing.T) {
	storetest.TestMetricStore(t, func(t *testing.T, dir string) coordinator.MetricStore {
		s := openHome(t, dir, Options{NoSync: true})
		return homeMetrics{s.Metrics, s}
	})
}

func TestLogs(t *testing.T) {
	storetest.TestLogStore(t, func(_ *testing.T, dir string) coordinator.LogStore {
		return newLogStore(dir, false)
	})
}

func TestFaultyState(t *testing.T) {
	storetest.TestStore(t, func(t *testing.T, dir string) coordinator.Store {
		s := openHome(t, dir, Options{NoSync: true})
		return &storetest.Fault{Store: homeState{s.State, s}}
	})
}

func TestCheckpoints(t *testing.T) {
	storetest.TestCheckpointStore(t, func(_ *testing.T, dir string) coordinator.CheckpointStore {
		return &checkpointStore{root: filepath.Join(dir, "checkpoints")}
	})
}
