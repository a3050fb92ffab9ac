package wire

import (
	"context"
	"errors"
	"fmt"
	"io"

	pb "swath/proto/swath/v1"
	"swath/sweeps"
)

// checkpointToProto and checkpointFromProto convert a checkpoint's record.
func checkpointToProto(c sweeps.Checkpoint) *pb.Checkpoint {
	return &pb.Checkpoint{
		Attempt: int32(c.Attempt), Step: c.Step, Digest: c.Digest, Size: c.Size, Value: c.Value, Saved: stamp(c.Saved),
	}
}

func checkpointFromProto(p *pb.Checkpoint) sweeps.Checkpoint {
	return sweeps.Checkpoint{
		Attempt: int(p.GetAttempt()), Step: p.GetStep(), Digest: p.GetDigest(), Size: p.GetSize(),
		Value: p.GetValue(), Saved: unstamp(p.GetSaved()),
	}
}

// CheckpointFromProto converts the record of a checkpoint that is being uploaded.
func CheckpointFromProto(p *pb.Checkpoint) sweeps.Checkpoint { return checkpointFromProto(p) }

// KeptToProto converts a checkpoint with its trial's index.
func KeptToProto(k sweeps.KeptCheckpoint) *pb.KeptCheckpoint {
	return &pb.KeptCheckpoint{Index: k.Index, Checkpoint: checkpointToProto(k.Checkpoint)}
}

func keptToProto(list []sweeps.KeptCheckpoint) []*pb.KeptCheckpoint {
	var out []*pb.KeptCheckpoint
	for _, k := range list {
		out = append(out, KeptToProto(k))
	}
	return out
}

func keptFromProto(list []*pb.KeptCheckpoint) []sweeps.KeptCheckpoint {
	var out []sweeps.KeptCheckpoint
	for _, p := range list {
		out = append(out, sweeps.KeptCheckpoint{Index: p.GetIndex(), Checkpoint: checkpointFromProto(p.GetCheckpoint())})
	}
	return out
}

func checkpointsToProto(list []sweeps.Checkpoint) []*pb.Checkpoint {
	var out []*pb.Checkpoint
	for _, c := range list {
		out = append(out, checkpointToProto(c))
	}
	return out
}

func checkpointsFromProto(list []*pb.Checkpoint) []sweeps.Checkpoint {
	var out []sweeps.Checkpoint
	for _, p := range list {
		out = append(out, checkpointFromProto(p))
	}
	return out
}

// ListedCheckpoint is a checkpoint that is kept, and why it is.
type ListedCheckpoint struct {
	sweeps.KeptCheckpoint
	Trial      sweeps.TrialID
	Last, Best bool
}

// Checkpoints lists what is kept of a sweep; or of a trial, if trial is not empty.
func (c *Client) Checkpoints(ctx context.Context, sweep, trial string) ([]ListedCheckpoint, error) {
	r, err := c.checkpoints.ListCheckpoints(ctx, &pb.ListCheckpointsRequest{Sweep: sweep, Trial: trial})
	if err != nil {
		return nil, c.explain(err)
	}
	var list []ListedCheckpoint
	for _, p := range r.GetCheckpoints() {
		list = append(list, ListedCheckpoint{
			KeptCheckpoint: sweeps.KeptCheckpoint{Index: p.GetCheckpoint().GetIndex(), Checkpoint: checkpointFromProto(p.GetCheckpoint().GetCheckpoint())},
			Trial:          sweeps.TrialID(p.GetTrialId()), Last: p.GetLast(), Best: p.GetBest(),
		})
	}
	return list, nil
}

// ReadCheckpoint writes a checkpoint's file to w, from an offset on.
func (c *Client) ReadCheckpoint(ctx context.Context, digest string, offset int64, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.checkpoints.ReadCheckpoint(ctx, &pb.ReadCheckpointRequest{Digest: digest, Offset: offset})
	if err != nil {
		return c.explain(err)
	}
	return each(c, stream, func(r *pb.ReadCheckpointResponse) (bool, error) {
		_, err := w.Write(r.GetData())
		return true, err
	})
}

// uploadChunk is how much of a checkpoint is sent in a message: little enough that other
// calls on the connection get their turn between two.
const uploadChunk = 128 << 10

// UploadCheckpoint brings the checkpoint of an attempt, whose file is read from r, and
// returns when it is durable and recorded. moved is called as it goes on. Refused is why it
// is not wanted; empty for one that was recorded.
func (c *Client) UploadCheckpoint(ctx context.Context, worker sweeps.WorkerID, ref sweeps.AttemptRef, ckpt sweeps.Checkpoint, r io.ReaderAt, moved func()) (refused string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.checkpoints.UploadCheckpoint(ctx)
	if err != nil {
		return "", c.explain(err)
	}
	// An error of Send is io.EOF, and Recv then tells what happened.
	begin := &pb.BeginUpload{WorkerId: string(worker), Ref: RefToProto(ref), Checkpoint: checkpointToProto(ckpt)}
	if err := stream.Send(&pb.UploadCheckpointRequest{Message: &pb.UploadCheckpointRequest_Begin{Begin: begin}}); err != nil && !errors.Is(err, io.EOF) {
		return "", c.explain(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		return "", c.explain(err)
	}
	if text := answer.GetRefused(); text != "" {
		return text, nil
	}
	buf := make([]byte, uploadChunk)
	for offset := answer.GetHave(); offset < ckpt.Size; {
		n, err := r.ReadAt(buf[:min(int64(len(buf)), ckpt.Size-offset)], offset)
		if n == 0 && err != nil {
			return "", fmt.Errorf("read the checkpoint to upload: %w", err)
		}
		err = stream.Send(&pb.UploadCheckpointRequest{Message: &pb.UploadCheckpointRequest_Data{Data: buf[:n]}})
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", c.explain(err)
		}
		offset += int64(n)
		moved()
	}
	if err := stream.CloseSend(); err != nil {
		return "", c.explain(err)
	}
	answer, err = stream.Recv()
	if err != nil {
		return "", c.explain(err)
	}
	if text := answer.GetRefused(); text != "" {
		return text, nil
	}
	if !answer.GetRecorded() {
		return "", fmt.Errorf("%w: the coordinator's answer to an upload is %v", sweeps.ErrInvalid, answer)
	}
	return "", nil
}
