package api

import (
	"context"

	"google.golang.org/grpc"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	pb "swath/proto/swath/v1"
	"swath/proto/wire"
	"swath/sweeps"
)

// sweepService serves users.
type sweepService struct {
	pb.UnimplementedSweepServiceServer
	c *coordinator.Coordinator
}

func (s *sweepService) Submit(ctx context.Context, r *pb.SubmitRequest) (*pb.SubmitResponse, error) {
	st, err := s.c.Submit(ctx, coordinator.Submission{
		ID: sweeps.SweepID(r.GetId()), Source: r.GetSource(), File: r.GetFile(), Name: r.GetName(), WorkDir: r.GetWorkDir(),
		Reuse: r.Reuse, Program: r.GetProgram(),
	})
	if err != nil {
		return nil, err
	}
	return &pb.SubmitResponse{Sweep: statusToProto(st)}, nil
}

func (s *sweepService) ListSweeps(context.Context, *pb.ListSweepsRequest) (*pb.ListSweepsResponse, error) {
	list, err := s.c.Sweeps()
	if err != nil {
		return nil, err
	}
	r := &pb.ListSweepsResponse{}
	for _, st := range list {
		p := statusToProto(st)
		p.Source = nil
		r.Sweeps = append(r.Sweeps, p)
	}
	return r, nil
}

func (s *sweepService) GetSweep(_ context.Context, r *pb.GetSweepRequest) (*pb.GetSweepResponse, error) {
	st, err := s.c.Sweep(r.GetSweep())
	if err != nil {
		return nil, err
	}
	return &pb.GetSweepResponse{Sweep: statusToProto(st), Running: trialsToProto(st.Running), Notes: st.Notes}, nil
}

func (s *sweepService) WatchSweep(r *pb.WatchSweepRequest, stream grpc.ServerStreamingServer[pb.WatchSweepResponse]) error {
	return s.c.Watch(stream.Context(), r.GetSweep(), func(p *coordinator.Progress) error {
		// A sweep of tiny trials ends thousands between two messages: those that do
		// not fit into one go into several.
		const most = 10_000
		for len(p.Ended) > most {
			if err := stream.Send(progressToProto(p, p.Ended[:most])); err != nil {
				return err
			}
			p.Ended = p.Ended[most:]
		}
		return stream.Send(progressToProto(p, p.Ended))
	})
}

func (s *sweepService) CancelSweep(ctx context.Context, r *pb.CancelSweepRequest) (*pb.CancelSweepResponse, error) {
	st, err := s.c.Cancel(ctx, r.GetSweep())
	if err != nil {
		return nil, err
	}
	return &pb.CancelSweepResponse{Sweep: statusToProto(st)}, nil
}

func (s *sweepService) PauseSweep(ctx context.Context, r *pb.PauseSweepRequest) (*pb.PauseSweepResponse, error) {
	st, err := s.c.Pause(ctx, r.GetSweep())
	if err != nil {
		return nil, err
	}
	return &pb.PauseSweepResponse{Sweep: statusToProto(st)}, nil
}

func (s *sweepService) ResumeSweep(ctx context.Context, r *pb.ResumeSweepRequest) (*pb.ResumeSweepResponse, error) {
	st, err := s.c.Resume(ctx, r.GetSweep())
	if err != nil {
		return nil, err
	}
	return &pb.ResumeSweepResponse{Sweep: statusToProto(st)}, nil
}

func (s *sweepService) AdmitWorker(ctx context.Context, r *pb.AdmitWorkerRequest) (*pb.AdmitWorkerResponse, error) {
	w, err := s.c.Admit(ctx, r.GetWorker(), r.GetAdmit())
	if err != nil {
		return nil, err
	}
	return &pb.AdmitWorkerResponse{Worker: workerToProto(w)}, nil
}

func (s *sweepService) ExplainTrial(ctx context.Context, r *pb.ExplainTrialRequest) (*pb.ExplainTrialResponse, error) {
	sentences, err := s.c.Explain(ctx, r.GetTrial())
	if err != nil {
		return nil, err
	}
	return &pb.ExplainTrialResponse{Sentences: sentences}, nil
}

