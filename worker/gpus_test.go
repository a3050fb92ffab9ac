package worker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
	"swath/worker/gpu"
)

const halfGPU = sweeps.WholeGPU / 2

// twoGPUs are devices that no driver tells of.
func twoGPUs(vendor gpu.Vendor) gpu.Set {
	return gpu.Set{Vendor: vendor, Devices: []gpu.Device{
		{GPU: sweeps.GPU{ID: "GPU-a", Memory: 80 << 30}},
		{GPU: sweeps.GPU{ID: "GPU-b", Index: 1, Memory: 80 << 30}},
	}}
}

func given(m wire.Start, shares ...sweeps.GPUShare) wire.Start {
	m.GPUs = shares
	return m
}

func TestAttemptsSeeTheGPUsTheyWereGiven(t *testing.T) {
	t.Setenv("CUDA_VISIBLE_DEVICES", "the worker's own")
	c, g := newCoordinator(t), newGate(t)
	run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) { cfg.GPUs, cfg.Slots = twoGPUs(""), 4 }))
	show := func(index int64, script string) wire.Start {
		return shell(index, `echo "$CUDA_DEVICE_ORDER [$CUDA_VISIBLE_DEVICES]"`+"\n"+script)
	}
	wait := "while [ ! -e " + g.path + " ]; do sleep 0.01; done"
	for _, x := range []struct {
		m    wire.Start
		want string
	}{
		{show(0, "true"), " [the worker's own]"}, // none was asked for, and none is in use
		{given(show(1, wait), sweeps.GPUShare{GPU: "GPU-b", Part: halfGPU}), "PCI_BUS_ID [GPU-b]"},
		{given(show(2, wait), sweeps.GPUShare{GPU: "GPU-b", Part: halfGPU}), "PCI_BUS_ID [GPU-b]"},
		{show(3, "true"), "PCI_BUS_ID []"}, // none was asked for, and others are not to be disturbed
	} {
		c.start(x.m)
		c.until("the devices", func() bool { return strings.Contains(c.logs[x.m.Ref][wire.Stdout], "]") })
		if got := strings.TrimSpace(c.logs[x.m.Ref][wire.Stdout]); !strings.HasPrefix(got, strings.TrimSpace(x.want)) {
			t.Errorf("trial %d sees %q, not %q", x.m.Ref.Index, got, x.want)
		}
	}
	g.open()
	for i := range int64(4) {
		c.ended(shell(i, "").Ref)
	}
	c.check()
}

// TestGPUsAreVacatedFirst: an attempt whose devices an older one still has waits for it.
func TestGPUsAreVacatedFirst(t *testing.T) {
	c, g := newCoordinator(t), newGate(t)
	r := run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) { cfg.GPUs, cfg.Slots = twoGPUs(""), 4 }))
	one := given(g.trial(0), sweeps.GPUShare{GPU: "GPU-a", Part: sweeps.WholeGPU})
	two := given(g.trial(1), sweeps.GPUShare{GPU: "GPU-a", Part: 1})
	c.start(one)
	c.until("the first trial to run", func() bool { return c.started[one.Ref] > 0 })
	c.start(two)
	eventually(t, "the second to arrive", func() bool { return len(r.held()) == 2 })
	r.mu.Lock()
	busy, waiting := r.busy, len(r.queue)
	r.mu.Unlock()
	if busy != 1 || waiting != 1 {
		t.Errorf("%d run and %d wait", busy, waiting)
	}
	g.open()
	c.ended(one.Ref)
	c.ended(two.Ref)
	c.check()
}

// driver is a stand-in for nvidia-smi with two devices, of which the test says who uses
// them.
type driver struct{ apps string }

