package dispatch

import (
	"slices"
	"strings"
	"testing"
	"time"

	"swath/sweeps"
)

const gib = 1 << 30

// twoSizes is a worker with two small and two large devices.
func twoSizes() *worker {
	w := &worker{}
	for i, memory := range []int64{80 * gib, 24 * gib, 80 * gib, 24 * gib} {
		w.GPUs = append(w.GPUs, sweeps.GPU{ID: string(rune('a' + i)), Index: i, Memory: memory})
	}
	return w
}

func TestPlacesOnDevices(t *testing.T) {
	w := twoSizes()
	for i, c := range []struct {
		needs sweeps.Resources
		want  string
	}{
		{sweeps.Resources{}, ""},
		{sweeps.Resources{GPUs: 0.5}, "b"},                      // a small one, so that large ones stay whole
		{sweeps.Resources{GPUs: 0.5}, "b"},                      // never half of one and half of another
		{sweeps.Resources{GPUMemory: 30 * gib}, "a"},            // by its memory: 3/8 of a
		{sweeps.Resources{GPUs: 2}, "dc"},                       // whole ones, the smallest first
		{sweeps.Resources{GPUs: 1}, "none"},                     // a has room, but is not whole
		{sweeps.Resources{GPUs: 0.5, GPUMemory: 10 * gib}, "a"}, // 7/8, 40 GiB
		{sweeps.Resources{GPUMemory: 11 * gib}, "none"},         // of the memory enough is left, of the device an eighth
		{sweeps.Resources{GPUMemory: 10 * gib}, "a"},            // which is exactly this
		{sweeps.Resources{GPUs: 0.01, GPUMemory: 1}, "none"},    // all parts are given
		{sweeps.Resources{GPUs: 5}, "none"},
	} {
		key := sweeps.TrialKey{Index: int64(i)}
		shares, ok := w.place(c.needs)
		got := "none"
		if ok {
			got = ""
			for _, s := range shares {
				got += s.GPU
			}
			w.occupy(key, shares)
		}
		if got != c.want {
			t.Errorf("%d: %v is placed on %q, not %q", i, c.needs, got, c.want)
		}
	}
	w = twoSizes()
	if _, ok := w.place(sweeps.Resources{GPUs: 3, GPUMemory: 30 * gib}); ok {
		t.Error("three devices of 30 GiB, of two that have so much")
	}
	if shares, ok := w.place(sweeps.Resources{GPUs: 2, GPUMemory: 30 * gib}); !ok || shares[0].GPU+shares[1].GPU != "ac" {
		t.Errorf("two devices of 30 GiB: %v", shares)
	}
	w.GPUs[0].Busy = "used by pid 1"
	if _, ok := w.place(sweeps.Resources{GPUs: 4}); ok {
		t.Error("a device that others use is given away")
	}
	w.GPUs = []sweeps.GPU{{ID: "unknown"}}
	if _, ok := w.place(sweeps.Resources{GPUMemory: 1}); ok {
		t.Error("memory of a device that does not tell what it has")
	}
	if _, ok := w.place(sweeps.Resources{GPUs: 0.25}); !ok {
		t.Error("a share of a device that does not tell its memory is refused")
	}
}

// TestTenTenths: sums of fractions are exact.
func TestTenTenths(t *testing.T) {
	for _, n := range []int{2, 3, 7, 10, 64} {
		w := &worker{}
		w.GPUs = []sweeps.GPU{{ID: "a", Memory: 80 * gib}}
		given := 0
		for i := range 2 * n {
			if shares, ok := w.place(sweeps.Resources{GPUMemory: 80 * gib / int64(n)}); ok {
				w.occupy(sweeps.TrialKey{Index: int64(i)}, shares)
				given++
			}
		}
		if given != n {
			t.Errorf("of a device, %d times a %dth of its memory is given", given, n)
		}
	}
}

