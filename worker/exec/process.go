package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"swath/sweeps"
)

// leftoverGrace is what the rest of a group has, after its leader exited by itself,
// between SIGTERM and SIGKILL.
const leftoverGrace = time.Second

// hindsight is how long whoever ended a machine's or a service's processes all at once, the
// trainers among them, has to tell us of it, too.
const hindsight = time.Second

// moment is how long it takes us to take note of a signal on a busy machine.
const moment = 10 * time.Millisecond

// noteAfter is how long an attempt has to last before its process is noted on disk. Most
// that are shorter have ended by the time that anybody could look for an orphan, and
// those that have not are found by their environment.
const noteAfter = 200 * time.Millisecond

// Process is a running or ended attempt. Its methods may be called by any goroutine.
type Process struct {
	cmd     Command
	leader  *os.Process
	output  []*os.File // the trainer's two streams, until it has ended
	ending  pidfd
	started time.Time
	oom     oomCounter
	done    chan struct{}

	stopped chan struct{} // closed when stop is set

	mu      sync.Mutex
	stop    *stop     // the first one; nil until then
	killed  bool      // whether the leader was sent SIGKILL
	exited  bool      // the leader has ended
	gone    bool      // the group has, too: its number may belong to others
	noted   bool      // its process file was written
	warned  time.Time // when Warn was last called
	timeout *time.Timer
	kill    *time.Timer // SIGKILL after the grace

	ended   time.Time // set before done is closed, as is outcome
	outcome sweeps.Outcome
	silent  bool // ditto
}

// stop is a request to end an attempt.
type stop struct {
	class    sweeps.Class
	message  string
	deadline time.Time // of the grace
}

// Start prepares an attempt and starts it. When ctx ends, the attempt is stopped as
// cancelled; end it with [Process.Stop] to say otherwise. The error tells why nothing was
// started, and [StartOutcome] what that means for the trial.
func Start(ctx context.Context, spec Spec) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start the trainer: %w", context.Cause(ctx))
	}
	cmd, err := Prepare(spec)
	if err != nil {
		return nil, err
	}
	p, err := cmd.Start(BaseEnv())
	if err != nil {
		return nil, err
	}
	detach := context.AfterFunc(ctx, func() {
		p.Stop(sweeps.ClassCancelled, fmt.Sprintf("cancelled: %v", context.Cause(ctx)))
	})
	go func() {
		<-p.done
		detach()
	}()
	return p, nil
}

// Start starts the attempt with an inherited environment ([BaseEnv], if it is this
// process's own). The error tells why nothing was started, and [StartOutcome] what that
// means for the trial.
func (c Command) Start(base []string) (*Process, error) {
	p, err := c.Launch(base)
	if err != nil {
		return nil, err
	}
	go p.Attend()
	return p, nil
}

// Launch is Start, but it is up to the caller to see to the attempt's end, with
// [Process.Attend].
func (c Command) Launch(base []string) (*Process, error) {
	stdin, err := devNull()
	if err != nil {
		return nil, fmt.Errorf("start the trainer: %w", err)
	}
	stdout, err := openLog(c.AttemptDir, Stdout, c.Made)
	if err != nil {
		return nil, err
	}
	stderr, err := openLog(c.AttemptDir, Stderr, c.Made)
	if err != nil {
		_ = stdout.Close() // nothing was written
		return nil, err
	}
	p := &Process{cmd: c, done: make(chan struct{}), stopped: make(chan struct{}), oom: newOOMCounter(), output: []*os.File{stdout, stderr}}
	attr := ownGroup()
	p.ending.ask(attr)
	punctual(func() {
		p.leader, err = os.StartProcess(c.Path, c.Argv, &os.ProcAttr{
			Dir: c.Dir, Env: joinEnv(base, c.Env), Files: []*os.File{stdin, stdout, stderr}, Sys: attr,
		})
	})
	if err != nil {
		p.closeOutput()
		return nil, startError(c, err)
	}
	p.started = time.Now()
	p.mu.Lock() // the timers may be early
	defer p.mu.Unlock()
	notes.add(p)
	if c.Timeout > 0 {
		p.timeout = time.AfterFunc(c.Timeout, func() {
			p.Stop(sweeps.ClassTimeout, fmt.Sprintf("stopped after its time limit of %s", c.Timeout))
		})
	}
	return p, nil
}

