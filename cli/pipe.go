package cli

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// surviveBrokenPipe keeps the program alive when the reader of its output goes away, as in
// `swath run FILE --json | head`: those who hold trainers, locks and files have to end in
// order, and do so on the error that the next write returns. (The signal is caught rather
// than ignored, because trainers would inherit the latter.) Call restore at the end.
func surviveBrokenPipe() (restore func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGPIPE)
	return func() { signal.Stop(c) }
}

// brokenPipe reports whether err says that nobody reads the output any more.
func brokenPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }
