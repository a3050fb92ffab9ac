//go:build unix

package exec_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"swath/sweeps"
	"swath/trainer/fake"
	"swath/trainer/report"
	"swath/worker/exec"
)

// asTrainer makes the test binary, started again, the fake trainer.
const asTrainer = "EXEC_TEST_AS_TRAINER"

func TestMain(m *testing.M) {
	if os.Getenv(asTrainer) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	s, err := report.FromEnv()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(report.ExitFailed)
	}
	err = fake.Run(ctx, s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fake:", err)
	}
	code := s.Finish(err)
	stop()
	os.Exit(code)
}

// fakeSpec runs the fake trainer with these parameters.
func fakeSpec(t *testing.T, params sweeps.Params) exec.Spec {
	t.Helper()
	return exec.Spec{
		Argv: []string{os.Args[0]}, Env: []string{asTrainer + "=1"}, AttemptDir: t.TempDir(), Params: params,
		Sweep: "s", Trial: "t", Attempt: 1,
	}
}

func shell(t *testing.T, script string, args ...string) exec.Spec {
	t.Helper()
	return exec.Spec{
		Argv: append([]string{"sh", "-c", script, "sh"}, args...), AttemptDir: t.TempDir(),
		Sweep: "s", Trial: "t", Attempt: 1,
	}
}

func start(t *testing.T, spec exec.Spec) *exec.Process {
	t.Helper()
	p, err := exec.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		p.Wait()
	})
	return p
}

