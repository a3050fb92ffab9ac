package wire

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "swath/proto/swath/v1"
	"swath/sweeps"
)

// stamp turns a time into its message; the zero time is absent.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func unstamp(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// RefToProto and RefFromProto convert an attempt's reference.
func RefToProto(r sweeps.AttemptRef) *pb.AttemptRef {
	return &pb.AttemptRef{SweepId: string(r.Sweep), Index: r.Index, Attempt: int32(r.Attempt)}
}

// RefFromProto is the inverse of RefToProto.
func RefFromProto(p *pb.AttemptRef) sweeps.AttemptRef {
	return sweeps.AttemptRef{
		TrialKey: sweeps.TrialKey{Sweep: sweeps.SweepID(p.GetSweepId()), Index: p.GetIndex()},
		Attempt:  int(p.GetAttempt()),
	}
}

// OutcomeToProto and OutcomeFromProto convert an outcome; nil stands for none.
func OutcomeToProto(o sweeps.Outcome) *pb.Outcome {
	if o == (sweeps.Outcome{}) {
		return nil
	}
	return &pb.Outcome{Class: string(o.Class), ExitCode: int32(o.ExitCode), Message: o.Message}
}

// OutcomeFromProto is the inverse of OutcomeToProto.
func OutcomeFromProto(p *pb.Outcome) (sweeps.Outcome, error) {
	if p == nil {
		return sweeps.Outcome{}, nil
	}
	c, err := sweeps.ParseClass(p.Class)
	if err != nil {
		return sweeps.Outcome{}, err
	}
	return sweeps.Outcome{Class: c, ExitCode: int(p.ExitCode), Message: p.Message}, nil
}

// PointToProto and PointFromProto convert a point.
func PointToProto(p sweeps.Point) *pb.Point {
	return &pb.Point{Metric: p.Metric, Step: p.Step, Value: p.Value, Time: stamp(p.Time)}
}

// PointFromProto is the inverse of PointToProto.
func PointFromProto(p *pb.Point) sweeps.Point {
	return sweeps.Point{Metric: p.GetMetric(), Step: p.GetStep(), Value: p.GetValue(), Time: unstamp(p.GetTime())}
}

// ResourcesToProto and ResourcesFromProto convert resources.
func ResourcesToProto(r sweeps.Resources) *pb.Resources {
	return &pb.Resources{Cpus: r.CPUs, Gpus: r.GPUs, GpuMemory: r.GPUMemory, Memory: r.Memory}
}

// ResourcesFromProto is the inverse of ResourcesToProto.
func ResourcesFromProto(p *pb.Resources) sweeps.Resources {
	return sweeps.Resources{CPUs: p.GetCpus(), GPUs: p.GetGpus(), GPUMemory: p.GetGpuMemory(), Memory: p.GetMemory()}
}

// SweepToProto converts a sweep's record; total is the number of its trials, -1 if not
// known.
func SweepToProto(s *sweeps.Sweep, total int64) *pb.Sweep {
	return &pb.Sweep{
		Id: string(s.ID), Name: s.Name, State: string(s.State),
		Source: s.Source, File: s.File, WorkDir: s.WorkDir,
		Created: stamp(s.Created), Ended: stamp(s.Ended),
		Next: s.Next, Dispatched: s.Dispatched, Excluded: s.Excluded,
		Counts: &pb.Counts{
			Running: s.Counts.Running, Finished: s.Counts.Finished, Failed: s.Counts.Failed,
			Cancelled: s.Counts.Cancelled, Retrying: s.Counts.Retrying, Unstarted: s.Counts.Unstarted,
		},
		Total: total, Reason: s.Reason, Closed: s.Closed, Best: keptToProto(s.Best),
		Reuse: s.Reuse, Basis: s.Basis, Reused: s.Reused,
	}
}

