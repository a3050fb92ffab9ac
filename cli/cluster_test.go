//go:build unix

package cli_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gated is a sweep whose trials report a point, note that they began, and go on when the
// test says so.
type gated struct {
	t         *testing.T
	dir, file string
}

func newGated(t *testing.T, name string, trials int, more string) gated {
	t.Helper()
	g := gated{t: t, dir: t.TempDir()}
	script := fmt.Sprintf(`set -eu
dir='%s'
echo "step=1 loss=0.$SWATH_ATTEMPT"
echo "$SWATH_TRIAL $SWATH_ATTEMPT $$" >> "$dir/began"
while [ ! -e "$dir/go" ] && [ ! -e "$dir/go-$SWATH_TRIAL" ]; do sleep 0.02; done
echo "step=2 loss=0.5"
`, g.dir)
	if err := os.WriteFile(filepath.Join(g.dir, "trial.sh"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	values := make([]string, trials)
	for i := range values {
		values[i] = strconv.Itoa(i)
	}
	g.file = filepath.Join(g.dir, "sweep.yaml")
	text := fmt.Sprintf("name: %s\nmethod: grid\nmetric: {name: loss}\nprogram: trial.sh\ncommand: [sh, \"${program}\", \"${args}\"]\nparameters: {x: {values: [%s]}}\n%s\n",
		name, strings.Join(values, ", "), more)
	if err := os.WriteFile(g.file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.open() }) // so that no trial that lost its worker stays behind
	return g
}

// open lets the trials go on; with ids, these only.
func (g gated) open(trials ...string) {
	names := []string{"go"}
	if len(trials) > 0 {
		names = names[:0]
	}
	for _, id := range trials {
		names = append(names, "go-"+id)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(g.dir, name), nil, 0o644); err != nil && !os.IsNotExist(err) {
			g.t.Error(err)
		}
	}
}

// began are the attempts that began: trial, number, process.
func (g gated) began() [][]string {
	b, err := os.ReadFile(filepath.Join(g.dir, "began"))
	if err != nil && !os.IsNotExist(err) {
		g.t.Fatal(err)
	}
	var list [][]string
	for line := range strings.Lines(string(b)) {
		if strings.HasSuffix(line, "\n") {
			list = append(list, strings.Fields(line))
		}
	}
	return list
}

// times is how often the trials began, most often first. A trial may be handed to a worker
// ahead of time, and be given back without having begun.
func (g gated) times() []int {
	n := map[string]int{}
	for _, attempt := range g.began() {
		n[attempt[0]]++
	}
	list := slices.Sorted(maps.Values(n))
	slices.Reverse(list)
	return list
}

// await waits until n attempts began.
func (g gated) await(n int) {
	g.t.Helper()
	until(g.t, fmt.Sprintf("%d attempts to begin", n), func() bool { return len(g.began()) >= n })
}

// gone waits until no process of the attempts that began is alive.
func (g gated) gone() {
	g.t.Helper()
	for _, attempt := range g.began() {
		pid, err := strconv.Atoi(attempt[2])
		if err != nil {
			g.t.Fatal(err)
		}
		until(g.t, "process "+attempt[2]+" to be gone", func() bool { return syscall.Kill(pid, 0) != nil })
	}
}

// row is a row of results as programs read it.
type row struct {
	Trial     string
	Index     int
	State     string
	Params    map[string]any
	Metrics   map[string]any
	Best      map[string]any
	Attempts  int
	Worker    string
	DurationS float64 `json:"duration_s"`
}

func parseRows(t *testing.T, o outcome) []row {
	t.Helper()
	var rows []row
	for line := range strings.Lines(o.out) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		rows = append(rows, r)
	}
	return rows
}

// attempts are the numbers of attempts of the trials, by index; all must be finished.
func attempts(t *testing.T, rows []row) []int {
	t.Helper()
	slices.SortFunc(rows, func(a, b row) int { return a.Index - b.Index })
	var list []int
	for _, r := range rows {
		if r.State != "finished" {
			t.Errorf("trial %d is %s", r.Index, r.State)
		}
		list = append(list, r.Attempts)
	}
	return list
}

