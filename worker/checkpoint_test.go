//go:build unix

package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
	"swath/worker/exec"
)

// depot is a fake of the coordinator's checkpoints.
type depot struct {
	mu      sync.Mutex
	files   map[string][]byte
	kept    map[sweeps.AttemptRef][]int64 // steps
	down    int                           // so many calls find nobody
	refuses string
	reads   int
	last    sweeps.Checkpoint
}

func (d *depot) UploadCheckpoint(_ context.Context, _ sweeps.WorkerID, ref sweeps.AttemptRef, c sweeps.Checkpoint, r io.ReaderAt, moved func()) (string, error) {
	b, err := io.ReadAll(io.NewSectionReader(r, 0, c.Size))
	if err != nil {
		return "", err
	}
	moved()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down > 0 {
		d.down--
		return "", fmt.Errorf("%w: nobody there", sweeps.ErrUnavailable)
	}
	if d.refuses != "" {
		return d.refuses, nil
	}
	if d.files == nil {
		d.files, d.kept = map[string][]byte{}, map[sweeps.AttemptRef][]int64{}
	}
	d.files[c.Digest], d.last = b, c
	d.kept[ref] = append(d.kept[ref], c.Step)
	return "", nil
}

func (d *depot) ReadCheckpoint(_ context.Context, digest string, offset int64, w io.Writer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	b, is := d.files[digest]
	if !is {
		return sweeps.ErrNotFound
	}
	if d.down > 0 { // it breaks half way
		d.down--
		_, err := w.Write(b[offset : (offset+int64(len(b)))/2])
		return errors.Join(err, sweeps.ErrUnavailable)
	}
	_, err := w.Write(b[offset:])
	return err
}

func (d *depot) steps(ref sweeps.AttemptRef) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprint(d.kept[ref])
}

// setup is an agent with checkpoints of a depot.
func (d *depot) setup(t *testing.T, home string) (*coordinator, *running) {
	t.Helper()
	c := newCoordinator(t)
	t.Cleanup(c.check)
	a := newAgent(t, c, home, func(cfg *Config) { cfg.Transfer, cfg.CheckpointEvery = d, 20*time.Millisecond })
	a.times.look = 5 * time.Millisecond
	return c, run(t, a)
}

const saves = `say() { echo "$1" >> "$SWATH_REPORT"; }
dir=$SWATH_CHECKPOINT_DIR
n=0
for f in "$dir"/*; do if [ -e "$f" ]; then n=$(cat "$f"); fi; done
save() { echo $n > "$dir/$n"; say "{\"checkpoint\": \"$n\", \"step\": $n}"; }
step() { n=$((n + 1)); say "{\"loss\": $n, \"step\": $n}"; }
`

// A trial fails after its checkpoint; its next attempt goes on from there, on this worker
// from what it has, on another from what it fetches.
func TestCheckpointsAreBroughtAndFetched(t *testing.T) {
	d := &depot{down: 3}
	c, r := d.setup(t, t.TempDir())
	first := shell(0, saves+"step; say '{\"checkpoint\": \"x1\"}'; step; cp /dev/null $dir/x; echo 2 > $dir/2.new; mv $dir/2.new $dir/x2; say '{\"checkpoint\": \"x2\", \"step\": 2}'; step; exit 3")
	c.start(first)
	if out := c.ended(first.Ref); out.ExitCode != 3 {
		t.Fatalf("ended as %+v", out)
	}
	// Its end was reported when the checkpoint had arrived, though nobody took it at first.
	if got := d.steps(first.Ref); got != "[2]" {
		t.Fatalf("brought were the checkpoints of steps %s, want the last", got)
	}
	gone(t, attemptPath(r.Agent, first))
	var from sweeps.Checkpoint
	for digest, b := range d.files {
		from = sweeps.Checkpoint{Step: 2, Digest: digest, Size: int64(len(b))}
	}
	d.down = 2
	for i, w := range []struct {
		c     *coordinator
		reads int
	}{{c, 0}, {nil, 3}} {
		if w.c == nil {
			w.c, _ = d.setup(t, t.TempDir())
		}
		next := shell(0, saves+"step; step; ls $dir")
		next.Ref.Attempt, next.From = 2+i, &from
		w.c.start(next)
		if out := w.c.ended(next.Ref); !out.OK() {
			t.Fatalf("ended as %+v", out)
		}
		if got := fmt.Sprint(w.c.values(next.Ref, "loss")); got != "[1 2 3 4]" {
			t.Errorf("its series is %s, want that up to the checkpoint, and its own", got)
		}
		if got := w.c.log(next.Ref, "stdout"); got != "x2\n" {
			t.Errorf("its checkpoint folder had %q", got)
		}
		if d.reads != w.reads {
			t.Errorf("the checkpoint was read %d times, want %d", d.reads, w.reads)
		}
	}
}

