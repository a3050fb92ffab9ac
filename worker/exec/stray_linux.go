package exec

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// A process that left its attempt's group, as launchers of several processes have theirs do, is
// not reached by what is sent to the group. Its environment says whose it is, but to look at that
// of all processes takes milliseconds: it is done where the attempt was stopped, since what goes
// on then may be the whole of the training, and where the output of one that lasted is still open
// for writing. Who did away with both, and whose attempt ended by itself, meant to stay.

// clearStrays ends those of the attempt's processes that left its group, with SIGTERM, and SIGKILL
// at the deadline.
func (p *Process) clearStrays(stopped bool, deadline time.Time) {
	dir := p.cmd.AttemptDir
	if !stopped && !(time.Since(p.started) >= noteAfter && (written(logFile(dir, Stdout)) || written(logFile(dir, Stderr)))) {
		return
	}
	told := map[int]bool{}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		left := descendants(dir)
		if len(left) == 0 {
			return
		}
		if !time.Now().Before(deadline) {
			killDescendants(dir)
			return
		}
		for _, pid := range left {
			if !told[pid] {
				told[pid] = true
				_ = unix.Kill(pid, unix.SIGTERM) // that it is gone is no error
				_ = unix.Kill(pid, unix.SIGCONT)
			}
		}
		time.Sleep(pause)
	}
}

// written reports whether somebody has the file open for writing. Where that cannot be told,
// nobody has.
func written(file string) bool {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }() // with the lease
	// A lease to read is given where nobody writes.
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK)
	return errors.Is(err, unix.EAGAIN)
}
