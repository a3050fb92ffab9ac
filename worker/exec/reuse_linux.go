package exec

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Reusable reports whether a file of an attempt that is over can be the same file of
// another attempt in the same directory: the parameters, which are overwritten, and
// output that is empty and that nobody can write to any more.
func Reusable(attemptDir, name string) bool {
	path := filepath.Join(attemptDir, name)
	switch path {
	case ParamsFile(attemptDir):
		var st unix.Stat_t
		return unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o600 == 0o600 && st.Nlink == 1
	case logFile(attemptDir, Stdout), logFile(attemptDir, Stderr):
	default:
		return false
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }() // with the lease
	// A lease is given to the only one that has a file open.
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		return false
	}
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size == 0 && st.Nlink == 1
}

// unused reports whether the file, which we have open, is empty and nobody else has it open.
func unused(f *os.File) bool {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	empty := false
	err = conn.Control(func(fd uintptr) {
		// A lease is given to the only one that has a file open. It goes with the descriptor.
		if _, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_WRLCK); err != nil {
			return
		}
		var st unix.Stat_t
		empty = unix.Fstat(int(fd), &st) == nil && st.Size == 0 && st.Nlink == 1
	})
	return err == nil && empty
}
