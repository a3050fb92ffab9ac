package sweeps

import "fmt"

// Resources are what a trial takes and a worker offers, beside its slots.
type Resources struct {
	CPUs float64 // cores
	// GPUs is how many devices: a whole number, or a share of one below 1. GPUMemory is
	// how many bytes each of them must have; with a share, or without GPUs, how many of
	// its memory the trial takes. A worker's are in Worker.GPUs.
	GPUs      float64
	GPUMemory int64
	Memory    int64 // bytes
}

// Add returns r + x, of what can be added: devices are not a sum.
func (r Resources) Add(x Resources) Resources {
	return Resources{CPUs: r.CPUs + x.CPUs, Memory: r.Memory + x.Memory}
}

// Sub returns r - x, of what can be added.
func (r Resources) Sub(x Resources) Resources {
	return Resources{CPUs: r.CPUs - x.CPUs, Memory: r.Memory - x.Memory}
}

// Fits reports whether a request of need fits into r, but for GPUs. Sums of fractions are
// compared with a little slack, so that ten tenths of a core are a core.
func (r Resources) Fits(need Resources) bool {
	const slack = 1e-9
	return need.CPUs <= r.CPUs+slack && need.Memory <= r.Memory
}

// IsZero reports whether nothing is asked for or offered.
func (r Resources) IsZero() bool { return r == Resources{} }

// String prints the resources that are not zero, as in "cpus 4, gpus 0.5".
func (r Resources) String() string {
	s := ""
	add := func(format string, v any) {
		if s != "" {
			s += ", "
		}
		s += fmt.Sprintf(format, v)
	}
	if r.CPUs != 0 {
		add("cpus %g", r.CPUs)
	}
	if r.GPUs != 0 {
		add("gpus %g", r.GPUs)
	}
	if r.GPUMemory != 0 {
		add("gpu_memory %s", FormatBytes(r.GPUMemory))
	}
	if r.Memory != 0 {
		add("memory %s", FormatBytes(r.Memory))
	}
	if s == "" {
		return "nothing"
	}
	return s
}

// Worker is what the dispatcher knows of a worker that presented itself.
type Worker struct {
	ID    WorkerID
	Name  string // the host's name unless the user chose one
	Slots int    // trials that may run at a time
	// Prefetch is how many trials beyond its slots it takes, to start them the moment a
	// slot falls free.
	Prefetch int
	// Burst is how many it takes instead, at most, while its trials end within moments. What
	// is no more than Prefetch says nothing.
	Burst int
	// Total are its cores and its memory.
	Total Resources
	// GPUs are its devices, by index.
	GPUs []GPU
	// GPUNote says why there are fewer than one might think: the driver does not answer,
	// say. Empty if nothing is to be said.
	GPUNote string
	// Labels are what sweeps may ask for in requires; os, arch, host and, where there is
	// one, gpu are there always.
	Labels map[string]string
	// Agent is the process that speaks as the worker; the zero value if it does not say.
	Agent Agent
}

// Agent is a process that speaks as a worker.
type Agent struct {
	// Place is where the worker's identity is kept: the same for all agents that have that folder
	// one after the other, until the machine is booted anew, and no copy's. Empty if it is not known.
	Place string
	File  string // which file keeps it; this and what follows are for people
	Host  string
	PID   int
}
