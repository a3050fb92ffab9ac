package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
)

// Session is a connection to the coordinator; *wire.Session is one. One goroutine sends
// while another receives. A session ends when the context that it was dialled with is
// done: Send and Recv then return.
type Session interface {
	// Send sends a message. io.EOF says that the session is over, and Recv why.
	Send(wire.WorkerMessage) error
	Recv() (wire.CoordinatorMessage, error)
	// CloseSend says that nothing more will be sent.
	CloseSend() error
}

var (
	errNoWelcome = errors.New("the coordinator did not answer the greeting in time")
	errNoAnswer  = errors.New("the coordinator acknowledges nothing")
	errEnded     = errors.New("the session has ended")
)

// connect holds one session after the other until ctx is done.
func (a *Agent) connect(ctx context.Context) {
	wait, said := a.times.backoffMin, ""
	var refused time.Time // since when; zero if it is not
	for {
		begun := time.Now()
		welcomed, err := a.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if welcomed {
			said = ""
			if time.Since(begun) > a.times.backoffMax { // otherwise it may go on like this
				wait = a.times.backoffMin
			}
		}
		// A coordinator that is away for hours is worth one line, not thousands.
		if err.Error() != said {
			said = err.Error()
			a.log.Warn("no session with the coordinator: trainers go on, reports are kept, connecting is tried again", "err", err)
		}
		switch {
		case !errors.Is(err, sweeps.ErrConflict):
			refused = time.Time{}
		case refused.IsZero():
			refused = time.Now()
		case a.cfg.GiveUp > 0 && time.Since(refused) >= a.cfg.GiveUp && !a.ready.Load() && len(a.held()) == 0:
			a.gaveUp <- err
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(jitter(wait)):
		}
		wait = min(2*wait, a.times.backoffMax)
	}
}

// jitter spreads the workers that lost the same coordinator.
func jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(rand.Int64N(int64(d/2)+1))
}

// session is one connection, from the greeting on.
type session struct {
	agent  *Agent
	conn   Session
	log    *slog.Logger
	ctx    context.Context // ends with the session
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // heartbeat and reporters

	sending sync.Mutex // held while a message is sent
	ended   bool       // guarded by sending
	last    time.Time  // when something was sent; guarded by sending
	told    string     // what the coordinator knows of noRoom; the heartbeat's, after the greeting

	reporters map[sweeps.AttemptRef]*reporter // the receiver's own
}

// session holds one session and returns when it is over, with the reason. welcomed says
// that the coordinator accepted it.
func (a *Agent) session(ctx context.Context) (welcomed bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &session{agent: a, log: a.log, ctx: ctx, cancel: cancel, reporters: map[sweeps.AttemptRef]*reporter{}}
	defer s.end()
	conn, err := a.cfg.Dial(ctx)
	if err != nil {
		return false, err
	}
	s.conn = conn // not before: a Dial that failed may return a nil pointer as a Session
	welcome, err := s.greet()
	if err != nil {
		return false, s.reason(err)
	}
	a.log.Info("connected to the coordinator", "attempts", len(a.held()), "heartbeat", welcome.Heartbeat)
	if a.ready.CompareAndSwap(false, true) && a.cfg.OnReady != nil {
		a.cfg.OnReady(a.home.id)
	}
	s.wg.Go(func() { s.heartbeat(welcome.Heartbeat) })
	for _, at := range a.held() {
		s.report(at)
	}
	for {
		m, err := s.conn.Recv()
		if err != nil {
			return true, s.reason(err)
		}
		if err := s.handle(m); err != nil {
			return true, err
		}
	}
}

// greet presents the worker's whole state and waits for Welcome.
func (s *session) greet() (wire.Welcome, error) {
	a := s.agent
	hello := wire.Hello{
		Worker: sweeps.Worker{
			ID: a.home.id, Name: a.cfg.Name, Slots: a.cfg.Slots, Prefetch: a.cfg.Prefetch, Burst: a.burst, Total: a.cfg.Resources,
			Labels: a.cfg.Labels,
			Agent:  sweeps.Agent{Place: a.home.place, File: a.home.idFile(), Host: hostname(0), PID: os.Getpid()},
		},
		Version: a.cfg.Version, Hold: a.noRoom(), Home: a.home.coordinator,
		GPUs: map[sweeps.AttemptRef][]sweeps.GPUShare{},
	}
	hello.Worker.GPUs, hello.Worker.GPUNote = a.gpus.offer()
	s.told = hello.Hold
	for _, at := range a.held() {
		hello.Attempts = append(hello.Attempts, at.start.Ref)
		if len(at.start.GPUs) > 0 {
			hello.GPUs[at.start.Ref] = at.start.GPUs
		}
	}
	late := time.AfterFunc(a.times.handshake, func() { s.cancel(errNoWelcome) })
	defer late.Stop()
	if err := s.send(hello); err != nil && !errors.Is(err, io.EOF) {
		return wire.Welcome{}, err
	}
	m, err := s.conn.Recv()
	if err != nil {
		return wire.Welcome{}, err
	}
	welcome, ok := m.(wire.Welcome)
	if !ok {
		return wire.Welcome{}, fmt.Errorf("%w: the coordinator's first message is %T instead of a welcome", sweeps.ErrInvalid, m)
	}
	if err := a.home.serves(welcome.Home); err != nil {
		return wire.Welcome{}, homeError(a.home.root, err)
	}
	if welcome.Heartbeat <= 0 {
		welcome.Heartbeat = a.times.heartbeat
	}
	return welcome, nil
}

