package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
	"swath/worker/exec"
	"swath/worker/keeper"
)

// attempt is one that the agent holds. Its own goroutine, live, runs it and clears up
// after it; a reporter of the session, if there is one, tells of it meanwhile.
//
//	Start ──► waiting ──a slot falls free──► running ──process ends──► ended ──Forget──► (cleared up)
//	             ├──Stop, shutdown: ended without ever running───────────▲                  ▲
//	             ├──Recall: (given back)  └──────────────Forget: killed─────────────────────┤
//	             └──Forget──────────────────────────────────────────────────────────────────┘
type attempt struct {
	agent    *Agent
	start    wire.Start
	needs    sweeps.Resources    // what it takes of the machine while it runs
	priority int                 // of its sweep: of those that wait for a slot, the highest goes first
	rules    []sweeps.MetricRule // what to read off its standard output
	dir      string              // empty if it never has one
	spare    *spare              // what dir was before; nil if it was made for this attempt
	log      *slog.Logger

	ready     chan struct{} // closed when it may go to the keeper, to run or to wait there
	after     chan struct{} // sent of the one that goes before it, nil for none; set with ready
	sent      chan struct{} // closed when it went to the keeper, or never will
	turn      chan struct{} // closed when its process was started, unless it is over already
	halted    chan struct{} // closed by the first stop, forget or recall
	slot      bool          // it has one; guarded by the agent's mu
	lined     bool          // it waits in the keeper for one; ditto
	spec      *sweeps.Spec  // nil if the sweep file is not understood
	forgotten chan struct{} // closed by forget
	returned  chan struct{} // closed when it was given back and nothing is left of it
	done      chan struct{} // closed when outcome and silent are set
	silent    bool          // it wrote nothing, and nobody is left who could
	changed   chan struct{} // nudged when progress has something new

	mu      sync.Mutex
	proc    process         // nil before it runs, and of an attempt that an earlier agent ran
	began   bool            // its process was started, by this agent or an earlier one
	halt    bool            // halted is closed
	stopped *sweeps.Outcome // what to report if it is stopped before it runs; set by the first stop
	gone    bool            // it was forgotten, or given back
	back    bool            // it was given back
	wanted  bool            // it is to be given back, should it still wait in the keeper
	owes    bool            // its end waits for its last checkpoint
	outcome *sweeps.Outcome // nil until it has ended; never changed afterwards
	started time.Time       // when its process was; zero if none was, or nobody knows
	ended   time.Time       // set with outcome
	safe    mark            // a copy of acked.points
	noting  *time.Timer     // writes the record; nil if there is nothing to write

	recording sync.Mutex // held while the record is written
	recorded  bool       // the record is there, or its directory gone; guarded by recording

	reading sync.Mutex // held by the reporter while it may read in dir
	// acked is how far the coordinator's acknowledgements have come, and where a
	// reporter begins. It belongs to the reporter; sessions, and so the reporters of an
	// attempt, come one after the other.
	acked struct {
		points mark
		logs   map[string]int64
	}
	trimmed map[string]trimmed // by stream; see logs.go
	saving  saving             // see checkpoint.go
	cached  atomic.Bool        // a bundle of the trial may be in the cache
	prefix  int64              // how much of the report is of the checkpoint that it began with
	warned  int                // how many warnings about the report were logged; the reporter's
}

// process is the attempt's, whoever started it: the agent itself or its keeper.
type process interface {
	// Begun waits until it runs. An error says why it never will.
	Begun() error
	Pid() int
	Note() string
	// Started is when the process was started; zero if nobody knows.
	Started() time.Time
	Stop(class sweeps.Class, message string)
	Kill()
	Wait() (sweeps.Outcome, time.Time)
	// Done is closed when Wait returns at once.
	Done() <-chan struct{}
	// Silent reports of one that has ended that it wrote nothing, and that nobody is left
	// who could.
	Silent() bool
}

// mark is a place between two points: the number of the next one, from 0, and where in
// the files it begins.
type mark struct {
	next int64
	at   exec.Position
}

func newAttempt(a *Agent, m wire.Start) *attempt {
	at := &attempt{
		agent:     a,
		start:     m,
		dir:       filepath.Join(a.home.attempts(), attemptDir(m.Ref)),
		log:       a.log.With("sweep", m.SweepName, "trial", string(m.TrialID), "index", m.Ref.Index, "attempt", m.Ref.Attempt),
		ready:     make(chan struct{}),
		sent:      make(chan struct{}),
		turn:      make(chan struct{}),
		halted:    make(chan struct{}),
		forgotten: make(chan struct{}),
		returned:  make(chan struct{}),
		done:      make(chan struct{}),
		changed:   make(chan struct{}, 1),
	}
	at.acked.logs = map[string]int64{}
	at.trimmed = map[string]trimmed{}
	if spec, err := a.specs.get(m.Source, m.File); err == nil { // else prepare tells
		at.spec, at.needs, at.priority, at.rules = spec, spec.Resources, spec.Priority, spec.MetricRules()
	}
	return at
}

