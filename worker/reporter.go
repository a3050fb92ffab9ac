package worker

import (
	"fmt"
	"sync"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
)

// How much of an attempt may be on its way to the coordinator, unacknowledged.
const (
	pointsWindow = 10_000
	pointsBatch  = 1_000
	logWindow    = 1 << 20
	logChunk     = 256 << 10
)

// maxFailures is how often in a row the files of an ended attempt may refuse to be read
// before its end is reported without what they hold.
const maxFailures = 20

// reporter tells the coordinator of one attempt for the length of one session: that it
// runs, its points, its output, and when all of that is acknowledged, its end. It starts
// where the acknowledgements of the session before ended.
type reporter struct {
	at   *attempt
	s    *session
	wake chan struct{} // acknowledgements arrived

	mu   sync.Mutex
	acks []wire.CoordinatorMessage // that arrived and were not looked at; guarded by mu

	// The rest is the reporter's goroutine's own.

	points      pointFeed
	logs        []*logFeed
	saidStarted bool
	saidExited  bool
	quiet       time.Time // since when answers are due and none came; zero if none is due
}

// pointFeed is how far the points have come in this session.
type pointFeed struct {
	source  *source // nil until opened
	next    int64   // the number of the next point that source yields
	have    int64   // the coordinator has all below; they are not sent again
	flying  []mark  // the ends of the batches that are not acknowledged
	drained bool    // the attempt has ended and source has yielded everything
	// failures counts the readings in a row that failed.
	failures int
}

// logFeed is how far a stream of output has come in this session.
type logFeed struct {
	stream  string
	sent    int64
	final   int64 // its length, once the attempt has ended; negative before
	drained bool  // the attempt has ended and all was sent
	// failures counts the readings in a row that failed.
	failures int
}

func newReporter(s *session, at *attempt) *reporter {
	r := &reporter{at: at, s: s, wake: make(chan struct{}, 1)}
	r.points.next, r.points.have = at.acked.points.next, at.acked.points.next
	for _, stream := range []string{wire.Stdout, wire.Stderr} {
		r.logs = append(r.logs, &logFeed{stream: stream, sent: at.acked.logs[stream], final: -1})
	}
	return r
}

// onAck takes an acknowledgement from the session's receiver, which must not wait. What
// is queued is bounded by what was sent.
func (r *reporter) onAck(m wire.CoordinatorMessage) {
	r.mu.Lock()
	r.acks = append(r.acks, m)
	r.mu.Unlock()
	nudge(r.wake)
}

// run reports until the session is over or the attempt is forgotten. An error ends the
// session.
func (r *reporter) run() error {
	at := r.at
	at.reading.Lock() // the directory stays while somebody reads in it
	defer at.reading.Unlock()
	defer r.points.close()
	// Nothing is to be looked at while the attempt waits for a slot.
	select {
	case <-r.s.ctx.Done():
		return nil
	case <-at.forgotten:
		return nil
	case <-at.returned:
		return r.s.send(wire.Returned{Ref: at.start.Ref})
	case <-at.done:
	case <-at.turn:
	}
	tick := time.NewTicker(at.agent.times.poll)
	defer tick.Stop()
	look := false
	for {
		if err := r.step(look); err != nil {
			return err
		}
		look = true
		select {
		case <-r.s.ctx.Done():
			return nil
		case <-at.forgotten:
			return nil
		case <-r.wake:
		case <-at.changed:
			_, outcome := at.progress()
			look = outcome != nil // a process that just began has written nothing
		case <-tick.C:
		}
	}
}

// step sends what there is to send, as far as the windows allow. Unless look is set it
// does not look at the files of an attempt that runs.
func (r *reporter) step(look bool) error {
	// Whether it has ended is asked before the files are read, so that what is read then
	// is everything.
	started, outcome := r.at.progress()
	if r.at.isForgotten() {
		return nil // the end is the agent's doing, and nobody waits for it
	}
	heard := r.takeAcks()
	if started && outcome == nil && !r.saidStarted { // else the end says so
		r.saidStarted = true
		ran, _ := r.at.ages()
		if err := r.s.send(wire.Started{Ref: r.at.start.Ref, Ago: ran}); err != nil {
			return err
		}
	}
	if outcome == nil && !(started && look) {
		return nil
	}
	if outcome != nil && r.at.wroteNothing() {
		r.points.drained = true
		for _, l := range r.logs {
			l.drained = true
		}
	}
	if err := r.sendPoints(outcome != nil); err != nil {
		return err
	}
	due := len(r.points.flying) > 0
	done := r.points.drained && !due
	for _, l := range r.logs {
		if err := r.sendLog(l, outcome != nil); err != nil {
			return err
		}
		flying := l.sent > r.at.acked.logs[l.stream]
		due = due || flying
		done = done && l.drained && !flying
	}
	if outcome != nil && done && !r.at.owesCheckpoint() {
		due = true // Forget is what is waited for
		if !r.saidExited {
			r.saidExited = true
			ran, ago := r.at.ages()
			if err := r.s.send(wire.Exited{Ref: r.at.start.Ref, Outcome: *outcome, Ran: ran, Ago: ago}); err != nil {
				return err
			}
		}
	}
	// A coordinator that is connected and silent has lost something; a new session
	// makes both sides agree again.
	switch now := time.Now(); {
	case !due:
		r.quiet = time.Time{}
	case heard || r.quiet.IsZero():
		r.quiet = now
	case now.Sub(r.quiet) > r.at.agent.times.patience:
		return fmt.Errorf("attempt %s: %w", r.at.start.Ref, errNoAnswer)
	}
	return nil
}

