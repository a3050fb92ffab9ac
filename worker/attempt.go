package worker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"swath/proto/wire"
	"swath/sweeps"
	"swath/worker/exec"
)

// attempt is one that the agent holds. Its own goroutine, live, runs it and clears up
// after it; a reporter of the session, if there is one, tells of it meanwhile.
//
//	Start ──► running ──process ends──► ended ──Forget──► (cleared up)
//	             └───────────Forget: killed────────────────────▲
type attempt struct {
	agent *Agent
	start wire.Start
	dir   string
	log   *slog.Logger

	forgotten chan struct{} // closed by forget
	done      chan struct{} // closed when outcome is set
	changed   chan struct{} // nudged when progress has something new

	mu      sync.Mutex
	proc    *exec.Process   // nil before it runs, and of an attempt that an earlier agent ran
	stopped *sweeps.Outcome // what to report if it is stopped before it runs; set by the first stop
	gone    bool            // it was forgotten
	outcome *sweeps.Outcome // nil until it has ended; never changed afterwards

	reading sync.Mutex // held by the reporter while it may read in dir
	// acked is how far the coordinator's acknowledgements have come, and where a
	// reporter begins. It belongs to the reporter; sessions, and so the reporters of an
	// attempt, come one after the other.
	acked struct {
		points mark
		logs   map[string]int64
	}
	rules  []sweeps.MetricRule // set before done is closed or proc is set
	warned int                 // how many warnings about the report were logged; the reporter's
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
		forgotten: make(chan struct{}),
		done:      make(chan struct{}),
		changed:   make(chan struct{}, 1),
	}
	at.acked.logs = map[string]int64{}
	return at
}

// progress tells whether the process was started, by this agent, and how the attempt
// ended, nil if it has not.
func (at *attempt) progress() (started bool, outcome *sweeps.Outcome) {
	at.mu.Lock()
	defer at.mu.Unlock()
	return at.proc != nil, at.outcome
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
	if at.proc != nil {
		at.proc.Stop(class, message)
	}
}

// forget kills what still runs and lets live clear up. It is called once.
func (at *attempt) forget() {
	at.mu.Lock()
	defer at.mu.Unlock()
	at.gone = true
	if at.proc != nil {
		at.proc.Kill()
	}
	close(at.forgotten)
}

// live runs the attempt to its end, waits for Forget, and clears up. At shutdown it
// leaves the directory to the next agent.
func (at *attempt) live() {
	outcome := at.run()
	at.end(outcome)
	at.log.Info("attempt ended", "class", string(outcome.Class), "exit_code", outcome.ExitCode, "message", outcome.Message)
	at.await()
}

// await waits for Forget and clears up.
func (at *attempt) await() {
	select {
	case <-at.forgotten:
	case <-at.agent.closing:
		select {
		case <-at.forgotten: // both came; this one counts
		default:
			return
		}
	}
	at.reading.Lock()
	defer at.reading.Unlock()
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

// end records the outcome, on disk first.
func (at *attempt) end(outcome sweeps.Outcome) {
	at.mu.Lock()
	gone := at.gone
	at.mu.Unlock()
	if !gone {
		// A start that failed for want of a directory has none to write to; the outcome
		// is then in memory only, and a crash now makes the attempt a lost one.
		// It is not fsynced: where the machine dies, a lost attempt is what it is.
		if err := writeJSON(at.dir, endedFile, outcome); err != nil {
			at.log.Warn("the attempt's end could not be written down; it is reported nevertheless", "err", err)
		}
	}
	at.mu.Lock()
	at.outcome = &outcome
	at.mu.Unlock()
	close(at.done)
	nudge(at.changed)
}

// run runs the process and returns how it ended.
func (at *attempt) run() sweeps.Outcome {
	spec, release, err := at.prepare()
	defer release()
	if err != nil {
		return exec.StartOutcome(err)
	}
	if out := at.notWanted(); out != nil {
		return *out
	}
	proc, err := exec.Start(context.Background(), spec)
	if err != nil {
		return at.explain(exec.StartOutcome(err), spec.Dir)
	}
	at.log.Info("attempt started", "pid", proc.Pid(), "cpus", spec.CPUs)
	if note := proc.Note(); note != "" {
		at.log.Warn("attempt started differently than its command says", "note", note)
	}
	at.mu.Lock()
	at.proc = proc
	if at.stopped != nil {
		proc.Stop(at.stopped.Class, at.stopped.Message)
	}
	if at.gone {
		proc.Kill()
	}
	at.mu.Unlock()
	nudge(at.changed)
	outcome, _ := proc.Wait()
	return outcome
}

// notWanted returns the outcome of an attempt that was stopped before it ran.
func (at *attempt) notWanted() *sweeps.Outcome {
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.gone {
		return &sweeps.Outcome{Class: sweeps.ClassCancelled, ExitCode: -1, Message: "forgotten before it ran"}
	}
	return at.stopped
}

// explain adds to the outcome of a failed start what only the agent knows.
func (at *attempt) explain(out sweeps.Outcome, dir string) sweeps.Outcome {
	if out.Class == sweeps.ClassSpec && at.start.WorkDir != "" && at.start.WorkDir != dir {
		out.Message += fmt.Sprintf(" (the sweep was submitted from %s, which does not exist on worker %s: make the program available there, or start the worker in its directory)",
			at.start.WorkDir, at.agent.cfg.Name)
	}
	return out
}