// end closes the session and waits for all that runs on its behalf.
func (s *session) end() {
	// Whoever is sending right now is released by the cancel and gets no farewell.
	if s.sending.TryLock() {
		s.ended = true
		if s.conn != nil {
			_ = s.conn.CloseSend() // the session is over in any case
		}
		s.sending.Unlock()
	}
	s.cancel(errEnded)
	s.wg.Wait()
}

// reason returns why the session ended: what cancelled it, or else the error that was met.
func (s *session) reason(err error) error {
	if cause := context.Cause(s.ctx); cause != nil {
		return cause
	}
	return err
}

// send sends a message. An error means that the session is over.
func (s *session) send(m wire.WorkerMessage) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	if s.ended || s.ctx.Err() != nil {
		return errEnded
	}
	err := s.conn.Send(m)
	s.last = time.Now()
	return err
}

// heartbeat sends a sign of life whenever nothing else was sent for a while. It tells which
// devices are offered, and whether the worker takes trials or has no room for them, when
// that changes; and once that the worker shuts down, if it does.
func (s *session) heartbeat(every time.Duration) {
	tick := time.NewTicker(max(every/4, time.Millisecond))
	defer tick.Stop()
	draining := s.agent.draining
	for {
		var m wire.WorkerMessage
		select {
		case <-s.ctx.Done():
			return
		case <-draining:
			draining = nil
			m = wire.Drain{}
		case <-s.agent.gpus.changed:
			list, note := s.agent.gpus.offer()
			m = wire.Offer{GPUs: list, Note: note}
		case <-tick.C:
			if full := s.agent.noRoom(); full != s.told {
				s.told = full
				m = wire.Hold{Reason: full}
				break
			}
			if !s.idleFor(every * 3 / 4) {
				continue
			}
			m = wire.Heartbeat{}
		}
		if err := s.send(m); err != nil {
			s.fail(err)
			return
		}
	}
}

// fail ends the session, unless it has ended and its receiver is about to say why.
func (s *session) fail(err error) {
	if !errors.Is(err, io.EOF) && !errors.Is(err, errEnded) {
		s.cancel(err)
	}
}

func (s *session) idleFor(d time.Duration) bool {
	s.sending.Lock()
	defer s.sending.Unlock()
	return time.Since(s.last) >= d
}

// handle does what the coordinator says. It waits for nothing: what takes time, the
// attempt's own goroutine or its reporter does.
func (s *session) handle(m wire.CoordinatorMessage) error {
	switch m := m.(type) {
	case wire.Start:
		if at := s.agent.begin(m); at != nil {
			s.report(at)
			if s.agent.find(m.Ref) == nil { // it goes back at once
				delete(s.reporters, m.Ref)
			}
		}
	case wire.Stop:
		if at := s.agent.find(m.Ref); at != nil {
			at.stop(sweeps.ClassCancelled, "stopped at the coordinator's request")
		}
	case wire.Recall:
		s.agent.recall(m.Ref)
	case wire.Forget:
		s.agent.forget(m.Ref)
		delete(s.reporters, m.Ref)
	case wire.PointsAck:
		if r := s.reporters[m.Ref]; r != nil {
			r.onAck(m)
		}
	case wire.LogAck:
		if r := s.reporters[m.Ref]; r != nil {
			r.onAck(m)
		}
	case wire.Welcome:
		// Said once already; harmless.
	default:
		return fmt.Errorf("%w: a message of an unknown kind (%T) from the coordinator", sweeps.ErrInvalid, m)
	}
	return nil
}

// report starts a reporter of the attempt for the length of this session.
func (s *session) report(at *attempt) {
	if r := s.reporters[at.start.Ref]; r != nil && r.at == at {
		return
	}
	r := newReporter(s, at)
	s.reporters[at.start.Ref] = r
	s.wg.Add(1)
	s.agent.crew.Go(func() {
		defer s.wg.Done()
		if err := r.run(); err != nil {
			s.fail(err)
		}
	})
}
