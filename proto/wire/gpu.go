package wire

import (
	pb "swath/proto/swath/v1"
	"swath/sweeps"
)

func gpusToProto(list []sweeps.GPU) []*pb.Gpu {
	var out []*pb.Gpu
	for _, g := range list {
		out = append(out, &pb.Gpu{Id: g.ID, Index: int32(g.Index), Model: g.Model, Memory: g.Memory, Busy: g.Busy})
	}
	return out
}

func gpusFromProto(list []*pb.Gpu) []sweeps.GPU {
	var out []sweeps.GPU
	for _, g := range list {
		out = append(out, sweeps.GPU{ID: g.GetId(), Index: int(g.GetIndex()), Model: g.GetModel(), Memory: g.GetMemory(), Busy: g.GetBusy()})
	}
	return out
}

func sharesToProto(list []sweeps.GPUShare) []*pb.GpuShare {
	var out []*pb.GpuShare
	for _, s := range list {
		out = append(out, &pb.GpuShare{Gpu: s.GPU, Part: int32(s.Part), Memory: s.Memory})
	}
	return out
}

func sharesFromProto(list []*pb.GpuShare) []sweeps.GPUShare {
	var out []sweeps.GPUShare
	for _, s := range list {
		out = append(out, sweeps.GPUShare{GPU: s.GetGpu(), Part: int(s.GetPart()), Memory: s.GetMemory()})
	}
	return out
}
