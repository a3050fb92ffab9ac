//go:build unix

package exec

import (
	"io/fs"
	"os"
	"syscall"
)

// openPlain is os.OpenFile of a file that is none to wait for, as a pipe is: the runtime
// tries that with each, which takes five more calls of the system.
func openPlain(path string, flags int) (*os.File, error) {
	for {
		fd, err := syscall.Open(path, flags|syscall.O_CLOEXEC, 0o644)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), path), nil
		case syscall.EINTR:
		default:
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}
