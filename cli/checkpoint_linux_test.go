package cli_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// killMachine kills every process that belongs to a worker's home at once, as a machine does
// that loses power: the agent, its keeper and the trainers.
func killMachine(t *testing.T, home string) {
	t.Helper()
	killed := 0
	for again := true; again; { // those that were about to be started, too
		again = false
		dirs, err := filepath.Glob("/proc/[0-9]*")
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range dirs {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			args, _ := os.ReadFile(filepath.Join(dir, "cmdline")) // it may be gone
			env, _ := os.ReadFile(filepath.Join(dir, "environ"))
			if len(args) > 0 && pid != os.Getpid() && (bytes.Contains(args, []byte(home)) || bytes.Contains(env, []byte(home))) {
				if syscall.Kill(pid, syscall.SIGKILL) == nil {
					killed, again = killed+1, true
				}
			}
		}
	}
	if killed < 2 {
		t.Errorf("killed %d processes of %s, want an agent and a trainer at least", killed, home)
	}
}

// keptSteps are the steps of the checkpoints that are kept of a sweep.
func keptSteps(t *testing.T, sweep, addr string) []int64 {
	t.Helper()
	o := swath(t, "checkpoints", sweep, "--coordinator", addr, "--json").want(t, 0)
	var steps []int64
	for line := range strings.Lines(o.out) {
		var k struct{ Step int64 }
		if err := json.Unmarshal([]byte(line), &k); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		steps = append(steps, k.Step)
	}
	return steps
}

// points are the recorded points of a sweep, as "index metric step value", but for how fast
// it was.
func points(t *testing.T, sweep string, where ...string) []string {
	t.Helper()
	o := swath(t, append([]string{"series", sweep, "--format", "csv"}, where...)...).want(t, 0)
	rows, err := csv.NewReader(strings.NewReader(o.out)).ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("series of %s: %v\n%s", sweep, err, o.out)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	var list []string
	for _, r := range rows[1:] {
		if metric := r[column["metric"]]; metric != "images_per_second" {
			list = append(list, fmt.Sprintf("%s %s %s %s", r[column["index"]], metric, r[column["step"]], r[column["value"]]))
		}
	}
	return list
}

// A program of the user's: the machine that runs it is lost, and it goes on elsewhere.
func TestLostMachineIsTakenUpFromTheCheckpoint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := fmt.Sprintf(`set -eu
dir='%s'
n=0
if [ -e "$SWATH_CHECKPOINT_DIR/state/n" ]; then n=$(cat "$SWATH_CHECKPOINT_DIR/state/n"); fi
echo "$SWATH_ATTEMPT $n" >> "$dir/began"
while [ $n -lt 20 ]; do
	n=$((n + 1))
	echo "{\"step\": $n, \"metrics\": {\"loss\": $n}}" >> "$SWATH_REPORT"
	if [ $((n %% 5)) = 0 ]; then
		mkdir -p "$SWATH_CHECKPOINT_DIR/state"
		echo $n > "$SWATH_CHECKPOINT_DIR/state/n"
		echo "{\"checkpoint\": \"state\", \"step\": $n}" >> "$SWATH_REPORT"
	fi
	if [ $n = 12 ] && [ $SWATH_ATTEMPT = 1 ]; then
		while [ ! -e "$dir/go" ]; do sleep 0.05; done
	fi
done
`, dir)
	file := write(t, "sweep.yaml", fmt.Sprintf("name: lost\nmethod: grid\nmetric: {name: loss}\nprogram: %s\ncommand: [sh, \"${program}\"]\nparameters: {x: {values: [1]}}\n",
		write(t, "trial.sh", script)))
	_, addr := coordinator(t, t.TempDir(), "--lease", "2s")
	home := t.TempDir()
	start(t, "worker", "--coordinator", addr, "--home", home, "--checkpoint-every", "50ms").printed("ready")
	swath(t, "submit", file, "--coordinator", addr).want(t, 0)
	until(t, "the checkpoint of step 10", func() bool { return slices.Equal(keptSteps(t, "lost", addr), []int64{10}) })
	swath(t, "explain", "lost/0", "--coordinator", addr).want(t, 0).says(t, "its last checkpoint is the checkpoint of step 10 that attempt 1 left")
	out := filepath.Join(t.TempDir(), "model")
	swath(t, "checkpoints", "get", "lost/0", "--out", out, "--coordinator", addr).want(t, 0).says(t, "checkpoint of step 10")
	if b, err := os.ReadFile(filepath.Join(out, "state", "n")); err != nil || string(b) != "10\n" {
		t.Errorf("the checkpoint that was fetched holds %q, %v", b, err)
	}
	killMachine(t, home)
	worker(t, addr)
	swath(t, "watch", "lost", "--coordinator", addr).want(t, 0).says(t, "1 trial: 1 finished")

	if b, err := os.ReadFile(filepath.Join(dir, "began")); err != nil || string(b) != "1 0\n2 10\n" {
		t.Errorf("attempts began at %q (%v), want the second where the first had its checkpoint", b, err)
	}
	var want []string
	for n := 1; n <= 20; n++ {
		want = append(want, fmt.Sprintf("0 loss %d %d", n, n))
	}
	if got := points(t, "lost", "--coordinator", addr); !slices.Equal(got, want) {
		t.Errorf("points %q, want every step once", got)
	}
	// Nobody asked to keep that of a trial that has finished.
	until(t, "the checkpoint to be dropped", func() bool { return len(keptSteps(t, "lost", addr)) == 0 })
	swath(t, "checkpoints", "lost", "--coordinator", addr).want(t, 0).says(t, "no checkpoints of lost are kept", "keep_last")
}

