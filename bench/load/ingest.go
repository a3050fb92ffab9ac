package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
)

// How points travel, as with a real worker: so many in a message, and so many of an attempt
// on their way without an acknowledgement.
const (
	batchPoints  = 1_000
	windowPoints = 10_000
)

// series returns the points of a typical training run that logs every 50 ms or so: a loss
// that was a float32, and an accuracy printed with four decimals, by turns.
func series(n int, seed uint64) []sweeps.Point {
	r := rand.New(rand.NewPCG(seed, 1))
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	points := make([]sweeps.Point, n)
	for i := range points {
		step := i / 2
		p := sweeps.Point{Step: int64(step)}
		if i%2 == 0 {
			at = at.Add(50*time.Millisecond + time.Duration(r.NormFloat64()*3e6))
			p.Metric, p.Value = "train_loss", float64(float32((2*math.Exp(-float64(step)/5000)+0.3)*(1+0.1*r.NormFloat64())))
		} else {
			p.Metric, p.Value = "train_accuracy", math.Round((1-math.Exp(-float64(step)/5000)+0.05*r.NormFloat64())*1e4)/1e4
		}
		p.Time = at
		points[i] = p
	}
	return points
}

// Ingest is a worker whose attempts do nothing but report points.
type Ingest struct {
	Points   int // in all
	Attempts int // at a time

	flights map[sweeps.AttemptRef]*flight
	series  []sweeps.Point // shared by the attempts; each sends a window of its own of it
}

// flight is how far the points of one attempt have come.
type flight struct {
	sent, acked, total int64
	offset             int
}

// Send reports the points over the session and returns how long it took, from the first
// that was sent to the last that was acknowledged. The coordinator must have a sweep with
// trials enough; those of which points were sent have ended afterwards.
func (g *Ingest) Send(ctx context.Context, s Session, id sweeps.WorkerID) (time.Duration, error) {
	perAttempt := g.Points / g.Attempts
	if perAttempt < 1 {
		return 0, fmt.Errorf("%d points for %d attempts: want at least one for each", g.Points, g.Attempts)
	}
	// The attempts' series differ in where they begin, so that not all are the same.
	g.series = series(perAttempt+2*g.Attempts, 1)
	g.flights = map[sweeps.AttemptRef]*flight{}
	hello := wire.Hello{Worker: sweeps.Worker{ID: id, Name: string(id), Slots: g.Attempts}}
	if err := s.Send(hello); err != nil {
		return 0, err
	}
	refs, err := g.take(s)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	// One goroutine sends and another receives, as the session wants it; acks tells the
	// sender that a window moved.
	acks := make(chan wire.PointsAck, len(refs)*windowPoints/batchPoints+1)
	received := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { defer close(received); receiveAcks(ctx, s, acks) }()
	if err := g.sendAll(ctx, s, refs, acks); err != nil {
		return 0, err
	}
	elapsed := time.Since(begun)
	for _, ref := range refs {
		if err := s.Send(wire.Exited{Ref: ref, Outcome: sweeps.Outcome{Class: sweeps.ClassOK}}); err != nil {
			return 0, err
		}
	}
	cancel()
	if err := s.CloseSend(); err != nil {
		return 0, err
	}
	<-received
	return elapsed, nil
}

// take waits for as many attempts as there are slots, and says that they began.
func (g *Ingest) take(s Session) ([]sweeps.AttemptRef, error) {
	var refs []sweeps.AttemptRef
	for len(refs) < g.Attempts {
		m, err := s.Recv()
		if err != nil {
			return nil, err
		}
		start, ok := m.(wire.Start)
		if !ok {
			continue
		}
		if err := s.Send(wire.Started{Ref: start.Ref}); err != nil {
			return nil, err
		}
		g.flights[start.Ref] = &flight{total: int64(g.Points / g.Attempts), offset: 2 * len(refs)}
		refs = append(refs, start.Ref)
	}
	return refs, nil
}

// receiveAcks hands acknowledgements on until the session ends or ctx is done.
func receiveAcks(ctx context.Context, s Session, acks chan<- wire.PointsAck) {
	defer close(acks)
	for {
		m, err := s.Recv()
		if err != nil {
			return
		}
		ack, ok := m.(wire.PointsAck)
		if !ok {
			continue
		}
		select {
		case acks <- ack:
		case <-ctx.Done():
			return
		}
	}
}

// sendAll sends the points, by turns of the attempts, until all are acknowledged.
func (g *Ingest) sendAll(ctx context.Context, s Session, refs []sweeps.AttemptRef, acks <-chan wire.PointsAck) error {
	for open := len(refs); open > 0; {
		moved, err := g.sendRound(s, refs)
		if err != nil {
			return err
		}
		// Acknowledgements are taken as they are there. If no window had room, the first
		// one is waited for.
		for n := len(acks); n > 0 || !moved; n-- {
			moved = true
			var ack wire.PointsAck
			var ok bool
			select {
			case ack, ok = <-acks:
			case <-ctx.Done():
				return ctx.Err()
			}
			if !ok {
				return errors.New("the coordinator ended the session before all points were acknowledged")
			}
			done, err := g.onAck(ack)
			if err != nil {
				return err
			}
			if done {
				open--
			}
		}
	}
	return nil
}

// sendRound sends a batch of each attempt whose window has room, and reports whether there
// was any.
func (g *Ingest) sendRound(s Session, refs []sweeps.AttemptRef) (moved bool, err error) {
	for _, ref := range refs {
		f := g.flights[ref]
		n := min(batchPoints, f.total-f.sent)
		if n == 0 || f.sent-f.acked >= windowPoints {
			continue
		}
		from := f.offset + int(f.sent)
		if err := s.Send(wire.Points{Ref: ref, First: f.sent, Points: g.series[from : from+int(n)]}); err != nil {
			return moved, err
		}
		f.sent += n
		moved = true
	}
	return moved, nil
}

// onAck notes an acknowledgement, and reports whether it was the attempt's last.
func (g *Ingest) onAck(ack wire.PointsAck) (done bool, err error) {
	f := g.flights[ack.Ref]
	switch {
	case f == nil:
		return false, fmt.Errorf("points of %s were acknowledged, of which none were sent", ack.Ref)
	case ack.Next < f.acked || ack.Next > f.sent:
		return false, fmt.Errorf("%d points of %s were acknowledged, of %d sent and %d acknowledged before", ack.Next, ack.Ref, f.sent, f.acked)
	}
	done = f.acked < f.total && ack.Next == f.total
	f.acked = ack.Next
	return done, nil
}