// A user's Python program, a coordinator and two workers, one of which comes later.
func TestTwoWorkersShareAPythonSweep(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3 here")
	}
	c, addr := coordinator(t, t.TempDir())
	worker(t, addr, "--name", "first", "--slots", "1")
	o := swath(t, "submit", "../examples/python/sweep.yaml", "--coordinator", addr).want(t, 0)
	if o.out != "python-logistic\n" {
		t.Errorf("submit printed %q, want the name alone", o.out)
	}
	worker(t, addr, "--name", "second", "--slots", "1")
	swath(t, "watch", "python-logistic", "--coordinator", addr).want(t, 0).says(t, "12 trials: 12 finished", "best trial:", "learning_rate = ")

	rows := parseRows(t, swath(t, "results", "python-logistic", "--coordinator", addr, "--format", "jsonl").want(t, 0))
	by := map[string]int{}
	for _, r := range rows {
		by[r.Worker]++
		if r.State != "finished" || r.Attempts != 1 || r.Metrics["accuracy"] == nil || r.Best["accuracy"] == nil {
			t.Errorf("row %+v", r)
		}
	}
	if len(rows) != 12 || by["first"] == 0 || by["second"] == 0 {
		t.Errorf("%d trials, by worker %v: want 12, some by each", len(rows), by)
	}
	c.stop().want(t, 0)
}

func TestKilledWorkerLosesNoTrial(t *testing.T) {
	t.Parallel()
	g := newGated(t, "killed-worker", 4, "")
	_, addr := coordinator(t, t.TempDir(), "--lease", "2s")
	doomed := worker(t, addr, "--name", "doomed", "--slots", "2")
	swath(t, "submit", g.file, "--coordinator", addr).want(t, 0)
	g.await(2)
	worker(t, addr, "--name", "heir", "--slots", "2")
	g.await(4)
	doomed.kill()
	g.open()
	swath(t, "watch", "killed-worker", "--coordinator", addr).want(t, 0).says(t, "4 trials: 4 finished")
	rows := parseRows(t, swath(t, "results", "killed-worker", "--coordinator", addr, "--format", "jsonl").want(t, 0))
	attempts(t, rows)
	if got := g.times(); !slices.Equal(got, []int{2, 2, 1, 1}) {
		t.Errorf("the trials began %v times, want two lost and run again", got)
	}
	for _, r := range rows {
		if r.Worker != "heir" {
			t.Errorf("trial %d finished on %s", r.Index, r.Worker)
		}
	}
}

