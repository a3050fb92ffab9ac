package sweeps

import "fmt"

// Resources are what a trial takes and a worker offers, beside its slots.
type Resources struct {
	CPUs   float64 // cores
	GPUs   float64 // devices; a fraction is a share of one device
	Memory int64   // bytes
}

// Add returns r + x.
func (r Resources) Add(x Resources) Resources {
	return Resources{CPUs: r.CPUs + x.CPUs, GPUs: r.GPUs + x.GPUs, Memory: r.Memory + x.Memory}
}

// Sub returns r - x.
func (r Resources) Sub(x Resources) Resources {
	return Resources{CPUs: r.CPUs - x.CPUs, GPUs: r.GPUs - x.GPUs, Memory: r.Memory - x.Memory}
}

// Fits reports whether a request of need fits into r. Sums of fractions are compared
// with a little slack, so that ten tenths of a GPU are a GPU.
func (r Resources) Fits(need Resources) bool {
	const slack = 1e-9
	return need.CPUs <= r.CPUs+slack && need.GPUs <= r.GPUs+slack && need.Memory <= r.Memory
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
	if r.Memory != 0 {
		add("memory %.4g GiB", float64(r.Memory)/(1<<30))
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
	Total    Resources
}
