package dispatch

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"swath/sweeps"
)

// simWorker keeps its attempts on its disk, as the real one does.
type simWorker struct {
	sweeps.Worker
	session   uint64
	connected bool
	gone      bool      // the machine never comes back
	resized   bool      // it came back with another number of slots
	stalled   time.Time // says nothing before
	held      map[sweeps.AttemptRef]*simAttempt
	nextBeat  time.Time
	hold      string       // why it takes no trials
	luck      int          // in 10, attempts that end well; a bad machine has little
	flaw      sweeps.Class // how all others end there; lost for those that cannot even begin. None: in any way
}

type simAttempt struct {
	came    time.Time
	ends    time.Time // zero while it waits for a slot
	outcome sweeps.Outcome
	gpus    []sweeps.GPUShare
	ended   bool
	repeat  time.Time
	done    int64 // steps: those of the checkpoint that it began with, and its own
}

// addWorker adds a machine. The first is large enough for every sweep, and so are those that
// take the place of a lost one.
func (s *sim) addWorker() {
	total, gpus, zone := sweeps.Resources{CPUs: 6}, s.gpus(2, 80), "lab"
	if len(s.workers) > 0 && s.rng.IntN(3) == 0 {
		total.CPUs = float64(s.rng.IntN(4))
		gpus, zone = s.gpus(s.rng.IntN(4), 0, 24, 80), []string{"lab", "hall"}[s.rng.IntN(2)]
	}
	n := len(s.workers)
	s.workers = append(s.workers, &simWorker{
		Worker: sweeps.Worker{
			ID: sweeps.WorkerID(fmt.Sprintf("w%d", n)), Name: fmt.Sprintf("host-%d", n),
			Slots: 1 + s.rng.IntN(4), Prefetch: s.rng.IntN(4), Burst: s.rng.IntN(9), Total: total,
			GPUs: gpus, Labels: map[string]string{"zone": zone},
		},
		held: map[sweeps.AttemptRef]*simAttempt{},
		luck: []int{7, 7, 9, 1}[s.rng.IntN(4)],
		flaw: []sweeps.Class{"", "", "", sweeps.ClassExit, sweeps.ClassTimeout, sweeps.ClassOOM, sweeps.ClassLost}[s.rng.IntN(7)],
	})
}

// gpus are n devices, each with so many GiB, of one of the sizes; 0 for one that does not
// tell.
func (s *sim) gpus(n int, sizes ...int64) (list []sweeps.GPU) {
	for i := range n {
		memory := sizes[s.rng.IntN(len(sizes))] << 30
		list = append(list, sweeps.GPU{ID: fmt.Sprintf("GPU-%d", i), Index: i, Memory: memory})
	}
	return list
}

// offer lets others use each of a worker's devices, or not. A connection keeps the order of
// what is said on it, and an offer replaces the one before: none is overtaken by an older one.
func (s *sim) offer(w *simWorker, used func() bool) {
	w.GPUs = slices.Clone(w.GPUs)
	for i := range w.GPUs {
		w.GPUs[i].Busy = ""
		if used() {
			w.GPUs[i].Busy = "used by somebody"
		}
	}
	if w.connected {
		s.mail = slices.DeleteFunc(s.mail, func(l letter) bool {
			older, is := l.event.(Offer)
			return is && older.Worker == w.ID && older.Session == w.session
		})
		s.post(w, Offer{Worker: w.ID, Session: w.session, GPUs: w.GPUs})
	}
}

// letter is a message on its way.
type letter struct {
	at       time.Time
	toWorker *simWorker // nil: to the coordinator
	session  uint64
	event    Event
	effect   Effect
}

// post puts an event into the mail to the coordinator, late, and now and then twice.
func (s *sim) post(w *simWorker, ev Event) {
	copies := 1
	if !s.calm && s.rng.IntN(10) == 0 {
		copies = 2
	}
	for range copies {
		l := letter{at: s.now.Add(s.delay()), event: ev}
		if w != nil {
			l.session = w.session
		}
		s.mail = append(s.mail, l)
	}
}

func (s *sim) delay() time.Duration {
	if !s.calm && s.rng.IntN(20) == 0 {
		return time.Duration(s.rng.IntN(15_000)) * time.Millisecond
	}
	return time.Duration(s.rng.IntN(50)) * time.Millisecond
}

// due takes the letters that arrive now out of the mail, in any order.
func (s *sim) due() []letter {
	var due []letter
	s.mail = slices.DeleteFunc(s.mail, func(l letter) bool {
		if l.at.After(s.now) {
			return false
		}
		due = append(due, l)
		return true
	})
	s.rng.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
	return due
}

