package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	pb "swath/proto/swath/v1"
	"swath/sweeps"
)

// MaxMessage bounds a message in either direction, in bytes.
const MaxMessage = 64 << 20

// Client speaks to a coordinator in the domain's types. Its errors wrap the domain's
// classes; a coordinator that cannot be reached gives sweeps.ErrUnavailable.
type Client struct {
	conn    *grpc.ClientConn
	addr    string
	sweeps  pb.SweepServiceClient
	workers pb.WorkerServiceClient

	checkpoints pb.CheckpointServiceClient
}

// Dial returns a client of the coordinator at addr (HOST:PORT). It does not connect;
// the first call does, and fails at once where nobody listens.
func Dial(addr string, opts ...grpc.DialOption) (*Client, error) {
	opts = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		// A coordinator whose machine vanished sends no reset; the pings notice.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
	}, opts...)
	conn, err := grpc.NewClient("passthrough:///"+addr, opts...)
	if err != nil {
		return nil, fmt.Errorf("%w: address %q of the coordinator: %w", sweeps.ErrInvalid, addr, err)
	}
	return &Client{
		conn: conn, addr: addr,
		sweeps: pb.NewSweepServiceClient(conn), workers: pb.NewWorkerServiceClient(conn), checkpoints: pb.NewCheckpointServiceClient(conn),
	}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// explain turns a call's error into one for people.
func (c *Client) explain(err error) error {
	err = ErrorFromStatus(err)
	if errors.Is(err, sweeps.ErrUnavailable) {
		return fmt.Errorf("%w: cannot reach the coordinator at %s: start one with `swath coordinator`, or say where it is with --coordinator HOST:PORT (%w)",
			sweeps.ErrUnavailable, c.addr, err)
	}
	return err
}

// Submit records a sweep.
func (c *Client) Submit(ctx context.Context, s Submission) (*SweepStatus, error) {
	r, err := c.sweeps.Submit(ctx, &pb.SubmitRequest{
		Id: string(s.ID), Source: s.Source, File: s.File, Name: s.Name, WorkDir: s.WorkDir,
		Reuse: s.Reuse, Program: s.Program,
	})
	if err != nil {
		return nil, c.explain(err)
	}
	return statusFromProto(r.GetSweep(), nil)
}