// What was printed is carried on like what was reported, each step once: however far the trainer
// had come when its checkpoint was found, and also where it counts its steps by itself.
func TestWhatWasPrintedBelongsToTheCheckpoint(t *testing.T) {
	const prints = saves + `metrics() { n=$((n + 1)); echo "step=$n loss=$n"; echo "acc=$n"; say "{\"both\": $n, \"step\": $n}"; echo "step=$n both=0"; }
`
	d := &depot{}
	c, _ := d.setup(t, t.TempDir())
	var from *sweeps.Checkpoint
	for attempt, script := range []string{
		"metrics; save; sleep 0.05; metrics; save; metrics; exit 3",
		"metrics; save; metrics; exit 3",
		"echo went on from $n; metrics",
	} {
		m := shell(0, prints+script)
		m.Source = append(m.Source, "metrics: [acc, both]\n"...)
		m.Ref.Attempt, m.From = attempt+1, from
		c.start(m)
		c.ended(m.Ref)
		d.mu.Lock()
		last := d.last
		d.mu.Unlock()
		if from = &last; attempt < 2 {
			continue
		}
		if got := c.log(m.Ref, "stdout"); !strings.HasPrefix(got, "went on from 3\n") {
			t.Fatalf("printed %q", got)
		}
		for _, metric := range []string{"loss", "acc", "both"} {
			var series []string
			for _, p := range c.points[m.Ref] {
				if p.Metric == metric {
					series = append(series, fmt.Sprint(p.Step, ":", p.Value))
				}
			}
			if got := strings.Join(series, " "); got != "1:1 2:2 3:3 4:4" {
				t.Errorf("the series of %s is %q, want every step once", metric, got)
			}
		}
	}
}

func TestCheckpointThatIsGone(t *testing.T) {
	d := &depot{}
	c, _ := d.setup(t, t.TempDir())
	m := shell(0, saves+"step")
	m.From = &sweeps.Checkpoint{Step: 9, Digest: strings.Repeat("0", 64), Size: 1}
	c.start(m)
	if out := c.ended(m.Ref); !out.OK() || fmt.Sprint(c.values(m.Ref, "loss")) != "[1]" {
		t.Errorf("ended as %+v with %v, want it to begin anew", out, c.values(m.Ref, "loss"))
	}
}

// What is refused keeps nobody waiting, and what nobody wants is not brought.
func TestCheckpointsThatAreNotBrought(t *testing.T) {
	d := &depot{refuses: "the disk is full"}
	c, r := d.setup(t, t.TempDir())
	failing := shell(0, saves+"step; save; exit 1")
	c.start(failing)
	c.ended(failing.Ref)
	d.refuses = ""
	for i, script := range []string{
		"step; save",                                     // it ended well, and nobody goes on from it
		"step; save; rm $dir/*; exit 1",                  // it is gone
		"step; say '{\"checkpoint\": \"../x\"}'; exit 1", // it is none
		"exit 1", // there never was one
	} {
		m := shell(int64(1+i), saves+script)
		c.start(m)
		c.ended(m.Ref)
		if got := d.steps(m.Ref); i > 0 && got != "[]" {
			t.Errorf("%q: brought were %s", script, got)
		}
	}
	r.stop()
	entries, err := os.ReadDir(filepath.Join(r.home.dir, "checkpoints"))
	for _, e := range entries {
		t.Errorf("%s is left behind", e.Name())
	}
	if err != nil {
		t.Error(err)
	}
}

// What a user stopped may be run again, from where it was.
func TestLastCheckpointOfACancelledTrialIsBrought(t *testing.T) {
	d := &depot{}
	c, _ := d.setup(t, t.TempDir())
	m := shell(0, saves+"trap 'step; save; exit 1' TERM; echo ready; while :; do sleep 0.01; done")
	c.start(m)
	c.until("the trap", func() bool { return c.logs[m.Ref]["stdout"] == "ready\n" })
	c.stop(m.Ref)
	if out := c.ended(m.Ref); out.Class != sweeps.ClassCancelled || d.steps(m.Ref) != "[1]" {
		t.Errorf("ended as %+v, and brought were %s", out, d.steps(m.Ref))
	}
}

// What is asked for is brought although the trial ended well.
func TestFinalCheckpointIsBroughtIfItIsKept(t *testing.T) {
	d := &depot{}
	c, _ := d.setup(t, t.TempDir())
	m := shell(0, saves+"step; save; step; save")
	m.Source = append(m.Source, "checkpoints: {keep_last: 1}\n"...)
	c.start(m)
	c.ended(m.Ref)
	if got := d.steps(m.Ref); got != "[2]" && got != "[1 2]" {
		t.Errorf("brought were %s", got)
	}
}

// cached are the trials whose bundles the worker holds.
func cached(t *testing.T, a *Agent) string {
	t.Helper()
	entries, err := os.ReadDir(a.cache.dir)
	if err != nil {
		t.Fatal(err)
	}
	var trials []string
	for _, e := range entries {
		if goodBundle.MatchString(e.Name()) {
			trials = append(trials, e.Name()[65:])
		}
	}
	return strings.Join(trials, " ")
}

