package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"swath/coordinator/boltstore"
	"swath/proto/wire"
	"swath/sweeps"
)

// book is what the coordinator acknowledged, in whichever of its lives.
type book struct {
	mu       sync.Mutex
	sweeps   map[sweeps.SweepID]submitted
	attempts map[sweeps.AttemptRef]*attemptRecord
	problems []string // what was wrong on the wire
}

type submitted struct {
	source string
	trials int
}

// attemptRecord is what was acknowledged of an attempt.
type attemptRecord struct {
	points int64
	log    int64
	ended  bool
}

// tally counts acknowledgements.
type tally struct{ sweeps, points, logBytes, ends int64 }

func (t *tally) add(u tally) {
	t.sweeps += u.sweeps
	t.points += u.points
	t.logBytes += u.logBytes
	t.ends += u.ends
}

func (t tally) String() string {
	return fmt.Sprintf("%d submissions, %d points, %d bytes of output and %d results were acknowledged", t.sweeps, t.points, t.logBytes, t.ends)
}

func newBook() *book {
	return &book{sweeps: map[sweeps.SweepID]submitted{}, attempts: map[sweeps.AttemptRef]*attemptRecord{}}
}

func (b *book) submitted() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sweeps)
}

// started is how many attempts a worker was told to start.
func (b *book) started() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.attempts)
}

func (b *book) tally() tally {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := tally{sweeps: int64(len(b.sweeps))}
	for _, a := range b.attempts {
		t.points += a.points
		t.logBytes += a.log
		if a.ended {
			t.ends++
		}
	}
	return t
}

// note changes what is known of an attempt.
func (b *book) note(ref sweeps.AttemptRef, change func(*attemptRecord)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.attempts[ref] == nil {
		b.attempts[ref] = &attemptRecord{}
	}
	change(b.attempts[ref])
}

func (b *book) complain(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, fmt.Sprintf(format, args...))
}

// An attempt's points and output are a function of its trial, so that what is in the store
// can be compared with what must have been sent.

func totalPoints(ref sweeps.AttemptRef) int64 { return ref.Index * 7 % 45 }

func pointOf(ref sweeps.AttemptRef, i int64) sweeps.Point {
	p := sweeps.Point{Metric: "loss", Step: i, Value: float64(ref.Index) + 1/float64(i+1), Time: time.UnixMilli(1_700_000_000_000 + i).UTC()}
	if i%3 == 0 {
		p.Metric = "accuracy"
	}
	return p
}

func outputOf(ref sweeps.AttemptRef) []byte {
	return fmt.Appendf(nil, "output of %s: %0*d\n", ref, ref.Index%90, 7)
}

// compare looks for everything that was acknowledged in the stores, and for anything there
// that was never sent.
func (b *book) compare(stores *boltstore.Stores) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	problems := b.problems
	b.problems = nil
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for id, want := range b.sweeps {
		sw, err := stores.State.Sweep(string(id))
		if err != nil {
			bad("sweep %s was acknowledged and is lost: %v", id, err)
			continue
		}
		if string(sw.Source) != want.source {
			bad("sweep %s has another file", id)
		}
	}
	list, err := stores.State.Sweeps()
	if err != nil {
		bad("%v", err)
	}
	rows := map[sweeps.TrialKey]*sweeps.Trial{}
	for _, sw := range list {
		var counts sweeps.Counts
		err := stores.State.Trials(sw.ID, 0, func(t *sweeps.Trial) bool {
			rows[t.TrialKey] = t
			counts.Add(t.State, t.Attempts(), 1)
			return true
		})
		if err != nil {
			bad("%v", err)
		}
		if counts != sw.Counts {
			bad("sweep %s counts %+v, its rows say %+v: half of a commit is there", sw.ID, sw.Counts, counts)
		}
	}
	for ref, want := range b.attempts {
		t := rows[ref.TrialKey]
		if t == nil || t.Attempt < ref.Attempt {
			bad("the worker was told to start %s, and the store knows nothing of it", ref)
			continue
		}
		if want.ended && (t.State != sweeps.TrialFinished || t.Outcome.Class != sweeps.ClassOK) {
			bad("the result of %s was acknowledged, and the trial is %s (%s)", ref, t.State, t.Outcome.Class)
		}
		if want.ended {
			n := int64(0)
			for _, s := range t.Metrics {
				n += s.Count
			}
			if n != totalPoints(ref) {
				bad("the result of %s sums up %d points, not %d", ref, n, totalPoints(ref))
			}
		}
		problems = append(problems, comparePoints(stores, ref, want)...)
	}
	return problems
}