// devNull is every trainer's standard input.
var devNull = sync.OnceValues(func() (*os.File, error) { return os.Open(os.DevNull) })

// notes are the attempts whose processes are to be noted. One timer does for all, as most
// have ended when it comes to them.
var notes noteQueue

type noteQueue struct {
	mu   sync.Mutex
	wait []*Process // in the order of their start
}

func (q *noteQueue) add(p *Process) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wait = append(q.wait, p)
	if len(q.wait) == 1 {
		time.AfterFunc(noteAfter, q.work)
	}
}

// work notes those whose time has come, and comes back for the others.
func (q *noteQueue) work() {
	q.mu.Lock()
	now, n := time.Now(), 0
	for n < len(q.wait) && now.Sub(q.wait[n].started) >= noteAfter {
		n++
	}
	due := slices.Clone(q.wait[:n])
	q.wait = slices.Delete(q.wait, 0, n)
	if len(q.wait) > 0 {
		time.AfterFunc(noteAfter-now.Sub(q.wait[0].started), q.work)
	}
	q.mu.Unlock()
	for _, p := range due {
		p.writeNote()
	}
}

// writeNote writes down which process the attempt is. That it could not, only somebody
// who looks for an orphan would miss.
func (p *Process) writeNote() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.exited {
		p.noted = writeProcessFile(p.cmd.AttemptDir, p.leader.Pid, p.started, p.cmd.Argv) == nil
	}
}

// startError says in words why the kernel did not start a program that is there.
func startError(c Command, err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: program %s is neither a binary for this machine nor a script with a #! line", ErrSpec, c.Path)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: program %s: the interpreter of its #! line does not exist", ErrSpec, c.Path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: program %s: %w", ErrSpec, c.Path, err)
	case errors.Is(err, syscall.EINVAL):
		return fmt.Errorf("%w: the command line or the environment of %s holds a zero byte", ErrSpec, c.Path)
	case errors.Is(err, syscall.E2BIG):
		return fmt.Errorf("%w: the command line of %s is too long; pass the parameters by file", ErrSpec, c.Path)
	}
	return fmt.Errorf("start %s: %w", c.Path, err)
}

// Pid is the leader's process id, which is the group's, too.
func (p *Process) Pid() int { return p.leader.Pid }

// Started is when the process was started.
func (p *Process) Started() time.Time { return p.started }

// Dir is the attempt directory, absolute.
func (p *Process) Dir() string { return p.cmd.AttemptDir }

// Note tells people what was done differently from what the command says; empty mostly.
func (p *Process) Note() string { return p.cmd.Note }

// Done is closed when the attempt has ended, its group with it.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the attempt's end and returns how it ended and when.
func (p *Process) Wait() (outcome sweeps.Outcome, ended time.Time) {
	<-p.done
	return p.outcome, p.ended
}

// Stop asks the attempt to end: SIGTERM to its group now, SIGKILL after the grace. The
// outcome is of the given class with the given message. It does not wait, and does
// nothing where the attempt was stopped before, or has ended, unless it was just now and,
// as it seems, by somebody else's SIGTERM.
func (p *Process) Stop(class sweeps.Class, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != nil {
		return
	}
	p.stop = &stop{class: class, message: message, deadline: time.Now().Add(p.cmd.Grace)}
	close(p.stopped)
	if p.exited {
		return
	}
	terminateGroup(p.leader)
	p.kill = time.AfterFunc(p.cmd.Grace, p.Kill)
}

// Warn says that somebody ends processes, perhaps this one among them: if it ends now, however
// that is, there may be a stop that counts and is still on its way.
func (p *Process) Warn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.warned = time.Now()
}

// Kill sends SIGKILL to the group. Without a stop before, the outcome is of class preempted:
// nobody is to learn of it, but somebody may, if whoever killed it dies before it has forgotten
// it, and for the trial that must be no end.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return
	}
	switch {
	case p.exited:
	case p.stop == nil:
		p.stop = &stop{class: sweeps.ClassPreempted, message: "killed, as nobody wanted it any more", deadline: time.Now()}
		close(p.stopped)
	default:
		p.killed = true
	}
	killGroup(p.leader)
}

