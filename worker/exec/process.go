package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"sync"
	"syscall"
	"time"

	"swath/sweeps"
)

// leftoverGrace is what the rest of a group has, after its leader exited by itself,
// between SIGTERM and SIGKILL.
const leftoverGrace = time.Second

// Process is a running or ended attempt. Its methods may be called by any goroutine.
type Process struct {
	spec    Spec
	cmd     *osexec.Cmd
	pid     int
	started time.Time
	note    string
	oom     oomCounter
	done    chan struct{}

	mu      sync.Mutex
	stop    *stop // the first one; nil until then
	killed  bool  // whether the leader was sent SIGKILL
	exited  bool  // the leader has ended
	gone    bool  // the group has, too: its number may belong to others
	timeout *time.Timer
	kill    *time.Timer // SIGKILL after the grace

	ended   time.Time // set before done is closed, as is outcome
	outcome sweeps.Outcome
}

// stop is a request to end an attempt.
type stop struct {
	class    sweeps.Class
	message  string
	deadline time.Time // of the grace
}

// Start starts an attempt. When ctx ends, the attempt is stopped as cancelled; end it with
// [Process.Stop] to say otherwise. The error tells why nothing was started, and
// [StartOutcome] what that means for the trial.
func Start(ctx context.Context, spec Spec) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start the trainer: %w", context.Cause(ctx))
	}
	spec, err := spec.normalize()
	if err != nil {
		return nil, err
	}
	if err := spec.prepare(); err != nil {
		return nil, err
	}
	env := spec.environ()
	prog, err := find(spec.Argv, spec.Dir, lookupEnv(env, "PATH"))
	if err != nil {
		return nil, err
	}
	stdout, err := openLog(spec.AttemptDir, Stdout)
	if err != nil {
		return nil, err
	}
	defer func() { _ = stdout.Close() }() // the trainer's own descriptors stay open
	stderr, err := openLog(spec.AttemptDir, Stderr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = stderr.Close() }()

	p := &Process{
		spec: spec,
		note: prog.note,
		done: make(chan struct{}),
		oom:  newOOMCounter(),
		// Stdin is nil, which is the null device; files rather than writers make the
		// trainer write to them itself.
		cmd: &osexec.Cmd{
			Path: prog.path, Args: prog.argv, Dir: spec.Dir, Env: env,
			Stdout: stdout, Stderr: stderr, SysProcAttr: ownGroup(),
		},
	}
	if err := p.cmd.Start(); err != nil {
		return nil, startError(prog, err)
	}
	p.pid, p.started = p.cmd.Process.Pid, time.Now()
	if err := writeProcessFile(spec.AttemptDir, p.pid, p.started, prog.argv); err != nil {
		// Only a restarted worker would miss it, and the trainer is running.
		p.note = firstNonEmpty(p.note, err.Error())
	}
	if spec.Timeout > 0 {
		p.timeout = time.AfterFunc(spec.Timeout, func() {
			p.Stop(sweeps.ClassTimeout, fmt.Sprintf("stopped after its time limit of %s", spec.Timeout))
		})
	}
	detach := context.AfterFunc(ctx, func() {
		p.Stop(sweeps.ClassCancelled, fmt.Sprintf("cancelled: %v", context.Cause(ctx)))
	})
	go func() {
		p.wait()
		detach()
	}()
	return p, nil
}

// startError says in words why the kernel did not start a program that is there.
func startError(prog program, err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: program %s is neither a binary for this machine nor a script with a #! line", ErrSpec, prog.path)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: program %s: the interpreter of its #! line does not exist", ErrSpec, prog.path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: program %s: %w", ErrSpec, prog.path, err)
	case errors.Is(err, syscall.E2BIG):
		return fmt.Errorf("%w: the command line of %s is too long; pass the parameters by file", ErrSpec, prog.path)
	}
	return fmt.Errorf("start %s: %w", prog.path, err)
}

// Pid is the leader's process id, which is the group's, too.
func (p *Process) Pid() int { return p.pid }

