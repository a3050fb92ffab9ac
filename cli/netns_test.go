//go:build linux

package cli_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var netns = flag.Bool("netns", false, "run the test on a network of its own, in namespaces; needs root")

// network is a small one: a hub that everything is plugged into, a machine for the
// coordinator and one for each worker, with an address each. It is made of network
// namespaces, and nothing of it is in the namespace of this process.
type network struct {
	t    *testing.T
	name string
}

// addresses of the machines in the network; none is of the world outside.
var addresses = map[string]string{"c": "10.77.0.1", "a": "10.77.0.2", "b": "10.77.0.3"}

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{t: t, name: fmt.Sprintf("swath%d", os.Getpid())}
	t.Cleanup(func() {
		for _, machine := range []string{"hub", "a", "b", "c"} {
			_ = exec.Command("ip", "netns", "del", n.ns(machine)).Run() // it may not have come to be
		}
	})
	n.ip("netns", "add", n.ns("hub"))
	n.ip("-n", n.ns("hub"), "link", "add", "br0", "type", "bridge")
	n.ip("-n", n.ns("hub"), "link", "set", "br0", "up")
	for machine, address := range addresses {
		n.ip("netns", "add", n.ns(machine))
		n.ip("-n", n.ns("hub"), "link", "add", "to-"+machine, "type", "veth", "peer", "name", "eth0", "netns", n.ns(machine))
		n.ip("-n", n.ns("hub"), "link", "set", "to-"+machine, "master", "br0", "up")
		n.ip("-n", n.ns(machine), "addr", "add", address+"/24", "dev", "eth0")
		n.ip("-n", n.ns(machine), "link", "set", "lo", "up")
		n.ip("-n", n.ns(machine), "link", "set", "eth0", "up")
	}
	return n
}

func (n *network) ns(machine string) string { return n.name + "-" + machine }

func (n *network) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// plug connects a machine's cable with the hub, or pulls it out.
func (n *network) plug(machine string, in bool) {
	n.t.Helper()
	state := "down"
	if in {
		state = "up"
	}
	n.ip("-n", n.ns("hub"), "link", "set", "to-"+machine, state)
}

// degrade makes a machine's network slow and lossy: by netem where the kernel has it, or
// else by pulling the cable again and again, which loses packets as well.
func (n *network) degrade(machine string, during time.Duration) {
	n.t.Helper()
	netem := []string{"-n", n.ns(machine), "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "40ms", "10ms", "loss", "5%"}
	if out, err := exec.Command("tc", netem...).CombinedOutput(); err != nil {
		n.t.Logf("no netem here (%s): packets are lost by short interruptions instead", bytes.TrimSpace(out))
		for end := time.Now().Add(during); time.Now().Before(end); {
			n.plug(machine, false)
			time.Sleep(60 * time.Millisecond)
			n.plug(machine, true)
			time.Sleep(140 * time.Millisecond)
		}
		return
	}
	time.Sleep(during)
	if out, err := exec.Command("tc", "-n", n.ns(machine), "qdisc", "del", "dev", "eth0", "root").CombinedOutput(); err != nil {
		n.t.Fatalf("tc: %v: %s", err, out)
	}
}

// start starts swath on a machine.
func (n *network) start(machine string, args ...string) *process {
	n.t.Helper()
	in := append([]string{"netns", "exec", n.ns(machine), self(n.t)}, args...)
	return launch(n.t, exec.Command("ip", in...), args)
}

// launch starts a command line as start does, by way of another program.
func launch(t *testing.T, cmd *exec.Cmd, args []string) *process {
	t.Helper()
	p := &process{t: t, args: args, cmd: cmd, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.pipe(p.cmd.StdoutPipe, &p.out)
	p.pipe(p.cmd.StderrPipe, &p.err)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.copied.Wait()
		_ = p.cmd.Wait() // the exit code is in the state
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
	})
	return p
}

// run runs a verb on a machine to its end.
func (n *network) run(machine string, args ...string) outcome {
	n.t.Helper()
	return n.start(machine, args...).wait()
}

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
	const (
		trials = 80
		steps  = 12
		lease  = 6 * time.Second
	)
	n := newNetwork(t)
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
	worker := func(machine string) *process {
		p := n.start(machine, "worker", "--home", home[machine], "--coordinator", addr, "--name", machine, "--slots", "2", "--grace", "1s")
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

	say("worker a's network is slow and loses packets")
	n.degrade("a", 3*time.Second)

	say("worker b is cut off for half of its lease: nobody loses a trial by it")
	n.plug("b", false)
	time.Sleep(lease / 2)
	n.plug("b", true)
	progress(4)
	if twice := repeated(t, began); len(twice) > 0 {
		t.Errorf("trials %v began twice, and no worker was away for longer than its lease", twice)
	}

	say("worker b's agent is killed while its network is down, and started again: its trainers went on")
	n.plug("b", false)
	b.kill()
	n.plug("b", true)
	b = worker("b")
	progress(4)
	if twice := repeated(t, began); len(twice) > 0 {
		t.Errorf("trials %v began twice: the new agent did not adopt those of the old one", twice)
	}

	say("worker a is cut off for longer than its lease: its trials go to b, and what it says of them later is refused")
	n.plug("a", false)
	time.Sleep(lease + 3*time.Second)
	n.plug("a", true)
	progress(4)
	lost := repeated(t, began)
	if len(lost) == 0 {
		t.Error("no trial of the worker that was away for longer than its lease began again")
	}

	say("the coordinator is killed, and away for a while")
	c.kill()
	time.Sleep(2 * time.Second)
	c = coordinator()
	progress(3)

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