// progress tells whether the process was started, and how the attempt ended, nil if it
// has not.
func (at *attempt) progress() (began bool, outcome *sweeps.Outcome) {
	at.mu.Lock()
	defer at.mu.Unlock()
	return at.began, at.outcome
}

// ages tells how long the attempt has run, or ran if it has ended, and how long ago that was; 0
// where nobody knows.
func (at *attempt) ages() (ran, ago time.Duration) {
	at.mu.Lock()
	defer at.mu.Unlock()
	end := time.Now()
	if at.outcome != nil {
		end, ago = at.ended, max(0, time.Since(at.ended))
	}
	if !at.started.IsZero() {
		ran = max(1, end.Sub(at.started)) // clocks are set, too
	}
	return ran, ago
}

func (at *attempt) isForgotten() bool {
	at.mu.Lock()
	defer at.mu.Unlock()
	return at.gone
}

// stop ends the attempt with SIGTERM, and SIGKILL after the grace, and makes class its
// outcome's, unless it has ended or was stopped before. It does not wait.
func (at *attempt) stop(class sweeps.Class, message string) {
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.outcome != nil {
		return
	}
	if at.stopped == nil {
		at.stopped = &sweeps.Outcome{Class: class, ExitCode: -1, Message: message}
	}
	at.halting()
	if at.proc != nil {
		at.proc.Stop(class, message)
	}
}

// forget kills what still runs and lets live clear up. It is called once.
func (at *attempt) forget() {
	at.mu.Lock()
	defer at.mu.Unlock()
	at.gone = true
	at.halting()
	if at.proc != nil && at.outcome == nil {
		at.proc.Kill()
	}
	close(at.forgotten)
}

// giveBack ends an attempt that waits and that nobody holds any more. It is called once.
func (at *attempt) giveBack() {
	at.mu.Lock()
	defer at.mu.Unlock()
	at.gone, at.back = true, true
	at.halting()
}

// halting wakes live if it waits for a slot. The caller holds mu.
func (at *attempt) halting() {
	if !at.halt {
		at.halt = true
		close(at.halted)
	}
}

// live runs the attempt to its end, waits for Forget, and clears up. At shutdown it
// leaves the directory to the next agent.
func (at *attempt) live() {
	outcome := at.run()
	at.mu.Lock()
	back := at.back
	at.mu.Unlock()
	if back {
		// Nobody is told before it is gone: the same attempt may be sent again.
		at.clear()
		close(at.returned)
		return
	}
	at.end(outcome)
	at.await()
}

// adopt is live of an attempt whose process an earlier agent started.
func (at *attempt) adopt() {
	outcome, ended := at.proc.Wait()
	at.agent.leave(at)
	at.endedAt(ended)
	at.end(outcome)
	at.await()
}

// run prepares the attempt, waits for a slot, runs the process and returns how it ended.
// The slot is the next attempt's as soon as it returns.
func (at *attempt) run() sweeps.Outcome {
	defer at.agent.leave(at)
	sent := sync.OnceFunc(func() { close(at.sent) })
	defer sent()
	cmd, err := at.prepare()
	if err != nil {
		return at.explain(exec.StartOutcome(err))
	}
	at.resume()
	select {
	case <-at.ready:
		if at.after != nil { // they go in order, whichever was prepared first
			<-at.after
			at.after = nil
		}
	case <-at.halted:
	}
	if out := at.notWanted(); out != nil {
		return *out
	}
	cmd.Env = append(cmd.Env, at.agent.gpus.env(at.start.GPUs)...)
	proc, err := at.agent.launcher.start(at, cmd, at.agent.line(at))
	sent()
	if err != nil {
		return at.explain(exec.StartOutcome(err))
	}
	at.mu.Lock()
	at.proc = proc
	stopped, gone, wanted := at.stopped, at.gone, at.wanted
	at.mu.Unlock()
	if stopped != nil {
		proc.Stop(stopped.Class, stopped.Message)
	}
	if gone {
		proc.Kill()
	}
	if wanted {
		at.agent.launcher.recall(at)
	}
	if err := proc.Begun(); err != nil {
		if errors.Is(err, keeper.ErrBack) {
			at.agent.takeBack(at)
		}
		if out := at.notWanted(); out != nil {
			return *out
		}
		return at.explain(exec.StartOutcome(err))
	}
	at.agent.began(at)
	at.log.Info("attempt started", "pid", proc.Pid())
	if note := proc.Note(); note != "" {
		at.log.Warn("attempt started differently than its command says", "note", note)
	}
	at.mu.Lock()
	at.began, at.started = true, proc.Started()
	select {
	case <-proc.Done(): // its end is told at once, and tells that it began
	default:
		at.noting = time.AfterFunc(at.agent.times.settle, at.writeRecord)
		close(at.turn)
	}
	at.mu.Unlock()
	outcome, ended := proc.Wait()
	at.silent = proc.Silent()
	at.endedAt(ended)
	return outcome
}