// Started is when the process was started.
func (p *Process) Started() time.Time { return p.started }

// Dir is the attempt directory, absolute.
func (p *Process) Dir() string { return p.spec.AttemptDir }

// Note tells people what was done differently from what the command says; empty mostly.
func (p *Process) Note() string { return p.note }

// Done is closed when the attempt has ended, its group with it.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the attempt's end and returns how it ended and when.
func (p *Process) Wait() (outcome sweeps.Outcome, ended time.Time) {
	<-p.done
	return p.outcome, p.ended
}

// Stop asks the attempt to end: SIGTERM to its group now, SIGKILL after the grace. The
// outcome is of the given class with the given message. It does not wait, and does
// nothing where the attempt has ended or was stopped before.
func (p *Process) Stop(class sweeps.Class, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exited || p.stop != nil {
		return
	}
	p.stop = &stop{class: class, message: message, deadline: time.Now().Add(p.spec.Grace)}
	terminateGroup(p.cmd.Process)
	p.kill = time.AfterFunc(p.spec.Grace, p.Kill)
}

// Kill sends SIGKILL to the group. Without a stop before, the outcome is of class
// cancelled.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return
	}
	switch {
	case p.exited:
	case p.stop == nil:
		p.stop = &stop{class: sweeps.ClassCancelled, message: "killed", deadline: time.Now()}
	default:
		p.killed = true
	}
	killGroup(p.cmd.Process)
}

// wait waits for the leader, ends what it left behind, and decides the outcome.
func (p *Process) wait() {
	err := p.cmd.Wait()
	p.mu.Lock()
	p.exited = true
	p.ended = time.Now()
	stop, killed := p.stop, p.killed
	if p.timeout != nil {
		p.timeout.Stop()
	}
	p.mu.Unlock()

	p.clearGroup(stop)
	p.mu.Lock()
	p.gone = true
	if p.kill != nil {
		p.kill.Stop()
	}
	p.mu.Unlock()

	e := ending{stop: stop, killed: killed}
	e.code, e.signal = exitStatus(p.cmd.ProcessState)
	var exit *osexec.ExitError
	if err != nil && !errors.As(err, &exit) {
		e.errText = fmt.Sprintf("wait for the trainer: %v", err)
	}
	if stop == nil {
		end, text := lastWords(ReportFile(p.spec.AttemptDir))
		e.end, e.errText = end, firstNonEmpty(text, e.errText)
	}
	if stop == nil && (e.code != 0 || e.signal != "") {
		tail, _ := fileTail(logFile(p.spec.AttemptDir, Stderr), 16<<10)
		e.stderr = string(tail)
		e.oomKill = p.oom.grown()
	}
	p.outcome = e.outcome()
	removeProcessFile(p.spec.AttemptDir)
	close(p.done)
}

// clearGroup ends what is left of the group after its leader, and returns when nothing
// is, or nothing more can be done.
func (p *Process) clearGroup(stop *stop) {
	if !groupAlive(p.pid) {
		return
	}
	deadline := time.Now().Add(min(p.spec.Grace, leftoverGrace))
	if stop != nil {
		deadline = stop.deadline // it was sent SIGTERM with its leader
	} else {
		terminateGroup(p.cmd.Process)
	}
	if awaitGroup(p.pid, deadline) {
		return
	}
	killGroup(p.cmd.Process)
	// SIGKILL cannot be refused; what is still seen after this is waiting for its own
	// parent to take note of its death, or for a disk that does not answer.
	awaitGroup(p.pid, time.Now().Add(500*time.Millisecond))
}

// awaitGroup waits until the group is gone, or the deadline; it reports whether it is.
func awaitGroup(pid int, deadline time.Time) bool {
	for pause := time.Millisecond; groupAlive(pid); pause = min(2*pause, 50*time.Millisecond) {
		if !time.Now().Before(deadline) {
			return false
		}
		time.Sleep(pause)
	}
	return true
}