// takeAcks applies the acknowledgements that arrived.
func (r *reporter) takeAcks() (any bool) {
	r.mu.Lock()
	acks := r.acks
	r.acks = nil
	r.mu.Unlock()
	for _, m := range acks {
		switch m := m.(type) {
		case wire.PointsAck:
			r.onPointsAck(m.Next)
		case wire.LogAck:
			r.onLogAck(m.Stream, m.Next)
		}
	}
	return len(acks) > 0
}

func (r *reporter) onPointsAck(next int64) {
	f := &r.points
	if next < r.at.acked.points.next {
		// The coordinator has less than it once said it had: its store is an older one.
		// The files still hold everything.
		f.close()
		*f = pointFeed{have: next}
		r.at.acked.points = mark{} // and safe stays: behind it nothing can be read again
		return
	}
	f.have = max(f.have, next)
	r.settlePoints()
}

// settlePoints moves the acknowledged mark over the batches that the coordinator has.
func (r *reporter) settlePoints() {
	f := &r.points
	for len(f.flying) > 0 && f.flying[0].next <= f.have {
		r.settled(f.flying[0])
		f.flying = f.flying[1:]
	}
}

// settled moves the acknowledged mark.
func (r *reporter) settled(m mark) {
	r.at.acked.points = m
	r.at.mu.Lock()
	defer r.at.mu.Unlock()
	if m.next >= r.at.safe.next {
		r.at.safe = m
	}
}

func (r *reporter) onLogAck(stream string, next int64) {
	for _, l := range r.logs {
		if l.stream != stream {
			continue
		}
		if next < r.at.acked.logs[stream] || next > l.sent {
			l.sent, l.drained = next, false // its store is an older one, or has more already
		}
		r.at.acked.logs[stream] = next
	}
}

// sendPoints sends the points that are there and that fit into the window.
func (r *reporter) sendPoints(ended bool) error {
	f := &r.points
	for !f.drained && f.next-r.at.acked.points.next < pointsWindow {
		points, err := r.readPoints(ended)
		if err != nil {
			r.at.warn([]string{err.Error()})
			f.failures++
			f.drained = ended && f.failures >= maxFailures
			return nil
		}
		f.failures = 0
		if len(points) == 0 {
			f.drained = ended
			if len(f.flying) == 0 {
				r.settled(mark{f.next, f.source.position()}) // no need to read that again
			}
			return nil
		}
		first := f.next
		f.next += int64(len(points))
		f.flying = append(f.flying, mark{f.next, f.source.position()})
		if skip := min(max(f.have-first, 0), int64(len(points))); skip > 0 {
			first += skip
			points = points[skip:]
		}
		if len(points) > 0 {
			if err := r.s.send(wire.Points{Ref: r.at.start.Ref, First: first, Points: points}); err != nil {
				return err
			}
		}
		r.settlePoints()
	}
	return nil
}

// readPoints reads on behind what was sent. After an error it begins there again.
func (r *reporter) readPoints(ended bool) (points []sweeps.Point, err error) {
	f := &r.points
	if f.source == nil {
		from := r.at.acked.points
		if n := len(f.flying); n > 0 {
			from = f.flying[n-1]
		}
		if f.source, err = r.at.openSource(from.at); err != nil {
			return nil, err
		}
		f.next = from.next
	}
	if points, err = f.source.read(pointsBatch, ended); err != nil {
		f.close()
		return nil, err
	}
	return points, nil
}

// sendLog sends the output that is there and that fits into the window.
func (r *reporter) sendLog(l *logFeed, ended bool) error {
	for !l.drained && l.sent-r.at.acked.logs[l.stream] < logWindow {
		var data []byte
		var err error
		if ended && l.final < 0 {
			l.final, err = r.at.logSize(l.stream)
		}
		if err == nil {
			data, err = r.at.readLog(l.stream, l.sent, logChunk, l.final)
		}
		if err != nil {
			r.at.warn([]string{err.Error()})
			l.failures++
			l.drained = ended && l.failures >= maxFailures
			return nil
		}
		l.failures = 0
		if len(data) == 0 {
			l.drained = ended
			return nil
		}
		m := wire.LogChunk{Ref: r.at.start.Ref, Stream: l.stream, Offset: l.sent, Data: data}
		if err := r.s.send(m); err != nil {
			return err
		}
		l.sent += int64(len(data))
	}
	return nil
}

// close lets go of the source; the next reading opens it again.
func (f *pointFeed) close() {
	if f.source != nil {
		f.source.close()
		f.source = nil
	}
}
