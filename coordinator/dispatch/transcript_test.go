package dispatch

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"swath/sweeps"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// TestTranscripts plays the stories in testdata/*.txt and compares what the dispatcher says
// to each event with what stands there; -update writes it down. A story is a series of
//
//	EVENT
//	----
//	the records that changed, and the messages that go out
//
// with comments between them. The events are
//
//	submit SWEEP trials=N [excluded=I,…] [broken=I,…] [cap=N] [retries=N] [cpus=N] [name=NAME] [priority=N] [limit=SECONDS]
//	                                with reuse=1 it takes over results: found says which there are
//	found SWEEP [FIRST] [ORIGIN…]   the answer to a lookup: for each of the trials - or SWEEP/INDEX#ATTEMPT
//	cancel SWEEP, pause SWEEP, resume SWEEP
//	remove SWEEP                    if it has ended
//	rerun SWEEP                     its failed and cancelled trials, as the coordinator does
//	hello WORKER slots=N [prefetch=N] [burst=N] [cpus=N] [holds=ATTEMPT,…] [at=PLACE]
//	alive WORKER, gone WORKER, drain WORKER    of its latest session, or of session=N
//	aside WORKER, admit WORKER      a user's word on it
//	hold WORKER [REASON]            it takes no more trials, or without a reason does again
//	halt [REASON]                   the coordinator hands out none, or does again
//	started WORKER ATTEMPT
//	exited WORKER ATTEMPT CLASS [MESSAGE]
//	returned WORKER ATTEMPT
//	wait DURATION                   with a tick whenever one is due
//	stall DURATION                  in which nothing is done, and a tick
//	crash [rests=SWEEP]             the coordinator begins anew from what was committed
//
// where ATTEMPT is SWEEP/INDEX#NUMBER. After every event the invariants hold.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newStory(t).play(string(b))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(b) {
				t.Errorf("%s differs; run go test -update and look at the change\n%s", file, firstDifference(string(b), got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d is\n%s, want\n%s", i+1, g[i], w[i])
		}
	}
	return "one is longer"
}

// story is a dispatcher with a clock and a disk.
type story struct {
	t       *testing.T
	cfg     Config
	begin   time.Time
	now     time.Time
	state   *State
	session uint64
	of      map[sweeps.WorkerID]uint64 // the sessions
	subs    map[sweeps.SweepID]Submit  // plans and policies

	// The disk: what was committed.
	sweeps map[sweeps.SweepID]*sweeps.Sweep
	trials map[sweeps.TrialKey]*sweeps.Trial
	aside  map[sweeps.WorkerID]Aside
}

func newStory(t *testing.T) *story {
	s := &story{
		t: t, begin: time.Unix(1_700_000_000, 0), of: map[sweeps.WorkerID]uint64{}, subs: map[sweeps.SweepID]Submit{},
		sweeps: map[sweeps.SweepID]*sweeps.Sweep{}, trials: map[sweeps.TrialKey]*sweeps.Trial{}, aside: map[sweeps.WorkerID]Aside{},
	}
	s.cfg = DefaultConfig()
	s.now = s.begin
	s.state = New(s.cfg)
	return s
}

// play returns the transcript with the answers as they are now.
func (s *story) play(text string) string {
	var out strings.Builder
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			if i < len(lines)-1 {
				out.WriteString(line + "\n")
			}
			continue
		}
		fmt.Fprintf(&out, "%s\n----\n%s", line, s.event(line))
		if i+1 < len(lines) && lines[i+1] == "----" {
			// The answer that stands there goes on to the next blank line.
			for i++; i+1 < len(lines) && strings.TrimSpace(lines[i+1]) != ""; {
				i++
			}
		}
	}
	return out.String()
}

