package exec

import (
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The Go runtime has a thread that looks every 20 microseconds whether another one is stuck,
// from the moment that a process has something to do until it has had nothing for a while. A
// process that does a little many times a second, as a coordinator, an agent and a keeper of
// short trials do, wakes up for that thread more often than for its work; each time it takes a
// processor from a trainer. The kernel can be asked to let timers be late, so that several end
// together (timer slack, prctl(2)); threads have it from the one that started them, and that
// one is there before any code of ours.
const (
	slack        = 2_000_000 // nanoseconds
	defaultSlack = 50_000    // the kernel's
)

// Relax lets the timers of this process be late by up to 2 ms. For that the program starts
// again, in the same process and from its beginning, so this is the first thing to be done;
// it then returns at once, as it does where the process has another slack than the system's
// default, which is somebody's wish, or where it cannot be set. Trainers have the default.
func Relax() {
	path, err := os.Executable()
	if err != nil {
		return
	}
	// The slack is the thread's, and it is this one that becomes the new program's first.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	now, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || now != defaultSlack || unix.Prctl(unix.PR_SET_TIMERSLACK, slack, 0, 0, 0) != nil {
		return
	}
	_ = syscall.Exec(path, os.Args, os.Environ())                 // where it cannot be,
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, defaultSlack, 0, 0, 0) // it goes on as it is
}

// relaxed tells whether Relax has been at work.
var relaxed = sync.OnceValue(func() bool {
	now, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return err == nil && now == slack
})

// punctual runs a function that starts a process, which then has the system's default slack.
func punctual(start func()) {
	if relaxed() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		// That this thread keeps it does no harm.
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, defaultSlack, 0, 0, 0)
	}
	start()
}
