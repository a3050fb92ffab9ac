package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// bareLoops start the processes of `swath bench dispatch` without any of swath: what a sweep
// would cost if it were a loop in a script. They run before and after the dispatch, as no
// machine is equally fast all the time.
type bareLoops struct {
	dir         string // for the output
	n, parallel int    // processes of each run, and how many at a time
	runs        int
	// The loops: one of this program, which throws the output away; one that keeps it; and
	// xargs, if there is one, which keeps none either.
	bare, logged, shell tally
}

// tally is how many processes were started and awaited, and in what time.
type tally struct {
	n    int
	took time.Duration
}

func (t tally) perSecond() float64 { return float64(t.n) / t.took.Seconds() }

// run runs the loops, one after the other.
func (l *bareLoops) run(ctx context.Context) error {
	path, err := exec.LookPath("true")
	if err != nil {
		return fmt.Errorf("find the program to start: %w", err)
	}
	l.runs++
	dir := filepath.Join(l.dir, strconv.Itoa(l.runs))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make a folder for the output of a bare loop: %w", err)
	}
	err = l.bare.loop(max(l.n, 1), l.parallel, func(int) error { return exec.CommandContext(ctx, path).Run() })
	if err == nil {
		err = l.logged.loop(max(l.n, 1), l.parallel, func(i int) error {
			return runLogged(exec.CommandContext(ctx, path), filepath.Join(dir, strconv.Itoa(i)))
		})
	}
	if err == nil {
		err = l.xargs(ctx, path)
	}
	if err != nil {
		return fmt.Errorf("start %s in a bare loop: %w", path, err)
	}
	return nil
}

// xargs runs the loop that a shell has for this.
func (l *bareLoops) xargs(ctx context.Context, path string) error {
	xargs, err := exec.LookPath("xargs")
	if errors.Is(err, exec.ErrNotFound) {
		return nil // then there is no such loop
	}
	if err != nil {
		return err
	}
	n := max(l.n, 1)
	cmd := exec.CommandContext(ctx, xargs, "-P", strconv.Itoa(l.parallel), "-n", "1", path)
	cmd.Stdin = strings.NewReader(strings.Repeat("x\n", n))
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("with xargs: %w", err)
	}
	l.shell.n += n
	l.shell.took += time.Since(begun)
	return nil
}

// runLogged runs a command with its output in two new files.
func runLogged(cmd *exec.Cmd, name string) error {
	stdout, err := os.Create(name + ".stdout")
	if err != nil {
		return err
	}
	stderr, err := os.Create(name + ".stderr")
	if err != nil {
		return errors.Join(err, stdout.Close())
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return errors.Join(cmd.Run(), stdout.Close(), stderr.Close())
}

// loop calls start n times, from so many goroutines, and counts it.
func (t *tally) loop(n, parallel int, start func(i int) error) error {
	var (
		wg    sync.WaitGroup
		next  = make(chan int)
		first = make(chan error, parallel)
		begun = time.Now()
	)
	for range parallel {
		wg.Go(func() {
			for i := range next {
				if err := start(i); err != nil {
					first <- err
					for range next { // so that nobody waits for this one
					}
					return
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	t.n += n
	t.took += time.Since(begun)
	select {
	case err := <-first:
		return err
	default:
		return nil
	}
}
