package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"google.golang.org/grpc"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	pb "swath/proto/swath/v1"
	"swath/proto/wire"
	"swath/sweeps"
)

// workerService serves workers.
type workerService struct {
	pb.UnimplementedWorkerServiceServer
	c     *coordinator.Coordinator
	log   *slog.Logger
	files fileCache
}

type sessionStream = grpc.BidiStreamingServer[pb.SessionRequest, pb.SessionResponse]

// Session runs a worker's session: this goroutine receives, another sends.
func (s *workerService) Session(stream sessionStream) error {
	first, err := receive(stream)
	if err != nil {
		return err
	}
	hello, ok := first.(wire.Hello)
	if !ok {
		return fmt.Errorf("%w: a session begins with Hello, not with %T", sweeps.ErrInvalid, first)
	}
	if err := s.c.CheckHome(hello.Worker, hello.Home, len(hello.Attempts)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	sess, err := s.c.Connect(ctx, dispatch.Hello{Worker: hello.Worker, Attempts: hello.Attempts, GPUs: hello.GPUs, Hold: hello.Hold})
	if err != nil {
		return err
	}
	defer sess.Close()
	err = stream.Send(wire.CoordinatorMessageToProto(wire.Welcome{Heartbeat: sess.Heartbeat(), Lease: sess.Lease(), Home: s.c.Home()}))
	if err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() { received <- s.receiveAll(ctx, stream, sess) }()
	sent := make(chan error, 1)
	go func() { sent <- s.sendAll(ctx, stream, sess) }()
	// Either end ends the session. Returning from the handler cancels the stream, which
	// frees the other goroutine; both are waited for where that does not need the return.
	select {
	case err = <-received:
		cancel(err)
		<-sent //nolint:errcheck // the end that came first says why the session ended
	case err = <-sent:
		cancel(err)
	}
	return err
}

func (s *workerService) sendAll(ctx context.Context, stream sessionStream, sess *coordinator.Session) error {
	for {
		queue, err := sess.Next(ctx)
		if err != nil {
			return err
		}
		for _, m := range queue {
			msg, err := s.message(m)
			if err != nil {
				return err
			}
			if err := stream.Send(wire.CoordinatorMessageToProto(msg)); err != nil {
				return err
			}
		}
	}
}

// message turns what the coordinator wants sent into what is sent. A start carries the
// sweep's file.
func (s *workerService) message(m any) (wire.CoordinatorMessage, error) {
	switch m := m.(type) {
	case dispatch.Start:
		sw, err := s.files.get(s.c, m.Ref.Sweep)
		if err != nil {
			return nil, err
		}
		start := wire.Start{
			Ref: m.Ref, TrialID: m.ID, Params: m.Params,
			SweepName: sw.Name, Source: sw.Source, File: sw.File, WorkDir: sw.WorkDir, GPUs: m.GPUs,
		}
		if m.From.Digest != "" && s.c.Kept(m.From.Digest) {
			start.From = &m.From
		}
		return start, nil
	case dispatch.Stop:
		return wire.Stop{Ref: m.Ref}, nil
	case dispatch.Recall:
		return wire.Recall{Ref: m.Ref}, nil
	case dispatch.Forget:
		return wire.Forget{Ref: m.Ref}, nil
	case coordinator.PointsAck:
		return wire.PointsAck{Ref: m.Ref, Next: m.Next}, nil
	case coordinator.LogAck:
		return wire.LogAck{Ref: m.Ref, Stream: m.Stream, Next: m.Next}, nil
	}
	return nil, fmt.Errorf("no message for %T", m)
}

func (s *workerService) receiveAll(ctx context.Context, stream sessionStream, sess *coordinator.Session) error {
	for {
		m, err := receive(stream)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		sess.Alive()
		switch m := m.(type) {
		case wire.Hello:
			err = fmt.Errorf("%w: Hello in the middle of a session", sweeps.ErrInvalid)
		case wire.Started:
			sess.Started(m.Ref, m.Ago)
		case wire.Returned:
			sess.Returned(m.Ref)
		case wire.Points:
			err = sess.Points(ctx, m.Ref, m.First, m.Points)
		case wire.LogChunk:
			err = sess.Log(ctx, m.Ref, m.Stream, m.Offset, m.Data)
		case wire.Exited:
			err = sess.Exited(m.Ref, m.Outcome, m.Ran, m.Ago)
		case wire.Offer:
			sess.Offer(m.GPUs, m.Note)
		case wire.Hold:
			sess.Hold(m.Reason)
		case wire.Drain:
			sess.Drain()
		case wire.Heartbeat:
		}
		if err != nil {
			return err
		}
	}
}

func receive(stream sessionStream) (wire.WorkerMessage, error) {
	p, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	return wire.WorkerMessageFromProto(p)
}

// fileCache keeps what every start of a sweep's trials carries and what never changes, the
// sweep's name and file, for all sessions: thousands of workers are told of one sweep. The
// zero value is ready for use.
type fileCache struct {
	mu sync.Mutex
	m  map[sweeps.SweepID]*sweeps.Sweep
}

// maxFiles bounds the cache. A sweep file is read again in well under a millisecond.
const maxFiles = 64

func (f *fileCache) get(c *coordinator.Coordinator, id sweeps.SweepID) (*sweeps.Sweep, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if sw := f.m[id]; sw != nil {
		return sw, nil
	}
	sw, err := c.Record(id)
	if err != nil {
		return nil, err
	}
	if f.m == nil || len(f.m) >= maxFiles {
		f.m = map[sweeps.SweepID]*sweeps.Sweep{}
	}
	f.m[id] = sw
	return sw, nil
}