// The cache has one bundle of a trial, and none of a trial that has come to its end.
func TestCacheHoldsWhatMayBeNeeded(t *testing.T) {
	d := &depot{}
	c, r := d.setup(t, t.TempDir())
	const waits = "step; save; step; save; while [ ! -e $dir/../end ]; do sleep 0.01; done; "
	m := shell(0, saves+"i=0; while [ $i -lt 5 ]; do i=$((i + 1)); step; save; sleep 0.05; done; "+waits+"exit 1")
	c.start(m)
	eventually(t, "the last checkpoint", func() bool { return strings.HasSuffix(d.steps(m.Ref), "7]") && cached(t, r.Agent) != "" })
	if got := cached(t, r.Agent); got != "s1-0" || d.steps(m.Ref) == "[7]" {
		t.Errorf("cached are %q, and brought were %s", got, d.steps(m.Ref))
	}
	end := func(m wire.Start) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(attemptPath(r.Agent, m), "end"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		c.ended(m.Ref)
		gone(t, attemptPath(r.Agent, m))
	}
	end(m)
	if got := cached(t, r.Agent); got != "s1-0" {
		t.Errorf("cached are %q, want that of a trial that may be tried again", got)
	}
	d.mu.Lock()
	last := d.last
	d.mu.Unlock()
	next := shell(0, saves+waits)
	next.Ref.Attempt, next.From = 2, &last
	c.start(next)
	eventually(t, "its own checkpoint", func() bool { return d.steps(next.Ref) == "[9]" && cached(t, r.Agent) != "" })
	end(next)
	if got := cached(t, r.Agent); got != "" || d.reads > 0 {
		t.Errorf("cached are %q after %d reads, and the trial has finished", got, d.reads)
	}
}

// What is kept for convenience goes before no more trials are taken.
func TestCacheGivesWay(t *testing.T) {
	d := &depot{}
	c := newCoordinator(t)
	t.Cleanup(c.check)
	var a *Agent
	var short, full atomic.Bool
	a = newAgent(t, c, t.TempDir(), func(cfg *Config) {
		cfg.Transfer, cfg.CheckpointEvery = d, 20*time.Millisecond
		cfg.Room = func() string {
			if short.Load() && cached(t, a) != "" {
				return "no room"
			}
			return ""
		}
		cfg.Full = full.Load
	})
	a.times.look, a.times.room = 5*time.Millisecond, 5*time.Millisecond
	r := run(t, a)
	for i, low := range []*atomic.Bool{&short, &full} {
		m := shell(int64(i), saves+"step; save; exit 1")
		c.start(m)
		c.ended(m.Ref)
		if got := cached(t, a); got == "" {
			t.Error("nothing is cached")
		}
		low.Store(true)
		eventually(t, "an empty cache", func() bool { return cached(t, a) == "" })
		if why := r.noRoom(); why != "" {
			t.Errorf("no trials are taken: %s", why)
		}
		low.Store(false)
	}
}

// An agent that takes an attempt on knows as well as the one before what was printed when the
// last checkpoint was named.
func TestNextAgentKnowsWhatWasPrinted(t *testing.T) {
	a := newAgent(t, newCoordinator(t), t.TempDir(), nil)
	t.Cleanup(a.home.release)
	m := shell(0, "")
	write := func(name, text string) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(attemptPath(a, m), name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
		}
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
	}
	look := func(at *attempt) string {
		t.Helper()
		at.notice()
		if at.saving.named == nil {
			return "none"
		}
		lines, err := at.linesUpTo(at.saving.named.At)
		if err != nil {
			t.Error(err)
		}
		return string(lines)
	}
	if err := os.MkdirAll(attemptPath(a, m), 0o700); err != nil {
		t.Fatal(err)
	}
	began := "{\"checkpoint\":\"a\"}\n"
	report := filepath.Base(exec.ReportFile(""))
	write(report, began)
	if err := writeJSON(attemptPath(a, m), namedFile, named{At: exec.Moment{Report: int64(len(began))}}); err != nil {
		t.Fatal(err)
	}
	first := newAttempt(a, m)
	write(wire.Stdout, "loss=1\n")
	if got := look(first); got != "none" {
		t.Errorf("of the one that it began with: %q", got)
	}
	write(report, "{\"checkpoint\":\"b\"}\n")
	want := began + "{\"printed\":{\"loss\":1},\"step\":1}\n{\"checkpoint\":\"b\"}\n"
	if got := look(first); got != want {
		t.Errorf("the first agent: %q, want %q", got, want)
	}
	write(wire.Stdout, "loss=2\n")
	next := newAttempt(a, m)
	if got := look(next); got != want {
		t.Errorf("the next agent: %q, want %q", got, want)
	}
	write(report, "{\"checkpoint\":\"c\"}\n")
	want = began + "{\"checkpoint\":\"b\"}\n{\"printed\":{\"loss\":1},\"step\":1}\n{\"printed\":{\"loss\":2},\"step\":2}\n{\"checkpoint\":\"c\"}\n"
	if got := look(next); got != want {
		t.Errorf("of its own: %q, want %q", got, want)
	}
}
