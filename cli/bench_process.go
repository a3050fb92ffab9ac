package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// The benchmarks run what they measure in processes of their own: a coordinator and agents, so
// that the processor time and the memory of each can be told from those of the load, and so that
// they are what they are in life. Either is a hidden verb of this program. It prints a line when
// it is ready, then a usage for every line that it reads, and ends in order when its input does.

// usage is what a process has used so far.
type usage struct {
	CPU     time.Duration // of processors, by the program and by the system on its behalf
	RSS     int64         // resident memory now, in bytes
	PeakRSS int64         // at its highest
	// Files are how much of the store's files is in use, in bytes; a coordinator's.
	Files map[string]int64
}

// answerUsage is the process's side: it says that it is ready, and what it has used for every
// line that it reads.
func (a *app) answerUsage(ready string, files func() (map[string]int64, error)) error {
	fmt.Fprintln(a.stdout, ready)
	lines := bufio.NewScanner(a.stdin)
	for lines.Scan() {
		u, err := processUsage()
		if err != nil {
			return err
		}
		if files != nil {
			if u.Files, err = files(); err != nil {
				return err
			}
		}
		if err := json.NewEncoder(a.stdout).Encode(u); err != nil {
			return err
		}
	}
	return lines.Err()
}

// benchProcess is the benchmark's side of such a process.
type benchProcess struct {
	what  string // it is, for messages
	ready string // what it said when it was
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Scanner
}

// startBench starts this program with other arguments and returns when it is ready. It is
// not of any context: it is to end in order, when its input does.
func startBench(what string, args ...string) (p *benchProcess, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("start %s for the benchmark: %w", what, err)
		}
	}()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p = &benchProcess{what: what, cmd: exec.Command(self, append([]string{"bench"}, args...)...)}
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if !p.out.Scan() {
		_ = p.stdin.Close()
		return nil, fmt.Errorf("it ended: %w", p.cmd.Wait())
	}
	p.ready = p.out.Text()
	return p, nil
}

// usage asks the process what it has used.
func (p *benchProcess) usage() (usage, error) {
	var r usage
	if _, err := io.WriteString(p.stdin, "usage\n"); err != nil {
		return r, fmt.Errorf("ask %s for its usage: %w", p.what, err)
	}
	if !p.out.Scan() {
		return r, errors.New(p.what + " has ended")
	}
	return r, json.Unmarshal(p.out.Bytes(), &r)
}

// stop ends the process in order, unless it was killed.
func (p *benchProcess) stop() error {
	if p == nil || p.cmd.ProcessState != nil {
		return nil
	}
	_ = p.stdin.Close() // that it is told to end by this is the point
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", p.what, err)
	}
	return nil
}

// kill ends the process as a crash would.
func (p *benchProcess) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()         // it says that it was killed
}