// comparePoints looks at the points and the output of one attempt.
func comparePoints(stores *boltstore.Stores, ref sweeps.AttemptRef, want *attemptRecord) (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	// A series has the points of its metric in order; how many there are of each follows
	// from how many there are of both.
	var got []sweeps.Point
	err := stores.Metrics.Read(ref, "", func(p sweeps.Point) bool { got = append(got, p); return true })
	if err != nil {
		bad("%v", err)
	}
	have := int64(len(got))
	if have < want.points || have > totalPoints(ref) {
		bad("%s has %d points, %d were acknowledged and at most %d sent", ref, have, want.points, totalPoints(ref))
	}
	var expect []sweeps.Point
	for _, metric := range []string{"accuracy", "loss"} {
		for i := range have {
			if p := pointOf(ref, i); p.Metric == metric {
				expect = append(expect, p)
			}
		}
	}
	for i := range min(len(got), len(expect)) {
		if got[i] != expect[i] {
			bad("%s: point %d is %+v, %+v was sent", ref, i, got[i], expect[i])
			break
		}
	}
	data, err := stores.Logs.Read(ref, wire.Stdout, 0, 1<<20)
	if err != nil {
		bad("%v", err)
	}
	if out := outputOf(ref); int64(len(data)) < want.log || len(data) > len(out) || string(data) != string(out[:len(data)]) {
		bad("the output of %s is %q, %d bytes of %q were acknowledged", ref, data, want.log, out)
	}
	return problems
}

// crashUser submits sweeps, one after the other.
type crashUser struct {
	book *book
	name string
	rng  *rand.Rand
	next int
	// pending was sent and not answered; it is sent again, to the next coordinator.
	pending *wire.Submission
	trials  int
}

func (u *crashUser) use(ctx context.Context, addr string, last bool) {
	client, err := wire.Dial(addr)
	if err != nil {
		u.book.complain("%v", err)
		return
	}
	defer func() { _ = client.Close() }() // nothing is in flight any more
	for ctx.Err() == nil {
		if u.pending == nil {
			if last {
				return
			}
			u.trials = 2 + u.rng.IntN(60)
			s := submission(sweeps.SweepID(fmt.Sprintf("%s-%d", u.name, u.next)), u.trials)
			u.pending = &s
			u.next++
		}
		if _, err := client.Submit(ctx, *u.pending); err != nil {
			if !errors.Is(err, sweeps.ErrUnavailable) && ctx.Err() == nil {
				u.book.complain("submission: %v", err)
				return
			}
			time.Sleep(2 * time.Millisecond) // it may be just starting
			continue
		}
		u.book.mu.Lock()
		u.book.sweeps[u.pending.ID] = submitted{string(u.pending.Source), u.trials}
		u.book.mu.Unlock()
		u.pending = nil
		time.Sleep(time.Duration(u.rng.IntN(20)) * time.Millisecond)
	}
}

// crashWorker holds attempts over the lives of coordinators, as an agent does: it reports
// points and output, then the end, and all of it again until it is acknowledged.
type crashWorker struct {
	book *book
	id   sweeps.WorkerID
	held map[sweeps.AttemptRef]*crashAttempt
}