// notWanted returns the outcome of an attempt that was stopped before it ran.
func (at *attempt) notWanted() *sweeps.Outcome {
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.gone {
		return &sweeps.Outcome{Class: sweeps.ClassPreempted, ExitCode: -1, Message: "forgotten before it ran"}
	}
	return at.stopped
}

// explain adds to the outcome of a failed start what only the agent knows.
func (at *attempt) explain(out sweeps.Outcome) sweeps.Outcome {
	if out.Class == sweeps.ClassSpec && at.start.WorkDir != "" && !isDir(at.start.WorkDir) {
		out.Message += fmt.Sprintf(" (the sweep was submitted from %s, which does not exist on worker %s: make the program available there, or start the worker in its directory)",
			at.start.WorkDir, at.agent.cfg.Name)
	}
	return out
}

// endedAt takes note of when the process ended; otherwise it is when that became known.
func (at *attempt) endedAt(t time.Time) {
	at.mu.Lock()
	defer at.mu.Unlock()
	at.ended = t
}

// end makes the outcome known.
func (at *attempt) end(outcome sweeps.Outcome) {
	outcome = at.agent.blameDisk(at.started, outcome)
	owes := at.mayOwe(outcome)
	at.mu.Lock()
	at.outcome = &outcome
	if at.ended.IsZero() {
		at.ended = time.Now()
	}
	at.owes = owes && !at.gone
	if at.noting != nil {
		at.noting.Stop()
	}
	at.mu.Unlock()
	close(at.done)
	nudge(at.changed)
	if owes {
		nudge(at.agent.saving)
	}
	at.log.Info("attempt ended", "class", string(outcome.Class), "exit_code", outcome.ExitCode, "message", outcome.Message)
}

// await waits for Forget and clears up. An end that is not acknowledged at once is
// written down: see the package's rules.
func (at *attempt) await() {
	settle := time.NewTimer(at.agent.times.settle)
	defer settle.Stop()
	select {
	case <-at.forgotten:
	case <-settle.C:
		at.settle()
	case <-at.agent.closing:
	}
	select {
	case <-at.forgotten:
	case <-at.agent.closing:
		select {
		case <-at.forgotten: // both came; this one counts
		default:
			at.settle()
			return
		}
	}
	at.reading.Lock()
	defer at.reading.Unlock()
	at.clear()
	at.agent.launcher.forget(at)
}

// settle writes down what the next agent needs in order to report the attempt.
func (at *attempt) settle() {
	if at.dir == "" || !isDir(at.dir) {
		// A start that failed for want of a directory has none to write to, and one that
		// was stopped before it ran needs none; the outcome is then in memory only.
		return
	}
	at.writeRecord()
	// Its end after its record: one without the other is nothing.
	if err := exec.SaveEnd(at.dir, exec.End{Outcome: *at.outcome, Began: at.started, Ended: at.ended}); err != nil {
		at.log.Warn("the attempt's end could not be written down; it is reported nevertheless", "err", err)
	}
}

// writeRecord writes the attempt down, once.
func (at *attempt) writeRecord() {
	at.recording.Lock()
	defer at.recording.Unlock()
	if at.recorded {
		return
	}
	at.recorded = true
	b, err := at.render()
	if err == nil {
		err = replaceFile(filepath.Join(at.dir, attemptFile), b, false)
	}
	if err != nil {
		at.log.Warn("the attempt could not be written down: should the worker be killed, the attempt is lost", "err", err)
	}
}

// clear keeps the artifacts and removes the rest.
func (at *attempt) clear() {
	if at.cached.Load() && !at.mayReturn() {
		at.agent.cache.drop(trialName(at.start.Ref.TrialKey))
	}
	if at.dir == "" {
		return
	}
	at.recording.Lock()
	short := !at.recorded
	at.recorded = true // no more
	at.recording.Unlock()
	if short && at.agent.spares.give(at) {
		return // without artifacts
	}
	kept, err := keepArtifacts(at.agent.home.root, filepath.Join(at.dir, "artifacts"), at.start)
	if err != nil {
		at.log.Error("moving the artifacts failed: they stay in the attempt's directory", "dir", at.dir, "err", err)
		return
	}
	if kept != "" {
		at.log.Info("artifacts kept", "dir", kept)
	}
	if err := os.RemoveAll(at.dir); err != nil {
		at.log.Warn("removing the attempt's directory failed: remove it by hand", "dir", at.dir, "err", err)
	}
}
