package worker

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile takes the file for this handle until it is closed; errLocked if another has
// it. The system frees the lock of a process that dies, however it dies.
func lockFile(f *os.File) error {
	const exclusive = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), exclusive, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}

// waitForFile takes the file as soon as nobody else has it, until it is closed.
func waitForFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, new(windows.Overlapped))
}

// syncDir does nothing here: directories cannot be synced.
func syncDir(string) error { return nil }
