package coordinator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// Session is a worker's connection, as the coordinator sees it. The transport calls its
// methods with what the worker says and sends what Next returns.
type Session struct {
	c      *Coordinator
	worker sweeps.WorkerID
	number uint64
	out    outbox
	last   time.Time // of the last sign of life that was passed on; the receiver's own
}

// links are the sessions that there are. What is said to a worker is for the one whose Hello
// was applied last, which begins with all that the worker should do.
type links struct {
	mu   sync.Mutex
	next uint64
	open map[sweeps.WorkerID]*Session
	// arriving are those whose Hello has not been applied, by number.
	arriving map[uint64]*Session
}

// Home names the coordinator's records.
func (c *Coordinator) Home() string { return c.cfg.Home }

// CheckHome refuses a worker that holds so many attempts of a home that is not this
// coordinator's, which knows nothing of them and would have it forget them. The error wraps
// sweeps.ErrConflict.
func (c *Coordinator) CheckHome(worker sweeps.Worker, home string, attempts int) error {
	if attempts == 0 || home == "" || c.cfg.Home == "" || home == c.cfg.Home {
		return nil
	}
	return fmt.Errorf("%w: worker %s still has %d trials of another coordinator, which keep running, and whose results this one (home id %s, not %s) cannot take: start that coordinator here again, on its own home, or give the worker another --home",
		sweeps.ErrConflict, worker.Name, attempts, c.cfg.Home, home)
}

// Connect begins a worker's session: the worker's whole state in, the differences to what
// should be in the session's outbox. The session's number is given here. A second agent of a
// worker that is connected is refused with sweeps.ErrConflict.
func (c *Coordinator) Connect(ctx context.Context, hello dispatch.Hello) (*Session, error) {
	w := hello.Worker
	if w.ID == "" || w.Slots < 1 {
		return nil, fmt.Errorf("%w: a worker needs an id and at least one slot, this one says id %q and %d slots", sweeps.ErrInvalid, w.ID, w.Slots)
	}
	s := &Session{c: c, worker: w.ID, last: c.cfg.Now()}
	s.out.wake = make(chan struct{}, 1)
	c.links.arrive(s)
	hello.Session = s.number
	if err := c.do(ctx, hello); err != nil {
		s.Close() // it may be applied yet
		return nil, err
	}
	c.cfg.Log.Info("worker connected", "worker", w.Name, "id", w.ID, "slots", w.Slots, "gpus", len(w.GPUs), "attempts", len(hello.Attempts))
	return s, nil
}

// Close tells that the connection has ended.
func (s *Session) Close() {
	if s.drop() {
		s.c.cfg.Log.Info("worker disconnected", "id", s.worker)
	}
	s.c.post(dispatch.Gone{Worker: s.worker, Session: s.number})
}

func (s *Session) drop() bool {
	s.out.close("the connection ended")
	s.c.links.mu.Lock()
	defer s.c.links.mu.Unlock()
	delete(s.c.links.arriving, s.number)
	if s.c.links.open[s.worker] != s {
		return false
	}
	delete(s.c.links.open, s.worker)
	return true
}

// Heartbeat and Lease are what the worker is welcomed with.
func (s *Session) Heartbeat() time.Duration { return s.c.cfg.Heartbeat }

// Lease is how long the worker may be silent.
func (s *Session) Lease() time.Duration { return s.c.cfg.Dispatch.Lease }

// Next waits for something to send: effects for this worker, acknowledgements. An error
// says that the session is over, and why.
func (s *Session) Next(ctx context.Context) ([]any, error) { return s.out.take(ctx) }

// Alive is any sign of life.
func (s *Session) Alive() {
	now := s.c.cfg.Now()
	if now.Sub(s.last) < s.c.cfg.Heartbeat/2 {
		return // the loop need not hear of every message
	}
	s.last = now
	s.c.post(dispatch.Alive{Worker: s.worker, Session: s.number})
}