// event plays one event and returns what came of it.
func (s *story) event(line string) string {
	words := strings.Fields(line)
	args := map[string]string{}
	var plain []string
	for _, w := range words[1:] {
		if k, v, ok := strings.Cut(w, "="); ok && words[0] != "exited" {
			args[k] = v
		} else {
			plain = append(plain, w)
		}
	}
	arg := func(i int) string {
		if i >= len(plain) {
			s.t.Fatalf("%q: too few words", line)
		}
		return plain[i]
	}
	var ev Event
	switch words[0] {
	case "submit":
		ev = s.submission(sweeps.SweepID(arg(0)), args)
	case "found":
		ev = s.found(sweeps.SweepID(arg(0)), s.number(arg(1)), plain[2:])
	case "cancel":
		ev = Cancel{sweeps.SweepID(arg(0))}
	case "pause":
		ev = Pause{sweeps.SweepID(arg(0))}
	case "resume":
		ev = Resume{sweeps.SweepID(arg(0))}
	case "remove":
		ev = Remove{sweeps.SweepID(arg(0))}
	case "rerun":
		ev = s.rerun(sweeps.SweepID(arg(0)))
	case "hello":
		ev = s.hello(sweeps.WorkerID(arg(0)), args)
	case "alive":
		ev = Alive{sweeps.WorkerID(arg(0)), s.sessionOf(arg(0), args)}
	case "gone":
		ev = Gone{sweeps.WorkerID(arg(0)), s.sessionOf(arg(0), args)}
	case "hold":
		ev = Hold{sweeps.WorkerID(arg(0)), s.sessionOf(arg(0), args), strings.Join(plain[1:], " ")}
	case "halt":
		ev = Halt{strings.Join(plain, " ")}
	case "drain":
		ev = Drain{sweeps.WorkerID(arg(0)), s.sessionOf(arg(0), args)}
	case "aside":
		ev = Admit{sweeps.WorkerID(arg(0)), false}
	case "admit":
		ev = Admit{sweeps.WorkerID(arg(0)), true}
	case "started":
		ev = Started{Worker: sweeps.WorkerID(arg(0)), Ref: s.ref(arg(1))}
	case "returned":
		ev = Returned{sweeps.WorkerID(arg(0)), s.ref(arg(1))}
	case "checkpoint":
		ev = Checkpointed{sweeps.WorkerID(arg(0)), s.ref(arg(1)), sweeps.Checkpoint{
			Step: s.number(args["step"]), Digest: arg(1) + "@" + args["step"], Value: float64(s.number(args["value"])),
		}}
	case "exited":
		class, err := sweeps.ParseClass(arg(2))
		if err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		ev = Exited{Worker: sweeps.WorkerID(arg(0)), Ref: s.ref(arg(1)), Outcome: sweeps.Outcome{Class: class, Message: strings.Join(plain[3:], " ")}}
	case "wait":
		d, err := time.ParseDuration(arg(0))
		if err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		return s.wait(d)
	case "stall":
		d, err := time.ParseDuration(arg(0))
		if err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		s.now = s.now.Add(d)
		ev = Tick{}
	case "crash":
		s.load(sweeps.SweepID(args["rests"]))
		ev = Tick{}
	default:
		s.t.Fatalf("no event %q", words[0])
	}
	return s.step(ev)
}

// wait lets time pass, and says what came of it.
func (s *story) wait(d time.Duration) string {
	var out strings.Builder
	for end := s.now.Add(d); s.now.Before(end); {
		s.now = s.now.Add(min(s.cfg.pulse(), end.Sub(s.now)))
		if said := s.step(Tick{}); said != nothing {
			out.WriteString(said)
		}
	}
	if out.Len() == 0 {
		return nothing
	}
	return out.String()
}

const nothing = "nothing\n"

// step applies an event, as the coordinator's loop does, and says what came of it.
func (s *story) step(ev Event) string {
	var out strings.Builder
	if err := s.state.Step(s.now, ev); err != nil {
		fmt.Fprintf(&out, "refused: %v\n", err)
	}
	s.state.Assign(s.now)
	changes, effects := s.state.TakeChanges(), s.state.TakeEffects()
	for _, sw := range changes.Sweeps {
		s.sweeps[sw.ID] = sw.Clone()
		fmt.Fprintf(&out, "sweep %s\n", describeSweep(sw))
	}
	for _, t := range changes.Trials {
		clone := *t
		s.trials[t.TrialKey] = &clone
		fmt.Fprintf(&out, "trial %s %s\n", t.TrialKey, s.describe(t))
	}
	for _, a := range changes.Aside {
		if s.aside[a.Worker] = a; a.Why == "" {
			delete(s.aside, a.Worker)
			fmt.Fprintf(&out, "worker %s takes trials again\n", a.Worker)
			continue
		}
		fmt.Fprintf(&out, "worker %s is set aside: %s\n", a.Worker, a.Why)
	}
	for _, id := range changes.Removed {
		delete(s.sweeps, id)
		maps.DeleteFunc(s.trials, func(key sweeps.TrialKey, _ *sweeps.Trial) bool { return key.Sweep == id })
		fmt.Fprintf(&out, "sweep %s is gone\n", id)
	}
	for _, e := range effects {
		fmt.Fprintf(&out, "-> %s\n", describeEffect(e))
	}
	if err := s.state.Check(); err != nil {
		fmt.Fprintf(&out, "BROKEN: %v\n", err)
		s.t.Error(err)
	}
	if out.Len() == 0 {
		return nothing
	}
	return out.String()
}

