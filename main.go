// Command swath runs hyperparameter sweeps: it expands a sweep file into trials, runs
// them on any number of machines, records every metric, and answers questions about what
// came out. README.md says how to use it, ARCHITECTURE.md how it is built; everything that
// the program does is in package cli and below.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"swath/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default is back: a second one ends the program at once.
	context.AfterFunc(ctx, stop)
	code := cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
