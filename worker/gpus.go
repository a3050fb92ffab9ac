package worker

import (
	"math"
	"strconv"
	"strings"
	"sync"
)

// gpus says which attempt uses which of the worker's GPUs. The coordinator counts GPUs
// as a sum; which devices those are, is decided here.
type gpus struct {
	mu      sync.Mutex
	devices []device
}

type device struct {
	name string  // as CUDA_VISIBLE_DEVICES wants it
	free float64 // of 1, or of what is offered of the last one
}

// share is a part of a device.
type share struct {
	device int
	amount float64
}

// slack lets ten tenths of a GPU be a GPU.
const slack = 1e-9

// newGPUs makes the devices of a worker that offers n GPUs. visible is the worker's own
// CUDA_VISIBLE_DEVICES, by which somebody gave it only some of the machine's; where it
// is empty the devices are 0, 1, ….
func newGPUs(n float64, visible string) *gpus {
	g := &gpus{}
	var names []string
	if visible != "" {
		names = strings.Split(visible, ",")
	}
	for i := 0; float64(i) < n-slack; i++ {
		name := strconv.Itoa(i)
		if i < len(names) {
			name = strings.TrimSpace(names[i])
		}
		g.devices = append(g.devices, device{name, math.Min(1, n-float64(i))})
	}
	return g
}

// none reports whether the worker offers no GPU.
func (g *gpus) none() bool { return len(g.devices) == 0 }

// take takes whole devices for the whole part of a request and a share of one more for
// the rest, on the fullest device that still has room, so that whole ones stay whole.
// Where no device has room, because the free shares are scattered or the coordinator
// sent more than fits, it takes the emptiest one nevertheless, and fits is false.
func (g *gpus) take(need float64) (taken []share, fits bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	fits = true
	used := make([]bool, len(g.devices))
	for need > slack && len(taken) < len(g.devices) {
		amount := math.Min(1, need)
		best := -1
		for i, d := range g.devices {
			if used[i] {
				continue
			}
			room, bestRoom := d.free+slack >= amount, best >= 0 && g.devices[best].free+slack >= amount
			switch {
			case best < 0, room && !bestRoom,
				room && d.free < g.devices[best].free,
				!room && !bestRoom && d.free > g.devices[best].free:
				best = i
			}
		}
		fits = fits && g.devices[best].free+slack >= amount
		used[best] = true
		g.devices[best].free -= amount
		taken = append(taken, share{best, amount})
		need -= amount
	}
	return taken, fits && need <= slack
}

// give gives back what was taken.
func (g *gpus) give(taken []share) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range taken {
		g.devices[s.device].free += s.amount
	}
}

// names returns the shares by the devices' names.
func (g *gpus) names(taken []share) map[string]float64 {
	list := map[string]float64{}
	for _, s := range taken {
		list[g.devices[s.device].name] += s.amount
	}
	return list
}

// retake takes the shares that an attempt had under an earlier agent. Devices that are
// not the worker's any more are left out.
func (g *gpus) retake(names map[string]float64) (taken []share) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.devices {
		if amount := names[g.devices[i].name]; amount > 0 {
			g.devices[i].free -= amount
			taken = append(taken, share{i, amount})
		}
	}
	return taken
}

// env returns the variables that show a process the devices that were taken for it and
// no others. A worker that offers no GPU leaves the variables as they are.
func (g *gpus) env(taken []share) []string {
	if g.none() {
		return nil
	}
	names := make([]string, len(taken))
	for i, s := range taken {
		names[i] = g.devices[s.device].name
	}
	list := strings.Join(names, ",")
	return []string{
		"CUDA_DEVICE_ORDER=PCI_BUS_ID", // the order of nvidia-smi; CUDA's own is by speed
		"CUDA_VISIBLE_DEVICES=" + list,
		"HIP_VISIBLE_DEVICES=" + list,
	}
}
