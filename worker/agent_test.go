//go:build unix

package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
	"swath/worker/exec"
)

func TestTrialRunsAndIsReported(t *testing.T) {
	c := newCoordinator(t)
	var ready sweeps.WorkerID
	r := run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) {
		cfg.DataDir = "/some/data"
		cfg.OnReady = func(id sweeps.WorkerID) { ready = id }
	}))
	m := shell(7, `
echo '{"loss": 0.5, "step": 1}' >> $SWATH_REPORT
echo '{"loss": 0.25, "step": 2}' >> $SWATH_REPORT
echo made > $SWATH_ARTIFACT_DIR/model.bin
env
echo oops >&2
exit 0`)
	c.start(m)
	if out := c.ended(m.Ref); !out.OK() || out.ExitCode != 0 {
		t.Errorf("outcome is %+v", out)
	}
	if got := c.values(m.Ref, "loss"); !slices.Equal(got, []float64{0.5, 0.25}) {
		t.Errorf("loss is %v", got)
	}
	env := environment(c.log(m.Ref, wire.Stdout))
	for name, want := range map[string]string{
		"SWATH_DATA": "/some/data", "SWATH_TRIAL": "0123456789abcdef", "SWATH_ATTEMPT": "1", "SWATH_SWEEP": "tests",
		"SWATH_CPUS": strconv.Itoa(max(1, runtime.NumCPU()/4)),
	} {
		if env[name] != want {
			t.Errorf("%s is %q, not %q", name, env[name], want)
		}
	}
	if got := c.log(m.Ref, wire.Stderr); got != "oops\n" {
		t.Errorf("stderr is %q", got)
	}
	gone(t, attemptPath(r.Agent, m))
	kept := filepath.Join(r.home.root, "artifacts", "tests", "7", "model.bin")
	if b, err := os.ReadFile(kept); err != nil || string(b) != "made\n" {
		t.Errorf("the artifact was not kept: %q, %v", b, err)
	}
	r.stop()
	if ready != r.ID() {
		t.Errorf("ready as %q, not %q", ready, r.ID())
	}
	if c.report(m.Ref).Ran <= 0 {
		t.Error("it is not said to have run")
	}
	c.check()
}

