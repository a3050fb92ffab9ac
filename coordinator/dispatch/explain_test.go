package dispatch

import (
	"strings"
	"testing"
	"time"

	"swath/sweeps"
)

// stepAssign applies an event and hands out what can be.
func stepAssign(t *testing.T, s *State, now time.Time, ev Event) {
	t.Helper()
	if err := s.Step(now, ev); err != nil {
		t.Fatal(err)
	}
	s.Assign(now)
}

// What is said of a trial that has not begun, or of whose sweep nothing begins.
func TestExplainsWhatHasNotBegun(t *testing.T) {
	s, now := New(DefaultConfig()), time.Unix(1_700_000_000, 0)
	step := func(ev Event) { t.Helper(); stepAssign(t, s, now, ev) }
	explains := func(index int64, want string) {
		t.Helper()
		if why := strings.Join(s.Explain(now, sweeps.TrialKey{Sweep: "s", Index: index}), "\n"); !strings.Contains(why, want) || strings.Contains(why, ", \n") || strings.HasSuffix(why, ", ") {
			t.Errorf("of trial %d is said\n%s\nand not\n%s", index, why, want)
		}
	}
	sub := submission("s", 4, Policy{})
	sub.Plan = storyPlan{n: 4, chain: 1}
	step(sub)
	step(Hello{Worker: sweeps.Worker{ID: "a", Name: "a", Slots: 1, Prefetch: 1}, Session: 1})
	explains(0, "the worker has not reported its start")
	explains(1, "it waits there until one of the worker's 1 slots is free")
	if list := s.Workers(); len(list) != 1 || list[0].Running != 1 {
		t.Errorf("workers %+v, want one that runs one trial", list)
	}
	explains(2, "it waits for a slot to be free on the one worker that can run it")
	explains(3, "up to 1 trial of the sweep come before it")
	if why := s.Explain(now, sweeps.TrialKey{Sweep: "s", Index: 4}); why != nil {
		t.Errorf("of a trial that the sweep does not have is said %q", why)
	}
	step(Cancel{Sweep: "s"})
	explains(2, "the sweep is cancelling")
}

// What is said to be missing is what is missing.
func TestExplainsWhatIsNotFree(t *testing.T) {
	w := sweeps.Worker{
		ID: "w", Name: "host", Slots: 4, Total: sweeps.Resources{CPUs: 4, Memory: 8 * gib},
		GPUs: []sweeps.GPU{{ID: "a", Memory: 24 * gib}},
	}
	for _, c := range []struct {
		needs sweeps.Resources
		want  string
	}{
		{sweeps.Resources{CPUs: 3, GPUs: 0.5}, "it waits for cpus 3 to be free on the one worker"},
		{sweeps.Resources{Memory: 5 * gib, GPUMemory: 1 * gib}, "it waits for memory 5 GiB to be free on"},
		{sweeps.Resources{CPUs: 1, GPUMemory: 20 * gib}, "it waits for gpu_memory 20 GiB to be free on"},
	} {
		s, now := gpuCluster(t, Policy{Needs: c.needs}, w)
		if given := startsOf(s); len(given) != 1 {
			t.Fatalf("%v: %d trials were handed out, want 1", c.needs, len(given))
		}
		why := strings.Join(s.Explain(now, sweeps.TrialKey{Sweep: "s", Index: 1}), "\n")
		if !strings.Contains(why, c.want) {
			t.Errorf("explain says\n%s\nand not\n%s", why, c.want)
		}
	}
	s, now := gpuCluster(t, Policy{Needs: sweeps.Resources{CPUs: 3}}, w)
	small := submission("small", 9, Policy{Needs: sweeps.Resources{CPUs: 1}})
	if err := s.Step(now, small); err != nil {
		t.Fatal(err)
	}
	s.Assign(now)
	why := strings.Join(s.Explain(now, sweeps.TrialKey{Sweep: "s", Index: 1}), "\n")
	if want := "sweep small asks for less, and takes what falls free"; !strings.Contains(why, want) {
		t.Errorf("explain says\n%s\nand not\n%s", why, want)
	}
	if why := strings.Join(s.Explain(now, sweeps.TrialKey{Sweep: "small", Index: 8}), "\n"); strings.Contains(why, "asks for less") {
		t.Errorf("explain says\n%s", why)
	}
	away := w
	away.ID, away.Name = "b", "away"
	tiny := sweeps.Worker{ID: "c", Name: "tiny", Slots: 1, Total: sweeps.Resources{CPUs: 1}}
	s, now = gpuCluster(t, Policy{Needs: sweeps.Resources{CPUs: 2}}, tiny)
	if err := s.Step(now, Hello{Worker: away, Session: 1, Hold: "its disk is full"}); err != nil {
		t.Fatal(err)
	}
	why = strings.Join(s.Explain(now, sweeps.TrialKey{Sweep: "s"}), "\n")
	if want := "worker away could run it, but takes no trials: its disk is full"; !strings.Contains(why, want) {
		t.Errorf("explain says\n%s\nand not\n%s", why, want)
	}
}

// The trial whose turn is next is one that waits for another attempt, or else the one at the
// cursor.
func TestExplainsTheNextTrial(t *testing.T) {
	s, now := New(DefaultConfig()), time.Unix(1_700_000_000, 0)
	step := func(ev Event) { t.Helper(); stepAssign(t, s, now, ev) }
	explains := func(want string) {
		t.Helper()
		if why := strings.Join(s.ExplainNext(now, "s"), "\n"); why != want {
			t.Errorf("of the next trial is said\n%s\nand not\n%s", why, want)
		}
	}
	explains("")
	step(submission("s", 2, Policy{Retries: 1}))
	explains("no worker is connected: start one with `swath worker`")
	step(Hello{Worker: sweeps.Worker{ID: "a", Name: "a", Slots: 2}, Session: 1})
	ref := sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s", Index: 1}, Attempt: 1}
	step(Exited{Worker: "a", Ref: ref, Outcome: sweeps.Outcome{Class: sweeps.ClassExit, ExitCode: 1, Message: "exit code 1"}})
	step(Pause{Sweep: "s"})
	explains("trial 1: attempt 1 ended: exit code 1\nits next attempt waits 1s, as after every failure\nthe sweep is paused, by a user")
}

// Of a trial that the run cap may leave out, and of one that a constraint does.
func TestExplainsWhatMayNeverBegin(t *testing.T) {
	s, now := New(DefaultConfig()), time.Unix(1_700_000_000, 0)
	sub := submission("s", 9, Policy{RunCap: 2})
	sub.Plan = storyPlan{n: 9, chain: 1, excluded: []int64{1, 5}}
	if err := s.Step(now, sub); err != nil {
		t.Fatal(err)
	}
	s.Assign(now)
	for index, want := range map[int64]string{1: "", 5: "", 3: "the sweep hands out 2 trials in all, its run cap, and may not come to it"} {
		if why := strings.Join(s.Explain(now, sweeps.TrialKey{Sweep: "s", Index: index}), "\n"); !strings.Contains(why, want) || (want == "") != (why == "") {
			t.Errorf("of trial %d is said\n%s\nand not\n%s", index, why, want)
		}
	}
}