// Attend waits for the leader, ends what it left behind, and decides the outcome. It is
// called once.
func (p *Process) Attend() {
	p.ending.await()
	state, err := p.leader.Wait()
	p.mu.Lock()
	p.exited = true
	p.ended = time.Now()
	stop, killed, noted := p.stop, p.killed, p.noted
	if p.timeout != nil {
		p.timeout.Stop()
	}
	p.mu.Unlock()

	e := ending{stop: stop, killed: killed}
	e.code, e.signal = exitStatus(state)
	if stop == nil {
		e.stop = p.lateStop(e)
	}
	deadline := time.Now().Add(min(p.cmd.Grace, leftoverGrace))
	if e.stop != nil {
		deadline = e.stop.deadline
	}
	p.clearGroup(e.stop != nil, deadline)
	p.mu.Lock()
	p.gone = true
	if p.kill != nil {
		p.kill.Stop()
	}
	p.mu.Unlock()

	if err != nil {
		e.errText = fmt.Sprintf("wait for the trainer: %v", err)
	}
	if e.stop == nil || !e.failed() {
		end, text := lastWords(ReportFile(p.cmd.AttemptDir))
		e.end, e.errText = end, firstNonEmpty(text, e.errText)
	}
	if e.stop == nil && e.failed() {
		tail, _ := fileTail(logFile(p.cmd.AttemptDir, Stderr), 16<<10)
		e.stderr = string(tail)
		e.oomKill = p.oom.grown()
	}
	p.outcome = e.outcome()
	p.silent = p.saidNothing()
	p.closeOutput()
	if !p.silent || e.stop != nil {
		p.clearStrays(e.stop != nil, deadline)
	}
	if noted {
		removeProcessFile(p.cmd.AttemptDir)
	}
	close(p.done)
}

// lateStop returns the stop of an attempt that somebody else may have ended, if one comes
// before long: an init system that stops the worker, or the machine, sends SIGTERM to all
// processes at once, and the trainer's end is known before anybody could say that it was to end.
func (p *Process) lateStop(e ending) *stop {
	if e.failed() && !e.terminated() {
		p.awaitStop(moment) // the warning may be late, too
	}
	p.mu.Lock()
	warned := p.ended.Sub(p.warned) < hindsight
	p.mu.Unlock()
	if warned || e.terminated() {
		p.awaitStop(hindsight)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !warned && !e.failed() {
		return nil // it came too late
	}
	return p.stop
}

// awaitStop waits for a stop.
func (p *Process) awaitStop(most time.Duration) {
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case <-p.stopped:
	case <-late.C:
	}
}

// Silent reports of an attempt that has ended that it wrote neither output nor a report, and
// that nobody is left who could write output. Where the system does not tell, it is false.
func (p *Process) Silent() bool {
	<-p.done
	return p.silent
}

func (p *Process) saidNothing() bool {
	for _, f := range p.output {
		if !unused(f) {
			return false
		}
	}
	_, err := os.Lstat(ReportFile(p.cmd.AttemptDir))
	return errors.Is(err, os.ErrNotExist)
}

// closeOutput closes our own descriptors of the streams: the trainer has others.
func (p *Process) closeOutput() {
	for _, f := range p.output {
		_ = f.Close() // nothing was written through it
	}
	p.output = nil
}

// clearGroup ends what is left of the group after its leader, and returns when nothing
// is, or nothing more can be done.
func (p *Process) clearGroup(stopped bool, deadline time.Time) {
	if !groupAlive(p.leader.Pid) {
		return
	}
	if !stopped { // else it was sent SIGTERM with its leader
		terminateGroup(p.leader)
	}
	if awaitGroup(p.leader.Pid, deadline) {
		return
	}
	killGroup(p.leader)
	// SIGKILL cannot be refused; what is still seen after this is waiting for its own
	// parent to take note of its death, or for a disk that does not answer.
	awaitGroup(p.leader.Pid, time.Now().Add(500*time.Millisecond))
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