// SweepFromProto is the inverse of SweepToProto.
func SweepFromProto(p *pb.Sweep) (s *sweeps.Sweep, total int64, err error) {
	state, err := sweeps.ParseSweepState(p.GetState())
	if err != nil {
		return nil, 0, err
	}
	c := p.GetCounts()
	return &sweeps.Sweep{
		ID: sweeps.SweepID(p.Id), Name: p.Name, State: state,
		Source: p.Source, File: p.File, WorkDir: p.WorkDir,
		Created: unstamp(p.Created), Ended: unstamp(p.Ended),
		Next: p.Next, Dispatched: p.Dispatched, Excluded: p.Excluded, Reason: p.Reason, Closed: p.Closed,
		Reuse: p.Reuse, Basis: p.Basis, Reused: p.Reused,
		Counts: sweeps.Counts{
			Running: c.GetRunning(), Finished: c.GetFinished(), Failed: c.GetFailed(),
			Cancelled: c.GetCancelled(), Retrying: c.GetRetrying(), Unstarted: c.GetUnstarted(),
		},
		Best: keptFromProto(p.Best),
	}, p.Total, nil
}

// TrialToProto converts a trial's record.
func TrialToProto(t *sweeps.Trial) *pb.Trial {
	out := &pb.Trial{
		SweepId: string(t.Sweep), Index: t.Index, Id: string(t.ID), ParamsJson: t.Params.JSON(),
		State: string(t.State), Attempt: int32(t.Attempt), Charged: int32(t.Charged), Losses: int32(t.Losses),
		NotBefore: stamp(t.NotBefore), WorkerId: string(t.Worker), WorkerName: t.WorkerName,
		Assigned: stamp(t.Assigned), Started: stamp(t.Started), Ended: stamp(t.Ended),
		Outcome: OutcomeToProto(t.Outcome), Metrics: summariesToProto(t.Metrics), Alone: t.Alone, Returned: int32(t.Returned),
		Checkpoints: checkpointsToProto(t.Checkpoints), Continued: t.Continued,
	}
	if t.Reused() {
		out.ReusedFrom, out.ReusedName = RefToProto(t.ReusedFrom.AttemptRef), t.ReusedFrom.SweepName
	}
	return out
}

// TrialFromProto is the inverse of TrialToProto.
func TrialFromProto(p *pb.Trial) (*sweeps.Trial, error) {
	state, err := sweeps.ParseTrialState(p.GetState())
	if err != nil {
		return nil, err
	}
	params, err := sweeps.ParamsFromJSON(p.ParamsJson)
	if err != nil {
		return nil, fmt.Errorf("parameters of trial %s/%d: %w", p.SweepId, p.Index, err)
	}
	out, err := OutcomeFromProto(p.Outcome)
	if err != nil {
		return nil, err
	}
	t := &sweeps.Trial{
		TrialKey: sweeps.TrialKey{Sweep: sweeps.SweepID(p.SweepId), Index: p.Index},
		ID:       sweeps.TrialID(p.Id), Params: params, State: state,
		Attempt: int(p.Attempt), Charged: int(p.Charged), Losses: int(p.Losses),
		NotBefore: unstamp(p.NotBefore), Worker: sweeps.WorkerID(p.WorkerId), WorkerName: p.WorkerName,
		Assigned: unstamp(p.Assigned), Started: unstamp(p.Started), Ended: unstamp(p.Ended),
		Outcome: out, Metrics: summariesFromProto(p.Metrics), Alone: p.Alone, Returned: int(p.Returned),
		Checkpoints: checkpointsFromProto(p.Checkpoints), Continued: p.Continued,
	}
	if p.ReusedFrom != nil {
		t.ReusedFrom = sweeps.Origin{AttemptRef: RefFromProto(p.ReusedFrom), SweepName: p.ReusedName}
	}
	return t, nil
}

func summariesToProto(m map[string]sweeps.Summary) map[string]*pb.Summary {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]*pb.Summary, len(m))
	for name, s := range m {
		out[name] = &pb.Summary{
			Count: s.Count, Last: s.Last, LastStep: s.LastStep,
			Min: s.Min, MinStep: s.MinStep, Max: s.Max, MaxStep: s.MaxStep,
		}
	}
	return out
}

func summariesFromProto(m map[string]*pb.Summary) map[string]sweeps.Summary {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]sweeps.Summary, len(m))
	for name, s := range m {
		out[name] = sweeps.Summary{
			Count: s.Count, Last: s.Last, LastStep: s.LastStep,
			Min: s.Min, MinStep: s.MinStep, Max: s.Max, MaxStep: s.MaxStep,
		}
	}
	return out
}

