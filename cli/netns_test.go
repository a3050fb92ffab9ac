//go:build linux

package cli_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	netns     = flag.Bool("netns", false, "run the test on a network of its own, in namespaces; needs root")
	netnsSeed = flag.Uint64("netns.seed", 0, "which frames are lost and late on it; 0 draws a seed, which is printed")
)

// TestNetwork runs a sweep of real processes on a coordinator and two workers, while the
// network fails in the ways in which networks fail and everything is restarted once. At the
// end every trial has finished once, with all its points, once each.
func TestNetwork(t *testing.T) {
	switch {
	case !*netns:
		t.Skip("this test makes network namespaces: run it as root with -netns")
	case os.Geteuid() != 0:
		t.Skip("network namespaces need root")
	}
	if out, err := exec.Command("ip", "netns", "list").CombinedOutput(); err != nil {
		t.Skipf("no network namespaces here: %v: %s", err, out)
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("no network cards of our own here: %v", err)
	}
	const (
		trials = 80
		steps  = 12
		lease  = 6 * time.Second
	)
	seed := *netnsSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("netns.seed %d", seed)
	n := newNetwork(t, seed)
	dir := t.TempDir()
	began := filepath.Join(dir, "began")
	script := fmt.Sprintf(`echo "$SWATH_TRIAL $SWATH_ATTEMPT" >> '%s'
i=1; while [ $i -le %d ]; do echo "step=$i loss=0.$i"; sleep 0.15; i=$((i+1)); done
`, began, steps)
	if err := os.WriteFile(filepath.Join(dir, "trial.sh"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "sweep.yaml")
	text := fmt.Sprintf("name: network\nmethod: grid\nmetric: {name: loss}\nprogram: trial.sh\ncommand: [sh, \"${program}\"]\nrun_cap: %d\nparameters: {x: {distribution: int_uniform, min: 1, max: %d}}\n", trials, trials)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	addr := addresses["c"] + ":7420"
	home := map[string]string{"a": t.TempDir(), "b": t.TempDir(), "c": t.TempDir()}
	coordinator := func() *process {
		p := n.start("c", "coordinator", "--home", home["c"], "--listen", addr, "--insecure", "--lease", lease.String())
		p.printed("coordinator ready")
		return p
	}
	workerArgs := func(machine string) []string {
		return []string{"worker", "--home", home[machine], "--coordinator", addr, "--name", machine, "--slots", "2", "--grace", "1s"}
	}
	worker := func(machine string) *process {
		p := n.start(machine, workerArgs(machine)...)
		p.printed("ready")
		return p
	}
	ended := func() (ended, finished int) {
		o := n.run("c", "results", "network", "--coordinator", addr, "--format", "jsonl").want(t, 0)
		for _, r := range parseRows(t, o) {
			if r.State != "running" && r.State != "pending" {
				ended++
			}
			if r.State == "finished" {
				finished++
			}
		}
		return ended, finished
	}
	// progress waits until some more trials have ended, so that each part of the story has
	// some.
	progress := func(more int) {
		from, _ := ended()
		until(t, fmt.Sprintf("%d more trials to end", more), func() bool { now, _ := ended(); return now >= min(from+more, trials) })
	}
	begun := time.Now()
	say := func(what string) {
		e, _ := ended()
		t.Logf("%5.1f s, %2d ended: %s", time.Since(begun).Seconds(), e, what)
	}

	c := coordinator()
	a, b := worker("a"), worker("b")
	n.run("c", "submit", file, "--coordinator", addr).want(t, 0)
	progress(3)

	say("worker a's network is slow, loses frames and mixes up their order; it stays so")
	n.set("a", poor)
	progress(4)

	say("worker b is cut off for half of its lease, then hears nothing for as long: nobody loses a trial by it")
	n.set("b", cut)
	time.Sleep(lease / 2)
	n.set("b", fine)
	progress(3)
	n.set("b", weather{deaf: true})
	time.Sleep(lease / 2)
	n.set("b", fine)
	progress(3)
	if twice := repeated(t, began); len(twice) > 0 {
		t.Errorf("trials %v began twice, and no worker was away for longer than its lease", twice)
	}

	say("worker b's agent is killed while its network is down, and started again: its trainers went on")
	n.set("b", cut)
	b.kill()
	n.set("b", fine)
	b = worker("b")
	progress(3)

	say("worker b's agent and the coordinator are killed together; the agent is back first")
	c.kill()
	b.kill()
	b = n.start("b", workerArgs("b")...)
	time.Sleep(time.Second)
	c = coordinator()
	b.printed("ready")
	progress(3)

	say("again; the coordinator is back first")
	b.kill()
	c.kill()
	c = coordinator()
	b = worker("b")
	progress(3)
	if twice := repeated(t, began); len(twice) > 0 {
		t.Errorf("trials %v began twice: the new agent did not adopt those of the old one", twice)
	}

	say("worker a is cut off for longer than its lease: its trials go to b, and what it says of them later is refused")
	n.set("a", cut)
	time.Sleep(lease + 3*time.Second)
	n.set("a", poor)
	progress(4)
	lost := repeated(t, began)
	if len(lost) == 0 {
		t.Error("no trial of the worker that was away for longer than its lease began again")
	}

	say("worker a is restarted, then worker b, then the coordinator")
	a.stop().want(t, 0)
	a = worker("a")
	progress(2)
	b.stop().want(t, 0)
	b = worker("b")
	progress(2)
	c.stop().want(t, 0)
	c = coordinator()

	say("all are left alone")
	n.run("c", "watch", "network", "--coordinator", addr).want(t, 0).says(t, fmt.Sprintf("%d trials: %d finished", trials, trials))
	if _, finished := ended(); finished != trials {
		t.Errorf("%d of %d trials finished", finished, trials)
	}
	series := n.run("c", "series", "network", "--metric", "loss", "--format", "csv", "--coordinator", addr).want(t, 0)
	points := map[string][]string{}
	for _, line := range strings.Split(strings.TrimSpace(series.out), "\n")[1:] {
		// trial,index,metric,step,value,time
		fields := strings.Split(line, ",")
		points[fields[1]] = append(points[fields[1]], fields[3])
	}
	var want []string
	for i := range steps {
		want = append(want, strconv.Itoa(i+1))
	}
	for i := range trials {
		if got := points[strconv.Itoa(i)]; !slices.Equal(got, want) {
			t.Errorf("trial %d has the steps %v, want each of %d once", i, got, steps)
		}
	}
	a.stop().want(t, 0)
	b.stop().want(t, 0)
	c.stop().want(t, 0)
	for machine := range addresses {
		until(t, "the last process on machine "+machine+" to end", func() bool { return len(n.processes(machine)) == 0 })
	}
	t.Logf("of %d frames %d were lost and %d late", n.frames.sent, n.frames.lost, n.frames.late)
	t.Logf("%5.1f s: %d trials finished; %d were lost with a worker that was away", time.Since(begun).Seconds(), trials, len(lost))
}

// repeated are the trials that began more than once.
func repeated(t *testing.T, began string) []string {
	t.Helper()
	b, err := os.ReadFile(began)
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	var list []string
	for line := range strings.Lines(string(b)) {
		trial, _, _ := strings.Cut(line, " ")
		if times[trial]++; times[trial] == 2 {
			list = append(list, trial)
		}
	}
	return list
}
