package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	bolterrors "go.etcd.io/bbolt/errors"

	"swath/sweeps"
)

// storageError says that doing something to the file or directory at path failed,
// and what the user can do about it.
func storageError(doing, path string, err error) error {
	// The path is told once; the system's errors repeat it.
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	if hint := hint(err); hint != "" {
		return fmt.Errorf("%w: %s %s: %w: %s", sweeps.ErrStorage, doing, path, err, hint)
	}
	return fmt.Errorf("%w: %s %s: %w", sweeps.ErrStorage, doing, path, err)
}

// hint returns what to do about an error of the system or of bbolt; empty where
// nothing in particular helps.
func hint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "free some space on that disk, or choose a home on another with --home"
	case errors.Is(err, syscall.EDQUOT):
		return "free some of your quota, or choose a home on another disk with --home"
	case errors.Is(err, syscall.EFBIG):
		return "the file reached the limit on file sizes: raise it (ulimit -f), or choose another home with --home"
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return "make it writable for this user, or choose another home with --home"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR):
		return "something else is in the way: move it, or choose another home with --home"
	case errors.Is(err, bolterrors.ErrDatabaseReadOnly):
		return "it was opened for reading only"
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return "the store was closed"
	}
	return ""
}

// damaged says that a file holds what swath never writes.
func damaged(path string, what any) error {
	return fmt.Errorf("%w: %s is damaged (%v): restore it from a copy, or move it away to begin anew", sweeps.ErrStorage, path, what)
}

// isDomain reports whether err is about the request, not about the disk.
func isDomain(err error) bool {
	return errors.Is(err, sweeps.ErrNotFound) || errors.Is(err, sweeps.ErrInvalid) ||
		errors.Is(err, sweeps.ErrConflict) || errors.Is(err, sweeps.ErrStorage)
}