func newDriver(t *testing.T) driver {
	t.Helper()
	dir := t.TempDir()
	d := driver{filepath.Join(dir, "apps.csv")}
	script := `#!/bin/sh
case "$1" in
--query-gpu=*) echo "0, GPU-a, 00000000:01:00.0, NVIDIA H200, 143771, 0"; echo "1, GPU-b, 00000000:02:00.0, NVIDIA H200, 143771, 0";;
--query-compute-apps=*) cat "$(dirname "$0")/apps.csv";;
esac
`
	d.used(t, "")
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return d
}

func (d driver) used(t *testing.T, format string, args ...any) {
	t.Helper()
	if err := os.WriteFile(d.apps+".new", fmt.Appendf(nil, format, args...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(d.apps+".new", d.apps); err != nil {
		t.Fatal(err)
	}
}

// TestGPUsOfStrangersAreLeftAlone follows a device from free to used by somebody and back:
// the coordinator is told, what it had sent meanwhile goes back, what runs goes on.
func TestGPUsOfStrangersAreLeftAlone(t *testing.T) {
	d := newDriver(t)
	c, g := newCoordinator(t), newGate(t)
	set, err := gpu.Find(t.Context(), "", func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	a := newAgent(t, c, t.TempDir(), func(cfg *Config) { cfg.GPUs, cfg.Slots = set, 4 })
	a.times.gpus = 10 * time.Millisecond
	run(t, a)
	runs := given(g.trial(0), sweeps.GPUShare{GPU: "GPU-a", Part: sweeps.WholeGPU})
	c.start(runs)
	c.until("the trial to run", func() bool { return c.started[runs.Ref] > 0 })
	offers := func(what string, busy func(first, second string) bool) {
		t.Helper()
		c.until(what, func() bool {
			n := len(c.offers)
			return n > 0 && len(c.offers[n-1].GPUs) == 2 && busy(c.offers[n-1].GPUs[0].Busy, c.offers[n-1].GPUs[1].Busy)
		})
	}
	// This test is a process of nobody's trial.
	d.used(t, "GPU-a, %d, python3, 2000\nGPU-b, %[1]d, python3, 2000\n", os.Getpid())
	want := fmt.Sprintf("used by pid %d (python3), 1.953 GiB", os.Getpid())
	offers("both devices to be left alone", func(a, b string) bool { return a == want && b == want })
	late := given(g.trial(1), sweeps.GPUShare{GPU: "GPU-b", Part: halfGPU})
	c.start(late)
	c.until("the trial to come back", func() bool { return c.returned[late.Ref] > 0 })

	d.used(t, "")
	offers("the devices to be offered again", func(a, b string) bool { return a == "" && b == "" })
	g.open()
	if out := c.ended(runs.Ref); !out.OK() {
		t.Errorf("the trial that ran ended as %+v", out)
	}
	c.check()
}

// TestTheirOwnTrialsAreNoStrangers: a trial may use what it was given.
func TestTheirOwnTrialsAreNoStrangers(t *testing.T) {
	d := newDriver(t)
	c, g := newCoordinator(t), newGate(t)
	set := twoGPUs(gpu.NVIDIA)
	r := run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) { cfg.GPUs, cfg.Slots = set, 4 }))
	m := given(g.trial(0), sweeps.GPUShare{GPU: "GPU-a", Part: halfGPU})
	c.start(m)
	c.until("the trial to run", func() bool { return c.started[m.Ref] > 0 })
	at := r.find(m.Ref)
	at.mu.Lock()
	pid := at.proc.Pid()
	at.mu.Unlock()
	look := func() map[string]string {
		_, busy := r.gpus.look(context.Background(), r.trialsOnGPUs)
		return busy
	}
	d.used(t, "GPU-a, %d, python3, 2000\n", pid)
	if busy := look(); len(busy) > 0 {
		t.Errorf("its own trial is a stranger: %v", busy)
	}
	d.used(t, "GPU-b, %d, python3, 2000\n", pid)
	if busy := look(); !strings.Contains(busy["GPU-b"], "which was not given it") {
		t.Errorf("its own trial uses another device, and that is given away: %v", busy)
	}
	g.open()
	c.ended(m.Ref)
}