// WorkerToProto converts a worker as the coordinator sees it.
func WorkerToProto(w WorkerStatus) *pb.Worker {
	return &pb.Worker{
		Id: string(w.ID), Name: w.Name, Slots: int32(w.Slots), Total: ResourcesToProto(w.Total),
		Connected: w.Connected, Draining: w.Draining, Running: int32(w.Running), Aside: w.Aside,
		Gpus: gpusToProto(w.GPUs), GpuNote: w.GPUNote, Labels: w.Labels,
	}
}

// WorkerFromProto is the inverse of WorkerToProto.
func WorkerFromProto(p *pb.Worker) WorkerStatus {
	return WorkerStatus{
		Worker: sweeps.Worker{
			ID: sweeps.WorkerID(p.GetId()), Name: p.GetName(), Slots: int(p.GetSlots()),
			Total: ResourcesFromProto(p.GetTotal()),
			GPUs:  gpusFromProto(p.GetGpus()), GPUNote: p.GetGpuNote(), Labels: p.GetLabels(),
		},
		Connected: p.GetConnected(), Draining: p.GetDraining(), Running: int(p.GetRunning()), Aside: p.GetAside(),
	}
}

// StreamToProto and StreamFromProto convert the name of an output stream.
func StreamToProto(name string) pb.LogStream {
	switch name {
	case Stdout:
		return pb.LogStream_LOG_STREAM_STDOUT
	case Stderr:
		return pb.LogStream_LOG_STREAM_STDERR
	}
	return pb.LogStream_LOG_STREAM_UNSPECIFIED
}

// StreamFromProto is the inverse of StreamToProto.
func StreamFromProto(s pb.LogStream) (string, error) {
	switch s {
	case pb.LogStream_LOG_STREAM_STDOUT:
		return Stdout, nil
	case pb.LogStream_LOG_STREAM_STDERR:
		return Stderr, nil
	}
	return "", fmt.Errorf("%w: unknown output stream %v", sweeps.ErrInvalid, s)
}

// WorkerMessageToProto and WorkerMessageFromProto convert what a worker says.
func WorkerMessageToProto(m WorkerMessage) *pb.SessionRequest {
	switch m := m.(type) {
	case Hello:
		h := &pb.Hello{
			WorkerId: string(m.Worker.ID), Name: m.Worker.Name, Slots: int32(m.Worker.Slots),
			Total: ResourcesToProto(m.Worker.Total), Version: m.Version, Prefetch: int32(m.Worker.Prefetch), Burst: int32(m.Worker.Burst), Hold: m.Hold,
			Gpus: gpusToProto(m.Worker.GPUs), GpuNote: m.Worker.GPUNote, Labels: m.Worker.Labels, Home: m.Home,
		}
		if a := m.Worker.Agent; a != (sweeps.Agent{}) {
			h.Agent = &pb.Agent{Place: a.Place, File: a.File, Host: a.Host, Pid: int64(a.PID)}
		}
		for _, r := range m.Attempts {
			h.Attempts = append(h.Attempts, RefToProto(r))
			if shares := m.GPUs[r]; len(shares) > 0 {
				h.Held = append(h.Held, &pb.Held{Ref: RefToProto(r), Gpus: sharesToProto(shares)})
			}
		}
		return &pb.SessionRequest{Message: &pb.SessionRequest_Hello{Hello: h}}
	case Offer:
		return &pb.SessionRequest{Message: &pb.SessionRequest_Offer{Offer: &pb.Offer{Gpus: gpusToProto(m.GPUs), GpuNote: m.Note}}}
	case Heartbeat:
		return &pb.SessionRequest{Message: &pb.SessionRequest_Heartbeat{Heartbeat: &pb.Heartbeat{}}}
	case Started:
		return &pb.SessionRequest{Message: &pb.SessionRequest_Started{Started: &pb.Started{Ref: RefToProto(m.Ref), Ago: durationpb.New(m.Ago)}}}
	case Points:
		p := &pb.Points{Ref: RefToProto(m.Ref), First: m.First, Points: make([]*pb.Point, len(m.Points))}
		for i, x := range m.Points {
			p.Points[i] = PointToProto(x)
		}
		return &pb.SessionRequest{Message: &pb.SessionRequest_Points{Points: p}}
	case LogChunk:
		return &pb.SessionRequest{Message: &pb.SessionRequest_Log{Log: &pb.LogChunk{
			Ref: RefToProto(m.Ref), Stream: StreamToProto(m.Stream), Offset: m.Offset, Data: m.Data,
		}}}
	case Exited:
		return &pb.SessionRequest{Message: &pb.SessionRequest_Exited{Exited: &pb.Exited{
			Ref: RefToProto(m.Ref), Outcome: OutcomeToProto(m.Outcome), Ran: durationpb.New(m.Ran), Ago: durationpb.New(m.Ago),
		}}}
	case Returned:
		return &pb.SessionRequest{Message: &pb.SessionRequest_Returned{Returned: &pb.Returned{Ref: RefToProto(m.Ref)}}}
	case Hold:
		return &pb.SessionRequest{Message: &pb.SessionRequest_Hold{Hold: &pb.Hold{Reason: m.Reason}}}
	case Drain:
		return &pb.SessionRequest{Message: &pb.SessionRequest_Drain{Drain: &pb.Drain{}}}
	}
	return &pb.SessionRequest{}
}

