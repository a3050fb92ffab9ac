//go:build unix

package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// shellSweep writes a sweep file whose trials run a shell script; more is added to it. The
// script knows its parameters as $1, "x=1", and the folder of the file as $dir.
func shellSweep(t *testing.T, name, script, more string) (file, dir string) {
	t.Helper()
	dir = t.TempDir()
	script = fmt.Sprintf("dir='%s'\n%s\n", dir, script)
	if err := os.WriteFile(filepath.Join(dir, "trial.sh"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, name+".yaml")
	text := fmt.Sprintf("name: %s\nmethod: grid\nmetric: {name: loss}\nprogram: trial.sh\ncommand: [sh, \"${program}\", \"${args_no_hyphens}\"]\n%s\n", name, more)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file, dir
}

// column is a column of a sweep's results, by index.
func column(t *testing.T, addr, sweep, name string) []string {
	t.Helper()
	o := swath(t, "results", sweep, "--coordinator", addr, "--format", "csv", "--columns", name, "--sort", "index").want(t, 0)
	return strings.Split(strings.TrimSpace(o.out), "\n")[1:]
}

func all(list []string, is string) bool {
	return !slices.ContainsFunc(list, func(x string) bool { return x != is })
}

// A sweep that cannot work is paused before all of it has failed, and goes on when a user has
// mended it.
func TestAllFailAlike(t *testing.T) {
	t.Parallel()
	file, dir := shellSweep(t, "hopeless", `if [ -e "$dir/mended" ]; then exit 0; fi
echo "ImportError: no module named torch" >&2; exit 1`, "parameters: {x: {distribution: int_uniform, min: 1, max: 40}}")
	_, addr := coordinator(t, t.TempDir())
	worker(t, addr, "--slots", "2")
	swath(t, "submit", file, "--coordinator", addr).want(t, 0)
	status := func() outcome { return swath(t, "status", "hopeless", "--coordinator", addr).want(t, 0) }
	until(t, "the sweep to be paused", func() bool { return strings.Contains(status().out, "paused") })
	status().says(t, "all failed alike: exit code 1: ImportError: no module named torch")
	swath(t, "explain", "hopeless/39", "--coordinator", addr).want(t, 0).says(t, "the sweep is paused", "all failed alike")
	watcher := start(t, "watch", "hopeless", "--coordinator", addr)
	until(t, "the watcher to hear of it", func() bool { return strings.Contains(watcher.stderr(), ", paused: its first") })
	if strings.Contains(watcher.stderr(), " left") {
		t.Errorf("a paused sweep is said to end some time:\n%s", watcher.stderr())
	}
	failed := 0
	until(t, "what ran then to end", func() bool {
		states := column(t, addr, "hopeless", "state")
		failed = len(states)
		return all(states, "failed")
	})
	if failed < 10 || failed > 14 {
		t.Errorf("%d trials failed before the sweep was paused, want the first 10, and what ran then", failed)
	}
	if err := os.WriteFile(filepath.Join(dir, "mended"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	swath(t, "resume", "hopeless", "--coordinator", addr).want(t, 0)
	watcher.wait().want(t, 1).says(t, fmt.Sprintf("%d finished, %d failed", 40-failed, failed))
	swath(t, "rerun", "hopeless", "--failed", "--coordinator", addr).want(t, 0)
	swath(t, "watch", "hopeless", "--coordinator", addr).want(t, 0).says(t, "40 trials: 40 finished")
}

// A worker that fails whatever it is given, and fast, neither eats the sweep nor has it paused:
// it is set aside, and what it spoilt runs elsewhere, uncharged.
func TestBrokenWorkerIsSetAside(t *testing.T) {
	t.Parallel()
	file, dir := shellSweep(t, "one-broken", `if [ -e "$SWATH_CHECKPOINT_DIR/../../../../../broken" ]; then echo "CUDA error: no device" >&2; exit 1; fi
while [ ! -e "$dir/go" ]; do sleep 0.02; done
echo "loss=0.$SWATH_TRIAL_INDEX"`, "parameters: {x: {distribution: int_uniform, min: 1, max: 30}}")
	_, addr := coordinator(t, t.TempDir())
	bad := t.TempDir()
	if err := os.WriteFile(filepath.Join(bad, "broken"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	worker(t, addr, "--slots", "1", "--name", "good")
	swath(t, "submit", file, "--coordinator", addr).want(t, 0)
	p := start(t, "worker", "--home", bad, "--coordinator", addr, "--slots", "2", "--name", "bad")
	p.printed("ready")
	spoilt := func() int {
		n := 0
		for _, s := range column(t, addr, "one-broken", "state") {
			if s == "failed" {
				n++
			}
		}
		return n
	}
	until(t, "the broken worker to spoil trials", func() bool { return spoilt() >= 10 })
	swath(t, "explain", "one-broken/29", "--coordinator", addr).want(t, 0).says(t, "worker bad is given none for now")
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	swath(t, "watch", "one-broken", "--coordinator", addr).want(t, 0).says(t, "30 trials: 30 finished")
	swath(t, "workers", "--coordinator", addr).want(t, 0).says(t, "drained", "trials in a row failed on it while others finished elsewhere, last: exit code 1: CUDA error: no device")
	if on := column(t, addr, "one-broken", "worker"); !all(on, "good") {
		t.Errorf("the trials finished on %v", on)
	}
	swath(t, "drain", "bad", "--undo", "--coordinator", addr).want(t, 0).says(t, "worker bad is idle")
}

// A drained worker finishes what it runs, and stays drained when its agent is started again.
// Of two sweeps the one of the higher priority is served first, though it came later.
func TestDrainAndPriority(t *testing.T) {
	t.Parallel()
	low := newGated(t, "low", 3, "")
	high := newGated(t, "high", 2, "priority: 1")
	_, addr := coordinator(t, t.TempDir())
	home := t.TempDir()
	agent := func() *process {
		p := start(t, "worker", "--home", home, "--coordinator", addr, "--slots", "1", "--name", "w", "--grace", "1s")
		p.printed("ready")
		return p
	}
	p := agent()
	swath(t, "submit", low.file, "--coordinator", addr).want(t, 0)
	low.await(1)
	swath(t, "drain", "w", "--coordinator", addr).want(t, 0).says(t, "worker w is drained")
	swath(t, "submit", high.file, "--coordinator", addr).want(t, 0)
	low.open(low.began()[0][0])
	until(t, "the trial to end, and what waited behind it to be given back", func() bool {
		return strings.Contains(swath(t, "status", "low", "--coordinator", addr).want(t, 0).out, "1/3 ended: 1 finished, 0 failed, 0 cancelled; 0 running")
	})
	p.stop().want(t, 0)
	agent()
	swath(t, "workers", "--coordinator", addr).want(t, 0).says(t, "drained by a user")
	swath(t, "explain", "high/0", "--coordinator", addr).want(t, 0).says(t, "no worker takes trials: drained by a user")
	swath(t, "explain", "low/2", "--coordinator", addr).want(t, 0).says(t, "sweep high of priority 1 is served first")
	swath(t, "drain", "w", "--undo", "--coordinator", addr).want(t, 0)
	high.await(1)
	high.open()
	high.await(2)
	swath(t, "watch", "high", "--coordinator", addr).want(t, 0)
	low.open()
	swath(t, "watch", "low", "--coordinator", addr).want(t, 0).says(t, "3 trials: 3 finished")
	if got := low.times(); !slices.Equal(got, []int{1, 1, 1}) {
		t.Errorf("the trials began %v times", got)
	}
}

// What runs when a sweep is paused goes on, nothing else begins until it is resumed; its time
// limit ends it in either case.
func TestPauseAndTimeLimit(t *testing.T) {
	t.Parallel()
	g := newGated(t, "limited", 4, "time_limit: 6s")
	_, addr := coordinator(t, t.TempDir())
	worker(t, addr, "--slots", "1")
	swath(t, "submit", g.file, "--coordinator", addr).want(t, 0)
	g.await(1)
	swath(t, "pause", "limited", "--coordinator", addr).want(t, 0).says(t, "limited is paused")
	g.open(g.began()[0][0])
	status := func() outcome { return swath(t, "status", "limited", "--coordinator", addr).want(t, 0) }
	until(t, "the running trial to finish", func() bool { return strings.Contains(status().out, "1/4 ended: 1 finished") })
	status().says(t, "paused: by a user", "0 running")
	swath(t, "resume", "limited", "--coordinator", addr).want(t, 0)
	g.await(2)
	swath(t, "watch", "limited", "--coordinator", addr).want(t, 0).says(t, " cancelled")
	status().says(t, "cancelled: its time limit of 6s was up")
	g.gone()
}

// A trial that runs out of memory beside others is run alone, on the house; alone, it is its
// own fault.
func TestOutOfMemoryRunsAlone(t *testing.T) {
	t.Parallel()
	// The first trial needs more than is there while others run.
	file, dir := shellSweep(t, "hungry", `echo "$1 $$ begins" >> "$dir/log"
if [ "$1" = x=1 ]; then
	for p in 1 2 3 4 5; do for other in "$dir"/runs-*; do
		if [ -e "$other" ]; then echo "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB" >&2; exit 1; fi
	done; sleep 0.1; done
else
	: > "$dir/runs-$$"; sleep 0.3; rm "$dir/runs-$$"
fi`, "parameters: {x: {distribution: int_uniform, min: 1, max: 6}}")
	_, addr := coordinator(t, t.TempDir())
	if err := os.WriteFile(filepath.Join(dir, "runs-"+strconv.Itoa(os.Getpid())), nil, 0o644); err != nil {
		t.Fatal(err) // so that the first attempt is not alone, however fast it is
	}
	worker(t, addr, "--slots", "2")
	swath(t, "submit", file, "--coordinator", addr).want(t, 0)
	until(t, "the first to run out of memory", func() bool {
		return slices.Contains(column(t, addr, "hungry", "class"), "oom")
	})
	if err := os.Remove(filepath.Join(dir, "runs-"+strconv.Itoa(os.Getpid()))); err != nil {
		t.Fatal(err)
	}
	swath(t, "watch", "hungry", "--coordinator", addr).want(t, 0).says(t, "6 trials: 6 finished")
	if got := column(t, addr, "hungry", "attempts"); !slices.Equal(got, []string{"2", "1", "1", "1", "1", "1"}) {
		t.Errorf("attempts %v", got)
	}
}
