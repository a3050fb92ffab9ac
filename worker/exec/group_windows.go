package exec

import (
	"os"
	"syscall"
)

// Windows has no process groups in the sense of Unix and no SIGTERM: a stop kills the
// leader at once, and what it leaves behind stays.

func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

func terminateGroup(leader *os.Process) { _ = leader.Kill() } // an error says that it has ended

func killGroup(leader *os.Process) { _ = leader.Kill() }

func groupAlive(int) bool { return false }

func exitStatus(state *os.ProcessState) (code int, signal string) {
	if state == nil {
		return -1, ""
	}
	return state.ExitCode(), ""
}