func describeSweep(sw *sweeps.Sweep) string {
	c := sw.Counts
	text := fmt.Sprintf("%s is %s: %d of the indices considered, %d running", sw.ID, sw.State, sw.Next, c.Running)
	for _, n := range []struct {
		n    int64
		what string
	}{{c.Retrying, "waiting again"}, {c.Unstarted, "waiting unstarted"}, {c.Finished, "finished"}, {c.Failed, "failed"}, {c.Cancelled, "cancelled"}, {sw.Excluded, "excluded"}} {
		if n.n > 0 {
			text += fmt.Sprintf(", %d %s", n.n, n.what)
		}
	}
	if sw.Reason != "" {
		text += " (" + sw.Reason + ")"
	}
	return text
}

func (s *story) describe(t *sweeps.Trial) string {
	text := string(t.State)
	if t.State == sweeps.TrialRunning {
		text += fmt.Sprintf(" on %s, attempt %d", t.Worker, t.Attempt)
		if t.Started.IsZero() {
			text += ", not yet started"
		}
		return text + kept(t)
	}
	if t.Attempt == 0 && t.State == sweeps.TrialPending {
		return text + ", to go on" + kept(t)
	}
	text += fmt.Sprintf(" after attempt %d: %s", t.Attempt, t.Outcome.Class)
	if t.Reused() {
		text += ", as " + t.ReusedFrom.String()
	}
	if t.Outcome.Message != "" {
		text += " (" + t.Outcome.Message + ")"
	}
	if t.Charged > 0 {
		text += fmt.Sprintf(", charged %d", t.Charged)
	}
	if t.Losses > 0 {
		text += fmt.Sprintf(", lost %d in a row", t.Losses)
	}
	if t.State == sweeps.TrialPending && !t.NotBefore.IsZero() {
		text += fmt.Sprintf(", again at %s", t.NotBefore.Sub(s.begin))
	}
	return text + kept(t)
}

// kept are the steps of a trial's checkpoints, in words.
func kept(t *sweeps.Trial) string {
	text := ""
	for i, c := range t.Checkpoints {
		text += []string{", with the checkpoint of step ", " and "}[min(i, 1)] + fmt.Sprint(c.Step)
	}
	return text
}

func describeEffect(e Effect) string {
	switch e := e.(type) {
	case Start:
		if e.From.Digest != "" {
			return fmt.Sprintf("%s: start %s from step %d", e.Worker, e.Ref, e.From.Step)
		}
		return fmt.Sprintf("%s: start %s", e.Worker, e.Ref)
	case Stop:
		return fmt.Sprintf("%s: stop %s", e.Worker, e.Ref)
	case Recall:
		return fmt.Sprintf("%s: give back %s", e.Worker, e.Ref)
	case Forget:
		return fmt.Sprintf("%s: forget %s", e.Worker, e.Ref)
	case Lookup:
		return fmt.Sprintf("look up %d trials of %s from %d on", len(e.IDs), e.Sweep, e.First)
	case Disconnect:
		return fmt.Sprintf("%s: disconnect, %s", e.Worker, e.Reason)
	}
	return fmt.Sprintf("%T", e)
}

// storyPlan is a plan with points that are excluded, or cannot be computed.
type storyPlan struct {
	n                int64
	excluded, broken []int64
	chain            int64 // so many indices in a row go on from each other
}

func (p storyPlan) Size() int64 { return p.n }

func (p storyPlan) Before(i int64) (int64, bool) { return i - 1, i%p.chain > 0 }
func (p storyPlan) After(i int64) (int64, bool) {
	return i + 1, (i+1)%p.chain > 0 && i+1 < p.n
}

func (p storyPlan) At(i int64) (sweeps.Planned, error) {
	planned := sweeps.Planned{Index: i, ID: sweeps.TrialID(fmt.Sprintf("%016x", i)), Params: sweeps.Params{"x": i}}
	switch {
	case slices.Contains(p.excluded, i):
		return planned, fmt.Errorf("%w by a constraint", sweeps.ErrExcluded)
	case slices.Contains(p.broken, i):
		return planned, fmt.Errorf("%w: division by zero", sweeps.ErrInvalid)
	}
	return planned, nil
}

