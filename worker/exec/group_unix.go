//go:build unix

package exec

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup makes the process the leader of a group of its own: signals reach all its
// descendants, and those of the worker's terminal do not reach it.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// terminateGroup sends SIGTERM to the group; SIGCONT lets those that were stopped take
// note of it. That nobody is there any more is no error.
func terminateGroup(leader *os.Process) {
	_ = unix.Kill(-leader.Pid, unix.SIGTERM)
	_ = unix.Kill(-leader.Pid, unix.SIGCONT)
}

func killGroup(leader *os.Process) { _ = unix.Kill(-leader.Pid, unix.SIGKILL) }

// groupAlive reports whether the group of an ended and awaited leader has processes left.
// The kernel gives the leader's number to nobody while it has; between the leader's
// end and this question the number could only come round again if all others had been
// used meanwhile.
func groupAlive(pid int) bool {
	// Where the worker is the first process of a container, it inherits the orphans, and
	// they stay in the group until somebody waits for them.
	for {
		n, err := unix.Wait4(-pid, nil, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n <= 0 || err != nil {
			break
		}
	}
	return !errors.Is(unix.Kill(-pid, 0), unix.ESRCH) && !onlyZombies(pid)
}

// exitStatus returns the exit code, or -1 and the name of the signal that killed the
// process.
func exitStatus(state *os.ProcessState) (code int, signal string) {
	if state == nil {
		return -1, ""
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		signal = unix.SignalName(ws.Signal())
		if signal == "" {
			signal = ws.Signal().String()
		}
	}
	return state.ExitCode(), signal
}