func outcomeOf(t *testing.T, spec exec.Spec) sweeps.Outcome {
	t.Helper()
	o, ended := start(t, spec).Wait()
	if ended.IsZero() {
		t.Error("ended at no time")
	}
	return o
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// eventually waits until the condition holds; a test that hangs here has found it false.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 3000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

// running reports whether a process exists and is no zombie.
func running(pid int) bool {
	if unix.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func exists(path string) func() bool {
	return func() bool {
		_, err := os.Stat(path)
		return err == nil
	}
}

func TestTheTrainerIsGivenWhatTheProtocolSays(t *testing.T) {
	t.Setenv("SWATH_HOME", "secret")
	t.Setenv("SWATH_DATA", "the worker's")
	t.Setenv("SWATH_KERNEL", "avx2")
	t.Setenv("FROM_THE_WORKER", "yes")
	spec := shell(t, `env | sort; pwd; echo "[$1]"; cat; cat "$SWATH_PARAMS"; ls -d "$SWATH_CHECKPOINT_DIR" "$SWATH_ARTIFACT_DIR"; echo bye >&2`, "a b")
	spec.Dir = t.TempDir()
	spec.Params = sweeps.Params{"seed": int64(7), "lr": 0.5}
	spec.CPUs, spec.Attempt = 3, 2
	spec.Env = []string{"MINE=1", "FROM_THE_WORKER=no"}
	if o := outcomeOf(t, spec); !o.OK() {
		t.Fatalf("outcome %+v", o)
	}
	dir := spec.AttemptDir
	out := read(t, filepath.Join(dir, "stdout"))
	for _, want := range []string{
		"SWATH_PARAMS=" + exec.ParamsFile(dir), "SWATH_REPORT=" + exec.ReportFile(dir), "SWATH_SWEEP=s", "SWATH_TRIAL=t",
		"SWATH_ATTEMPT=2", "SWATH_SEED=7", "SWATH_CPUS=3", "SWATH_KERNEL=avx2", "MINE=1", "FROM_THE_WORKER=no", "PYTHONUNBUFFERED=1",
		spec.Dir, "[a b]", `{"lr":0.5,"seed":7}`, filepath.Join(dir, "checkpoint"), filepath.Join(dir, "artifacts"),
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("the trainer did not see %q", want)
		}
	}
	for _, not := range []string{"SWATH_HOME", "SWATH_DATA", "FROM_THE_WORKER=yes"} {
		if strings.Contains(out, not) {
			t.Errorf("the trainer saw %q", not)
		}
	}
	if got := read(t, filepath.Join(dir, "stderr")); got != "bye\n" {
		t.Errorf("stderr %q, want %q", got, "bye\n")
	}
	for offset, want := range map[int64]string{0: "by", 2: "e\n", 4: "", 99: ""} {
		b, err := exec.ReadLog(dir, exec.Stderr, offset, 2)
		if err != nil || string(b) != want {
			t.Errorf("ReadLog from %d: %q, %v; want %q", offset, b, err, want)
		}
	}
}

func TestEndsAreClassified(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		class        sweeps.Class
		code         int
		message      string // a part of it
	}{
		{"well", "exit 0", sweeps.ClassOK, 0, ""},
		{"exit code and last line", "echo first >&2; printf '\\n  last line\\n\\n' >&2; exit 3", sweeps.ClassExit, 3, "exit code 3: last line"},
		{"no words", "exit 4", sweeps.ClassExit, 4, "exit code 4"},
		{"a signal", "kill -SEGV $$", sweeps.ClassSignal, -1, "killed by SIGSEGV"},
		{"SIGKILL of a stranger", "kill -KILL $$", sweeps.ClassSignal, -1, "killed by SIGKILL"},
		{"CUDA", "echo 'torch.cuda.OutOfMemoryError: CUDA out of memory. Tried' >&2; exit 1", sweeps.ClassOOM, 1, "CUDA out of memory"},
		{"Python's memory", "echo 'numpy.core._exceptions._ArrayMemoryError: Unable to' >&2; exit 1", sweeps.ClassOOM, 1, "Unable to"},
		{"parameters refused", "echo 'heads do not divide' >&2; exit 64", sweeps.ClassSpec, 64, "heads do not divide"},
		{"argparse", "echo 'train.py: error: unrecognized arguments: --x=1' >&2; exit 2", sweeps.ClassSpec, 2, "unrecognized"},
		{"says diverged", `echo '{"end":{"class":"diverged","message":"NaN at 7"}}' >> $SWATH_REPORT; exit 1`, sweeps.ClassDiverged, 1, "NaN at 7"},
		{"says diverged and exits 0", `printf '{"end":"diverged"}' >> $SWATH_REPORT`, sweeps.ClassDiverged, 0, "diverged"},
		{"says oom", `echo '{"end":"oom"}' >> $SWATH_REPORT; echo '{"error":"too big"}' >> $SWATH_REPORT; exit 9`, sweeps.ClassOOM, 9, "too big"},
		{"says ok but fails", `echo '{"end":"ok"}' >> $SWATH_REPORT; exit 9`, sweeps.ClassExit, 9, "exit code 9"},
		{"explains", `echo '{"error":"no shard 3"}' >> $SWATH_REPORT; echo other >&2; exit 5`, sweeps.ClassExit, 5, "exit code 5: no shard 3"},
		{"end after much", `i=0; while [ $i -lt 3000 ]; do echo '{"end":"oom","pad":"0123456789012345678901234567890123456789"}'; i=$((i+1)); done >> $SWATH_REPORT; echo '{"end":"spec"}' >> $SWATH_REPORT`, sweeps.ClassSpec, 0, "spec"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := outcomeOf(t, shell(t, tc.script))
			if o.Class != tc.class || o.ExitCode != tc.code || !strings.Contains(o.Message, tc.message) {
				t.Errorf("outcome %+v, want class %s, code %d, message with %q", o, tc.class, tc.code, tc.message)
			}
			if (o.Message == "") != (o.Class == sweeps.ClassOK) {
				t.Errorf("message %q with class %s", o.Message, o.Class)
			}
		})
	}
}

func TestTheFakeTrainerAsAProcess(t *testing.T) {
	for _, tc := range []struct {
		name   string
		params sweeps.Params
		want   sweeps.Class
		code   int
	}{
		{"well", sweeps.Params{}, sweeps.ClassOK, 0},
		{"crashes", sweeps.Params{"crash_at": int64(1)}, sweeps.ClassExit, 1},
		{"exit code", sweeps.Params{"exit_code": int64(70)}, sweeps.ClassExit, 70},
		{"diverges", sweeps.Params{"diverge_at": int64(2)}, sweeps.ClassDiverged, 1},
		{"refuses", sweeps.Params{"curve": "wave"}, sweeps.ClassSpec, 64},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if o := outcomeOf(t, fakeSpec(t, tc.params)); o.Class != tc.want || o.ExitCode != tc.code {
				t.Errorf("outcome %+v, want class %s, code %d", o, tc.want, tc.code)
			}
		})
	}
}

