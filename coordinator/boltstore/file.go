package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"swath/sweeps"
)

// file is one of the home's bbolt files, open.
type file struct {
	db       *bbolt.DB
	path     string
	resident *residency // nil while the file is being opened
}

// openFile opens the file of a layout, at its schema. A file that is not there is
// created.
func openFile(dir string, l layout, opts Options) (*file, error) {
	path := filepath.Join(dir, l.name)
	_, err := os.Stat(path)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist) && opts.ReadOnly:
		return nil, nothingStored(dir)
	case errors.Is(err, fs.ErrNotExist):
		if err := create(path, l, opts); err != nil {
			return nil, err
		}
	default:
		return nil, storageError("open", path, err)
	}

	f, err := openBolt(path, opts)
	for errors.Is(err, errReplaced) {
		f, err = openBolt(path, opts)
	}
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: the home %s is in use by another swath: stop that one, talk to it with --coordinator HOST:PORT, or choose another home with --home", sweeps.ErrConflict, dir)
	case err != nil:
		return nil, err
	}
	if err := f.migrate(l, opts.ReadOnly); err != nil {
		return nil, errors.Join(err, f.close())
	}
	if !opts.ReadOnly {
		if err := removeCopy(path); err != nil {
			return nil, errors.Join(err, f.close())
		}
	}
	return f, nil
}

// create makes the file with its buckets under another name and then links it into
// place, so that it is there completely or not at all, whatever happens meanwhile.
func create(path string, l layout, opts Options) (err error) {
	fresh := fmt.Sprintf("%s.new-%d", path, os.Getpid())
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storageError("create", path, err)
	}
	defer func() {
		if e := os.Remove(fresh); e != nil && !errors.Is(e, fs.ErrNotExist) && err == nil {
			err = storageError("create", path, e)
		}
	}()
	f, err := openBolt(fresh, opts)
	if err != nil {
		return err
	}
	if err := errors.Join(f.update(l.init), f.close()); err != nil {
		return err
	}
	// A link, unlike a rename, leaves alone a file that another process created in
	// the meantime. Some file systems have no links.
	err = os.Link(fresh, path)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		if err = os.Rename(fresh, path); err != nil {
			return storageError("create", path, err)
		}
	}
	syncDir(filepath.Dir(path))
	return nil
}

// syncDir makes a new entry of a directory durable, where the system can.
func syncDir(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	// Some systems refuse to sync a directory; the entry is then as durable as
	// they make it.
	_ = d.Sync()
	_ = d.Close()
}

// openBolt opens a bbolt file and takes its lock. A file that is no bbolt file, or a
// damaged one, makes an error, not a panic.
func openBolt(path string, opts Options) (f *file, err error) {
	var handle *os.File
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, damaged(path, r)
		}
		if err != nil && handle != nil {
			// bbolt leaves it open if it panics; closing it twice does no harm.
			_ = handle.Close()
		}
	}()
	// Reading beyond the end of a file that was cut short faults.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))

	db, err := bbolt.Open(path, 0o644, &bbolt.Options{
		Timeout:  opts.LockTimeout,
		ReadOnly: opts.ReadOnly,
		NoSync:   opts.NoSync,
		// The list of free pages is short here, since little is ever deleted, and
		// writing it saves reading the whole file at the next start. How long it is,
		// the statistics tell; see reclaim.
		FreelistType: bbolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			h, err := os.OpenFile(name, flag, mode)
			handle = h
			return h, err
		},
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, err
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, damaged(path, err)
	case err != nil:
		return nil, storageError("open", path, err)
	}
	f = &file{db: db, path: path}
	if !sameFile(handle, path) {
		return nil, errors.Join(errReplaced, f.close())
	}
	if err := f.whole(handle); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// errReplaced says that the file was compacted while its lock was waited for: what was
// opened is the old one, which has no name any more.
var errReplaced = errors.New("the file was replaced while it was being opened")

func sameFile(handle *os.File, path string) bool {
	a, errA := handle.Stat()
	b, errB := os.Stat(path)
	return errA != nil || errB != nil || os.SameFile(a, b)
}

// whole verifies that the file is as long as its own books say.
func (f *file) whole(handle *os.File) error {
	info, err := handle.Stat()
	if err != nil {
		return storageError("open", f.path, err)
	}
	return f.view(func(tx *bbolt.Tx) error {
		if info.Size() < tx.Size() {
			return damaged(f.path, fmt.Sprintf("it was cut short: %d of %d bytes are there", info.Size(), tx.Size()))
		}
		return nil
	})
}

// view runs a read-only transaction.
func (f *file) view(fn func(*bbolt.Tx) error) (err error) {
	defer f.resident.after()
	defer f.rescue("read", &err)
	return f.db.View(fn)
}

// update runs a transaction that changes something; all of it is on disk when it
// returns nil, and none of it if fn fails.
func (f *file) update(fn func(*bbolt.Tx) error) (err error) {
	defer f.resident.after()
	defer f.rescue("write", &err)
	return f.db.Update(fn)
}

// rescue makes what went wrong in a transaction an error that tells of the file. bbolt
// panics on pages that make no sense.
func (f *file) rescue(doing string, err *error) {
	if r := recover(); r != nil {
		*err = damaged(f.path, r)
	}
	if *err != nil && !isDomain(*err) {
		*err = storageError(doing, f.path, *err)
	}
}

// check runs bbolt's consistency check.
func (f *file) check() error {
	return f.view(func(tx *bbolt.Tx) error {
		var errs []error
		for err := range tx.Check() {
			errs = append(errs, err)
		}
		if err := errors.Join(errs...); err != nil {
			return damaged(f.path, err)
		}
		return nil
	})
}

func (f *file) close() error {
	if err := f.db.Close(); err != nil {
		return storageError("close", f.path, err)
	}
	return nil
}