const tinyViT = `name: %s
method: grid
metric: {name: test_accuracy, goal: maximize}
trainer: vit
parameters:
  dataset: {value: shapes}
  train_images: {value: 300}
  test_images: {value: 60}
  image_size: {value: 16}
  patch_size: {value: 8}
  embed_dim: {value: 24}
  heads: {value: 2}
  encoder_layers: {value: 1}
  mlp_dim: {value: 32}
  epochs: {value: 400}
  batch_size: {value: 20}
  report_every: {value: 20}
  threads: {value: 1}
  augment: {value: flip}
checkpoints: {keep_last: 1, keep_best: 1}
`

// The same with a built-in trainer: what comes out is, bit for bit, what comes out of a
// training that was not interrupted.
func TestLostMachineLeavesNoTraceInTheResults(t *testing.T) {
	t.Parallel()
	keeping := t.TempDir()
	_, addr := coordinator(t, keeping, "--lease", "2s")
	home := t.TempDir()
	start(t, "worker", "--coordinator", addr, "--home", home, "--checkpoint-every", "50ms").printed("ready")
	swath(t, "submit", write(t, "sweep.yaml", fmt.Sprintf(tinyViT, "interrupted")), "--coordinator", addr).want(t, 0)
	// The folder is looked at, and not asked for with a program, as the training lasts for seconds only.
	until(t, "a checkpoint", func() bool {
		kept, _ := filepath.Glob(filepath.Join(keeping, "checkpoints", strings.Repeat("?", 64)))
		return len(kept) > 0
	})
	killMachine(t, home)
	worker(t, addr)
	swath(t, "watch", "interrupted", "--coordinator", addr).want(t, 0).says(t, "1 trial: 1 finished")
	rows := parseRows(t, swath(t, "results", "interrupted", "--coordinator", addr, "--format", "jsonl").want(t, 0))
	if len(rows) != 1 || rows[0].Attempts != 2 {
		t.Fatalf("results %+v, want two attempts: was the machine killed too late?", rows)
	}
	swath(t, "logs", "interrupted/0", "--coordinator", addr).want(t, 0).says(t, "going on from a checkpoint")
	if got := keptSteps(t, "interrupted", addr); !slices.Contains(got, 400*15) {
		t.Errorf("kept are the checkpoints of steps %v, want the last", got)
	}

	whole := t.TempDir()
	swath(t, "run", write(t, "sweep.yaml", fmt.Sprintf(tinyViT, "whole")), "--home", whole, "--slots", "1").want(t, 0)
	want, got := points(t, "whole", "--home", whole), points(t, "interrupted", "--coordinator", addr)
	if len(want) < 4*400 || !slices.Equal(got, want) {
		t.Errorf("%d points differ from the %d of an uninterrupted training", len(got), len(want))
	}
}

const tinyDCGAN = `name: %s
method: grid
metric: {name: swd, goal: minimize}
trainer: dcgan
%s
parameters:
  epochs: {values: [1, 2, 4]}
  learning_rate: {values: [2e-4, 1e-3]}
  dataset: {value: shapes}
  train_images: {value: 64}
  image_size: {value: 16}
  latent_dim: {value: 8}
  generator_features: {value: 4}
  discriminator_features: {value: 4}
  batch_size: {value: 16}
  swd_images: {value: 32}
  report_every: {value: 2}
  threads: {value: 1}
`

// Trials that go on from each other come to what they come to by themselves.
func TestChainEqualsIndependentTrials(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	for name, more := range map[string]string{"chain": "continue: epochs", "apart": ""} {
		swath(t, "run", write(t, "sweep.yaml", fmt.Sprintf(tinyDCGAN, name, more)), "--home", home, "--slots", "2").want(t, 0).says(t, name+": 6 trials: 6 finished")
	}
	chain, apart := points(t, "chain", "--home", home), points(t, "apart", "--home", home)
	if len(apart) < 6*5*2 || !slices.Equal(chain, apart) {
		t.Errorf("the %d points of a chain differ from the %d of independent trials", len(chain), len(apart))
	}
	// Indices count learning rates fastest. 4 steps an epoch.
	for index, step := range []int{0, 0, 4, 4, 8, 8} {
		o := swath(t, "logs", fmt.Sprintf("chain/%d", index), "--home", home).want(t, 0)
		if want := fmt.Sprintf("step=%d", step); step > 0 != strings.Contains(o.out+o.err, "going on from a checkpoint") || step > 0 && !strings.Contains(o.out+o.err, want) {
			t.Errorf("trial %d, want it to go on from step %d:\n%s%s", index, step, o.out, o.err)
		}
	}
	swath(t, "checkpoints", "chain", "--home", home).want(t, 0).says(t, "no checkpoints")
}
