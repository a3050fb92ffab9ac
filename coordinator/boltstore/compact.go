package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"swath/coordinator/disk"
	"swath/sweeps"
)

// bbolt never gives back space: what is deleted or rewritten leaves free pages, and the file
// keeps its length. So a coordinator that begins has a file of which much is free compacted
// (Options.Reclaim), and a user may ask for it (Compact). That writes the file anew, without
// them, beside the old one, syncs the copy and renames it over the old one. So there is a
// whole file under the name at any instant, the old or the new one, whenever the process or
// the machine dies. Others that open the file meanwhile wait for the lock on the old one, and
// notice then that it is no longer the file of that name (openBolt).

// Compaction is what compacting did to a file.
type Compaction struct {
	File          string // its name
	Before, After int64  // bytes
}

// compactTx is how many bytes are copied in a transaction.
const compactTx = 16 << 20

// Compact writes the files of a home anew, without the space in them that is free. The home
// must not be in use: the errors are those of [Open]. It needs room for a copy of the larger
// of the files; without it, or if anything else fails, the file that it was at is as before.
func Compact(dir string) (done []Compaction, err error) {
	s, err := Open(dir, Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for _, f := range s.files {
		c, err := f.compact()
		if err != nil {
			return done, err
		}
		done = append(done, c)
	}
	return done, nil
}

// reclaim compacts the file if that is worth it, and returns the one that is then in its
// place, open.
func (f *file) reclaim(dir string, l layout, opts Options) (*file, error) {
	size, free, err := f.space()
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	if free < worthwhile || free < size/2 {
		return f, nil
	}
	if room, _, known := disk.Space(dir); known && room-spare < size-free {
		opts.Reclaim(Compaction{File: l.name}, fmt.Errorf("%w: %s of %s are free and stay so: a copy of the rest would leave less than %s on that disk",
			sweeps.ErrStorage, sweeps.FormatBytes(free), f.path, sweeps.FormatBytes(spare)))
		return f, nil
	}
	c, failed := f.compact()
	opts.Reclaim(c, failed)
	if failed == nil {
		if err := f.close(); err != nil {
			return nil, err
		}
		return openFile(dir, l, opts)
	}
	return f, nil
}

const (
	// worthwhile is how much has to be free in a file, in bytes, before it is compacted
	// unasked, and spare what is to be free on the disk beside the copy.
	worthwhile = 64 << 20
	spare      = 64 << 20
)

// space returns how many bytes of the file are in use, up to the last page, and how many of
// those are free. bbolt counted the latter when it opened the file for writing.
func (f *file) space() (size, free int64, err error) {
	err = f.view(func(tx *bbolt.Tx) error {
		size = tx.Size()
		return nil
	})
	return size, int64(f.db.Stats().FreePageN) * int64(f.db.Info().PageSize), err
}

// copyOf is where the compacted copy of a file is written.
func copyOf(path string) string { return path + ".compact" }

// removeCopy removes what a compaction left that was killed. The caller has the file's lock.
func removeCopy(path string) error {
	if err := os.Remove(copyOf(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storageError("remove", copyOf(path), err)
	}
	return nil
}

// compact replaces the file. It is open, and of no use afterwards but to be closed.
func (f *file) compact() (c Compaction, err error) {
	c.File = filepath.Base(f.path)
	if c.Before, err = fileSize(f.path); err != nil {
		return c, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(copyOf(f.path)) // the first error tells more
		}
	}()
	if err := f.copyTo(copyOf(f.path)); err != nil {
		return c, err
	}
	if c.After, err = fileSize(copyOf(f.path)); err != nil {
		return c, err
	}
	if err := os.Rename(copyOf(f.path), f.path); err != nil {
		return c, storageError("replace", f.path, err)
	}
	syncDir(filepath.Dir(f.path))
	return c, nil
}

// copyTo writes a copy of the file, checks it, and syncs it.
func (f *file) copyTo(path string) (err error) {
	to, err := openBolt(path, Options{NoSync: true, LockTimeout: defaultLockTimeout})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	defer f.rescue("copy", &err)
	if err := bbolt.Compact(to.db, f.db, compactTx); err != nil {
		return storageError("compact into", path, err)
	}
	if err := to.check(); err != nil {
		return err
	}
	if err := to.db.Sync(); err != nil {
		return storageError("sync", path, err)
	}
	return nil
}

func fileSize(path string) (int64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, storageError("look at", path, err)
	}
	return st.Size(), nil
}