func (s *sweepService) RerunSweep(ctx context.Context, r *pb.RerunSweepRequest) (*pb.RerunSweepResponse, error) {
	st, n, err := s.c.Rerun(ctx, r.GetSweep(), r.GetFailed(), r.GetIndices())
	if err != nil {
		return nil, err
	}
	return &pb.RerunSweepResponse{Sweep: statusToProto(st), Trials: n}, nil
}

func (s *sweepService) FindReusable(ctx context.Context, r *pb.FindReusableRequest) (*pb.FindReusableResponse, error) {
	reusable, trials, err := s.c.FindReusable(ctx, coordinator.Submission{Source: r.GetSource(), File: r.GetFile(), Program: r.GetProgram()})
	if err != nil {
		return nil, err
	}
	return &pb.FindReusableResponse{Reusable: reusable, Trials: trials}, nil
}

func (s *sweepService) RemoveSweep(ctx context.Context, r *pb.RemoveSweepRequest) (*pb.RemoveSweepResponse, error) {
	st, err := s.c.Remove(ctx, r.GetSweep())
	if err != nil {
		return nil, err
	}
	return &pb.RemoveSweepResponse{Sweep: statusToProto(st)}, nil
}

func (s *sweepService) ListTrials(r *pb.ListTrialsRequest, stream grpc.ServerStreamingServer[pb.ListTrialsResponse]) error {
	const page = 500
	var batch []*pb.Trial
	var sendErr error
	flush := func() bool {
		if len(batch) > 0 {
			sendErr = stream.Send(&pb.ListTrialsResponse{Trials: batch})
			batch = nil
		}
		return sendErr == nil
	}
	err := s.c.Trials(r.GetSweep(), func(t *sweeps.Trial) bool {
		batch = append(batch, wire.TrialToProto(t))
		return len(batch) < page || flush()
	})
	if err != nil || sendErr != nil {
		return firstError(err, sendErr)
	}
	flush()
	return sendErr
}

func (s *sweepService) ReadSeries(r *pb.ReadSeriesRequest, stream grpc.ServerStreamingServer[pb.ReadSeriesResponse]) error {
	var sendErr error
	err := s.c.Series(r.GetSweep(), r.GetMetric(), r.GetTrial(), func(t *sweeps.Trial, points []sweeps.Point) bool {
		m := &pb.ReadSeriesResponse{TrialId: string(t.ID), Index: t.Index}
		for _, p := range points {
			m.Points = append(m.Points, wire.PointToProto(p))
		}
		sendErr = stream.Send(m)
		return sendErr == nil
	})
	return firstError(err, sendErr)
}

func (s *sweepService) ReadLog(r *pb.ReadLogRequest, stream grpc.ServerStreamingServer[pb.ReadLogResponse]) error {
	var sendErr error
	err := s.c.Log(stream.Context(), r.GetTrial(), int(r.GetAttempt()), r.GetFollow(), func(name string, data []byte) bool {
		sendErr = stream.Send(&pb.ReadLogResponse{Stream: wire.StreamToProto(name), Data: data})
		return sendErr == nil
	})
	return firstError(err, sendErr)
}

func (s *sweepService) ListWorkers(ctx context.Context, _ *pb.ListWorkersRequest) (*pb.ListWorkersResponse, error) {
	list, err := s.c.Workers(ctx)
	if err != nil {
		return nil, err
	}
	r := &pb.ListWorkersResponse{}
	for _, w := range list {
		r.Workers = append(r.Workers, workerToProto(w))
	}
	return r, nil
}

func workerToProto(w dispatch.WorkerStatus) *pb.Worker {
	return wire.WorkerToProto(wire.WorkerStatus{
		Worker: w.Worker, Connected: w.Connected, Draining: w.Draining, Aside: w.Aside, Running: w.Running,
	})
}

func statusToProto(st *coordinator.SweepStatus) *pb.Sweep {
	return wire.SweepToProto(st.Sweep, st.Total)
}

func progressToProto(p *coordinator.Progress, ended []*sweeps.Trial) *pb.WatchSweepResponse {
	return &pb.WatchSweepResponse{
		Sweep: statusToProto(&p.SweepStatus), Running: trialsToProto(p.Running), Ended: trialsToProto(ended),
		Workers: int32(p.Workers), Slots: int32(p.Slots),
	}
}

func trialsToProto(list []*sweeps.Trial) []*pb.Trial {
	var out []*pb.Trial
	for _, t := range list {
		out = append(out, wire.TrialToProto(t))
	}
	return out
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
