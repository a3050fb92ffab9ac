//go:build unix

package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
	"swath/worker/keeper"
)

// outlived is a trial that says that it began, prints half of its points, waits for its
// gate, and prints the other half.
type outlived struct {
	gate
	wire.Start
	pidFile string
	code    int
	made    time.Time
}

const half = 700

func newOutlived(t *testing.T, index int64, code int) outlived {
	o := outlived{gate: newGate(t), code: code, made: time.Now()}
	o.pidFile = o.gate.path + ".pid"
	o.Start = shell(index, fmt.Sprintf(`
for i in $(seq 1 %d); do echo loss=$i; echo "{\"acc\": $i}" >> $SWATH_REPORT; done
echo $$ >> %s
while [ ! -e %s ]; do sleep 0.01; done
for i in $(seq %d %d); do echo loss=$i; echo "{\"acc\": $i}" >> $SWATH_REPORT; done
exit %d`, half, o.pidFile, o.gate.path, half+1, 2*half, code))
	return o
}

func (o outlived) pid() int {
	o.t.Helper()
	pid, err := strconv.Atoi(awaitFile(o.t, o.pidFile)) // and one line of it: it ran once
	if err != nil {
		o.t.Fatal(err)
	}
	return pid
}

// check holds what the coordinator knows of the trial to what it did.
func (o outlived) check(c *coordinator) {
	o.t.Helper()
	out := c.ended(o.Ref)
	if out.ExitCode != o.code || out.OK() != (o.code == 0) {
		o.t.Errorf("trial %d: outcome is %+v, the exit code was %d", o.Ref.Index, out, o.code)
	}
	if ran := c.report(o.Ref).Ran; ran <= 0 || ran > time.Since(o.made) {
		o.t.Errorf("trial %d: it is said to have run for %s", o.Ref.Index, ran)
	}
	for _, metric := range []string{"loss", "acc"} {
		got := c.values(o.Ref, metric)
		if len(got) != 2*half {
			o.t.Errorf("trial %d: %d points of %s, not %d", o.Ref.Index, len(got), metric, 2*half)
		}
		for i, v := range got {
			if v != float64(i+1) {
				o.t.Fatalf("trial %d: point %d of %s is %g", o.Ref.Index, i, metric, v)
			}
		}
	}
}

func alive(pid int) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ") // orphans of a container stay zombies
}

// keeperPid is the process that keeps the agent's trainers.
func keeperPid(t *testing.T, home string) int {
	t.Helper()
	var note struct{ PID int }
	b, err := os.ReadFile(filepath.Join(home, "worker", "0", "process.json"))
	if err == nil {
		err = json.Unmarshal(b, &note)
	}
	if err != nil {
		t.Fatalf("no keeper: %v", err)
	}
	return note.PID
}

func needProc(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("without /proc nothing proves whose process it is")
	}
}

func TestTrainersOutliveTheirAgent(t *testing.T) {
	c := newCoordinator(t)
	home := t.TempDir()
	first := startFar(t, home, c.listen())
	ok, bad, meanwhile := newOutlived(t, 0, 0), newOutlived(t, 1, 3), newOutlived(t, 2, 5)
	all := []outlived{ok, bad, meanwhile}
	pids := map[int64]int{}
	for _, o := range all {
		c.start(o.Start)
	}
	for _, o := range all {
		pids[o.Ref.Index] = o.pid()
		c.until("some of its points", func() bool { return len(c.points[o.Ref]) > 0 })
	}
	keeperProcess := keeperPid(t, home)
	first.signal(syscall.SIGKILL)
	meanwhile.open()
	gonePid(t, pids[meanwhile.Ref.Index])

	r := run(t, newAgent(t, c, home, func(cfg *Config) { cfg.Binary = self(t) }))
	c.until("a second session", func() bool { return len(c.hellos) > 1 })
	if got := len(c.hellos[len(c.hellos)-1].Attempts); got != 3 {
		t.Errorf("Hello lists %d attempts", got)
	}
	if got := keeperPid(t, home); got != keeperProcess {
		t.Errorf("the keeper was %d and is %d", keeperProcess, got)
	}
	for _, o := range []outlived{ok, bad} {
		if !alive(pids[o.Ref.Index]) {
			t.Errorf("process %d is gone", pids[o.Ref.Index])
		}
		o.open()
	}
	for _, o := range all {
		o.check(c)
		if o.pid() != pids[o.Ref.Index] {
			t.Errorf("trial %d ran again", o.Ref.Index)
		}
		gone(t, attemptPath(r.Agent, o.Start))
	}
	// The keeper goes on for this agent.
	more := shell(3, "exit 4")
	c.start(more)
	if out := c.ended(more.Ref); out.ExitCode != 4 {
		t.Errorf("outcome is %+v", out)
	}
	r.stop()
	gonePid(t, keeperProcess)
	c.check()
}