// Sweeps lists all sweeps, the latest first, without their sources.
func (c *Client) Sweeps(ctx context.Context) ([]*SweepStatus, error) {
	r, err := c.sweeps.ListSweeps(ctx, &pb.ListSweepsRequest{})
	if err != nil {
		return nil, c.explain(err)
	}
	var list []*SweepStatus
	for _, p := range r.GetSweeps() {
		s, err := statusFromProto(p, nil)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// Sweep tells one sweep by id or name.
func (c *Client) Sweep(ctx context.Context, nameOrID string) (*SweepStatus, error) {
	r, err := c.sweeps.GetSweep(ctx, &pb.GetSweepRequest{Sweep: nameOrID})
	if err != nil {
		return nil, c.explain(err)
	}
	st, err := statusFromProto(r.GetSweep(), r.GetRunning())
	if err == nil {
		st.Notes = r.GetNotes()
	}
	return st, err
}

// Watch calls fn with the sweep's progress until the sweep has ended, fn returns false
// or ctx is done.
func (c *Client) Watch(ctx context.Context, nameOrID string, fn func(*Progress) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.sweeps.WatchSweep(ctx, &pb.WatchSweepRequest{Sweep: nameOrID})
	if err != nil {
		return c.explain(err)
	}
	return each(c, stream, func(r *pb.WatchSweepResponse) (bool, error) {
		st, err := statusFromProto(r.GetSweep(), r.GetRunning())
		if err != nil {
			return false, err
		}
		ended, err := trialsFromProto(r.GetEnded())
		if err != nil {
			return false, err
		}
		return fn(&Progress{*st, ended, int(r.GetWorkers()), int(r.GetSlots())}), nil
	})
}

// Cancel cancels a sweep.
func (c *Client) Cancel(ctx context.Context, nameOrID string) (*SweepStatus, error) {
	r, err := c.sweeps.CancelSweep(ctx, &pb.CancelSweepRequest{Sweep: nameOrID})
	if err != nil {
		return nil, c.explain(err)
	}
	return statusFromProto(r.GetSweep(), nil)
}

// Pause hands out no more trials of a sweep.
func (c *Client) Pause(ctx context.Context, nameOrID string) (*SweepStatus, error) {
	r, err := c.sweeps.PauseSweep(ctx, &pb.PauseSweepRequest{Sweep: nameOrID})
	if err != nil {
		return nil, c.explain(err)
	}
	return statusFromProto(r.GetSweep(), nil)
}

// Resume takes a pause back.
func (c *Client) Resume(ctx context.Context, nameOrID string) (*SweepStatus, error) {
	r, err := c.sweeps.ResumeSweep(ctx, &pb.ResumeSweepRequest{Sweep: nameOrID})
	if err != nil {
		return nil, c.explain(err)
	}
	return statusFromProto(r.GetSweep(), nil)
}

// Rerun makes trials of a sweep pending again, and tells how many: those that failed, or
// of those at the indices the ones that failed or were cancelled.
func (c *Client) Rerun(ctx context.Context, nameOrID string, failed bool, indices []int64) (*SweepStatus, int64, error) {
	r, err := c.sweeps.RerunSweep(ctx, &pb.RerunSweepRequest{Sweep: nameOrID, Failed: failed, Indices: indices})
	if err != nil {
		return nil, 0, c.explain(err)
	}
	st, err := statusFromProto(r.GetSweep(), nil)
	return st, r.GetTrials(), err
}

// FindReusable tells how many of the first trials of a sweep file would take over a result if
// it were submitted now, with reuse, and how many were looked at: not all of very many.
func (c *Client) FindReusable(ctx context.Context, s Submission) (reusable, trials int64, err error) {
	r, err := c.sweeps.FindReusable(ctx, &pb.FindReusableRequest{Source: s.Source, File: s.File, Program: s.Program})
	if err != nil {
		return 0, 0, c.explain(err)
	}
	return r.GetReusable(), r.GetTrials(), nil
}

// Remove removes a sweep that has ended, with all that was recorded of it, and tells what it
// was.
func (c *Client) Remove(ctx context.Context, nameOrID string) (*SweepStatus, error) {
	r, err := c.sweeps.RemoveSweep(ctx, &pb.RemoveSweepRequest{Sweep: nameOrID})
	if err != nil {
		return nil, c.explain(err)
	}
	return statusFromProto(r.GetSweep(), nil)
}

// Trials calls fn with every trial of the sweep that was started, in order of index,
// until fn returns false.
func (c *Client) Trials(ctx context.Context, nameOrID string, fn func(*sweeps.Trial) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.sweeps.ListTrials(ctx, &pb.ListTrialsRequest{Sweep: nameOrID})
	if err != nil {
		return c.explain(err)
	}
	return each(c, stream, func(r *pb.ListTrialsResponse) (bool, error) {
		for _, p := range r.GetTrials() {
			t, err := TrialFromProto(p)
			if err != nil {
				return false, err
			}
			if !fn(t) {
				return false, nil
			}
		}
		return true, nil
	})
}

// Series calls fn with the recorded points of a sweep, a trial after the other, until
// fn returns false. An empty metric or trial stands for all.
func (c *Client) Series(ctx context.Context, nameOrID, metric, trial string, fn func(SeriesPiece) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.sweeps.ReadSeries(ctx, &pb.ReadSeriesRequest{Sweep: nameOrID, Metric: metric, Trial: trial})
	if err != nil {
		return c.explain(err)
	}
	return each(c, stream, func(r *pb.ReadSeriesResponse) (bool, error) {
		piece := SeriesPiece{Trial: sweeps.TrialID(r.GetTrialId()), Index: r.GetIndex()}
		for _, p := range r.GetPoints() {
			piece.Points = append(piece.Points, PointFromProto(p))
		}
		return fn(piece), nil
	})
}

// Log calls fn with what a trial printed, until fn returns false. attempt 0 is the
// latest; follow goes on until the attempt has ended.
func (c *Client) Log(ctx context.Context, trial string, attempt int, follow bool, fn func(LogPiece) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.sweeps.ReadLog(ctx, &pb.ReadLogRequest{Trial: trial, Attempt: int32(attempt), Follow: follow})
	if err != nil {
		return c.explain(err)
	}
	return each(c, stream, func(r *pb.ReadLogResponse) (bool, error) {
		name, err := StreamFromProto(r.GetStream())
		if err != nil {
			return false, err
		}
		return fn(LogPiece{name, r.GetData()}), nil
	})
}

// Workers lists the workers.
func (c *Client) Workers(ctx context.Context) ([]WorkerStatus, error) {
	r, err := c.sweeps.ListWorkers(ctx, &pb.ListWorkersRequest{})
	if err != nil {
		return nil, c.explain(err)
	}
	var list []WorkerStatus
	for _, p := range r.GetWorkers() {
		list = append(list, WorkerFromProto(p))
	}
	return list, nil
}

// Admit says whether a worker, named by its id or its name, may be given trials.
func (c *Client) Admit(ctx context.Context, worker string, admit bool) (WorkerStatus, error) {
	r, err := c.sweeps.AdmitWorker(ctx, &pb.AdmitWorkerRequest{Worker: worker, Admit: admit})
	if err != nil {
		return WorkerStatus{}, c.explain(err)
	}
	return WorkerFromProto(r.GetWorker()), nil
}

// Explain says why a trial is where it is, a sentence a string.
func (c *Client) Explain(ctx context.Context, trial string) ([]string, error) {
	r, err := c.sweeps.ExplainTrial(ctx, &pb.ExplainTrialRequest{Trial: trial})
	if err != nil {
		return nil, c.explain(err)
	}
	return r.GetSentences(), nil
}

// each receives until the stream ends or fn says so.
func each[T any](c *Client, stream grpc.ServerStreamingClient[T], fn func(*T) (bool, error)) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return c.explain(err)
		}
		more, err := fn(m)
		if err != nil || !more {
			return err
		}
	}
}

func statusFromProto(p *pb.Sweep, running []*pb.Trial) (*SweepStatus, error) {
	s, total, err := SweepFromProto(p)
	if err != nil {
		return nil, err
	}
	trials, err := trialsFromProto(running)
	if err != nil {
		return nil, err
	}
	return &SweepStatus{Sweep: s, Total: total, Running: trials}, nil
}

func trialsFromProto(list []*pb.Trial) ([]*sweeps.Trial, error) {
	var out []*sweeps.Trial
	for _, p := range list {
		t, err := TrialFromProto(p)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}
