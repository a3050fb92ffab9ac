//go:build unix

package keeper

import (
	"encoding/gob"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"swath/sweeps"
	"swath/worker/exec"
)

// The test binary is its own keeper: it links this package.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func spawn(t *testing.T, place string) *Client {
	t.Helper()
	c, err := Spawn(place, self(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Quit(); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
	return c
}

func connect(t *testing.T, place string) (*Client, map[string]Attempt) {
	t.Helper()
	c, list, err := Connect(place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Leave)
	attempts := map[string]Attempt{}
	for _, a := range list {
		attempts[a.Key] = a
	}
	return c, attempts
}

func shell(t *testing.T, script string) exec.Command {
	t.Helper()
	cmd, err := exec.Prepare(exec.Spec{
		Argv: []string{"sh", "-c", script}, AttemptDir: t.TempDir(), Sweep: "s", Trial: "t", Attempt: 1, Grace: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

var record = Record{File: "record", Content: []byte("what the agent wrote")}

func begin(t *testing.T, c *Client, key, script string) *Process {
	t.Helper()
	p, err := c.Start(key, record, shell(t, script), Turn{})
	if err == nil {
		err = p.Begun()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 4000 {
		if ok() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("never came: %s", what)
}

func alive(pid int) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWhatPackageExecSaysComesThrough(t *testing.T) {
	t.Setenv("FROM_THE_AGENT", "yes")
	c := spawn(t, t.TempDir())
	p := begin(t, c, "exits", "echo $FROM_THE_AGENT $SWATH_SWEEP [$"+EnvPlace+"]; exit 7")
	if o, ended := p.Wait(); o.Class != sweeps.ClassExit || o.ExitCode != 7 || time.Since(ended) > time.Hour || p.Pid() <= 0 {
		t.Errorf("outcome %+v at %v", o, ended)
	}
	if got := read(t, filepath.Join(p.dir, "stdout")); got != "yes s []\n" {
		t.Errorf("it printed %q", got)
	}
	if _, err := exec.LoadEnd(p.dir); err == nil {
		t.Error("the end is on disk, though the agent knows it")
	}
	if o, _ := begin(t, c, "well", "true").Wait(); !o.OK() {
		t.Errorf("outcome %+v", o)
	}
	p = begin(t, c, "stopped", "sleep 1000")
	p.Stop(sweeps.ClassPreempted, "because")
	if o, _ := p.Wait(); o.Class != sweeps.ClassPreempted || o.Message != "because" {
		t.Errorf("outcome %+v", o)
	}
	p = begin(t, c, "killed", "trap '' TERM; sleep 1000")
	p.Kill()
	if o, _ := p.Wait(); o.Class != sweeps.ClassPreempted {
		t.Errorf("outcome %+v", o)
	}
	cmd := shell(t, "true")
	cmd.Path = filepath.Join(cmd.AttemptDir, "nothing")
	p, err := c.Start("refused", record, cmd, Turn{})
	if err == nil {
		err = p.Begun()
	}
	if o := exec.StartOutcome(err); err == nil || o.Class != sweeps.ClassSpec || !strings.Contains(o.Message, "nothing") {
		t.Errorf("error %v", err)
	}
	for range 100 {
		c.Forget("well")
	}
}

func TestTheNextAgentIsTold(t *testing.T) {
	place := t.TempDir()
	if _, _, err := Connect(place); !errors.Is(err, ErrNone) {
		t.Errorf("without a keeper: %v", err)
	}
	first := spawn(t, place)
	gate := filepath.Join(t.TempDir(), "gate")
	runs := begin(t, first, "runs", "while [ ! -e "+gate+" ]; do sleep 0.01; done; exit 3")
	ended, forgotten := begin(t, first, "ended", "exit 4"), begin(t, first, "forgotten", "exit 5")
	meanwhile := begin(t, first, "meanwhile", "while [ ! -e "+gate+".2 ]; do sleep 0.01; done; exit 6")
	stranger := begin(t, first, "stranger", "sleep 1000")
	ended.Wait()
	forgotten.Wait()
	first.Forget("forgotten")
	first.Forget("nobody")
	stranger.Stop(sweeps.ClassCancelled, "") // which takes what is to be forgotten along
	stranger.Wait()
	stranger = begin(t, first, "stranger 2", "sleep 1000")
	first.Leave()
	if err := os.WriteFile(gate+".2", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end on disk", func() bool { _, err := exec.LoadEnd(meanwhile.dir); return err == nil })

	second, attempts := connect(t, place)
	if got := read(t, filepath.Join(runs.dir, record.File)); got != string(record.Content) {
		t.Errorf("the record is %q", got)
	}
	if len(attempts) != 5 {
		t.Errorf("the keeper keeps %v", attempts)
	}
	for key, code := range map[string]int{"ended": 4, "meanwhile": 6} {
		if a := attempts[key]; a.Outcome == nil || a.Outcome.ExitCode != code || a.Process() != nil {
			t.Errorf("%s: %+v", key, a)
		}
	}
	a := attempts["runs"]
	if a.Outcome != nil || a.PID != runs.Pid() || string(a.Record) != string(record.Content) || a.Dir != runs.dir {
		t.Fatalf("runs: %+v", a)
	}
	second.Drop("stranger 2")
	eventually(t, "the end of the stranger", func() bool { return !alive(stranger.Pid()) })
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if o, _ := a.Process().Wait(); o.ExitCode != 3 {
		t.Errorf("outcome %+v", o)
	}
	if err := second.Quit(); err != nil {
		t.Error(err)
	}
	if _, _, err := Connect(place); !errors.Is(err, ErrNone) {
		t.Errorf("after the end: %v", err)
	}
	spawn(t, place) // in the same place, where a socket is left
}

func TestALongPath(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("only with /proc is there a way around the limit")
	}
	place := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.Mkdir(place, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Connect(place); !errors.Is(err, ErrNone) {
		t.Errorf("without a keeper: %v", err)
	}
	c := spawn(t, place)
	if o, _ := begin(t, c, "x", "exit 9").Wait(); o.ExitCode != 9 {
		t.Errorf("outcome %+v", o)
	}
}

func TestOnlyItsUserMayConnect(t *testing.T) {
	place := t.TempDir()
	spawn(t, place)
	st, err := os.Stat(filepath.Join(place, socketName))
	if err != nil || st.Mode().Perm()&0o077 != 0 {
		t.Errorf("the socket is %v, %v", st.Mode(), err)
	}
}

func TestSignalsAreTheAgents(t *testing.T) {
	place := t.TempDir()
	c := spawn(t, place)
	p := begin(t, c, "x", "exec sleep 1000")
	pid := keeperPid(t, p.Pid())
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
	}
	if o, _ := begin(t, c, "y", "exit 2").Wait(); o.ExitCode != 2 {
		t.Errorf("outcome %+v", o)
	}
	if !alive(p.Pid()) {
		t.Error("the trainer was ended")
	}
	c.Leave()
	eventually(t, "the keeper to see that the agent left", func() bool {
		_, err := os.Stat(filepath.Join(p.dir, record.File))
		return err == nil
	})
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-c.reaped
	if o, err := exec.LoadEnd(p.dir); err != nil || o.Class != sweeps.ClassPreempted {
		t.Errorf("outcome %+v, %v", o, err)
	}
}

// keeperPid is the trainer's parent.
func keeperPid(t *testing.T, trainer int) int {
	t.Helper()
	_, parent := stat(t, trainer)
	return parent
}

// stat returns the state and the parent of a process.
func stat(t *testing.T, pid int) (state string, parent int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Skip("only /proc tells of other processes")
	}
	rest := string(b[strings.LastIndexByte(string(b), ')')+1:])
	if _, err := fmt.Sscan(rest, &state, &parent); err != nil {
		t.Fatal(err)
	}
	return state, parent
}

func TestItEndsWhenNobodyComes(t *testing.T) {
	t.Setenv(envLinger, "2s")
	c := spawn(t, t.TempDir())
	begin(t, c, "x", "true").Wait()
	c.Leave()
	<-c.reaped
}

// An agent may die between its greeting and the welcome, which then cannot be sent. The keeper
// is deserted then, as by any other.
func TestAnAgentThatDiesGreetingDesertsTheKeeper(t *testing.T) {
	k := &keeper{log: slog.New(slog.DiscardHandler), kept: map[string]*kept{}}
	ours, theirs := net.Pipe()
	attended := make(chan struct{})
	go func() { k.attend(theirs); close(attended) }()
	if err := newLine(ours).send(request{Greet: &greet{Protocol: protocol}}); err != nil {
		t.Fatal(err)
	}
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	<-attended
	if k.agent != nil || k.lastSeen.IsZero() {
		t.Error("the keeper takes the agent for one that is there")
	}
}

func TestAKeeperThatHangsIsReplaced(t *testing.T) {
	place := t.TempDir()
	c := spawn(t, place)
	p := begin(t, c, "x", "exec sleep 1000")
	pid := keeperPid(t, p.Pid())
	before := patience
	patience = 50 * time.Millisecond
	defer func() { patience = before }()
	c.Leave()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for state := ""; state != "T"; state, _ = stat(t, pid) { // until then its threads may still answer
		time.Sleep(time.Millisecond)
	}
	if _, _, err := Connect(place); err == nil || errors.Is(err, ErrNone) {
		t.Errorf("error %v", err)
	}
	patience = before
	second := spawn(t, place)
	<-c.reaped
	if o, _ := begin(t, second, "y", "exit 8").Wait(); o.ExitCode != 8 {
		t.Errorf("outcome %+v", o)
	}
	if killed, err := exec.KillOrphan(p.dir); !killed || err != nil {
		t.Errorf("the trainer of the first: killed %v, %v", killed, err)
	}
}

func TestWhatIsNoKeeperIsNotTakenForOne(t *testing.T) {
	for _, binary := range []string{"/bin/echo", "/no/such/program"} {
		if _, err := Spawn(t.TempDir(), binary); err == nil || !strings.Contains(err.Error(), "start a keeper: ") {
			t.Errorf("%s: %v", binary, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Spawn(file, self(t)); err == nil {
		t.Error("a place that is none")
	}
}

// wait has the keeper start an attempt in one of so many slots.
func wait(t *testing.T, c *Client, key, script string, slots int) *Process {
	t.Helper()
	return waitTurn(t, c, key, script, Turn{Slots: slots})
}

func waitTurn(t *testing.T, c *Client, key, script string, turn Turn) *Process {
	t.Helper()
	p, err := c.Start(key, record, shell(t, script), turn)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAttemptsWaitForASlot(t *testing.T) {
	c := spawn(t, t.TempDir())
	if !c.Queues() {
		t.Fatal("the keeper does not say that attempts can wait in it")
	}
	gate := filepath.Join(t.TempDir(), "gate")
	runs := begin(t, c, "runs", "while [ ! -e "+gate+" ]; do sleep 0.01; done")
	beside := wait(t, c, "beside", "true", 2) // there is another slot
	if o, _ := beside.Wait(); !o.OK() {
		t.Errorf("outcome %+v", o)
	}
	order := filepath.Join(t.TempDir(), "order")
	first := wait(t, c, "first", "echo 1 >> "+order, 1)
	back := wait(t, c, "back", "echo back >> "+order, 1)
	stopped := wait(t, c, "stopped", "echo stopped >> "+order, 1)
	killed := wait(t, c, "killed", "echo killed >> "+order, 1)
	last := wait(t, c, "last", "echo 2 >> "+order, 1)
	c.Recall("runs") // nothing comes of it
	c.Recall("back")
	if err := back.Begun(); !errors.Is(err, ErrBack) {
		t.Errorf("what was given back: %v", err)
	}
	stopped.Stop(sweeps.ClassPreempted, "because")
	killed.Kill()
	for p, class := range map[*Process]sweeps.Class{stopped: sweeps.ClassPreempted, killed: sweeps.ClassPreempted} {
		if o, _ := p.Wait(); p.Begun() == nil || o.Class != class {
			t.Errorf("it began, or ended as %+v, want %s", o, class)
		}
	}
	if _, err := os.Stat(order); err == nil {
		t.Error("an attempt did not wait")
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Process{runs, first, last} {
		if o, _ := p.Wait(); !o.OK() || p.Begun() != nil {
			t.Errorf("outcome %+v", o)
		}
	}
	if got := read(t, order); got != "1\n2\n" {
		t.Errorf("they ran in the order %q", got)
	}
}

// Of those that wait the highest priority goes first, and of equal ones the first that came.
func TestAttemptsTakeTurnsByPriority(t *testing.T) {
	c := spawn(t, t.TempDir())
	gate, order := filepath.Join(t.TempDir(), "gate"), filepath.Join(t.TempDir(), "order")
	all := []*Process{begin(t, c, "runs", "while [ ! -e "+gate+" ]; do sleep 0.01; done")}
	for _, a := range []struct {
		key      string
		priority int
	}{{"low", -1}, {"a", 0}, {"b", 0}, {"high", 10}, {"c", 0}, {"higher", 11}, {"high2", 10}} {
		all = append(all, waitTurn(t, c, a.key, "echo "+a.key+" >> "+order, Turn{Slots: 1, Priority: a.priority}))
	}
	back := wait(t, c, "back", "echo back >> "+order, 1)
	c.Recall("back")
	if err := back.Begun(); !errors.Is(err, ErrBack) { // the keeper has read all of it
		t.Errorf("what was given back: %v", err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if o, _ := p.Wait(); !o.OK() {
			t.Errorf("outcome %+v", o)
		}
	}
	if got, want := read(t, order), "higher\nhigh\nhigh2\na\nb\nc\nlow\n"; got != want {
		t.Errorf("they ran in the order %q, want %q", got, want)
	}
}

// What waits dies with the agent: its successor is not told of it, and it never runs.
func TestWhatWaitsDiesWithTheAgent(t *testing.T) {
	place := t.TempDir()
	first := spawn(t, place)
	gate := filepath.Join(t.TempDir(), "gate")
	begin(t, first, "runs", "while [ ! -e "+gate+" ]; do sleep 0.01; done")
	waits := wait(t, first, "waits", "touch "+gate+".waits", 1)
	first.Recall("nobody") // which takes what waits to be sent along
	first.Leave()
	if o, _ := waits.Wait(); o.Class != sweeps.ClassLost {
		t.Errorf("outcome %+v", o)
	}
	second, attempts := connect(t, place)
	if len(attempts) != 1 || attempts["runs"].Process() == nil {
		t.Fatalf("the keeper keeps %v", attempts)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if o, _ := attempts["runs"].Process().Wait(); !o.OK() {
		t.Errorf("outcome %+v", o)
	}
	if err := second.Quit(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(gate + ".waits"); err == nil {
		t.Error("it ran")
	}
}

// An attempt that is over in a moment takes one message, to agents that know of it.
func TestTheEndOfAMomentaryAttemptTellsOfItsBeginning(t *testing.T) {
	defer func(d time.Duration) { soon = d }(soon)
	soon = time.Hour // the moment lasts
	for _, c := range []struct {
		brief bool
		want  []string
	}{{true, []string{"both"}}, {false, []string{"began", "ended"}}} {
		k := &keeper{log: slog.New(slog.DiscardHandler), kept: map[string]*kept{}}
		ours, theirs := net.Pipe()
		attended := make(chan struct{})
		go func() { k.attend(theirs); close(attended) }()
		agent, answers := newLine(ours), gob.NewDecoder(ours)
		for _, m := range []request{
			{Greet: &greet{Protocol: protocol, Env: exec.BaseEnv(), Brief: c.brief}},
			{Start: &start{Key: "x", Record: record, Command: shell(t, "true")}},
		} {
			go func() { _ = agent.send(m) }()
			var welcome reply
			if m.Greet != nil && answers.Decode(&welcome) != nil {
				t.Fatal("no welcome")
			}
		}
		var got []string
		for range c.want {
			var m reply
			if err := answers.Decode(&m); err != nil {
				t.Fatal(err)
			}
			switch {
			case m.Started != nil:
				got = append(got, "began")
			case m.Exited != nil && m.Exited.Started == nil:
				got = append(got, "ended")
			case m.Exited != nil && m.Exited.Started.PID > 0 && !m.Exited.Started.Began.IsZero():
				got = append(got, "both")
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("an agent whose brief is %t was told %v, want %v", c.brief, got, c.want)
		}
		_ = ours.Close()
		<-attended
	}
}

func TestSilence(t *testing.T) {
	c := spawn(t, t.TempDir())
	for script, want := range map[string]bool{
		"true": true, "exit 3": true, "echo x": false, "echo x >&2": false, "echo '{\"loss\": 1}' > $SWATH_REPORT": false,
	} {
		p := begin(t, c, script, script)
		if got := p.Silent(); got != want && !(want && runtime.GOOS != "linux") {
			t.Errorf("%q: silent is %t", script, got)
		}
	}
}