// cluster is a dispatcher with workers and a sweep of five trials.
func gpuCluster(t *testing.T, pol Policy, workers ...sweeps.Worker) (*State, time.Time) {
	t.Helper()
	s, now := New(DefaultConfig()), time.Unix(1_700_000_000, 0)
	submit := Submit{Sweep: &sweeps.Sweep{ID: "s", Name: "sweep"}, Plan: simPlan{n: 5}, Policy: pol}
	if err := s.Step(now, submit); err != nil {
		t.Fatal(err)
	}
	for i, w := range workers {
		if err := s.Step(now, Hello{Worker: w, Session: uint64(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	s.Assign(now)
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return s, now
}

func startsOf(s *State) (list []Start) {
	for _, e := range s.TakeEffects() {
		if e, is := e.(Start); is {
			list = append(list, e)
		}
	}
	return list
}

func TestDevicesAreToldAndWithdrawn(t *testing.T) {
	w := sweeps.Worker{ID: "w", Name: "host", Slots: 4, Prefetch: 4, GPUs: twoSizes().GPUs[:2]}
	s, now := gpuCluster(t, Policy{Needs: sweeps.Resources{GPUs: 1}}, w)
	given := startsOf(s)
	if len(given) != 2 || given[0].GPUs[0].GPU == given[1].GPUs[0].GPU {
		t.Fatalf("two devices, of which %v were given", given)
	}
	busy := slices.Clone(w.GPUs)
	for i := range busy {
		busy[i].Busy = "used by pid 4242 (python)"
	}
	for _, ev := range []Event{
		Offer{Worker: "w", Session: 1, GPUs: busy},
		Exited{Worker: "w", Ref: given[0].Ref, Outcome: sweeps.Outcome{Class: sweeps.ClassOK}},
	} {
		if err := s.Step(now, ev); err != nil {
			t.Fatal(err)
		}
	}
	s.Assign(now)
	if more := startsOf(s); len(more) != 0 {
		t.Errorf("somebody uses the device that fell free, and it is given to %v", more)
	}
	why := strings.Join(s.Explain(now, sweeps.TrialKey{Sweep: "s", Index: 4}), "\n")
	if !strings.Contains(why, "GPU 0 of worker host is left alone: used by pid 4242 (python)") {
		t.Errorf("explain says\n%s", why)
	}
	if err := s.Step(now, Offer{Worker: "w", Session: 1, GPUs: w.GPUs}); err != nil {
		t.Fatal(err)
	}
	s.Assign(now)
	if more := startsOf(s); len(more) != 1 || more[0].GPUs[0].GPU != given[0].GPUs[0].GPU {
		t.Errorf("the device is free again, and %v is given", more)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// TestDevicesAfterARestart: a coordinator that comes back learns from the workers what
// their trials have.
func TestDevicesAfterARestart(t *testing.T) {
	pol := Policy{Needs: sweeps.Resources{GPUs: 0.5}}
	w := sweeps.Worker{ID: "w", Name: "host", Slots: 4, GPUs: twoSizes().GPUs[:2]}
	old, now := gpuCluster(t, pol, w)
	given := startsOf(old)
	if len(given) != 4 {
		t.Fatalf("%d of 4 halves of two devices are given", len(given))
	}
	changes := old.TakeChanges()
	s := New(DefaultConfig())
	s.Restore(now, Submit{Sweep: changes.Sweeps[0], Plan: simPlan{n: 5}, Policy: pol}, changes.Trials)
	hello := Hello{Worker: w, Session: 9, GPUs: map[sweeps.AttemptRef][]sweeps.GPUShare{}}
	for _, e := range given[:3] {
		hello.Attempts = append(hello.Attempts, e.Ref)
		hello.GPUs[e.Ref] = e.GPUs
	}
	if err := s.Step(now, hello); err != nil {
		t.Fatal(err)
	}
	again := startsOf(s)
	if len(again) != 1 || again[0].Ref != given[3].Ref || again[0].GPUs[0] != given[3].GPUs[0] {
		t.Errorf("the attempt that never arrived is sent as %v, it was %v", again, given[3])
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestExplainsWhatDoesNotFit(t *testing.T) {
	one := sweeps.Worker{
		ID: "w1", Name: "one", Slots: 1, Total: sweeps.Resources{CPUs: 4, Memory: 8 * gib},
		GPUs: []sweeps.GPU{{ID: "a", Memory: 24 * gib}}, Labels: map[string]string{"gpu": "rtx4090", "zone": "lab"},
	}
	none := sweeps.Worker{ID: "w2", Name: "none", Slots: 1, Total: sweeps.Resources{CPUs: 16, Memory: 4 * gib}, GPUNote: "nvidia-smi: no driver"}
	for _, c := range []struct {
		pol  Policy
		want string
	}{
		{Policy{Needs: sweeps.Resources{GPUs: 2}}, "it asks for gpus 2, the largest worker has 1"},
		{Policy{Needs: sweeps.Resources{GPUMemory: 40 * gib}}, "it asks for gpu_memory 40 GiB, the largest worker has 24 GiB on a GPU"},
		{Policy{Needs: sweeps.Resources{CPUs: 32}}, "it asks for cpus 32, the largest worker has 16"},
		{Policy{Needs: sweeps.Resources{Memory: 16 * gib}}, "it asks for memory 16 GiB, the largest worker has 8 GiB"},
		{Policy{Needs: sweeps.Resources{CPUs: 8, GPUs: 1}}, "no one worker has all that it asks for: cpus 8, gpus 1"},
		{Policy{Needs: sweeps.Resources{GPUs: 3}}, "worker none: nvidia-smi: no driver"},
		{Policy{Requires: inTheAttic}, `no worker meets requires: labels.zone == "attic" (labels seen: gpu=rtx4090, zone=lab)`},
	} {
		s, now := gpuCluster(t, c.pol, one, none)
		if given := startsOf(s); len(given) != 0 {
			t.Errorf("%+v is given: %v", c.pol, given)
		}
		why := strings.Join(s.Explain(now, sweeps.TrialKey{Sweep: "s", Index: 0}), "\n")
		if !strings.Contains(why, c.want) {
			t.Errorf("explain says\n%s\nand not\n%s", why, c.want)
		}
	}
}

var inTheAttic = requires(`labels.zone == "attic"`)

// requires makes requirements, as a sweep file does.
func requires(formula string) []sweeps.Requirement {
	spec, err := sweeps.Parse([]byte("{method: grid, command: [a], parameters: {x: {value: 1}}, requires: '"+formula+"'}"), "a.yaml")
	if err != nil {
		panic(err)
	}
	return spec.Requires
}

// TestQueuedTrialsThatFitNowhereElseStay: a free slot that could not run what is queued
// elsewhere does not make it go back and forth.
func TestQueuedTrialsThatFitNowhereElseStay(t *testing.T) {
	lab := sweeps.Worker{ID: "w1", Name: "lab", Slots: 1, Prefetch: 2, Labels: map[string]string{"zone": "lab"}}
	hall := sweeps.Worker{ID: "w2", Name: "hall", Slots: 4, Labels: map[string]string{"zone": "hall"}}
	s, _ := gpuCluster(t, Policy{Requires: inTheLab}, lab, hall)
	for _, e := range s.TakeEffects() {
		if start, is := e.(Start); !is || start.Worker != "w1" {
			t.Errorf("%T %+v", e, e)
		}
	}
}
