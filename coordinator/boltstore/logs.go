package boltstore

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"swath/sweeps"
)

// logStore is the coordinator.LogStore in plain files: SWEEP/INDEX/ATTEMPT/STREAM. It
// is not synced: what was appended survives a crash of the process, not of the machine.
type logStore struct {
	root     string
	readOnly bool
	seed     maphash.Seed
	// locks make an append's look at the file's length and its write one step, a
	// stripe of the files each.
	locks [64]sync.Mutex
}

func newLogStore(root string, readOnly bool) *logStore {
	return &logStore{root: root, readOnly: readOnly, seed: maphash.MakeSeed()}
}

// plainName refuses what cannot name a file.
func plainName(name string) error {
	if name == "" || len(name) > 200 || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\\:\x00") {
		return fmt.Errorf("%w: %q cannot name a file", sweeps.ErrInvalid, name)
	}
	return nil
}

// folder returns the folder of a sweep's logs.
func (l *logStore) folder(id sweeps.SweepID) (string, error) {
	return filepath.Join(l.root, string(id)), plainName(string(id))
}

// path returns the file of a stream. Ids come from clients: one that is no plain file
// name is refused.
func (l *logStore) path(ref sweeps.AttemptRef, stream string) (string, error) {
	dir, err := l.folder(ref.Sweep)
	if err == nil {
		err = plainName(stream)
	}
	if err != nil {
		return "", fmt.Errorf("log of %s: %w", ref, err)
	}
	return filepath.Join(dir, strconv.FormatInt(ref.Index, 10), strconv.Itoa(ref.Attempt), stream), nil
}

// Append implements coordinator.LogStore. If the disk is full a part of the data may
// have been written: it is the right part, and the next append goes on from there.
func (l *logStore) Append(ref sweeps.AttemptRef, stream string, offset int64, data []byte) (next int64, err error) {
	path, err := l.path(ref, stream)
	if err != nil {
		return 0, err
	}
	if l.readOnly {
		return 0, storageError("write", path, syscall.EROFS)
	}
	lock := &l.locks[maphash.String(l.seed, path)%uint64(len(l.locks))]
	lock.Lock()
	defer lock.Unlock()

	f, size, err := openLog(path, offset == 0 && len(data) > 0)
	if err != nil || f == nil {
		return 0, err
	}
	defer func() {
		if e := f.Close(); e != nil && err == nil {
			err = storageError("write", path, e)
		}
	}()
	if offset < 0 || offset > size || offset+int64(len(data)) <= size {
		return size, nil
	}
	n, err := f.WriteAt(data[size-offset:], size)
	if err != nil {
		return size + int64(n), storageError("write", path, err)
	}
	return size + int64(n), nil
}

// openLog opens a log for writing and tells its length. A log that is not there is made
// if it is to be, and is otherwise nil without an error.
func openLog(path string, create bool) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if !create {
			return nil, 0, nil
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, 0, storageError("make the directory of", path, err)
		}
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	}
	if err != nil {
		return nil, 0, storageError("write", path, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(storageError("write", path, err), f.Close())
	}
	return f, info.Size(), nil
}

// Read implements coordinator.LogStore.
func (l *logStore) Read(ref sweeps.AttemptRef, stream string, offset int64, limit int) (data []byte, err error) {
	path, err := l.path(ref, stream)
	if err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fmt.Errorf("%w: log of %s: negative offset %d", sweeps.ErrInvalid, ref, offset)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, storageError("read", path, err)
	}
	// Nothing is lost by failing to close a file that was only read.
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, storageError("read", path, err)
	}
	n := min(int64(limit), info.Size()-offset)
	if n <= 0 {
		return nil, nil
	}
	data = make([]byte, n)
	got, err := f.ReadAt(data, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, storageError("read", path, err)
	}
	return data[:got], nil
}