func TestStopEndsTheWholeGroup(t *testing.T) {
	spec := shell(t, `sleep 1000 & echo $! > child; sh -c 'sleep 1000 & echo $! > grandchild; wait' & wait`)
	p := start(t, spec)
	eventually(t, "the children", func() bool {
		return exists(filepath.Join(spec.AttemptDir, "child"))() && exists(filepath.Join(spec.AttemptDir, "grandchild"))()
	})
	pids := map[string]int{"leader": p.Pid()}
	for _, name := range []string{"child", "grandchild"} {
		eventually(t, "the pid", func() bool {
			pid, err := strconv.Atoi(strings.TrimSpace(read(t, filepath.Join(spec.AttemptDir, name))))
			pids[name] = pid
			return err == nil
		})
	}
	p.Stop(sweeps.ClassPreempted, "the worker is shutting down")
	p.Stop(sweeps.ClassCancelled, "too late to decide")
	o, _ := p.Wait()
	want := sweeps.Outcome{Class: sweeps.ClassPreempted, ExitCode: -1, Message: "the worker is shutting down"}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
	for name, pid := range pids {
		if running(pid) {
			t.Errorf("the %s still runs", name)
		}
	}
	if exists(filepath.Join(spec.AttemptDir, "process.json"))() {
		t.Error("the note of the process is still there")
	}
}

// An init system that stops a service sends SIGTERM to the worker and to its trainers at once.
func TestAStopThatComesAfterSomebodyElsesSIGTERMCounts(t *testing.T) {
	for what, script := range map[string]string{
		"by the signal":          `echo > ready; exec sleep 1000`,
		"with the signal's code": `trap 'exit 143' TERM; echo > ready; while :; do sleep 0.01; done`,
		"well, and was warned":   `trap 'exit 0' TERM; echo > ready; while :; do sleep 0.01; done`,
	} {
		spec := shell(t, script)
		p := start(t, spec)
		eventually(t, "the trainer", exists(filepath.Join(spec.AttemptDir, "ready")))
		if strings.HasSuffix(what, "warned") {
			p.Warn()
		}
		if err := syscall.Kill(p.Pid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, "its end", func() bool { return !running(p.Pid()) })
		p.Stop(sweeps.ClassPreempted, "the worker was shut down")
		if o, _ := p.Wait(); o.Class != sweeps.ClassPreempted || o.Message != "the worker was shut down" {
			t.Errorf("ended %s: outcome %+v, want preempted by the worker's end", what, o)
		}
	}
	spec := shell(t, `kill -TERM $$`)
	if o := outcomeOf(t, spec); o.Class != sweeps.ClassSignal || !strings.Contains(o.Message, "SIGTERM") {
		t.Errorf("without a stop: outcome %+v, want killed by SIGTERM", o)
	}
}

func TestATrainerThatIgnoresTermIsKilledAfterTheGrace(t *testing.T) {
	spec := fakeSpec(t, sweeps.Params{"hang": true, "ignore_term": true, "steps": int64(1)})
	spec.Grace = 150 * time.Millisecond
	p := start(t, spec)
	eventually(t, "its report", exists(exec.ReportFile(spec.AttemptDir)))
	p.Stop(sweeps.ClassCancelled, "cancelled by ann")
	o, _ := p.Wait()
	if o.Class != sweeps.ClassCancelled || !strings.HasPrefix(o.Message, "cancelled by ann; ") || !strings.Contains(o.Message, "killed") {
		t.Errorf("outcome %+v, want cancelled by ann, and killed", o)
	}
	if running(p.Pid()) {
		t.Error("it still runs")
	}
}

func TestTheTimeLimitIsEnforced(t *testing.T) {
	spec := fakeSpec(t, sweeps.Params{"hang": true})
	spec.Timeout = 200 * time.Millisecond
	o := outcomeOf(t, spec)
	if o.Class != sweeps.ClassTimeout || !strings.Contains(o.Message, "time limit of 200ms") {
		t.Errorf("outcome %+v, want a timeout", o)
	}
}

func TestTheContextCancels(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	p, err := exec.Start(ctx, fakeSpec(t, sweeps.Params{"hang": true}))
	if err != nil {
		t.Fatal(err)
	}
	cancel(fmt.Errorf("the sweep was cancelled"))
	if o, _ := p.Wait(); o.Class != sweeps.ClassCancelled || !strings.Contains(o.Message, "the sweep was cancelled") {
		t.Errorf("outcome %+v, want cancelled with the cause", o)
	}
	if _, err := exec.Start(ctx, fakeSpec(t, nil)); err == nil {
		t.Error("started with a context that had ended")
	}
}

