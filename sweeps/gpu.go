package sweeps

import (
	"fmt"
	"math"
)

// GPU is a device of a worker, or a part of one that the driver shows as a device.
type GPU struct {
	// ID is what the variables that show devices to a process call it by, such as
	// GPU-8f2c….
	ID     string
	Index  int    // its number in the order of the PCI bus, as nvidia-smi counts
	Model  string // such as "NVIDIA H100 80GB HBM3"; empty if it is not known
	Memory int64  // bytes; 0 if it is not known
	// Busy says who else uses the device, for which it is given to no trial; empty if
	// it is offered.
	Busy string
}

// GPUShare is what a trial has of a device.
type GPUShare struct {
	GPU    string // the device's ID
	Part   int    // millionths of the device: whole numbers, whose sums do not depend on the order
	Memory int64  // bytes of its memory; 0 if it is not known
}

// WholeGPU is the part that is all of a device.
const WholeGPU = 1_000_000

// WantsGPU reports whether the request is for a device, or a share of one.
func (r Resources) WantsGPU() bool { return r.GPUs > 0 || r.GPUMemory > 0 }

// GPUCount is the number of devices that the request is for. A share is of one.
func (r Resources) GPUCount() int {
	if r.GPUs > 1 {
		return int(math.Round(r.GPUs))
	}
	if r.WantsGPU() {
		return 1
	}
	return 0
}

// ShareOf returns what the request takes of each device that it gets, if it were this one:
// all of it for gpus of 1 or more; the share of it, and as much of its memory unless
// gpu_memory says how much, for gpus below 1; and for gpu_memory alone so much memory and
// that part of the device. Whether that much is there is another question: [GPUShare.In].
func (r Resources) ShareOf(g GPU) GPUShare {
	s := GPUShare{GPU: g.ID, Part: WholeGPU, Memory: g.Memory}
	switch {
	case r.GPUs >= 1:
	case r.GPUs > 0:
		s.Part = max(1, int(math.Round(r.GPUs*WholeGPU)))
		if s.Memory = r.GPUMemory; s.Memory == 0 {
			s.Memory = int64(r.GPUs * float64(g.Memory))
		}
	default:
		s.Memory = r.GPUMemory
		if g.Memory > 0 {
			// Rounded down: three thirds of the memory fit, and the memory is counted anyway.
			s.Part = min(WholeGPU, max(1, int(float64(r.GPUMemory)/float64(g.Memory)*WholeGPU)))
		}
	}
	return s
}

// In reports whether the request can be met by the device where used is in use of it.
func (s GPUShare) In(g GPU, used GPUShare, needs Resources) bool {
	if needs.GPUMemory > g.Memory {
		return false // also where it is not known how much there is
	}
	return used.Part+s.Part <= WholeGPU && used.Memory+s.Memory <= g.Memory
}

// Lacks says what of a request an idle worker does not have, as in "gpus 2", and what it
// has instead, as in "1"; both are empty if the request fits. Devices that others use
// count: they may be given back.
func (w Worker) Lacks(needs Resources) (asked, has string) {
	const slack = 1e-9
	switch {
	case needs.CPUs > w.Total.CPUs+slack:
		return fmt.Sprintf("cpus %g", needs.CPUs), fmt.Sprintf("%g", w.Total.CPUs)
	case needs.Memory > w.Total.Memory:
		return "memory " + FormatBytes(needs.Memory), FormatBytes(w.Total.Memory)
	case !needs.WantsGPU():
		return "", ""
	}
	fit, most := 0, int64(0)
	for _, g := range w.GPUs {
		if needs.ShareOf(g).In(g, GPUShare{}, needs) {
			fit++
		}
		most = max(most, g.Memory)
	}
	n := needs.GPUCount()
	switch {
	case fit >= n:
		return "", ""
	case len(w.GPUs) == 0:
		return Resources{GPUs: needs.GPUs, GPUMemory: needs.GPUMemory}.String(), "no GPU"
	case len(w.GPUs) < n:
		return fmt.Sprintf("gpus %g", needs.GPUs), fmt.Sprint(len(w.GPUs))
	case n > 1:
		return fmt.Sprintf("gpus %d with gpu_memory %s", n, FormatBytes(needs.GPUMemory)), fmt.Sprintf("%d such", fit)
	case most == 0:
		return "gpu_memory " + FormatBytes(needs.GPUMemory), "GPUs whose driver does not tell their memory"
	default:
		return "gpu_memory " + FormatBytes(needs.GPUMemory), FormatBytes(most) + " on a GPU"
	}
}

// FormatBytes prints an amount of memory, as in "10 GiB".
func FormatBytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.4g GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}