func gonePid(t *testing.T, pid int) {
	t.Helper()
	eventually(t, fmt.Sprintf("the end of process %d", pid), func() bool { return !alive(pid) })
}

// leftBehind is a trial that runs, in a home whose agent was killed.
func leftBehind(t *testing.T) (c *coordinator, home string, o outlived, pid int) {
	c, home, o = newCoordinator(t), t.TempDir(), newOutlived(t, 0, 0)
	first := startFar(t, home, c.listen())
	c.start(o.Start)
	pid = o.pid()
	first.signal(syscall.SIGKILL)
	return c, home, o, pid
}

// An agent that was told to forget an attempt, and died before it had, must not have ended the
// trial: whoever told it so may not be who the next agent reports to.
func TestForgottenAttemptDoesNotEndItsTrial(t *testing.T) {
	c, home, o, pid := leftBehind(t)
	eventually(t, "another agent of the keeper", func() bool {
		client, kept, err := keeper.Connect(filepath.Join(home, "worker", "0"))
		if err != nil || len(kept) != 1 {
			return false
		}
		kept[0].Process().Kill()
		client.Leave()
		return true
	})
	gonePid(t, pid)
	run(t, newAgent(t, c, home, func(cfg *Config) { cfg.Slots = 1; cfg.Binary = self(t) }))
	if out := c.ended(o.Ref); out.Class.Charged() || !out.Class.Retryable() {
		t.Errorf("outcome is %+v, which ends the trial", out)
	}
	c.check()
}

// An agent of a version that does not understand the sweep file goes on reading what the trainer
// of an earlier one prints as that did.
func TestAdoptedTrainerOfAFileThatIsNotUnderstood(t *testing.T) {
	c, home, o := newCoordinator(t), t.TempDir(), newOutlived(t, 0, 0)
	first := startFar(t, home, c.listen())
	c.start(o.Start)
	o.pid()
	file := filepath.Join(home, "worker", "0", "attempts", attemptDir(o.Ref), attemptFile)
	var known map[string]any
	eventually(t, "the record", func() bool { return readJSON(filepath.Dir(file), attemptFile, &known) == nil })
	first.signal(syscall.SIGKILL)
	known["source"] = "a: b"
	if err := writeJSON(filepath.Dir(file), attemptFile, known); err != nil {
		t.Fatal(err)
	}
	run(t, newAgent(t, c, home, func(cfg *Config) { cfg.Binary = self(t) }))
	c.until("a second session", func() bool { return len(c.hellos) > 1 })
	o.open()
	o.check(c)
	c.check()
}

func TestAdoptedTrainersAreStopped(t *testing.T) {
	c, home, o, pid := leftBehind(t)
	run(t, newAgent(t, c, home, func(cfg *Config) { cfg.Slots = 1; cfg.Binary = self(t) }))
	next := shell(1, fmt.Sprintf("! kill -0 %d", pid))
	c.start(next) // waits: the slot is taken
	c.until("a second session", func() bool { return len(c.hellos) > 1 })
	c.stop(o.Ref)
	if out := c.ended(o.Ref); out.Class != sweeps.ClassCancelled {
		t.Errorf("outcome is %+v", out)
	}
	gonePid(t, pid)
	if out := c.ended(next.Ref); !out.OK() {
		t.Errorf("the next one began beside it: %+v", out)
	}
	c.check()
}

func TestTheTimeLimitHoldsWithoutAnAgent(t *testing.T) {
	c := newCoordinator(t)
	home := t.TempDir()
	first := startFar(t, home, c.listen())
	o := newOutlived(t, 0, 0)
	o.Source = append([]byte("timeout: 1s\n"), o.Source...)
	c.start(o.Start)
	pid := o.pid()
	first.signal(syscall.SIGKILL)
	gonePid(t, pid)
	run(t, newAgent(t, c, home, func(cfg *Config) { cfg.Binary = self(t) }))
	if out := c.ended(o.Ref); out.Class != sweeps.ClassTimeout {
		t.Errorf("outcome is %+v", out)
	}
	c.check()
}

