package worker

import (
	"context"
	"maps"
	"sync"
	"time"

	"swath/sweeps"
	"swath/worker/exec"
	"swath/worker/gpu"
)

// gpus are the worker's devices. Which attempt gets which, the coordinator decides; which
// of them others use, and are to be left alone, is seen here.
type gpus struct {
	set     gpu.Set
	changed chan struct{} // of capacity 1: what is offered is not what was told

	mu   sync.Mutex
	busy map[string]string // who else uses a device, by its ID
	note string
	// parts are what attempts that have a slot have of the devices. A device that the
	// coordinator gives anew may take a moment to be vacated, when an attempt that it gave
	// to another worker still dies here.
	parts map[string]int
}

func newGPUs(set gpu.Set) *gpus {
	return &gpus{set: set, note: set.Note, changed: make(chan struct{}, 1), parts: map[string]int{}}
}

// none reports whether the worker has no GPU.
func (g *gpus) none() bool { return len(g.set.Devices) == 0 }

// offer is what the coordinator is told.
func (g *gpus) offer() (list []sweeps.GPU, note string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range g.set.Devices {
		d.Busy = g.busy[d.ID]
		list = append(list, d.GPU)
	}
	return list, g.note
}

// unavailable reports whether a device that an attempt was given is not the worker's to
// give, or not now.
func (g *gpus) unavailable(shares []sweeps.GPUShare) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range shares {
		mine := false
		for _, d := range g.set.Devices {
			mine = mine || d.ID == s.GPU
		}
		if !mine || g.busy[s.GPU] != "" {
			return true
		}
	}
	return false
}

// vacant reports whether what an attempt was given is free.
func (g *gpus) vacant(shares []sweeps.GPUShare) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range shares {
		if g.parts[s.GPU]+s.Part > sweeps.WholeGPU {
			return false
		}
	}
	return true
}

// occupy and vacate count what an attempt has.
func (g *gpus) occupy(shares []sweeps.GPUShare) { g.count(shares, 1) }
func (g *gpus) vacate(shares []sweeps.GPUShare) { g.count(shares, -1) }

func (g *gpus) count(shares []sweeps.GPUShare, sign int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range shares {
		if g.parts[s.GPU] += sign * s.Part; g.parts[s.GPU] <= 0 {
			delete(g.parts, s.GPU)
		}
	}
}

// env returns the variables that show an attempt its devices and no others. One that asked
// for none sees what the worker sees, so that a program that uses a GPU where there is one
// does so without being told; but none once others have been given one, which it could
// disturb.
func (g *gpus) env(shares []sweeps.GPUShare) []string {
	g.mu.Lock()
	others := len(g.parts) > 0
	g.mu.Unlock()
	if g.none() || len(shares) == 0 && !others {
		return nil
	}
	return g.set.Env(shares)
}

// look asks the driver who uses the devices, and notes what changed. trials tells what runs
// here.
func (g *gpus) look(ctx context.Context, trials func() []gpu.Trial) (before, now map[string]string) {
	then := trials()
	r, err := gpu.Read(ctx)
	if ctx.Err() != nil {
		return nil, nil // the worker is shutting down
	}
	// What ended while the driver was asked may be in its answer, and so may what began.
	found := g.set.Strangers(r, append(then, trials()...))
	note := g.set.Note
	if err != nil {
		found, note = map[string]string{}, err.Error()
		for _, d := range g.set.Devices {
			found[d.ID] = "it cannot be told who uses it: " + err.Error()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	before, g.busy, g.note = g.busy, found, note
	if !maps.Equal(before, found) {
		nudge(g.changed)
	}
	return before, found
}

// watchGPUs looks after the devices until the agent shuts down.
func (a *Agent) watchGPUs(ctx context.Context) {
	if a.gpus.none() || a.gpus.set.Vendor == "" {
		return
	}
	tick := time.NewTicker(a.times.gpus)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.lookAtGPUs(ctx)
		}
	}
}

// lookAtGPUs looks once, and logs what changed.
func (a *Agent) lookAtGPUs(ctx context.Context) {
	before, now := a.gpus.look(ctx, a.trialsOnGPUs)
	for _, d := range a.gpus.set.Devices {
		switch was, is := before[d.ID], now[d.ID]; {
		case is != "" && was == "":
			a.log.Warn("a GPU is left alone until others do not use it any more", "gpu", d.Index, "id", d.ID, "why", is)
		case is == "" && was != "":
			a.log.Info("a GPU is offered again", "gpu", d.Index, "id", d.ID)
		}
	}
}

// trialsOnGPUs are the attempts whose processes run.
func (a *Agent) trialsOnGPUs() (list []gpu.Trial) {
	for _, at := range a.held() {
		at.mu.Lock()
		proc, ended := at.proc, at.outcome != nil
		at.mu.Unlock()
		if ended {
			continue
		}
		t := gpu.Trial{Report: exec.ReportFile(at.dir), Name: string(at.start.TrialID), GPUs: at.start.GPUs}
		if proc != nil {
			t.PID = proc.Pid()
		}
		list = append(list, t)
	}
	return list
}
