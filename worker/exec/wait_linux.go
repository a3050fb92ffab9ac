package exec

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A process that is waited for in the kernel takes a thread of ours as long as it runs,
// and of many short ones the runtime is busier with handing threads over than with the
// processes. A descriptor of the process can be waited for like a connection instead.

// pidfd is such a descriptor; negative where the kernel gives none.
type pidfd struct{ fd int }

// ask has the next start of a process fill it in.
func (p *pidfd) ask(attr *syscall.SysProcAttr) {
	p.fd = -1
	attr.PidFD = &p.fd
}

// await returns when the process has ended, or cannot be waited for in this way. Whoever
// waits for the process afterwards learns how it ended.
func (p *pidfd) await() {
	if p.fd < 0 {
		return
	}
	// Only descriptors that do not block are waited for by the runtime.
	if err := unix.SetNonblock(p.fd, true); err != nil {
		_ = unix.Close(p.fd) // nothing was written
		return
	}
	f := os.NewFile(uintptr(p.fd), "process")
	defer func() { _ = f.Close() }() // ditto
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	// An error says that the runtime cannot wait for it.
	_ = conn.Read(func(fd uintptr) bool {
		list := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(list, 0)
		return err != nil && err != unix.EINTR || n > 0
	})
}