// Of two workers one of whose homes is a copy of the other's, the second is refused with a word on
// what to do, and the first goes on. One that takes over from a killed one on the same home is let in.
func TestAWorkerOnACopiedHomeIsRefused(t *testing.T) {
	t.Parallel()
	g := newGated(t, "copied-home", 1, "")
	_, addr := coordinator(t, t.TempDir(), "--lease", "20s")
	home, copied := t.TempDir(), t.TempDir()
	begin := func(home string, more ...string) *process {
		return start(t, append([]string{"worker", "--home", home, "--coordinator", addr, "--slots", "1"}, more...)...)
	}
	first := begin(home)
	id := first.printed(`worker (\S+) ready`)
	swath(t, "submit", g.file, "--coordinator", addr).want(t, 0)
	g.await(1)
	for _, name := range []string{"id", "coordinator"} {
		b, err := os.ReadFile(filepath.Join(home, "worker", "0", name))
		if err == nil {
			err = os.MkdirAll(filepath.Join(copied, "worker", "0"), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(copied, "worker", "0", name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOOS == "linux" {
		idFile := filepath.Join(copied, "worker", "0", "id")
		begin(copied, "--config", write(t, "swath.yaml", "lease: 100ms\n")).wait().want(t, 2).
			says(t, fmt.Sprintf("process %d on host", first.cmd.Process.Pid), "remove "+idFile)
		if err := os.Remove(idFile); err != nil {
			t.Fatal(err)
		}
		if other := begin(copied).printed(`worker (\S+) ready`); other == id {
			t.Error("without the file it has the identity still")
		}
	}
	first.kill()
	if again := begin(home).printed(`worker (\S+) ready`); again != id {
		t.Errorf("the worker was %s and is %s", id, again)
	}
	g.open()
	swath(t, "watch", "copied-home", "--coordinator", addr).want(t, 0).says(t, "1 trial: 1 finished")
	if got := g.times(); !slices.Equal(got, []int{1}) {
		t.Errorf("the trial began %v times", got)
	}
}

// A coordinator with another home, by mistake at the address of the first, leaves a worker's
// trainers alone; they are the first one's when that is back.
func TestAnotherCoordinatorEndsNoTrainers(t *testing.T) {
	t.Parallel()
	g := newGated(t, "someone-elses", 2, "")
	home := t.TempDir()
	c, addr := coordinator(t, home)
	w := worker(t, addr, "--slots", "2")
	swath(t, "submit", g.file, "--coordinator", addr).want(t, 0)
	g.await(2)
	c.kill()
	wrong := start(t, "coordinator", "--home", t.TempDir(), "--listen", addr)
	wrong.printed("coordinator ready")
	until(t, "the worker to be refused", func() bool { return strings.Contains(w.stderr(), "still has 2 trials of another coordinator") })
	idle := worker(t, addr, "--slots", "1") // one that holds nothing may serve whom it likes
	idle.stop().want(t, 0)
	wrong.stop().want(t, 0)

	c = start(t, "coordinator", "--home", home, "--listen", addr)
	c.printed("coordinator ready")
	g.open()
	swath(t, "watch", "someone-elses", "--home", home).want(t, 0).says(t, "2 trials: 2 finished")
	if got := g.times(); !slices.Equal(got, []int{1, 1}) {
		t.Errorf("the trials began %v times", got)
	}
}

func TestKilledCoordinatorLosesNothingAndRunsNothingTwice(t *testing.T) {
	t.Parallel()
	g := newGated(t, "killed-coordinator", 6, "")
	home := t.TempDir()
	c, addr := coordinator(t, home)
	worker(t, addr, "--name", "patient", "--slots", "2")
	swath(t, "submit", g.file, "--coordinator", addr).want(t, 0)
	g.await(2)
	c.kill()
	// What the trials do now, nobody is there to be told.
	g.open()
	g.gone()
	// The address of the dead coordinator is still in the home; the files answer.
	swath(t, "status", "killed-coordinator", "--home", home).want(t, 0).says(t, "0/6 ended", "no coordinator runs")

	c = start(t, "coordinator", "--home", home, "--listen", addr)
	c.printed("coordinator ready")
	swath(t, "watch", "killed-coordinator", "--home", home).want(t, 0).says(t, "6 trials: 6 finished")
	rows := parseRows(t, swath(t, "results", "killed-coordinator", "--home", home, "--format", "jsonl").want(t, 0))
	if got := attempts(t, rows); !slices.Equal(got, []int{1, 1, 1, 1, 1, 1}) {
		t.Errorf("attempts %v", got)
	}
	if n := len(g.began()); n != 6 {
		t.Errorf("%d attempts began, want 6: %v", n, g.began())
	}
	for _, r := range rows {
		if r.Metrics["loss"] != 0.5 {
			t.Errorf("trial %d: last loss %v, want that of the last point", r.Index, r.Metrics["loss"])
		}
	}
	c.stop().want(t, 0)
	if _, err := os.Stat(filepath.Join(home, "coordinator.addr")); err == nil {
		t.Error("the address of a coordinator that ended in order is left in its home")
	}
}

func TestWorkerThatIsStoppedGivesItsTrialsBack(t *testing.T) {
	t.Parallel()
	g := newGated(t, "stopped-worker", 2, "retries: 0")
	_, addr := coordinator(t, t.TempDir())
	first := worker(t, addr, "--slots", "2")
	swath(t, "submit", g.file, "--coordinator", addr).want(t, 0)
	g.await(2)
	first.stop().want(t, 0)
	g.gone()
	g.open()
	worker(t, addr, "--slots", "2")
	swath(t, "watch", "stopped-worker", "--coordinator", addr).want(t, 0)
	rows := parseRows(t, swath(t, "results", "stopped-worker", "--coordinator", addr, "--format", "jsonl").want(t, 0))
	if got := attempts(t, rows); !slices.Equal(got, []int{2, 2}) { // though the sweep has no retries
		t.Errorf("attempts %v", got)
	}
}

func TestCancelStopsTheTrials(t *testing.T) {
	t.Parallel()
	g := newGated(t, "cancelled", 9, "")
	_, addr := coordinator(t, t.TempDir())
	worker(t, addr, "--slots", "2")
	swath(t, "submit", g.file, "--coordinator", addr).want(t, 0)
	g.await(2)
	watcher := start(t, "watch", "cancelled", "--coordinator", addr)
	swath(t, "cancel", "cancelled", "--coordinator", addr).want(t, 0).says(t, "cancelled is cancelling")
	watcher.wait().want(t, 0).says(t, " cancelled")
	g.gone()
	swath(t, "cancel", "cancelled", "--coordinator", addr).want(t, 0).says(t, "cancelled is cancelled")
	swath(t, "status", "cancelled", "--coordinator", addr).want(t, 0).says(t, "cancelled", "0 running")
	if n := len(g.began()); n != 2 {
		t.Errorf("%d attempts began, want 2", n)
	}
}

func TestInterruptedRunGoesOn(t *testing.T) {
	t.Parallel()
	g := newGated(t, "interrupted", 4, "")
	home := t.TempDir()
	run := start(t, "run", g.file, "--home", home, "--slots", "2", "--grace", "1s")
	g.await(2)
	// Told twice at once, as timeout(1) and other wrappers do: the end is in order.
	run.signal(os.Interrupt)
	run.signal(os.Interrupt)
	run.wait().want(t, 130).says(t, "interrupted", "the same command goes on")
	g.gone()
	swath(t, "status", "interrupted", "--home", home).want(t, 0).says(t, "0/4 ended", "0 running", "no coordinator runs")
	swath(t, "watch", "interrupted", "--home", home).want(t, 3).says(t, "has not ended")
	g.open()
	swath(t, "run", g.file, "--home", home, "--slots", "2").want(t, 0).says(t, "going on with it", "4 trials: 4 finished")
	rows := parseRows(t, swath(t, "results", "interrupted", "--home", home, "--format", "jsonl").want(t, 0))
	attempts(t, rows)
	if got := g.times(); !slices.Equal(got, []int{2, 2, 1, 1}) {
		t.Errorf("the trials began %v times", got)
	}
	// A sweep that has ended begins anew, under the next name.
	swath(t, "run", g.file, "--home", home, "--slots", "4").want(t, 0).says(t, "interrupted-2: 4 trials: 4 finished")
}

// While a run runs, another terminal sees its points, and cannot take its home.
func TestSecondTerminal(t *testing.T) {
	t.Parallel()
	g := newGated(t, "live", 3, "")
	home := t.TempDir()
	run := start(t, "run", g.file, "--home", home, "--slots", "2")
	g.await(2)
	until(t, "the points of running trials", func() bool {
		o := swath(t, "series", "live", "--metric", "loss", "--home", home, "--format", "csv")
		return o.code == 0 && strings.Count(o.out, ",loss,1,0.1,") == 2
	})
	swath(t, "status", "live", "--home", home).want(t, 0).says(t, "0/3", " running", "1, with 2 slots", "x=0")
	rows := parseRows(t, swath(t, "results", "live", "--home", home, "--format", "jsonl", "--where", `state == "running" && loss < 1`).want(t, 0))
	if len(rows) != 2 || rows[0].Metrics["loss"] != 0.1 {
		t.Errorf("results of running trials: %+v", rows)
	}
	swath(t, "ls", "--home", home).want(t, 0).says(t, "live", "running", "0/3")
	swath(t, "logs", "live/0", "--home", home).want(t, 0).says(t, "step=1 loss=0.1")
	for _, verb := range []string{"run", "coordinator"} {
		args := []string{verb, "--home", home}
		if verb == "run" {
			args = append(args, g.file)
		} else {
			args = append(args, "--listen", "127.0.0.1:0")
		}
		swath(t, args...).want(t, 2).says(t, "in use by another swath at 127.0.0.1:", "choose another home")
	}
	watcher := start(t, "watch", "live", "--home", home, "--json")
	watcher.printed(`"event":"sweep"`)
	g.open()
	run.wait().want(t, 0)
	// The run leaves when its sweep has ended, and a watcher may be cut off at the last word.
	if o := watcher.wait(); o.code != 0 && o.code != 3 && o.code != 2 {
		t.Errorf("watch ended with %d:\n%s", o.code, o.err)
	}
}

func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	g := newGated(t, "pipe", 3, "")
	home := t.TempDir()
	cmd := exec.Command(self(t), "run", g.file, "--home", home, "--slots", "2", "--grace", "1s", "--json")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, `"event":"sweep"`) {
		t.Fatalf("read %q, %v", line, err)
	}
	g.await(2)
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	g.open(g.began()[0][0]) // its end is the next thing to tell
	deadline := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer deadline.Stop()
	_ = cmd.Wait() // the exit code says all
	if code := cmd.ProcessState.ExitCode(); code != 141 {
		t.Errorf("exit code %d, want that of SIGPIPE", code)
	}
	g.gone()
	if _, err := os.Stat(filepath.Join(home, "coordinator.addr")); err == nil {
		t.Error("it did not end in order: its address is left in the home")
	}
	g.open()
	swath(t, "run", g.file, "--home", home).want(t, 0).says(t, "3 finished")

	results := exec.Command("sh", "-c", `"$0" results pipe --home "$1" --format jsonl | head -n 1`, self(t), home)
	results.Env = append(os.Environ(), asProgram+"=1")
	b, err := results.CombinedOutput()
	if err != nil || strings.Count(string(b), "\n") != 1 {
		t.Errorf("results into head: %v, %q", err, b)
	}
}

// A coordinator that is stopped for longer than the lease blames nobody for it; and a worker that is
// stopped, while there is no other, has its trials again when it goes on.
func TestStoppedProcessesLoseNoTrial(t *testing.T) {
	t.Parallel()
	const lease = 2 * time.Second
	g := newGated(t, "stopped", 2, "")
	c, addr := coordinator(t, t.TempDir(), "--lease", lease.String())
	w := worker(t, addr, "--slots", "2")
	swath(t, "submit", g.file, "--coordinator", addr).want(t, 0)
	g.await(2)
	c.signal(syscall.SIGSTOP)
	time.Sleep(2 * lease)
	c.signal(syscall.SIGCONT)
	w.signal(syscall.SIGSTOP)
	until(t, "the trials to be lost", func() bool {
		return strings.Contains(swath(t, "status", "stopped", "--coordinator", addr).want(t, 0).out, "0 running")
	})
	w.signal(syscall.SIGCONT)
	until(t, "the worker to have them again", func() bool {
		return strings.Contains(swath(t, "status", "stopped", "--coordinator", addr).want(t, 0).out, "2 running")
	})
	g.open()
	swath(t, "watch", "stopped", "--coordinator", addr).want(t, 0).says(t, "2 trials: 2 finished")
	if got := g.times(); !slices.Equal(got, []int{1, 1}) {
		t.Errorf("the trials began %v times", got)
	}
}

// What a `swath run` that was killed left running goes on beside the next one, of another sweep,
// which takes the slots as they fall free; and the first sweep goes on with it.
func TestRunBesideWhatAKilledRunLeft(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	a, b := newGated(t, "left", 3, ""), newGated(t, "next", 3, "")
	first := start(t, "run", a.file, "--home", home, "--slots", "2")
	a.await(2)
	first.kill()

	second := start(t, "run", b.file, "--home", home, "--slots", "3")
	b.await(1)
	swath(t, "status", "left", "--home", home).want(t, 0).says(t, "2 running")
	swath(t, "explain", "left/2", "--home", home).want(t, 0).says(t, "the sweep rests")
	a.open(a.began()[0][0])
	b.await(2)
	b.open()
	second.wait().want(t, 0).says(t, "3 trials: 3 finished")
	if said := second.stderr(); !strings.Contains(said, "left was interrupted, and what ran of it goes on (trials: 2)") {
		t.Errorf("the second run says\n%s", said)
	}
	if n := len(a.began()); n != 2 {
		t.Errorf("%d attempts of the first sweep began beside the second", n)
	}
	a.open()
	swath(t, "run", a.file, "--home", home, "--slots", "2").want(t, 0).says(t, "3 trials: 3 finished")
	rows := parseRows(t, swath(t, "results", "left", "--home", home, "--format", "jsonl", "--sort", "index").want(t, 0))
	for _, row := range rows {
		if row.Trial == a.began()[0][0] && row.Attempts != 1 {
			t.Errorf("the trial that ended beside the second run had %d attempts", row.Attempts)
		}
	}
}