// busy keeps the worker's lease until done is called: while something that it said is recorded
// nobody reads what else it says, signs of life among it. A worker that is gone takes its connection
// along, which the transport notices, and the session is closed.
func (s *Session) busy() (done func()) {
	over := make(chan struct{})
	every := max(s.c.cfg.Heartbeat, time.Millisecond)
	late := time.AfterFunc(every, func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for s.out.open() {
			s.c.post(dispatch.Alive{Worker: s.worker, Session: s.number})
			select {
			case <-over:
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		late.Stop()
		close(over)
	}
}

// Offer says which devices the worker offers now.
func (s *Session) Offer(gpus []sweeps.GPU, note string) {
	s.c.post(dispatch.Offer{Worker: s.worker, Session: s.number, GPUs: gpus, Note: note})
}

// Hold says why the worker takes no trials for now; empty if it does.
func (s *Session) Hold(reason string) {
	s.c.post(dispatch.Hold{Worker: s.worker, Session: s.number, Reason: reason})
}

// Drain says that the worker takes no more trials.
func (s *Session) Drain() { s.c.post(dispatch.Drain{Worker: s.worker, Session: s.number}) }

// Started reports that an attempt's process was started so long ago.
func (s *Session) Started(ref sweeps.AttemptRef, ago time.Duration) {
	s.c.post(dispatch.Started{Worker: s.worker, Ref: ref, Ago: ago})
}

// Returned gives back an attempt that was not started.
func (s *Session) Returned(ref sweeps.AttemptRef) {
	s.c.post(dispatch.Returned{Worker: s.worker, Ref: ref})
}

// Exited reports the end of an attempt, all of whose points were acknowledged: how long it
// ran, and how long ago it ended.
func (s *Session) Exited(ref sweeps.AttemptRef, out sweeps.Outcome, ran, ago time.Duration) error {
	done := s.busy()
	metrics, err := s.c.metrics.Summaries(ref)
	done()
	if err != nil {
		return fmt.Errorf("summarise the metrics of %s: %w", ref, err)
	}
	s.c.post(dispatch.Exited{Worker: s.worker, Ref: ref, Outcome: out, Metrics: metrics, Ran: ran, Ago: ago})
	return nil
}

// Log stores output and acknowledges it.
func (s *Session) Log(ctx context.Context, ref sweeps.AttemptRef, stream string, offset int64, data []byte) error {
	if !s.c.fence.passes(s.worker, ref) {
		s.out.put(dispatch.Forget{Worker: s.worker, Ref: ref})
		return nil
	}
	done := s.busy()
	next, err := s.c.logs.Append(ref, stream, offset, data)
	done()
	if err != nil {
		s.c.cannotWrite(ctx, "recording output failed: the worker keeps it and will send it again", err)
		return err
	}
	s.out.put(LogAck{ref, stream, next})
	return nil
}

// LogAck and PointsAck are the acknowledgements in a session's outbox, beside the effects
// of package dispatch.
type (
	// LogAck says that all bytes of the stream below Next are stored.
	LogAck struct {
		Ref    sweeps.AttemptRef
		Stream string
		Next   int64
	}
	// PointsAck says that all points below Next are recorded.
	PointsAck struct {
		Ref  sweeps.AttemptRef
		Next int64
	}
)

// arrive takes a session in and numbers it.
func (l *links) arrive(s *Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open, l.arriving = map[sweeps.WorkerID]*Session{}, map[uint64]*Session{}
		// Numbers grow over restarts too, so that no event of an old session can be
		// taken for one of a new.
		l.next = uint64(s.last.UnixNano())
	}
	l.next++
	s.number = l.next
	l.arriving[s.number] = s
}

// greet has a session that presented itself take the place of the worker's one before.
func (l *links) greet(h dispatch.Hello) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.arriving[h.Session]
	if s == nil {
		return // it has ended
	}
	delete(l.arriving, h.Session)
	old := l.open[h.Worker.ID]
	if old != nil && old.number > s.number {
		s, old = old, s // the other one came later, and was faster
	}
	l.open[h.Worker.ID] = s
	if old != nil {
		old.out.close("another connection presented itself as this worker")
	}
}

// deliver puts effects into the outboxes of the workers that are connected. Those of
// others are dropped: a worker that comes back is told what it should hold.
func (l *links) deliver(effects []dispatch.Effect) {
	if len(effects) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range effects {
		if s := l.open[e.To()]; s != nil {
			s.out.put(e)
		}
		if d, is := e.(dispatch.Disconnect); is {
			if s := l.open[d.Worker]; s != nil && s.number == d.Session {
				s.out.close(d.Reason)
			}
		}
	}
}

func (l *links) closeAll(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.open {
		s.out.close(reason)
	}
	for _, s := range l.arriving {
		s.out.close(reason)
	}
}

// outbox is a queue without bound between the loop, which must never wait for a slow
// connection, and the connection's sender. What is in it is bounded by the worker's
// slots and its unacknowledged reports.
type outbox struct {
	mu     sync.Mutex
	queue  []any
	reason string // why it was closed; empty while open
	wake   chan struct{}
}

func (o *outbox) put(m any) {
	o.mu.Lock()
	if o.reason == "" {
		o.queue = append(o.queue, m)
	}
	o.mu.Unlock()
	o.signal()
}

func (o *outbox) close(reason string) {
	o.mu.Lock()
	if o.reason == "" {
		o.reason = reason
	}
	o.mu.Unlock()
	o.signal()
}

func (o *outbox) open() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.reason == ""
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) take(ctx context.Context) ([]any, error) {
	for {
		o.mu.Lock()
		queue, reason := o.queue, o.reason
		o.queue = nil
		o.mu.Unlock()
		switch {
		case len(queue) > 0:
			return queue, nil
		case reason != "":
			return nil, fmt.Errorf("%w: %s", sweeps.ErrUnavailable, reason)
		}
		select {
		case <-o.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