// send puts an effect into the mail to its worker, if that is connected.
func (s *sim) send(e Effect) {
	if q, is := e.(Lookup); is {
		s.answer(q)
		return
	}
	id, session := target(e)
	s.witness.said(e)
	if x, is := e.(Start); is {
		want := s.disk.trials[x.Ref.TrialKey].Checkpoints
		if (x.From.Digest == "") != (len(want) == 0) || len(want) > 0 && x.From.Digest != want[0].Digest {
			s.failf("%v is to go on from %v, and the disk has %v", x.Ref, x.From, want)
		}
	}
	if f, is := e.(Forget); is {
		if t := s.disk.trials[f.Ref.TrialKey]; t != nil && t.State == sweeps.TrialRunning && t.Attempt == f.Ref.Attempt && t.Worker == f.Worker {
			s.failf("persist, then speak: %v is forgotten, and the disk says it runs there", f.Ref)
		}
	}
	for _, w := range s.workers {
		if w.ID == id && w.connected && (session == 0 || session == w.session) {
			s.mail = append(s.mail, letter{at: s.now.Add(s.delay()), toWorker: w, session: w.session, effect: e})
		}
	}
}

func target(e Effect) (id sweeps.WorkerID, session uint64) {
	switch e := e.(type) {
	case Start:
		return e.Worker, 0
	case Stop:
		return e.Worker, 0
	case Forget:
		return e.Worker, 0
	case Recall:
		return e.Worker, 0
	case Disconnect:
		return e.Worker, e.Session
	}
	return "", 0
}

// receive is a worker reading an effect; one of an earlier connection never arrives.
func (s *sim) receive(l letter) {
	w := l.toWorker
	if !w.connected || w.session != l.session {
		return
	}
	switch e := l.effect.(type) {
	case Start:
		if w.held[e.Ref] != nil {
			return
		}
		for _, share := range e.GPUs {
			if slices.ContainsFunc(w.GPUs, func(g sweeps.GPU) bool { return g.ID == share.GPU && g.Busy != "" }) {
				s.post(w, Returned{w.ID, e.Ref}) // somebody came to use it meanwhile
				return
			}
		}
		a := &simAttempt{came: s.now, outcome: s.outcome(w), gpus: e.GPUs}
		if e.From.Digest != "" {
			a.done = e.From.Step
		}
		w.held[e.Ref] = a
		s.startQueued(w)
	case Recall:
		if a := w.held[e.Ref]; a != nil && a.ends.IsZero() && !a.ended {
			delete(w.held, e.Ref)
			s.post(w, Returned{w.ID, e.Ref})
		}
	case Stop:
		if a := w.held[e.Ref]; a != nil && !a.ended {
			a.ended, a.outcome = true, sweeps.Outcome{Class: sweeps.ClassCancelled, ExitCode: -1}
		}
	case Forget:
		delete(w.held, e.Ref)
	case Disconnect:
		w.connected = false
	}
}

// startQueued starts what waits on the worker in its free slots, what is of the highest priority
// first, and of equal ones first come first served.
func (s *sim) startQueued(w *simWorker) {
	for {
		var next sweeps.AttemptRef
		var first *simAttempt
		busy := 0
		for ref, a := range w.held {
			switch {
			case a.ended:
			case !a.ends.IsZero():
				busy++
			case first == nil || cmp.Or(cmp.Compare(s.priority(next), s.priority(ref)), a.came.Compare(first.came), compareRefs(ref, next)) < 0:
				next, first = ref, a
			}
		}
		if first == nil || busy >= w.Slots {
			return
		}
		if first.outcome.Class == sweeps.ClassLost {
			first.ended = true
			continue
		}
		first.ends = s.now.Add(time.Duration(1+s.rng.IntN(8000)) * time.Millisecond)
		s.logf("%s starts %v", w.ID, next)
		s.begins(w, next)
		if s.rng.IntN(4) == 0 { // it ends in a moment, and that says that it was started
			first.ends = s.now
			continue
		}
		s.post(w, Started{w.ID, next, s.age()})
	}
}

func (s *sim) priority(ref sweeps.AttemptRef) int { return s.subs[ref.Sweep].Policy.Priority }

// age is how long ago something was, as workers say; their clocks are bad.
func (s *sim) age() time.Duration {
	return time.Duration(s.rng.IntN(20000)-2000) * time.Millisecond
}

func (s *sim) outcome(w *simWorker) sweeps.Outcome {
	classes := []sweeps.Class{
		sweeps.ClassExit, sweeps.ClassSignal, sweeps.ClassDiverged, sweeps.ClassTimeout, sweeps.ClassPreempted,
		sweeps.ClassOOM, sweeps.ClassSpec,
	}
	if s.rng.IntN(10) < w.luck {
		return sweeps.Outcome{Class: sweeps.ClassOK}
	}
	if w.flaw != "" {
		return sweeps.Outcome{Class: w.flaw, ExitCode: 1, Message: "simulated"}
	}
	return sweeps.Outcome{Class: classes[s.rng.IntN(len(classes))], ExitCode: 1, Message: "simulated"}
}

