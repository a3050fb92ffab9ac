//go:build unix

package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// standInGPUs puts a stand-in for nvidia-smi into PATH that tells of two devices, and says
// what runs on them as the file that is returned has it.
func standInGPUs(t *testing.T) (apps string) {
	t.Helper()
	dir := t.TempDir()
	apps = filepath.Join(dir, "apps")
	script := `#!/bin/sh
case "$1" in
--query-gpu=*) echo "0, GPU-aaaa, 00000000:01:00.0, NVIDIA H200, 143771, 0"; echo "1, GPU-bbbb, 00000000:02:00.0, NVIDIA H200, 143771, 0";;
--query-compute-apps=*) cat "$(dirname "$0")/apps";;
esac
`
	for name, text := range map[string]string{"nvidia-smi": script, "apps": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return apps
}

const showGPUs = "method: grid\nparameters: {i: {values: [1, 2, 3]}}\ncommand: [sh, -c, 'echo \"sees $CUDA_VISIBLE_DEVICES\"']\n"

// TestGPUs runs a cluster of a machine with two GPUs, of which somebody uses one.
func TestGPUs(t *testing.T) {
	apps := standInGPUs(t)
	if err := os.WriteFile(apps, fmt.Appendf(nil, "GPU-bbbb, %d, python, 30000\n", os.Getpid()), 0o644); err != nil {
		t.Fatal(err)
	}
	_, addr := coordinator(t, t.TempDir())
	worker(t, addr, "--name", "box", "--label", "zone=lab")
	at := []string{"--coordinator", addr}
	do := func(args ...string) outcome { return swath(t, append(args, at...)...) }

	do("workers").want(t, 0).says(t, "2 x NVIDIA H200 (140.4 GiB), 1 left alone", "zone=lab", fmt.Sprintf("box: GPU 1 is left alone: used by pid %d (python), 29.3 GiB", os.Getpid()))
	var w struct {
		GPUs   []struct{ ID, Busy string }
		Labels map[string]string
	}
	if err := json.Unmarshal([]byte(do("workers", "--json").want(t, 0).out), &w); err != nil {
		t.Fatal(err)
	}
	if len(w.GPUs) != 2 || w.GPUs[0].Busy != "" || w.GPUs[1].Busy == "" || w.Labels["gpu"] != "NVIDIA H200" || w.Labels["zone"] != "lab" {
		t.Errorf("%+v", w)
	}

	do("submit", write(t, "shares.yaml", showGPUs+"resources: {gpu_memory: 60GiB}\nrequires: labels.zone == \"lab\"\n")).want(t, 0)
	do("watch", "shares").want(t, 0)
	for _, trial := range []string{"shares/0", "shares/1", "shares/2"} {
		if got := do("logs", trial).want(t, 0).out; got != "sees GPU-aaaa\n" {
			t.Errorf("trial %s printed %q", trial, got)
		}
	}
	for name, c := range map[string]struct{ ask, want string }{
		"three":  {"resources: {gpus: 3}", "it asks for gpus 3, the largest worker has 2"},
		"both":   {"resources: {gpus: 2}", "GPU 1 of worker box is left alone: used by pid"},
		"attic":  {"requires: labels.zone == \"attic\"", `no worker meets requires: labels.zone == "attic" (labels seen: `},
		"memory": {"resources: {gpu_memory: 200GiB}", "it asks for gpu_memory 200 GiB, the largest worker has 140.4 GiB on a GPU"},
	} {
		do("submit", write(t, name+".yaml", showGPUs+c.ask+"\n")).want(t, 0)
		do("status", name).want(t, 0).says(t, c.want)
		do("explain", name+"/1").want(t, 0).says(t, c.want)
	}
}

func TestRunRefusesWhatTheMachineHasNot(t *testing.T) {
	standInGPUs(t)
	for ask, want := range map[string]string{
		"resources: {gpus: 3}":               "a trial asks for gpus 3, and this machine has 2",
		"resources: {gpu_memory: 200GiB}":    "a trial asks for gpu_memory 200 GiB, and this machine has 140.4 GiB on a GPU",
		"requires: 'labels.zone == \"lab\"'": `its trials require labels.zone == "lab", which is not so of this machine`,
	} {
		file := write(t, "a.yaml", showGPUs+ask+"\n")
		o := swath(t, "run", file, "--home", t.TempDir())
		if o.code == 0 || !strings.Contains(o.err, want) {
			t.Errorf("%s: exit code %d, %s", ask, o.code, o.err)
		}
	}
	file := write(t, "a.yaml", showGPUs+"requires: labels.zone == \"lab\"\nresources: {gpus: 2}\n")
	home := t.TempDir()
	swath(t, "run", file, "--home", home, "--label", "zone=lab", "--slots", "2").want(t, 0)
	if got := swath(t, "logs", "a/2", "--home", home).want(t, 0).out; got != "sees GPU-aaaa,GPU-bbbb\n" {
		t.Errorf("the trial printed %q", got)
	}
	for _, args := range [][]string{{"--gpus", "3"}, {"--gpus", "many"}, {"--label", "zone"}, {"--label", "a-b=c"}} {
		o := swath(t, append([]string{"run", file, "--home", t.TempDir()}, args...)...)
		if o.code == 0 || !strings.Contains(o.err, args[0]) {
			t.Errorf("%v: exit code %d, %s", args, o.code, o.err)
		}
	}
}
