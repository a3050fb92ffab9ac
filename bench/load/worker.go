package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
)

// Session is a worker's connection to the coordinator; *wire.Session is one. One goroutine
// sends while another receives.
type Session interface {
	Send(wire.WorkerMessage) error
	Recv() (wire.CoordinatorMessage, error)
	CloseSend() error
}

// Worker is a simulated worker: it says of every attempt that it began and, Run later,
// that it ended well. What does not fit into its slots waits in the order of its arrival,
// as with a real one.
type Worker struct {
	sweeps.Worker
	// Run is how long an attempt takes.
	Run time.Duration
	// Heartbeat is whether to give signs of life; one that is always busy needs none.
	Heartbeat bool
	// Refills notes how long slots were free; nil for not at all.
	Refills *Refills
	// Ready is called once the coordinator has accepted the worker; nil for nobody.
	Ready func()

	mu      sync.Mutex // held while something is sent, too
	session Session
	last    time.Time // when something was sent
	busy    int
	waiting []sweeps.AttemptRef
	timers  sync.WaitGroup
}

// Serve works until the session ends, which is an error unless ctx is done.
func (w *Worker) Serve(ctx context.Context, s Session) error {
	if w.Refills != nil {
		s = w.Refills.Watch(s, w.Slots)
	}
	w.session = s
	err := w.serve(ctx)
	w.timers.Wait()
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the session ended, as it was told to
	}
	return fmt.Errorf("simulated worker %s: %w", w.Name, err)
}

func (w *Worker) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := w.send(wire.Hello{Worker: w.Worker}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for {
		m, err := w.session.Recv()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case wire.Welcome:
			if w.Heartbeat {
				w.timers.Go(func() { w.beat(ctx, m.Heartbeat) })
			}
			if w.Ready != nil {
				w.Ready()
			}
		case wire.Start:
			err = w.start(ctx, m.Ref)
		case wire.Recall:
			err = w.recall(m.Ref)
		default: // nothing is kept that could be stopped or forgotten
		}
		if err != nil {
			return err
		}
	}
}

func (w *Worker) send(m wire.WorkerMessage) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = time.Now()
	return w.session.Send(m)
}

// beat gives a sign of life whenever nothing else was said for a while.
func (w *Worker) beat(ctx context.Context, every time.Duration) {
	for {
		w.mu.Lock()
		due := time.Until(w.last.Add(every))
		w.mu.Unlock()
		if due <= 0 {
			if err := w.send(wire.Heartbeat{}); err != nil {
				return // the receiver says why
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(due):
		}
	}
}

func (w *Worker) start(ctx context.Context, ref sweeps.AttemptRef) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy >= w.Slots {
		w.waiting = append(w.waiting, ref)
		return nil
	}
	w.busy++
	return w.begin(ctx, ref)
}

// begin runs an attempt in a slot, which is taken already; w.mu is held.
func (w *Worker) begin(ctx context.Context, ref sweeps.AttemptRef) error {
	for {
		if err := w.session.Send(wire.Started{Ref: ref}); err != nil {
			return err
		}
		if w.Run > 0 {
			w.timers.Go(func() { w.end(ctx, ref) })
			return nil
		}
		next, err := w.exit(ref)
		if err != nil || next == nil {
			return err
		}
		ref = *next
	}
}

// end ends an attempt when its time is up.
func (w *Worker) end(ctx context.Context, ref sweeps.AttemptRef) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(w.Run):
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	next, err := w.exit(ref)
	if err == nil && next != nil {
		err = w.begin(ctx, *next)
	}
	_ = err // the receiver says why the session ended
}

// exit reports an end and returns the attempt that takes over the slot; nil if the slot
// falls free.
func (w *Worker) exit(ref sweeps.AttemptRef) (*sweeps.AttemptRef, error) {
	w.last = time.Now()
	if err := w.session.Send(wire.Exited{Ref: ref, Outcome: sweeps.Outcome{Class: sweeps.ClassOK}}); err != nil {
		return nil, err
	}
	if len(w.waiting) == 0 {
		w.busy--
		return nil, nil
	}
	next := w.waiting[0]
	w.waiting = w.waiting[1:]
	return &next, nil
}

// recall gives an attempt back that waits.
func (w *Worker) recall(ref sweeps.AttemptRef) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.waiting, ref)
	if i < 0 {
		return nil
	}
	w.waiting = slices.Delete(w.waiting, i, i+1)
	return w.session.Send(wire.Returned{Ref: ref})
}