// live is a worker's own doing: connect, beat, notice ends, report and repeat.
func (s *sim) live(w *simWorker) {
	if w.gone || w.stalled.After(s.now) {
		return
	}
	if !w.connected {
		s.connect(w)
		return
	}
	if !w.nextBeat.After(s.now) {
		w.nextBeat = s.now.Add(2 * time.Second)
		s.post(w, Alive{w.ID, w.session})
	}
	if len(w.held) == 0 {
		return
	}
	s.startQueued(w)
	for _, ref := range sortedRefs(w.held) {
		a := w.held[ref]
		if !a.ended && !a.ends.IsZero() && !a.ends.After(s.now) {
			a.ended = true
		}
		if !a.ended && !a.ends.IsZero() && s.rng.IntN(10) == 0 {
			a.done += 1 + s.rng.Int64N(5)
			s.post(w, Checkpointed{w.ID, ref, sweeps.Checkpoint{
				Step: a.done, Digest: fmt.Sprintf("%v at %d", ref, a.done), Value: float64(s.rng.IntN(10)),
			}})
		}
		if a.ended && !a.repeat.After(s.now) {
			a.repeat = s.now.Add(time.Second)
			ran := 1 + s.age()
			if a.ends.IsZero() {
				ran = 0
			}
			s.post(w, Exited{
				Worker: w.ID, Ref: ref, Outcome: a.outcome, Metrics: map[string]sweeps.Summary{"attempt": {Count: 1, Last: float64(ref.Attempt)}},
				Ran: ran, Ago: s.age(),
			})
		}
	}
}

// connect is a worker presenting itself. A connection's first message is not reordered with
// what the coordinator then sends, so it is a turn of its own.
func (s *sim) connect(w *simWorker) {
	s.session++
	w.session, w.connected = s.session, true
	w.nextBeat = s.now.Add(2 * time.Second)
	h := Hello{Worker: w.Worker, Session: w.session, Attempts: sortedRefs(w.held), Hold: w.hold, GPUs: map[sweeps.AttemptRef][]sweeps.GPUShare{}}
	for ref, a := range w.held {
		if len(a.gpus) > 0 {
			h.GPUs[ref] = a.gpus
		}
	}
	before := s.state.workers[w.ID]
	shared := before == nil || before.alone == nil
	lost := map[sweeps.AttemptRef]bool{} // that are its own as long as nobody else begins the trial
	for _, ref := range h.Attempts {
		t := s.disk.trials[ref.TrialKey]
		lost[ref] = shared && t != nil && t.State == sweeps.TrialPending && t.Attempt == ref.Attempt && t.Worker == w.ID &&
			t.Outcome.Class == sweeps.ClassLost && !s.witness.ends[reported{ref, w.ID, sweeps.ClassLost}] && !t.Alone && !s.subs[ref.Sweep].Policy.Needs.WantsGPU()
	}
	var needs sweeps.Resources
	for _, ref := range h.Attempts {
		if t := s.disk.trials[ref.TrialKey]; lost[ref] || t != nil && t.State == sweeps.TrialRunning && t.Worker == w.ID {
			needs = needs.Add(s.subs[ref.Sweep].Policy.Needs)
		}
	}
	if !w.Total.Fits(needs) {
		clear(lost) // the simulated worker does not mind what they ask for, as a real one does
	}
	known := map[sweeps.AttemptRef]bool{} // to have begun here
	for _, t := range s.disk.trials {
		if t.State == sweeps.TrialRunning && t.Worker == w.ID && !t.Started.IsZero() {
			known[refOf(t)] = true
		}
	}
	effects, ok := s.turn(h)
	if !ok {
		return
	}
	forgets := map[sweeps.AttemptRef]bool{}
	for _, e := range effects {
		switch e := e.(type) {
		case Forget:
			forgets[e.Ref] = true
		case Start:
			if known[e.Ref] {
				s.failf("%v is sent to %s again, which had begun it", e.Ref, w.ID)
			}
		}
	}
	for _, ref := range h.Attempts {
		t := s.disk.trials[ref.TrialKey]
		mine := t != nil && t.State == sweeps.TrialRunning && t.Attempt == ref.Attempt && t.Worker == w.ID
		if !mine && !forgets[ref] {
			s.failf("%s came with %v, which is over, and is not told so", w.ID, ref)
		}
		if lost[ref] && !mine {
			s.failf("%s came back with %v, of which no other attempt was begun, and that is not its own again", w.ID, ref)
		}
	}
}

// forgotten reports whether no worker holds anything any more.
func (s *sim) forgotten() bool {
	for _, w := range s.workers {
		if !w.gone && len(w.held) > 0 {
			return false
		}
	}
	return true
}

func sortedRefs(m map[sweeps.AttemptRef]*simAttempt) []sweeps.AttemptRef {
	return slices.SortedFunc(maps.Keys(m), compareRefs)
}

func compareRefs(a, b sweeps.AttemptRef) int {
	if c := compareKeys(a.TrialKey, b.TrialKey); c != 0 {
		return c
	}
	return a.Attempt - b.Attempt
}
