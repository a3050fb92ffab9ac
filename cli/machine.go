package cli

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"

	"swath/sweeps"
	"swath/worker/gpu"
)

// machine is what a worker on this machine offers.
type machine struct {
	total  sweeps.Resources
	gpus   gpu.Set
	labels map[string]string
}

// machineResources are this machine's cores and memory.
func machineResources() sweeps.Resources {
	return sweeps.Resources{CPUs: float64(runtime.NumCPU()), Memory: memory()}
}

// thisMachine finds out what this machine has, and adds what the user says of it. Labels
// are NAME=VALUE; those that are there anyway may be replaced.
func (a *app) thisMachine(ctx context.Context) (machine, error) {
	set, err := gpu.Find(ctx, a.cfg.GPUs, os.LookupEnv)
	if err != nil {
		return machine{}, err
	}
	m := machine{total: machineResources(), gpus: set, labels: map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH}}
	if host, err := os.Hostname(); err == nil {
		m.labels["host"] = host
	}
	if len(set.Devices) > 0 && set.Devices[0].Model != "" {
		m.labels["gpu"] = set.Devices[0].Model
	}
	if !a.cfg.slotsGiven {
		a.cfg.Slots = max(a.cfg.Slots, len(set.Devices)) // no GPU is idle for want of a slot
	}
	for _, l := range a.cfg.Labels {
		name, value, _ := strings.Cut(l, "=")
		m.labels[name] = value
	}
	return m, nil
}

// worker is the machine as the dispatcher would see it, with so many slots.
func (m machine) worker(slots int) sweeps.Worker {
	w := sweeps.Worker{Slots: slots, Total: m.total, Labels: m.labels}
	for _, d := range m.gpus.Devices {
		w.GPUs = append(w.GPUs, d.GPU)
	}
	return w
}

// memory is the machine's memory in bytes; 0 where the system does not tell.
func memory() int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}