// WorkerMessageFromProto is the inverse of WorkerMessageToProto. An error wraps
// sweeps.ErrInvalid.
func WorkerMessageFromProto(p *pb.SessionRequest) (WorkerMessage, error) {
	switch m := p.GetMessage().(type) {
	case *pb.SessionRequest_Hello:
		h := Hello{
			Worker: sweeps.Worker{
				ID: sweeps.WorkerID(m.Hello.GetWorkerId()), Name: m.Hello.GetName(),
				Slots: int(m.Hello.GetSlots()), Prefetch: int(m.Hello.GetPrefetch()), Burst: int(m.Hello.GetBurst()), Total: ResourcesFromProto(m.Hello.GetTotal()),
				GPUs: gpusFromProto(m.Hello.GetGpus()), GPUNote: m.Hello.GetGpuNote(), Labels: m.Hello.GetLabels(),
				Agent: sweeps.Agent{
					Place: m.Hello.GetAgent().GetPlace(), File: m.Hello.GetAgent().GetFile(),
					Host: m.Hello.GetAgent().GetHost(), PID: int(m.Hello.GetAgent().GetPid()),
				},
			},
			Version: m.Hello.GetVersion(), Hold: m.Hello.GetHold(), Home: m.Hello.GetHome(),
		}
		for _, r := range m.Hello.GetAttempts() {
			h.Attempts = append(h.Attempts, RefFromProto(r))
		}
		for _, x := range m.Hello.GetHeld() {
			if h.GPUs == nil {
				h.GPUs = map[sweeps.AttemptRef][]sweeps.GPUShare{}
			}
			h.GPUs[RefFromProto(x.GetRef())] = sharesFromProto(x.GetGpus())
		}
		return h, nil
	case *pb.SessionRequest_Offer:
		return Offer{gpusFromProto(m.Offer.GetGpus()), m.Offer.GetGpuNote()}, nil
	case *pb.SessionRequest_Heartbeat:
		return Heartbeat{}, nil
	case *pb.SessionRequest_Started:
		return Started{RefFromProto(m.Started.GetRef()), m.Started.GetAgo().AsDuration()}, nil
	case *pb.SessionRequest_Points:
		x := Points{Ref: RefFromProto(m.Points.GetRef()), First: m.Points.GetFirst()}
		for _, q := range m.Points.GetPoints() {
			x.Points = append(x.Points, PointFromProto(q))
		}
		return x, nil
	case *pb.SessionRequest_Log:
		stream, err := StreamFromProto(m.Log.GetStream())
		if err != nil {
			return nil, err
		}
		return LogChunk{RefFromProto(m.Log.GetRef()), stream, m.Log.GetOffset(), m.Log.GetData()}, nil
	case *pb.SessionRequest_Exited:
		out, err := OutcomeFromProto(m.Exited.GetOutcome())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", sweeps.ErrInvalid, err)
		}
		return Exited{RefFromProto(m.Exited.GetRef()), out, m.Exited.GetRan().AsDuration(), m.Exited.GetAgo().AsDuration()}, nil
	case *pb.SessionRequest_Returned:
		return Returned{RefFromProto(m.Returned.GetRef())}, nil
	case *pb.SessionRequest_Hold:
		return Hold{m.Hold.GetReason()}, nil
	case *pb.SessionRequest_Drain:
		return Drain{}, nil
	}
	return nil, fmt.Errorf("%w: a message of an unknown kind from the worker: is it newer than the coordinator?", sweeps.ErrInvalid)
}

