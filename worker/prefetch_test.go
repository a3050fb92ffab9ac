//go:build unix

package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"swath/proto/wire"
	"swath/sweeps"
)

// gate is a file that trials wait for.
type gate struct {
	t    *testing.T
	path string
}

func newGate(t *testing.T) gate { return gate{t, filepath.Join(t.TempDir(), "gate")} }

func (g gate) open() {
	if err := os.WriteFile(g.path, nil, 0o644); err != nil {
		g.t.Fatal(err)
	}
}

// trial is one that waits for the gate.
func (g gate) trial(index int64) wire.Start {
	return shell(index, fmt.Sprintf("while [ ! -e %s ]; do sleep 0.01; done", g.path))
}

// everywhere runs a test with trials that wait in the agent, and with such that wait in its
// keeper.
func everywhere(t *testing.T, test func(t *testing.T, binary string)) {
	t.Run("agent", func(t *testing.T) { test(t, "") })
	t.Run("keeper", func(t *testing.T) { test(t, self(t)) })
}

// oneSlot makes an agent with one slot, in which a trial waits for the gate, and further
// trials behind it.
func oneSlot(t *testing.T, binary string, waiting ...wire.Start) (*coordinator, *running, gate) {
	c, g := newCoordinator(t), newGate(t)
	r := run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) {
		cfg.Slots, cfg.Prefetch, cfg.Binary = 1, len(waiting), binary
	}))
	first := g.trial(0)
	c.start(first)
	c.until("the first trial to run", func() bool { return c.started[first.Ref] > 0 })
	for _, m := range waiting {
		c.start(m)
	}
	eventually(t, "the trials to arrive", func() bool { return len(r.held()) == 1+len(waiting) })
	return c, r, g
}

func TestPrefetchedTrialsWaitForASlotInOrder(t *testing.T) {
	everywhere(t, testPrefetchedTrialsWaitForASlotInOrder)
}

func testPrefetchedTrialsWaitForASlotInOrder(t *testing.T, binary string) {
	// They say themselves when they run: short ones are reported together, in any order.
	order := filepath.Join(t.TempDir(), "order")
	var trials []wire.Start
	for _, i := range []int64{3, 1, 2} {
		trials = append(trials, shell(i, fmt.Sprintf("echo %d >> %s", i, order)))
	}
	c, r, g := oneSlot(t, binary, trials...)
	g.open()
	for _, m := range trials {
		if out := c.ended(m.Ref); !out.OK() {
			t.Errorf("trial %d: outcome is %+v", m.Ref.Index, out)
		}
	}
	r.stop()
	if w := c.hellos[0].Worker; w.Prefetch != 3 || w.Burst > 3 {
		t.Errorf("Hello says prefetch %d, burst %d", w.Prefetch, w.Burst)
	}
	if got, err := os.ReadFile(order); err != nil || string(got) != "3\n1\n2\n" {
		t.Errorf("they ran in the order %q, %v", got, err)
	}
	c.check()
}

func TestPrefetchedTrialsTakeTurnsByPriority(t *testing.T) {
	everywhere(t, testPrefetchedTrialsTakeTurnsByPriority)
}

func testPrefetchedTrialsTakeTurnsByPriority(t *testing.T, binary string) {
	order := filepath.Join(t.TempDir(), "order")
	var trials []wire.Start
	for i, priority := range []int{0, -1, 5, 0, 7, 5} {
		m := shell(int64(i+1), fmt.Sprintf("echo %d >> %s", i+1, order))
		m.Source = append(fmt.Appendf(nil, "priority: %d\n", priority), m.Source...)
		trials = append(trials, m)
	}
	c, r, g := oneSlot(t, binary, trials...)
	back := shell(9, "true") // when it has come back, all of them have come where they wait
	c.start(back)
	c.recall(back.Ref)
	c.until("the last one to be given back", func() bool { return c.returned[back.Ref] == 1 })
	g.open()
	for _, m := range trials {
		c.ended(m.Ref)
	}
	r.stop()
	if got, err := os.ReadFile(order); err != nil || string(got) != "5\n3\n6\n1\n4\n2\n" {
		t.Errorf("they ran in the order %q, %v", got, err)
	}
	c.check()
}

// The next trial starts when the process has ended, whatever the coordinator says to that.
func TestASlotFallsFreeWithTheProcess(t *testing.T) {
	c := newCoordinator(t)
	c.keepEnds = true
	g := newGate(t)
	run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) { cfg.Slots = 1 }))
	one, two := shell(0, "true"), g.trial(1)
	c.until("the session", func() bool { return len(c.hellos) == 1 })
	if w := c.hellos[0].Worker; w.Prefetch != 1 || w.Burst <= 1 {
		t.Errorf("without a word on it, Hello says prefetch %d, burst %d", w.Prefetch, w.Burst)
	}
	c.start(one)
	c.start(two)
	c.until("the second trial to run", func() bool { return c.started[two.Ref] > 0 })
	c.do(func() { c.keepEnds = false })
	g.open()
	c.disconnect(false)
	c.ended(one.Ref)
	c.ended(two.Ref)
	c.check()
}

func TestWaitingTrialsAreRecalled(t *testing.T) { everywhere(t, testWaitingTrialsAreRecalled) }

