package gpu

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swath/sweeps"
	"swath/trainer/report"
)

const (
	gpu1 = "GPU-0a1b2c3d-0000-4000-8000-000000000001"
	gpu2 = "GPU-0a1b2c3d-0000-4000-8000-000000000002"
	mig1 = "MIG-0a1b2c3d-1111-4000-8000-000000000001"
	mig2 = "MIG-0a1b2c3d-1111-4000-8000-000000000002"
	mib  = 1 << 20
)

func TestReadsRecordings(t *testing.T) {
	h200 := Device{GPU: sweeps.GPU{ID: gpu1, Model: "NVIDIA H200", Memory: 143771 * mib}}
	busy := h200
	busy.Used = 2575 * mib
	for recording, want := range map[string]Reading{
		"h200-idle": {Vendor: NVIDIA, Devices: []Device{h200}},
		"h200-busy": {Vendor: NVIDIA, Devices: []Device{busy}, Processes: []Process{{GPU: gpu1, PID: 506, Name: "python3", Memory: 2566 * mib}}},
		"mig": {Vendor: NVIDIA, Devices: []Device{
			{GPU: sweeps.GPU{ID: mig1, Model: "NVIDIA A100-SXM4-40GB MIG 3g.20gb", Memory: 19e9}, Parent: gpu1},
			{GPU: sweeps.GPU{ID: mig2, Model: "NVIDIA A100-SXM4-40GB MIG 1g.5gb+me", Memory: 475e7}, Parent: gpu1},
			{GPU: sweeps.GPU{ID: gpu2, Index: 1, Model: "NVIDIA A100-SXM4-40GB", Memory: 40960 * mib}, Used: 3 * mib},
		}},
		"old": {Vendor: NVIDIA, Devices: []Device{
			{GPU: sweeps.GPU{ID: gpu1, Model: "NVIDIA GeForce GT 710", Memory: 2001 * mib}},
			{GPU: sweeps.GPU{ID: gpu2, Index: 1}},
		}},
		"amd": {Vendor: AMD, Devices: []Device{
			{GPU: sweeps.GPU{ID: "GPU-7f1e2d3c4b5a6978", Model: "AMD Instinct MI210", Memory: 68702699520}, Used: 10960896},
			{GPU: sweeps.GPU{ID: "1", Index: 1, Model: "Radeon RX 7900 XTX", Memory: 25753026560}, Used: 9663676416},
		}},
	} {
		t.Run(recording, func(t *testing.T) {
			standIn(t, recording)
			got, err := Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDriversThatDoNotAnswer(t *testing.T) {
	standIn(t, "no-driver")
	set, err := Find(t.Context(), "", noEnv)
	if err != nil || len(set.Devices) > 0 || !strings.Contains(set.Note, "couldn't communicate with the NVIDIA driver") {
		t.Errorf("%+v, %v", set, err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Read(t.Context()); !errors.Is(err, ErrNone) {
		t.Errorf("without any tool: %v", err)
	}
	if set, err := Find(t.Context(), "", noEnv); err != nil || len(set.Devices) > 0 || set.Note != "" {
		t.Errorf("a machine without GPUs: %+v, %v", set, err)
	}
}

func noEnv(string) (string, bool) { return "", false }

func TestFindsWhatMayBeUsed(t *testing.T) {
	for _, c := range []struct {
		recording, want, visible, ids string
	}{
		{"old", "", "unset", "12"},
		{"old", "all", "unset", "12"},
		{"old", "1", "unset", "1"},
		{"old", "none", "unset", ""},
		{"old", "0", "unset", ""},
		{"old", "device=1", "unset", "2"},
		{"old", "device=" + gpu2 + ",0", "unset", "21"},
		{"old", "", "1,0", "21"},
		{"old", "", gpu2, "2"},
		{"old", "", "", ""},
		{"old", "", "-1", ""},
		{"old", "", "1,7,0", "2"}, // as CUDA does: what means nothing ends the list
		{"old", "1", "1", "2"},
		{"old", "2", "1", "error: there are not so many: the worker may use 1"},
		{"old", "3", "unset", "error: there are not so many"},
		{"old", "device=5", "unset", `error: there is no GPU "5"`},
		{"old", "two", "unset", "error: want all, none, a number"},
		{"old", "-1", "unset", "error: want all, none, a number"},
		{"mig", "", mig2 + ",1", "22"},
		{"mig", "", "0", ""}, // a divided GPU is no device
	} {
		standIn(t, c.recording)
		set, err := Find(t.Context(), c.want, func(name string) (string, bool) {
			return c.visible, name == "CUDA_VISIBLE_DEVICES" && c.visible != "unset"
		})
		if text, bad := strings.CutPrefix(c.ids, "error: "); bad {
			if err == nil || !errors.Is(err, sweeps.ErrInvalid) || !strings.Contains(err.Error(), text) {
				t.Errorf("--gpus %s of %q: %v", c.want, c.visible, err)
			}
			continue
		}
		ids := ""
		for _, d := range set.Devices {
			ids += d.ID[len(d.ID)-1:]
		}
		if err != nil || ids != c.ids {
			t.Errorf("--gpus %s of %q: devices %q, not %q; %v", c.want, c.visible, ids, c.ids, err)
		}
	}
}

func TestVisibleDevicesOfAMD(t *testing.T) {
	standIn(t, "amd")
	env := map[string]string{"ROCR_VISIBLE_DEVICES": "1,0", "HIP_VISIBLE_DEVICES": "0"}
	set, err := Find(t.Context(), "", func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil || len(set.Devices) != 1 || set.Devices[0].ID != "1" || set.Devices[0].Index != 1 {
		t.Errorf("the first of 1, 0 is %+v, %v", set.Devices, err)
	}
	shares := []sweeps.GPUShare{{GPU: "GPU-7f1e2d3c4b5a6978"}, {GPU: "1"}}
	want := []string{"ROCR_VISIBLE_DEVICES=GPU-7f1e2d3c4b5a6978,1", "HIP_VISIBLE_DEVICES=0,1", "CUDA_VISIBLE_DEVICES=0,1"}
	if diff := cmp.Diff(want, set.Env(shares)); diff != "" {
		t.Error(diff)
	}
}

func TestVisibleDevicesOfNVIDIA(t *testing.T) {
	set := Set{Vendor: NVIDIA}
	want := []string{"CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=" + gpu2 + "," + mig1}
	if diff := cmp.Diff(want, set.Env([]sweeps.GPUShare{{GPU: gpu2}, {GPU: mig1}})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("CUDA_VISIBLE_DEVICES=", set.Env(nil)[1]); diff != "" {
		t.Error(diff)
	}
}

func TestDevicesOfAUserWithoutATool(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for want, ids := range map[string]string{"2": "0,1", "device=3,7": "3,7", "all": "", "": ""} {
		set, err := Find(t.Context(), want, noEnv)
		var got []string
		for _, d := range set.Devices {
			got = append(got, d.ID)
		}
		if err != nil || strings.Join(got, ",") != ids {
			t.Errorf("--gpus %s: %v, %v", want, got, err)
		}
	}
	if _, err := Find(t.Context(), "many", noEnv); !errors.Is(err, sweeps.ErrInvalid) {
		t.Errorf("--gpus many: %v", err)
	}
}

// TestStrangers tells real processes of trials from others.
func TestStrangers(t *testing.T) {
	run := func(env string, argv ...string) int {
		t.Helper()
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), env)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd.Process.Pid
	}
	dir := t.TempDir()
	child := filepath.Join(dir, "child")
	parent := run("A=b", "sh", "-c", "sleep 100 & echo $! > "+child+".new; mv "+child+".new "+child+"; wait")
	var grandchild int
	for range 5000 {
		if b, err := os.ReadFile(child); err == nil {
			grandchild, err = strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		_ = exec.Command("sleep", "0.01").Run()
	}
	t.Cleanup(func() { _ = exec.Command("kill", strconv.Itoa(grandchild)).Run() })
	away := run(report.EnvReport+"="+dir+"/report", "sleep", "100")
	other := run("A=b", "sleep", "100")

	set := Set{Vendor: NVIDIA, Devices: []Device{{GPU: sweeps.GPU{ID: gpu1, Memory: 80 << 30}}, {GPU: sweeps.GPU{ID: gpu2, Memory: 80 << 30}}}}
	holds := Trial{PID: parent, Name: "t1", GPUs: []sweeps.GPUShare{{GPU: gpu1, Part: 500_000}}}
	none := Trial{PID: parent, Name: "t2"}
	adrift := Trial{PID: 1 << 22, Report: dir + "/report", Name: "t3", GPUs: holds.GPUs}
	use := func(pid int, memory int64) Reading {
		r := Reading{Vendor: NVIDIA, Devices: set.Devices}
		if pid > 0 {
			r.Processes = []Process{{GPU: gpu1, PID: pid, Name: "python", Memory: memory}}
		}
		return r
	}
	full := use(0, 0)
	full.Devices = []Device{{GPU: set.Devices[0].GPU, Used: 30 << 30}, {GPU: set.Devices[1].GPU, Used: 3 << 30}}
	gone := use(0, 0)
	gone.Devices = gone.Devices[1:]
	for name, c := range map[string]struct {
		r      Reading
		trials []Trial
		want   string
	}{
		"nobody":                             {use(0, 0), nil, ""},
		"somebody":                           {use(other, 30<<30), nil, "used by pid " + strconv.Itoa(other) + " (python), 30 GiB"},
		"somebody beside a trial":            {use(other, 30<<30), []Trial{holds}, "used by pid"},
		"somebody with a trifle":             {use(other, 20<<20), nil, ""},
		"somebody whose memory is not known": {use(other, 0), nil, "used by pid"},
		"a trial":                            {use(parent, 1<<30), []Trial{holds}, ""},
		"a trial's child":                    {use(grandchild, 1<<30), []Trial{holds}, ""},
		"a trial's process that went away":   {use(away, 1<<30), []Trial{adrift}, ""},
		"a trial that was not given it":      {use(grandchild, 1<<30), []Trial{none}, "of trial t2, which was not given it"},
		"one that has ended":                 {use(1<<22+1, 1<<30), nil, ""},
		"memory in use by nobody seen":       {full, nil, "30 GiB of its memory are used"},
		"memory in use by a trial, not seen": {full, []Trial{holds}, ""},
		"a device that fell off the bus":     {gone, nil, "does not list it"},
	} {
		got := set.Strangers(c.r, c.trials)
		if c.want == "" && len(got) > 0 || !strings.Contains(got[gpu1], c.want) || got[gpu2] != "" {
			t.Errorf("%s: %v, want %q", name, got, c.want)
		}
	}
}

func FuzzNVIDIA(f *testing.F) {
	for _, name := range []string{"old/gpu", "h200-busy/gpu", "h200-busy/apps", "mig/list", "no-driver/gpu"} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		devices := divide(parseNVIDIA(text), parseParts(text))
		for _, d := range devices {
			if d.ID == "" || d.Memory < 0 || d.Used < 0 || d.Index < 0 {
				t.Errorf("%+v", d)
			}
		}
		for _, p := range parseApps(text) {
			if p.PID <= 0 || p.Memory < 0 {
				t.Errorf("%+v", p)
			}
		}
	})
}

func FuzzAMD(f *testing.F) {
	b, err := os.ReadFile("testdata/amd/rocm")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(b))
	f.Add(`{"card0": {}, "system": {"PID7": "a, 1, 5, 0"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseAMD(text)
		if err != nil {
			return
		}
		for _, d := range r.Devices {
			if d.ID == "" || d.Memory < 0 || d.Used < 0 || d.Index < 0 {
				t.Errorf("%+v", d)
			}
		}
		for _, p := range r.Processes {
			if p.PID <= 0 || p.Memory < 0 {
				t.Errorf("%+v", p)
			}
		}
	})
}

func TestADriverThatHangs(t *testing.T) {
	dir := standIn(t, "old")
	if err := os.WriteFile(dir+"/nvidia-smi", []byte("#!/bin/sh\nexec /bin/sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Read(ctx); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("%v", err)
	}
}