func TestStartIsAnsweredOnce(t *testing.T) {
	c := newCoordinator(t)
	r := run(t, newAgent(t, c, t.TempDir(), nil))
	count := filepath.Join(t.TempDir(), "runs")
	m := shell(0, "echo run >> "+count+"\nwhile [ ! -e "+count+".go ]; do sleep 0.01; done")
	c.start(m)
	c.start(m)
	awaitFile(t, count)
	c.disconnect(false)
	c.until("a second session", func() bool { return len(c.hellos) == 2 })
	c.start(m)
	if err := os.WriteFile(count+".go", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if out := c.ended(m.Ref); !out.OK() {
		t.Errorf("outcome is %+v", out)
	}
	r.stop()
	if b, err := os.ReadFile(count); err != nil || string(b) != "run\n" {
		t.Errorf("it ran %q, %v", b, err)
	}
	c.check()
}

// The trainer reports one metric to the file and prints another, while the connection
// breaks again and again, before messages arrive and before their answers do.
func TestBrokenConnectionsLoseAndRepeatNoPoint(t *testing.T) {
	c := newCoordinator(t)
	n := 0
	c.breakOn = func(m wire.WorkerMessage) int {
		if _, ok := m.(wire.Hello); ok {
			return pass
		}
		switch n++; {
		case n > 400:
			return pass
		case n%7 == 3:
			return lose
		case n%5 == 2:
			return lateAck
		}
		return pass
	}
	run(t, newAgent(t, c, t.TempDir(), nil))
	const points = 1500
	m := shell(1, fmt.Sprintf(`
i=0
while [ $i -lt %d ]; do
  echo "loss=$i"
  echo "{\"acc\": $i}" >> $SWATH_REPORT
  i=$((i+1))
  [ $((i %% 50)) = 0 ] && sleep 0.01
done
true`, points))
	c.start(m)
	if out := c.ended(m.Ref); !out.OK() {
		t.Errorf("outcome is %+v", out)
	}
	want := make([]float64, points)
	for i := range want {
		want[i] = float64(i)
	}
	for _, metric := range []string{"loss", "acc"} {
		if got := c.values(m.Ref, metric); !slices.Equal(got, want) {
			t.Errorf("%s: %d points, not 0 … %d in order: %v", metric, len(got), points-1, got)
		}
	}
	if got := strings.Count(c.log(m.Ref, wire.Stdout), "\n"); got != points {
		t.Errorf("stdout has %d lines", got)
	}
	c.check()
	if len(c.hellos) < 20 {
		t.Errorf("the connection broke only %d times", len(c.hellos))
	}
}

func TestTrainersGoOnWithoutCoordinator(t *testing.T) {
	c := newCoordinator(t)
	r := run(t, newAgent(t, c, t.TempDir(), nil))
	dir := t.TempDir()
	m := shell(2, "echo begun > "+dir+"/a\nwhile [ ! -e "+dir+"/go ]; do sleep 0.01; done\n"+
		"seq 1 30000 | sed 's/^/loss=/'\necho over > "+dir+"/b")
	c.start(m)
	awaitFile(t, dir+"/a")
	c.disconnect(true)
	if err := os.WriteFile(dir+"/go", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	awaitFile(t, dir+"/b")
	<-r.find(m.Ref).done
	c.mu.Lock()
	c.down = false
	c.mu.Unlock()
	if out := c.ended(m.Ref); !out.OK() {
		t.Errorf("outcome is %+v", out)
	}
	if got := c.values(m.Ref, "loss"); len(got) != 30000 || got[0] != 1 || got[29999] != 30000 {
		t.Errorf("%d points arrived", len(got))
	}
	c.check()
}

// A coordinator whose store was put back to an older state has less than it once
// acknowledged.
func TestCoordinatorThatForgotIsToldAgain(t *testing.T) {
	c := newCoordinator(t)
	run(t, newAgent(t, c, t.TempDir(), nil))
	dir := t.TempDir()
	m := shell(3, "seq 1 2500 | sed 's/^/loss=/'\nwhile [ ! -e "+dir+"/go ]; do sleep 0.01; done\necho loss=2501")
	c.start(m)
	c.until("all points and output", func() bool {
		return len(c.points[m.Ref]) == 2500 && strings.Contains(c.logs[m.Ref][wire.Stdout], "loss=2500\n")
	})
	c.do(func() {
		c.points[m.Ref] = c.points[m.Ref][:1234:1234]
		c.logs[m.Ref] = nil
	})
	c.disconnect(false)
	if err := os.WriteFile(dir+"/go", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c.ended(m.Ref)
	if got := c.values(m.Ref, "loss"); len(got) != 2501 || got[1233] != 1234 || got[1234] != 1235 || got[2500] != 2501 {
		t.Errorf("%d points", len(got))
	}
	if got := c.log(m.Ref, wire.Stdout); strings.Count(got, "\n") != 2501 || !strings.HasPrefix(got, "loss=1\n") {
		t.Errorf("%d bytes of output", len(got))
	}
	c.check()
}

func TestSilentCoordinatorIsGreetedAgain(t *testing.T) {
	c := newCoordinator(t)
	muted := 0
	c.breakOn = func(m wire.WorkerMessage) int {
		if _, ok := m.(wire.Points); ok && muted < 1 {
			muted++
			return mute
		}
		return pass
	}
	a := newAgent(t, c, t.TempDir(), nil)
	a.times.patience = 30 * time.Millisecond
	run(t, a)
	m := shell(4, "echo loss=1")
	c.start(m)
	c.ended(m.Ref)
	if got := c.values(m.Ref, "loss"); !slices.Equal(got, []float64{1}) {
		t.Errorf("loss is %v", got)
	}
	if len(c.hellos) < 2 {
		t.Error("the session was not renewed")
	}
	c.check()
}

func TestHeartbeats(t *testing.T) {
	c := newCoordinator(t)
	c.heartbeat = 20 * time.Millisecond
	run(t, newAgent(t, c, t.TempDir(), nil))
	c.until("heartbeats", func() bool { return c.beats >= 3 })
	c.check()
}

func TestForgetKills(t *testing.T) {
	c := newCoordinator(t)
	r := run(t, newAgent(t, c, t.TempDir(), nil))
	pidFile := filepath.Join(t.TempDir(), "pid")
	m := shell(5, "trap '' TERM\necho $$ > "+pidFile+"\nwhile :; do sleep 0.05; done")
	c.start(m)
	pid, err := strconv.Atoi(awaitFile(t, pidFile))
	if err != nil {
		t.Fatal(err)
	}
	c.do(func() { delete(c.starts, m.Ref) }, wire.Forget{Ref: m.Ref})
	gone(t, attemptPath(r.Agent, m))
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
	r.stop()
	if len(c.exits) != 0 {
		t.Errorf("the forgotten attempt was reported: %v", c.exits)
	}
	c.check()
}

func TestStopEscalates(t *testing.T) {
	c := newCoordinator(t)
	run(t, newAgent(t, c, t.TempDir(), nil))
	mark := filepath.Join(t.TempDir(), "mark")
	m := shell(6, "trap 'echo asked' TERM\necho ready > "+mark+"\nwhile :; do sleep 0.05; done")
	c.start(m)
	awaitFile(t, mark)
	c.stop(m.Ref)
	out := c.ended(m.Ref)
	if out.Class != sweeps.ClassCancelled || !strings.Contains(out.Message, "killed") {
		t.Errorf("outcome is %+v", out)
	}
	if got := c.log(m.Ref, wire.Stdout); !strings.Contains(got, "asked") {
		t.Errorf("it was not asked first: %q", got)
	}
	c.check()
}

func TestShutdownGivesTrialsBack(t *testing.T) {
	c := newCoordinator(t)
	r := run(t, newAgent(t, c, t.TempDir(), nil))
	dir := t.TempDir()
	m := shell(8, "trap 'echo loss=9; exit 0' TERM\necho ready > "+dir+"/ready\nwhile :; do sleep 0.01; done")
	c.start(m)
	awaitFile(t, dir+"/ready")
	r.stop()
	out := c.ended(m.Ref)
	if out.Class != sweeps.ClassPreempted {
		t.Errorf("outcome is %+v", out)
	}
	if got := c.values(m.Ref, "loss"); !slices.Equal(got, []float64{9}) {
		t.Errorf("loss is %v", got)
	}
	if c.drains == 0 {
		t.Error("Drain was never sent")
	}
	gone(t, attemptPath(r.Agent, m))
	c.check()
}

func TestWhatCannotStartIsReported(t *testing.T) {
	missing := shell(0, "true")
	missing.Source = []byte(strings.Replace(string(missing.Source), "/bin/sh", "./no-such-program", 1))
	missing.WorkDir = "/no/such/directory"
	unknown := shell(1, "true")
	unknown.Source = []byte("nonsense: true\n")
	builtin := shell(2, "true")
	builtin.Source = []byte("method: grid\ntrainer: vit\nparameters: {lr: {value: 1}}\n")
	for _, tt := range []struct {
		name  string
		start wire.Start
		want  []string
	}{
		{"program", missing, []string{"no-such-program", "/no/such/directory", "start the worker in its directory"}},
		{"file", unknown, []string{"sweep file", "nonsense"}},
		{"trainer", builtin, []string{"vit"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCoordinator(t)
			r := run(t, newAgent(t, c, t.TempDir(), nil))
			c.start(tt.start)
			out := c.ended(tt.start.Ref)
			if out.Class != sweeps.ClassSpec || out.ExitCode != -1 {
				t.Errorf("outcome is %+v", out)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.Message, want) {
					t.Errorf("message %q does not say %q", out.Message, want)
				}
			}
			gone(t, attemptPath(r.Agent, tt.start))
			c.check()
		})
	}
}

func TestBuiltInTrainerIsTheBinary(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "swath")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\necho \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := newCoordinator(t)
	run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) { cfg.Binary = binary }))
	m := shell(0, "true")
	m.Source = []byte("method: grid\ntrainer: vit\nparameters: {lr: {value: 1}}\n")
	c.start(m)
	if out := c.ended(m.Ref); !out.OK() {
		t.Errorf("outcome is %+v", out)
	}
	if got := c.log(m.Ref, wire.Stdout); got != "trainer vit\n" {
		t.Errorf("it was called with %q", got)
	}
}

