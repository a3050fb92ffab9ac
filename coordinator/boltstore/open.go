package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"swath/coordinator"
	"swath/sweeps"
)

// Options say how to open a home. The zero value is right for a coordinator.
type Options struct {
	// ReadOnly opens a home that exists for reading, beside other readers. No
	// coordinator can use it at the same time. One of an older schema is upgraded first.
	ReadOnly bool
	// NoSync leaves out the sync of each commit, for benchmarks: a crash of the
	// machine (not of the process) may then damage the files.
	NoSync bool
	// LockTimeout is how long to wait for another process to release the home;
	// 300 ms if zero.
	LockTimeout time.Duration
	// Reclaim, unless nil, has a file written anew before it is used if more than half of it
	// is free, and is told what came of that. An error is no reason not to use the file: it
	// is as it was.
	Reclaim func(Compaction, error)
}

// defaultLockTimeout is how long to wait for a file that is in use.
const defaultLockTimeout = 300 * time.Millisecond

// Stores are the three stores of one home.
type Stores struct {
	State   coordinator.Store
	Metrics coordinator.MetricStore
	Logs    coordinator.LogStore
	// Checkpoints are files, which the coordinator keeps account of.
	Checkpoints coordinator.CheckpointStore
	// Identity is a name that no other home has; empty of one of an earlier version that was
	// opened for reading.
	Identity string

	files []*file
}

// Open opens the stores in a home directory, and makes it if it is not there. Errors
// wrap sweeps.ErrConflict if another process has it, sweeps.ErrNotFound if it is to
// be opened for reading and nothing was ever stored in it, and otherwise
// sweeps.ErrStorage.
func Open(dir string, opts Options) (*Stores, error) {
	if opts.LockTimeout == 0 {
		opts.LockTimeout = defaultLockTimeout
	}
	if err := prepareHome(dir, opts.ReadOnly); err != nil {
		return nil, err
	}
	s, err := open(dir, opts)
	if old, is := errors.AsType[oldSchema](err); is {
		if err := upgradeHome(dir, old, opts); err != nil {
			return nil, err
		}
		return open(dir, opts)
	}
	return s, err
}

// open opens the stores in a directory that is there.
func open(dir string, opts Options) (*Stores, error) {
	s := &Stores{}
	for _, l := range []layout{stateLayout, metricsLayout} {
		f, err := openFile(dir, l, opts)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		if opts.Reclaim != nil && !opts.ReadOnly {
			if f, err = f.reclaim(dir, l, opts); err != nil {
				return nil, errors.Join(err, s.Close())
			}
		}
		s.files = append(s.files, f)
	}
	id, err := s.files[0].identity(opts.ReadOnly)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Identity = id
	resident := &residency{files: s.files, limit: maxResident}
	for _, f := range s.files {
		f.resident = resident
	}
	s.State = &stateStore{s.files[0]}
	s.Metrics = &metricStore{s.files[1]}
	s.Logs = newLogStore(filepath.Join(dir, "logs"), opts.ReadOnly)
	s.Checkpoints = &checkpointStore{root: filepath.Join(dir, "checkpoints"), readOnly: opts.ReadOnly}
	return s, nil
}

// Close releases the home; everything committed is on disk. It may be called again.
func (s *Stores) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

// Check verifies the structure of both files, as `bbolt check` does, and reports what
// is wrong. It reads everything, and nothing may be written meanwhile.
func (s *Stores) Check() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.check())
	}
	return errors.Join(errs...)
}

// prepareHome makes the directory, or says why it cannot be a home.
func prepareHome(dir string, readOnly bool) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%w: the home %s is a file, not a directory: move it away, or choose another home with --home", sweeps.ErrStorage, dir)
	case errors.Is(err, fs.ErrNotExist) && readOnly:
		return nothingStored(dir)
	case errors.Is(err, fs.ErrNotExist):
		if err = os.MkdirAll(dir, 0o755); err == nil {
			return nil
		}
	}
	return storageError("make the home", dir, err)
}

func nothingStored(dir string) error {
	return fmt.Errorf("%w: nothing is stored in the home %s: run a sweep first, or name another home with --home", sweeps.ErrNotFound, dir)
}