func TestAShellDiesAtOnceButItsTrainerHasTheGrace(t *testing.T) {
	// The outer shell dies of SIGTERM; the inner one takes its time to save.
	spec := shell(t, `sh -c 'trap "sleep 0.3; echo saved > saved; exit" TERM; echo > ready; while :; do sleep 0.05; done' & wait`)
	p := start(t, spec)
	eventually(t, "the trainer", exists(filepath.Join(spec.AttemptDir, "ready")))
	p.Stop(sweeps.ClassPreempted, "x")
	p.Wait()
	if !exists(filepath.Join(spec.AttemptDir, "saved"))() {
		t.Error("the trainer was ended before it had saved, with grace left")
	}
}

func TestWhatIsLeftBehindIsEnded(t *testing.T) {
	spec := shell(t, `trap '' TERM; sleep 1000 & echo $! > child; exit 0`) // the child inherits the trap
	spec.Grace = 100 * time.Millisecond
	if o := outcomeOf(t, spec); !o.OK() {
		t.Errorf("outcome %+v, want ok: what is left behind does not count", o)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(read(t, filepath.Join(spec.AttemptDir, "child"))))
	if err != nil {
		t.Fatal(err)
	}
	if running(pid) {
		t.Error("the child that was left behind still runs")
	}
}

func TestWhatCannotStartSaysWhy(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	file("plain.sh", "exit 0\n", 0o600)
	file("noshebang", "exit 0\n", 0o700)
	file("nointerpreter", "#!/no/such/interpreter\n", 0o700)
	blocked := filepath.Join(dir, "plain.sh")
	for _, tc := range []struct {
		name  string
		spec  exec.Spec
		class sweeps.Class
		want  string
	}{
		{"no command", exec.Spec{}, sweeps.ClassSpec, "command is empty"},
		{"no directory", exec.Spec{Argv: []string{"sh"}, AttemptDir: "-"}, sweeps.ClassSpec, "no attempt directory"},
		{"bare name", exec.Spec{Argv: []string{"no-such-program"}}, sweeps.ClassSpec, `program "no-such-program" not found; looked in PATH and in ` + dir},
		{"behind env", exec.Spec{Argv: []string{"/usr/bin/env", "no-such-program", "x"}}, sweeps.ClassSpec, `program "no-such-program" not found`},
		{"with a slash", exec.Spec{Argv: []string{"./nothing.sh"}}, sweeps.ClassSpec, `program "./nothing.sh" not found; looked for ` + dir},
		{"not executable", exec.Spec{Argv: []string{"plain.sh"}}, sweeps.ClassSpec, "chmod +x"},
		{"a folder", exec.Spec{Argv: []string{dir}}, sweeps.ClassSpec, "is a folder"},
		{"no #! line", exec.Spec{Argv: []string{"noshebang"}}, sweeps.ClassSpec, "#! line"},
		{"interpreter missing", exec.Spec{Argv: []string{"./nointerpreter"}}, sweeps.ClassSpec, "interpreter"},
		{"working directory missing", exec.Spec{Argv: []string{"sh"}, Dir: dir + "/no"}, sweeps.ClassSpec, "working directory"},
		{"pattern", exec.Spec{Argv: []string{"sh"}, Rules: []sweeps.MetricRule{{Name: "loss", Pattern: "("}}}, sweeps.ClassSpec, `metric "loss"`},
		{"the machine's fault", exec.Spec{Argv: []string{"sh"}, AttemptDir: filepath.Join(blocked, "x")}, sweeps.ClassLost, "make the attempt's directory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := tc.spec
			switch spec.AttemptDir {
			case "":
				spec.AttemptDir = t.TempDir()
			case "-":
				spec.AttemptDir = ""
			}
			if spec.Dir == "" {
				spec.Dir = dir
			}
			p, err := exec.Start(t.Context(), spec)
			if err == nil {
				o, _ := p.Wait()
				t.Fatalf("it started, and ended as %+v", o)
			}
			o := exec.StartOutcome(err)
			if o.Class != tc.class || o.ExitCode != -1 || !strings.Contains(o.Message, tc.want) || strings.Contains(o.Message, "\n") {
				t.Errorf("outcome %+v, want class %s and a line with %q", o, tc.class, tc.want)
			}
		})
	}
}