func (s *story) submission(id sweeps.SweepID, args map[string]string) Event {
	name := args["name"]
	if name == "" {
		name = "name-" + string(id)
	}
	sub := Submit{
		Sweep: &sweeps.Sweep{ID: id, Name: name, Reuse: args["reuse"] != ""},
		Plan:  storyPlan{n: s.number(args["trials"]), excluded: s.numbers(args["excluded"]), broken: s.numbers(args["broken"]), chain: s.number(args["chain"])},
		Policy: Policy{Continues: args["chain"] != "", Keep: sweeps.Keep{Last: int(s.number(args["keep"]))}, RunCap: s.number(args["cap"]), Retries: int(s.number(args["retries"])), Needs: sweeps.Resources{CPUs: float64(s.number(args["cpus"]))},
			Priority: int(s.number(args["priority"])), TimeLimit: time.Duration(s.number(args["limit"])) * time.Second},
	}
	if _, known := s.subs[id]; !known {
		s.subs[id] = sub
	}
	return sub
}

// found is the answer to a lookup: rows on the disk.
func (s *story) found(id sweeps.SweepID, first int64, origins []string) Event {
	ev := Found{Sweep: id, First: first}
	for _, text := range origins {
		var t *sweeps.Trial
		if text != "-" {
			ref := s.ref(text)
			clone := *s.trials[ref.TrialKey]
			clone.ReusedFrom = sweeps.Origin{AttemptRef: ref, SweepName: "name-" + string(ref.Sweep)}
			t = &clone
		}
		ev.Origins = append(ev.Origins, t)
	}
	return ev
}

// rerun is the event that the coordinator makes of a user's rerun.
func (s *story) rerun(id sweeps.SweepID) Event {
	sub := s.subs[id]
	sub.Sweep = s.sweeps[id].Clone()
	ev := Rerun{Submit: sub}
	for _, t := range s.rows(id) {
		if t.State == sweeps.TrialFailed || t.State == sweeps.TrialCancelled {
			ev.Trials = append(ev.Trials, t)
		}
	}
	return ev
}

func (s *story) hello(id sweeps.WorkerID, args map[string]string) Event {
	s.session++
	s.of[id] = s.session
	ev := Hello{Session: s.session, Worker: sweeps.Worker{
		ID: id, Name: "host-" + string(id), Slots: int(s.number(args["slots"])), Prefetch: int(s.number(args["prefetch"])), Burst: int(s.number(args["burst"])),
		Total: sweeps.Resources{CPUs: float64(s.number(args["cpus"]))},
	}}
	if place := args["at"]; place != "" {
		ev.Worker.Agent = sweeps.Agent{Place: place, File: "/" + place + "/id", Host: "host-" + place, PID: int(s.session)}
	}
	if held := args["holds"]; held != "" {
		for _, ref := range strings.Split(held, ",") {
			ev.Attempts = append(ev.Attempts, s.ref(ref))
		}
	}
	return ev
}

// sessionOf is the session that an event belongs to; they are numbered from 1.
func (s *story) sessionOf(id string, args map[string]string) uint64 {
	if n := args["session"]; n != "" {
		return uint64(s.number(n))
	}
	return s.of[sweeps.WorkerID(id)]
}

// load is the beginning of a coordinator on the disk.
func (s *story) load(rests sweeps.SweepID) {
	s.state = New(s.cfg)
	s.state.SetAside(slices.Collect(maps.Values(s.aside)))
	for _, id := range slices.Sorted(maps.Keys(s.sweeps)) {
		sw := s.sweeps[id]
		s.state.Name(id, sw.Name)
		if sw.State.Terminal() {
			continue
		}
		sub := s.subs[id]
		sub.Sweep, sub.Policy.Rests = sw.Clone(), id == rests
		var live []*sweeps.Trial
		for _, t := range s.rows(id) {
			if !t.State.Terminal() {
				live = append(live, t)
			}
		}
		s.state.Restore(s.now, sub, live)
	}
}

// rows are copies of the trials of a sweep that were committed.
func (s *story) rows(id sweeps.SweepID) []*sweeps.Trial {
	var list []*sweeps.Trial
	for _, t := range s.trials {
		if t.Sweep == id {
			clone := *t
			list = append(list, &clone)
		}
	}
	slices.SortFunc(list, func(a, b *sweeps.Trial) int { return int(a.Index - b.Index) })
	return list
}

func (s *story) number(text string) int64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *story) numbers(text string) []int64 {
	if text == "" {
		return nil
	}
	var list []int64
	for _, x := range strings.Split(text, ",") {
		list = append(list, s.number(x))
	}
	return list
}

func (s *story) ref(text string) sweeps.AttemptRef {
	sweep, rest, ok := strings.Cut(text, "/")
	index, attempt, ok2 := strings.Cut(rest, "#")
	if !ok || !ok2 {
		s.t.Fatalf("%q is no SWEEP/INDEX#ATTEMPT", text)
	}
	return sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: sweeps.SweepID(sweep), Index: s.number(index)}, Attempt: int(s.number(attempt))}
}
