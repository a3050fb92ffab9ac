package sweeps

import "testing"

// lab is a worker with two devices of different sizes.
var lab = Worker{
	Slots: 4, Total: Resources{CPUs: 8, Memory: 64 << 30},
	GPUs:   []GPU{{ID: "a", Memory: 24 << 30}, {ID: "b", Index: 1, Memory: 80 << 30, Busy: "used by others, for now"}},
	Labels: map[string]string{"gpu": "NVIDIA H100 80GB HBM3", "zone": "lab"},
}

func TestLacks(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		needs      Resources
		asked, has string
	}{
		{Resources{}, "", ""},
		{Resources{CPUs: 8, Memory: 64 * gib, GPUs: 2}, "", ""},
		{Resources{GPUs: 1, GPUMemory: 80 * gib}, "", ""},
		{Resources{GPUs: 0.1, GPUMemory: 80 * gib}, "", ""},
		{Resources{GPUMemory: 30 * gib}, "", ""},
		{Resources{CPUs: 9}, "cpus 9", "8"},
		{Resources{Memory: 65 * gib}, "memory 65 GiB", "64 GiB"},
		{Resources{GPUs: 3}, "gpus 3", "2"},
		{Resources{GPUs: 2, GPUMemory: 30 * gib}, "gpus 2 with gpu_memory 30 GiB", "1 such"},
		{Resources{GPUMemory: 81 * gib}, "gpu_memory 81 GiB", "80 GiB on a GPU"},
	} {
		if asked, has := lab.Lacks(c.needs); asked != c.asked || has != c.has {
			t.Errorf("%v: asks for %q, has %q; want %q, %q", c.needs, asked, has, c.asked, c.has)
		}
	}
	if asked, has := (Worker{}).Lacks(Resources{GPUs: 0.5, GPUMemory: gib}); asked != "gpus 0.5, gpu_memory 1 GiB" || has != "no GPU" {
		t.Errorf("without any GPU: %q, %q", asked, has)
	}
	if asked, has := (Worker{GPUs: []GPU{{ID: "a"}}}).Lacks(Resources{GPUMemory: 1}); asked == "" || has != "GPUs whose driver does not tell their memory" {
		t.Errorf("with a GPU that does not tell its memory: %q, %q", asked, has)
	}
}

func TestRequirements(t *testing.T) {
	for formula, want := range map[string]bool{
		`labels.zone == "lab"`:                             true,
		`labels.zone in ["hall", "attic"]`:                 false,
		`labels.gpu contains "H100" && gpus == 2`:          true,
		`labels.none == ""`:                                true,
		`labels["none"] == "x"`:                            false,
		`gpu_memory >= 80 * GiB && memory == 64 * GiB`:     true,
		`gpu_memory > 80 * GiB`:                            false,
		`cpus / slots >= 2 and not (cpus > 8)`:             true,
		`1 / (gpus - 2) > 0 ? true : labels.x == labels.x`: true,
		`gpus % (gpus - 2) == 0`:                           false, // it cannot be computed here
	} {
		s, err := Parse([]byte("{method: grid, command: [a], parameters: {x: {value: 1}}, requires: ['"+formula+"']}"), "a.yaml")
		if err != nil {
			t.Errorf("%s: %v", formula, err)
			continue
		}
		if r := s.Requires[0]; r.Met(lab) != want || r.String() != formula {
			t.Errorf("%s is %v", r, !want)
		}
	}
}