func TestEndSurvivesTheAgent(t *testing.T) {
	c := newCoordinator(t)
	c.keepEnds = true
	home := t.TempDir()
	a := newAgent(t, c, home, nil)
	a.times.farewell = time.Millisecond
	r := run(t, a)
	m := shell(9, "seq 1 3000 | sed 's/^/loss=/'\nexit 3")
	c.start(m)
	c.until("the points", func() bool { return len(c.points[m.Ref]) == 3000 })
	<-a.find(m.Ref).done
	r.stop()

	c.do(func() { c.keepEnds = false })
	b := newAgent(t, c, home, nil)
	if a.ID() != b.ID() || a.Name() != b.Name() {
		t.Errorf("the agent came back as %s, %s; it was %s, %s", b.ID(), b.Name(), a.ID(), a.Name())
	}
	run(t, b)
	if out := c.ended(m.Ref); out.Class != sweeps.ClassExit || out.ExitCode != 3 {
		t.Errorf("outcome is %+v", out)
	}
	last := c.hellos[len(c.hellos)-1]
	if !slices.Equal(last.Attempts, []sweeps.AttemptRef{m.Ref}) {
		t.Errorf("Hello lists %v", last.Attempts)
	}
	if got := c.values(m.Ref, "loss"); len(got) != 3000 || got[2999] != 3000 {
		t.Errorf("%d points", len(got))
	}
	gone(t, attemptPath(b, m))
	c.check()
}