func testWaitingTrialsAreRecalled(t *testing.T, binary string) {
	ran := filepath.Join(t.TempDir(), "ran")
	one, two := shell(1, "echo once >> "+ran), shell(2, "true")
	c, r, g := oneSlot(t, binary, one, two)
	c.recall(one.Ref)
	c.until("the trial to be given back", func() bool { return c.returned[one.Ref] == 1 })
	if dir := attemptPath(r.Agent, one); isDir(dir) {
		t.Errorf("%s is left of what was given back", dir)
	}
	c.recall(sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s1", Index: 0}, Attempt: 1}) // runs
	c.recall(one.Ref)                                                                         // is not held any more
	c.start(one)                                                                              // the same again: it goes to the end
	g.open()
	for _, m := range []wire.Start{two, one} {
		if out := c.ended(m.Ref); !out.OK() {
			t.Errorf("trial %d: outcome is %+v", m.Ref.Index, out)
		}
	}
	r.stop()
	if len(c.returned) != 1 || c.returned[one.Ref] != 1 {
		t.Errorf("given back: %v", c.returned)
	}
	if got := awaitFile(t, ran); got != "once" {
		t.Errorf("the trial that was recalled and sent again ran as %q", got)
	}
	c.check()
}

func TestWaitingTrialsAreListedAndForgotten(t *testing.T) {
	everywhere(t, testWaitingTrialsAreListedAndForgotten)
}

func testWaitingTrialsAreListedAndForgotten(t *testing.T, binary string) {
	one, two := shell(1, "true"), shell(2, "true")
	c, r, g := oneSlot(t, binary, one, two)
	c.do(func() { delete(c.starts, one.Ref) })
	c.disconnect(false)
	c.until("a second session", func() bool { return len(c.hellos) == 2 })
	if got := len(c.hellos[1].Attempts); got != 3 {
		t.Errorf("Hello lists %d attempts", got)
	}
	eventually(t, "the trial to be forgotten", func() bool { return r.find(one.Ref) == nil })
	g.open()
	c.ended(two.Ref)
	r.stop()
	if c.started[one.Ref] > 0 || len(c.exits) != 2 {
		t.Errorf("the forgotten trial ran: started %v, ended %v", c.started, c.exits)
	}
	c.check()
}

func TestWaitingTrialsAreStopped(t *testing.T) { everywhere(t, testWaitingTrialsAreStopped) }

func testWaitingTrialsAreStopped(t *testing.T, binary string) {
	one := shell(1, "true")
	c, r, g := oneSlot(t, binary, one)
	c.stop(one.Ref)
	if out := c.ended(one.Ref); out.Class != sweeps.ClassCancelled {
		t.Errorf("outcome is %+v", out)
	}
	g.open()
	r.stop()
	if c.started[one.Ref] > 0 || c.report(one.Ref).Ran > 0 {
		t.Error("the stopped trial ran")
	}
	c.check()
}

func TestShutdownGivesWaitingTrialsBack(t *testing.T) {
	everywhere(t, testShutdownGivesWaitingTrialsBack)
}

func testShutdownGivesWaitingTrialsBack(t *testing.T, binary string) {
	one := shell(1, "true")
	c, r, _ := oneSlot(t, binary, one)
	r.stop()
	if out := c.ended(one.Ref); out.Class != sweeps.ClassPreempted {
		t.Errorf("outcome is %+v", out)
	}
	if c.started[one.Ref] > 0 || c.report(one.Ref).Ran > 0 {
		t.Error("the trial ran")
	}
	c.check()
}

func TestWaitingTrialsNeedTheirResources(t *testing.T) {
	c, g := newCoordinator(t), newGate(t)
	r := run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) { cfg.Slots, cfg.Resources.CPUs = 3, 1 }))
	large := func(m wire.Start, cpus string) wire.Start {
		m.Source = append([]byte("resources: {cpus: "+cpus+"}\n"), m.Source...)
		return m
	}
	// The third has room, but the second comes first.
	one, two, three := large(g.trial(0), "0.5"), large(g.trial(1), "1"), large(g.trial(2), "0.5")
	c.until("the session", func() bool { return len(c.hellos) == 1 })
	for _, m := range []wire.Start{one, two, three} {
		c.start(m)
	}
	c.until("the first trial to run", func() bool { return c.started[one.Ref] > 0 })
	eventually(t, "the trials to arrive", func() bool { return len(r.held()) == 3 })
	r.mu.Lock()
	busy, waiting := r.busy, len(r.queue)
	r.mu.Unlock()
	if busy != 1 || waiting != 2 {
		t.Errorf("%d run and %d wait", busy, waiting)
	}
	g.open()
	for _, m := range []wire.Start{one, two, three} {
		c.ended(m.Ref)
	}
	c.check()
}

func TestNoSpawn(t *testing.T) {
	c := newCoordinator(t)
	r := run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) { cfg.NoSpawn, cfg.Slots = true, 2 }))
	for i := range int64(20) {
		c.start(shell(i, "exit 7"))
	}
	for i := range int64(20) {
		m := shell(i, "exit 7")
		if out := c.ended(m.Ref); !out.OK() {
			t.Errorf("outcome is %+v", out)
		}
		gone(t, attemptPath(r.Agent, m))
	}
	eventually(t, "everything to be forgotten", func() bool { return len(r.held()) == 0 })
	r.stop()
	for ref, m := range c.reports {
		if m.Ran <= 0 {
			t.Errorf("trial %d is not said to have run", ref.Index)
		}
	}
	c.check()
}
