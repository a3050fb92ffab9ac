//go:build linux || darwin

package fetch

import (
	"errors"
	"os"
	"syscall"
)

// lock takes the file for this process, until it is closed, or fails at once where another process has it. A file
// system without locks is no reason not to download.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return err
	}
	return nil
}

// syncDir makes a rename in dir survive a crash.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // opened for reading: closing loses nothing
	return f.Sync()
}
