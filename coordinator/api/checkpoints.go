package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc"

	"swath/coordinator"
	pb "swath/proto/swath/v1"
	"swath/proto/wire"
	"swath/sweeps"
)

// checkpointService moves checkpoints.
type checkpointService struct {
	pb.UnimplementedCheckpointServiceServer
	c *coordinator.Coordinator
}

// readChunk is how much of a file a message carries.
const readChunk = 128 << 10

func (s *checkpointService) UploadCheckpoint(stream grpc.BidiStreamingServer[pb.UploadCheckpointRequest, pb.UploadCheckpointResponse]) error {
	err := s.upload(stream)
	if errors.Is(err, coordinator.ErrRefused) {
		reason := strings.TrimPrefix(err.Error(), coordinator.ErrRefused.Error()+": ")
		return stream.Send(&pb.UploadCheckpointResponse{Message: &pb.UploadCheckpointResponse_Refused{Refused: reason}})
	}
	return err
}

func (s *checkpointService) upload(stream grpc.BidiStreamingServer[pb.UploadCheckpointRequest, pb.UploadCheckpointResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	begin := first.GetBegin()
	if begin == nil {
		return fmt.Errorf("%w: an upload begins with what it brings", sweeps.ErrInvalid)
	}
	u, err := s.c.Upload(sweeps.WorkerID(begin.GetWorkerId()), wire.RefFromProto(begin.GetRef()), wire.CheckpointFromProto(begin.GetCheckpoint()))
	if err != nil {
		return err
	}
	defer u.Close()
	offset := u.Have()
	if err := stream.Send(&pb.UploadCheckpointResponse{Message: &pb.UploadCheckpointResponse_Have{Have: offset}}); err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := u.Write(offset, m.GetData()); err != nil {
			return err
		}
		offset += int64(len(m.GetData()))
	}
	if err := u.Finish(stream.Context()); err != nil {
		return err
	}
	return stream.Send(&pb.UploadCheckpointResponse{Message: &pb.UploadCheckpointResponse_Recorded{Recorded: true}})
}

func (s *checkpointService) ReadCheckpoint(r *pb.ReadCheckpointRequest, stream grpc.ServerStreamingServer[pb.ReadCheckpointResponse]) error {
	for offset := r.GetOffset(); ; {
		data, err := s.c.ReadCheckpoint(r.GetDigest(), offset, readChunk)
		if err != nil || len(data) == 0 {
			return err
		}
		if err := stream.Send(&pb.ReadCheckpointResponse{Data: data}); err != nil {
			return err
		}
		offset += int64(len(data))
	}
}

func (s *checkpointService) ListCheckpoints(_ context.Context, r *pb.ListCheckpointsRequest) (*pb.ListCheckpointsResponse, error) {
	list, err := s.c.Checkpoints(r.GetSweep(), r.GetTrial())
	if err != nil {
		return nil, err
	}
	out := &pb.ListCheckpointsResponse{}
	for _, k := range list {
		out.Checkpoints = append(out.Checkpoints, &pb.ListedCheckpoint{
			Checkpoint: wire.KeptToProto(k.KeptCheckpoint), TrialId: string(k.Trial), Last: k.Last, Best: k.Best,
		})
	}
	return out, nil
}