// The keeper ends when nothing is left to keep; what it knew is on disk then.
func TestTheEndIsKnownWhenTheKeeperHasEnded(t *testing.T) {
	t.Setenv("SWATH_KEEPER_LINGER", "2s")
	c := newCoordinator(t)
	c.keepEnds = true
	home := t.TempDir()
	first := startFar(t, home, c.listen())
	before, after := newOutlived(t, 0, 3), newOutlived(t, 1, 4)
	for _, o := range []outlived{before, after} {
		c.start(o.Start)
		o.pid()
	}
	before.open()
	gonePid(t, before.pid())
	keeperProcess := keeperPid(t, home)
	first.signal(syscall.SIGKILL)
	after.open()
	gonePid(t, keeperProcess)
	const away = 200 * time.Millisecond
	time.Sleep(away)
	c.do(func() { c.keepEnds = false })
	run(t, newAgent(t, c, home, nil))
	for _, o := range []outlived{before, after} {
		o.check(c)
		if ago := c.report(o.Ref).Ago; ago < away {
			t.Errorf("trial %d: it is said to have ended %s ago", o.Ref.Index, ago)
		}
	}
	c.check()
}

func TestAgentAndKeeperKilled(t *testing.T) {
	needProc(t)
	c := newCoordinator(t)
	home := t.TempDir()
	first := startFar(t, home, c.listen())
	o, young := newOutlived(t, 0, 0), newOutlived(t, 1, 0)
	c.start(o.Start)
	pid := o.pid()
	eventually(t, "the record", func() bool {
		list, err := filepath.Glob(filepath.Join(home, "worker", "0", "attempts", "*", attemptFile))
		return err == nil && len(list) == 1
	})
	c.start(young.Start) // nothing of it is on disk for a moment
	youngPid := young.pid()
	keeperProcess := keeperPid(t, home)
	c.until("the points", func() bool { return len(c.points[o.Ref]) == 2*half })
	// The agent must not see that the keeper died.
	for _, err := range []error{
		first.cmd.Process.Signal(syscall.SIGSTOP), syscall.Kill(keeperProcess, syscall.SIGKILL),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	first.signal(syscall.SIGKILL)
	if !alive(pid) || !alive(youngPid) {
		t.Error("the trainers died with the keeper")
	}
	c.do(func() { delete(c.starts, young.Ref) })
	r := run(t, newAgent(t, c, home, func(cfg *Config) { cfg.Binary = self(t) }))
	if out := c.ended(o.Ref); out.Class != sweeps.ClassLost {
		t.Errorf("outcome is %+v", out)
	}
	gonePid(t, pid)
	gonePid(t, youngPid)
	gone(t, attemptPath(r.Agent, young.Start))
	if got := len(c.values(o.Ref, "loss")); got != half {
		t.Errorf("%d points, not %d", got, half)
	}
	c.check()
}

func TestKeeperKilledAlone(t *testing.T) {
	needProc(t)
	c := newCoordinator(t)
	home := t.TempDir()
	run(t, newAgent(t, c, home, func(cfg *Config) { cfg.Binary = self(t) }))
	o := newOutlived(t, 0, 0)
	c.start(o.Start)
	pid := o.pid()
	if err := syscall.Kill(keeperPid(t, home), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if out := c.ended(o.Ref); out.Class != sweeps.ClassLost || !strings.Contains(out.Message, "keeper") {
		t.Errorf("outcome is %+v", out)
	}
	gonePid(t, pid)
	next := shell(1, "exit 6")
	c.start(next)
	if out := c.ended(next.Ref); out.ExitCode != 6 {
		t.Errorf("with another keeper, outcome is %+v", out)
	}
	c.check()
}

// Trials that waited for a slot are not started by an agent that does not know whether
// they are still wanted; the coordinator sends them again.
func TestWaitingTrialsOfAKilledAgentAreSentAgain(t *testing.T) {
	c := newCoordinator(t)
	home := t.TempDir()
	first := startFar(t, home, c.listen())
	var running []outlived
	for i := range int64(4) {
		o := newOutlived(t, i, 0)
		running = append(running, o)
		c.start(o.Start)
		o.pid()
	}
	count := filepath.Join(t.TempDir(), "count")
	waiting := shell(4, "echo run >> "+count)
	c.start(waiting)
	time.Sleep(20 * time.Millisecond) // most likely it has arrived; if not, so much the better
	first.signal(syscall.SIGKILL)
	r := run(t, newAgent(t, c, home, func(cfg *Config) { cfg.Binary = self(t) }))
	c.until("a second session", func() bool { return len(c.hellos) > 1 })
	if got := len(c.hellos[len(c.hellos)-1].Attempts); got != 4 {
		t.Errorf("Hello lists %d attempts", got)
	}
	for _, o := range running {
		o.open()
	}
	if out := c.ended(waiting.Ref); !out.OK() {
		t.Errorf("outcome is %+v", out)
	}
	r.stop()
	if b, err := os.ReadFile(count); err != nil || string(b) != "run\n" {
		t.Errorf("it ran %q, %v", b, err)
	}
	c.check()
}