// crashAttempt is an attempt that the worker holds.
type crashAttempt struct {
	points, log int64 // acknowledged
	exited      bool  // its end was reported, in whichever session
}

func (w *crashWorker) work(ctx context.Context, addr string) {
	client, err := wire.Dial(addr)
	if err != nil {
		w.book.complain("%v", err)
		return
	}
	defer func() { _ = client.Close() }() // nothing is in flight any more
	for ctx.Err() == nil {
		err := w.session(ctx, client)
		if err != nil && !errors.Is(err, sweeps.ErrUnavailable) && !errors.Is(err, io.EOF) && ctx.Err() == nil {
			w.book.complain("worker %s: %v", w.id, err)
			return
		}
		time.Sleep(2 * time.Millisecond) // it may be just starting, or gone
	}
}

func (w *crashWorker) session(ctx context.Context, client *wire.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := client.Session(ctx)
	if err != nil {
		return err
	}
	hello := wire.Hello{Worker: sweeps.Worker{ID: w.id, Name: string(w.id), Slots: 8, Prefetch: 8}}
	for ref := range w.held {
		hello.Attempts = append(hello.Attempts, ref)
	}
	if err := s.Send(hello); err != nil {
		return err
	}
	if _, err := s.Recv(); err != nil { // Welcome
		return err
	}
	for ref := range w.held {
		if err := w.report(s, ref); err != nil {
			return err
		}
	}
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case wire.Start:
			if w.held[m.Ref] != nil {
				continue
			}
			w.held[m.Ref] = &crashAttempt{}
			w.book.note(m.Ref, func(*attemptRecord) {})
			if err = s.Send(wire.Started{Ref: m.Ref}); err == nil {
				err = w.report(s, m.Ref)
			}
		case wire.PointsAck:
			if a := w.held[m.Ref]; a != nil {
				w.book.note(m.Ref, func(r *attemptRecord) {
					if m.Next < r.points {
						w.book.problems = append(w.book.problems, fmt.Sprintf("%d points of %s are acknowledged, %d were before", m.Next, m.Ref, r.points))
					}
					r.points = max(r.points, m.Next)
				})
				a.points = max(a.points, m.Next)
				err = w.report(s, m.Ref)
			}
		case wire.LogAck:
			if a := w.held[m.Ref]; a != nil {
				w.book.note(m.Ref, func(r *attemptRecord) { r.log = max(r.log, m.Next) })
				a.log = max(a.log, m.Next)
				err = w.report(s, m.Ref)
			}
		case wire.Forget:
			if a := w.held[m.Ref]; a != nil && !a.exited {
				w.book.complain("worker %s is told to forget %s, of which it has not reported the end", w.id, m.Ref)
			}
			w.book.note(m.Ref, func(r *attemptRecord) { r.ended = true })
			delete(w.held, m.Ref)
		case wire.Recall: // it has begun already
		}
		if err != nil {
			return err
		}
	}
}

// report sends what comes next of an attempt: some points, then its output, then its end.
// What was sent before may be sent again, with what is new.
func (w *crashWorker) report(s *wire.Session, ref sweeps.AttemptRef) error {
	a := w.held[ref]
	total, out := totalPoints(ref), outputOf(ref)
	switch {
	case a.points < total:
		first := max(0, a.points-2)
		m := wire.Points{Ref: ref, First: first}
		for i := first; i < min(a.points+15, total); i++ {
			m.Points = append(m.Points, pointOf(ref, i))
		}
		return s.Send(m)
	case a.log < int64(len(out)):
		return s.Send(wire.LogChunk{Ref: ref, Stream: wire.Stdout, Offset: a.log, Data: out[a.log:min(a.log+40, int64(len(out)))]})
	default:
		a.exited = true
		return s.Send(wire.Exited{Ref: ref, Outcome: sweeps.Outcome{Class: sweeps.ClassOK}})
	}
}