// An agent that was killed leaves its trainer running; here the test has started it.
func TestTrainerOfAKilledAgentIsLost(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("without /proc nothing proves whose process it is")
	}
	c := newCoordinator(t)
	a := newAgent(t, c, t.TempDir(), nil)
	m := shell(10, "unused")
	dir := attemptPath(a, m)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	newAttempt(a, m).writeRecord()
	orphan, err := exec.Start(t.Context(), exec.Spec{
		Argv: []string{"/bin/sh", "-c", "echo loss=1; sleep 60"}, AttemptDir: dir, Params: m.Params,
	})
	if err != nil {
		t.Fatal(err)
	}
	// Nothing was ever started in this one; the agent died while it wrote it down.
	half := filepath.Join(a.home.attempts(), "s1-11-1")
	if err := os.MkdirAll(half, 0o755); err != nil {
		t.Fatal(err)
	}
	c.starts[m.Ref] = m
	run(t, a)
	if out := c.ended(m.Ref); out.Class != sweeps.ClassLost || !strings.Contains(out.Message, "ended when it came back") {
		t.Errorf("outcome is %+v", out)
	}
	<-orphan.Done()
	gone(t, dir)
	gone(t, half)
	c.check()
}

func TestAgentsShareAHome(t *testing.T) {
	c, home := newCoordinator(t), t.TempDir()
	first := newAgent(t, c, home, nil)
	second := newAgent(t, c, home, nil)
	if first.ID() == second.ID() || first.Name() == second.Name() {
		t.Errorf("both are %s, %s", first.ID(), first.Name())
	}
	id := first.ID()
	first.home.release()
	third := newAgent(t, c, home, nil)
	if third.ID() != id {
		t.Errorf("the free place was not taken: %s, not %s", third.ID(), id)
	}
	second.home.release()
	third.home.release()
}

// TestASecondAgentGivesUp has a coordinator refuse an agent because another one is its worker.
func TestASecondAgentGivesUp(t *testing.T) {
	refused := fmt.Errorf("%w: another one is this worker", sweeps.ErrConflict)
	c := newCoordinator(t)
	c.refuse = refused
	second := newAgent(t, c, t.TempDir(), func(cfg *Config) { cfg.GiveUp = 20 * time.Millisecond })
	if err := second.Run(t.Context()); !errors.Is(err, refused) {
		t.Errorf("Run returns %v", err)
	}

	// It is patient where there is something to lose, and once it was accepted.
	c = newCoordinator(t)
	r := run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) { cfg.GiveUp = time.Millisecond }))
	c.until("a session", func() bool { return len(c.hellos) == 1 })
	c.do(func() { c.refuse = refused })
	c.disconnect(false)
	c.until("it to be refused often", func() bool { return c.sessions > 5 })
	c.do(func() { c.refuse = nil })
	c.until("another session", func() bool { return len(c.hellos) == 2 })
	r.stop()
	c.check()
}

func TestConfigIsChecked(t *testing.T) {
	c := newCoordinator(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cfg   Config
		class error
		want  string
	}{
		{Config{Slots: 1, Dial: c.dial}, sweeps.ErrInvalid, "--home"},
		{Config{Home: t.TempDir(), Dial: c.dial}, sweeps.ErrInvalid, "--slots"},
		{Config{Home: t.TempDir(), Slots: 1}, sweeps.ErrInvalid, "coordinator"},
		{Config{Home: file, Slots: 1, Dial: c.dial}, sweeps.ErrStorage, "--home"},
	} {
		_, err := New(tt.cfg)
		if !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt.cfg, err)
		}
	}
}
