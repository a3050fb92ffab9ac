package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Signals returns a context that is done when the user, or the system, wants the program to
// end: at SIGINT, SIGTERM and, unless nohup had it ignored, SIGHUP. What runs then ends in
// order. A second signal ends the program at once; one that comes within a second of the
// first is the first told twice, as timeout(1) does. Call stop at the end.
func Signals() (ctx context.Context, stop context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	wanted := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		wanted = append(wanted, syscall.SIGHUP)
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, wanted...)
	ended := make(chan struct{})
	go func() {
		select {
		case <-c:
			cancel()
		case <-ended:
		}
		select {
		case <-time.After(time.Second):
		case <-ended:
		}
		signal.Stop(c)
	}()
	return ctx, func() {
		cancel()
		close(ended)
	}
}