// CoordinatorMessageToProto and CoordinatorMessageFromProto convert what the
// coordinator says.
func CoordinatorMessageToProto(m CoordinatorMessage) *pb.SessionResponse {
	switch m := m.(type) {
	case Welcome:
		return &pb.SessionResponse{Message: &pb.SessionResponse_Welcome{Welcome: &pb.Welcome{
			Heartbeat: durationpb.New(m.Heartbeat), Lease: durationpb.New(m.Lease), Home: m.Home,
		}}}
	case Start:
		start := &pb.Start{
			Ref: RefToProto(m.Ref), TrialId: string(m.TrialID), ParamsJson: m.Params.JSON(),
			SweepName: m.SweepName, Source: m.Source, File: m.File, WorkDir: m.WorkDir, Gpus: sharesToProto(m.GPUs),
		}
		if m.From != nil {
			start.From = checkpointToProto(*m.From)
		}
		return &pb.SessionResponse{Message: &pb.SessionResponse_Start{Start: start}}
	case Stop:
		return &pb.SessionResponse{Message: &pb.SessionResponse_Stop{Stop: &pb.Stop{Ref: RefToProto(m.Ref)}}}
	case Recall:
		return &pb.SessionResponse{Message: &pb.SessionResponse_Recall{Recall: &pb.Recall{Ref: RefToProto(m.Ref)}}}
	case Forget:
		return &pb.SessionResponse{Message: &pb.SessionResponse_Forget{Forget: &pb.Forget{Ref: RefToProto(m.Ref)}}}
	case PointsAck:
		return &pb.SessionResponse{Message: &pb.SessionResponse_PointsAck{PointsAck: &pb.PointsAck{
			Ref: RefToProto(m.Ref), Next: m.Next,
		}}}
	case LogAck:
		return &pb.SessionResponse{Message: &pb.SessionResponse_LogAck{LogAck: &pb.LogAck{
			Ref: RefToProto(m.Ref), Stream: StreamToProto(m.Stream), Next: m.Next,
		}}}
	}
	return &pb.SessionResponse{}
}

// CoordinatorMessageFromProto is the inverse of CoordinatorMessageToProto. An error
// wraps sweeps.ErrInvalid.
func CoordinatorMessageFromProto(p *pb.SessionResponse) (CoordinatorMessage, error) {
	switch m := p.GetMessage().(type) {
	case *pb.SessionResponse_Welcome:
		return Welcome{m.Welcome.GetHeartbeat().AsDuration(), m.Welcome.GetLease().AsDuration(), m.Welcome.GetHome()}, nil
	case *pb.SessionResponse_Start:
		params, err := sweeps.ParamsFromJSON(m.Start.GetParamsJson())
		if err != nil {
			return nil, fmt.Errorf("%w: parameters of a trial to start: %w", sweeps.ErrInvalid, err)
		}
		start := Start{
			Ref: RefFromProto(m.Start.GetRef()), TrialID: sweeps.TrialID(m.Start.GetTrialId()), Params: params,
			SweepName: m.Start.GetSweepName(), Source: m.Start.GetSource(), File: m.Start.GetFile(), WorkDir: m.Start.GetWorkDir(),
			GPUs: sharesFromProto(m.Start.GetGpus()),
		}
		if m.Start.From != nil {
			from := checkpointFromProto(m.Start.From)
			start.From = &from
		}
		return start, nil
	case *pb.SessionResponse_Stop:
		return Stop{RefFromProto(m.Stop.GetRef())}, nil
	case *pb.SessionResponse_Recall:
		return Recall{RefFromProto(m.Recall.GetRef())}, nil
	case *pb.SessionResponse_Forget:
		return Forget{RefFromProto(m.Forget.GetRef())}, nil
	case *pb.SessionResponse_PointsAck:
		return PointsAck{RefFromProto(m.PointsAck.GetRef()), m.PointsAck.GetNext()}, nil
	case *pb.SessionResponse_LogAck:
		stream, err := StreamFromProto(m.LogAck.GetStream())
		if err != nil {
			return nil, err
		}
		return LogAck{RefFromProto(m.LogAck.GetRef()), stream, m.LogAck.GetNext()}, nil
	}
	return nil, fmt.Errorf("%w: a message of an unknown kind from the coordinator: is it newer than this program?", sweeps.ErrInvalid)
}