func TestPython3TakesThePlaceOfAMissingPython(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "python3"), []byte("#!/bin/sh\necho three \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{{"python", "train.py"}, {"/usr/bin/env", "python", "train.py"}} {
		spec := exec.Spec{Argv: argv, AttemptDir: t.TempDir(), Env: []string{"PATH=" + bin}}
		p := start(t, spec)
		if o, _ := p.Wait(); !o.OK() {
			t.Fatalf("outcome %+v", o)
		}
		if got := read(t, filepath.Join(spec.AttemptDir, "stdout")); got != "three train.py\n" {
			t.Errorf("%v printed %q", argv, got)
		}
		if !strings.Contains(p.Note(), "python3") {
			t.Errorf("note %q does not tell", p.Note())
		}
	}
	spec := exec.Spec{Argv: []string{"python"}, AttemptDir: t.TempDir(), Env: []string{"PATH=" + t.TempDir()}}
	if _, err := exec.Start(t.Context(), spec); err == nil || !strings.Contains(err.Error(), `program "python" not found`) {
		t.Errorf("error %v, want python not found", err)
	}
}

func TestAProgramBesideTheSweepFileIsFound(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "beside-it"), []byte("#!/bin/sh\nexit 5\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"beside-it", "./beside-it"} {
		o := outcomeOf(t, exec.Spec{Argv: []string{name}, Dir: dir, AttemptDir: t.TempDir()})
		if o.ExitCode != 5 {
			t.Errorf("%s: outcome %+v, want exit code 5", name, o)
		}
	}
}

// TestAnOrphanIsKilledAndNobodyElse plays a worker that died: the note of a process is
// there, and the process runs.
func TestAnOrphanIsKilledAndNobodyElse(t *testing.T) {
	spec := fakeSpec(t, sweeps.Params{"hang": true})
	p := start(t, spec)
	note := filepath.Join(spec.AttemptDir, "process.json")
	eventually(t, "the note", exists(note))
	saved := read(t, note)

	stranger := t.TempDir()
	another := strings.Replace(saved, `"birth":"`, `"birth":"0`, 1)
	if err := os.WriteFile(filepath.Join(stranger, "process.json"), []byte(another), 0o600); err != nil {
		t.Fatal(err)
	}
	if killed, err := exec.KillOrphan(stranger); killed || err != nil {
		t.Errorf("of another birth: killed %v, error %v", killed, err)
	}
	if !running(p.Pid()) {
		t.Fatal("a process of another birth was killed")
	}
	if exec.Place(spec.AttemptDir) != "" { // the system can tell
		imitation := t.TempDir()
		if err := os.CopyFS(imitation, os.DirFS(spec.AttemptDir)); err != nil {
			t.Fatal(err)
		}
		if killed, err := exec.KillOrphan(imitation); killed || err != nil {
			t.Errorf("of a copy of the directory: killed %v, error %v", killed, err)
		}
		if !running(p.Pid()) {
			t.Fatal("the process of the directory that was copied was killed")
		}
	}
	if !strings.Contains(saved, `"birth":""`) { // the system can tell
		if killed, err := exec.KillOrphan(spec.AttemptDir); !killed || err != nil {
			t.Errorf("the orphan: killed %v, error %v", killed, err)
		}
		p.Wait()
	}
	if killed, err := exec.KillOrphan(spec.AttemptDir); killed && err == nil {
		t.Error("killed it twice")
	}
}

// TestClassesOfTheProtocol holds the words of package report to those of the domain.
func TestClassesOfTheProtocol(t *testing.T) {
	for word, class := range map[string]sweeps.Class{
		report.ClassOK: sweeps.ClassOK, report.ClassDiverged: sweeps.ClassDiverged, report.ClassOOM: sweeps.ClassOOM,
		report.ClassSpec: sweeps.ClassSpec, report.ClassExit: sweeps.ClassExit,
	} {
		if got, err := sweeps.ParseClass(word); err != nil || got != class {
			t.Errorf("%q is class %q, %v; want %q", word, got, err, class)
		}
	}
}
