package dispatch

import (
	"fmt"
	"slices"
	"strings"

	"swath/sweeps"
)

// Which devices a trial gets is decided here, and told with Start: so shares do not
// scatter, and no two sides count differently. For this, trials that ask for a GPU are not
// queued: a device that falls free is theirs only when the dispatcher knows of it, and the
// milliseconds in between are nothing to a trainer that has a device to set up.
//
// What each trial has is kept with the worker (worker.places), in memory only. A worker
// that presents itself says it anew.

// place chooses devices for a request; ok is false if there are none. Whole devices are
// the smallest that do, a share goes where the least is left beside it, so that what is
// large and whole stays so; of equal ones the first.
func (w *worker) place(needs sweeps.Resources) (shares []sweeps.GPUShare, ok bool) {
	n := needs.GPUCount()
	if n == 0 {
		return nil, true
	}
	type candidate struct {
		share        sweeps.GPUShare
		part         int   // left of the device beside it
		free, memory int64 // likewise; of it in all
	}
	var list []candidate
	used := w.load()
	for _, g := range w.GPUs {
		share, u := needs.ShareOf(g), used[g.ID]
		if g.Busy == "" && share.In(g, u, needs) {
			list = append(list, candidate{share, sweeps.WholeGPU - u.Part - share.Part, g.Memory - u.Memory - share.Memory, g.Memory})
		}
	}
	if len(list) < n {
		return nil, false
	}
	slices.SortStableFunc(list, func(a, b candidate) int {
		if c := a.part - b.part; c != 0 {
			return c
		}
		if a.free != b.free {
			return sign(a.free - b.free)
		}
		return sign(a.memory - b.memory)
	})
	for _, c := range list[:n] {
		shares = append(shares, c.share)
	}
	return shares, true
}

func sign(x int64) int {
	switch {
	case x < 0:
		return -1
	case x > 0:
		return 1
	}
	return 0
}

// load is what the worker's trials use of each device.
func (w *worker) load() map[string]sweeps.GPUShare {
	used := make(map[string]sweeps.GPUShare, len(w.GPUs))
	for _, shares := range w.places {
		for _, s := range shares {
			u := used[s.GPU]
			u.Part += s.Part
			u.Memory += s.Memory
			used[s.GPU] = u
		}
	}
	return used
}

// settleIn gives a trial that is on the worker its devices; ok is false if they are not
// free.
func (w *worker) settleIn(t *sweeps.Trial, needs sweeps.Resources) (ok bool) {
	shares, ok := w.place(needs)
	if len(shares) > 0 {
		w.occupy(t.TrialKey, shares)
	}
	return ok
}

// couldPlace reports whether a trial that asks for this can have these devices.
func (w *worker) couldPlace(shares []sweeps.GPUShare, needs sweeps.Resources) bool {
	used := w.load()
	for _, share := range shares {
		i := slices.IndexFunc(w.GPUs, func(g sweeps.GPU) bool { return g.ID == share.GPU })
		if i >= 0 && !share.In(w.GPUs[i], used[share.GPU], needs) {
			return false
		}
	}
	return len(shares) == needs.GPUCount()
}

// occupy notes what a trial has.
func (w *worker) occupy(key sweeps.TrialKey, shares []sweeps.GPUShare) {
	if w.places == nil {
		w.places = map[sweeps.TrialKey][]sweeps.GPUShare{}
	}
	w.places[key] = shares
}

// onOffer takes in which devices a worker offers now. Trials on those that it no longer
// offers go on.
func (s *State) onOffer(e Offer) {
	if w := s.current(e.Worker, e.Session); w != nil {
		w.GPUs, w.GPUNote = e.GPUs, e.Note
		w.offer++
		s.index.note(w)
	}
}

// fit is what a worker's offer, of this number, is to a request.
type fit struct {
	offer int
	suits bool // once idle it could run what is asked for
	could bool // and on devices that nobody else uses
}

// fit returns what the worker's offer is to the request. Requirements are formulas, so the
// answer is kept.
func (r *request) fit(w *worker) fit {
	f, known := r.fits[w]
	if !known || f.offer != w.offer {
		f = r.try(w)
		r.fits[w] = f
	}
	return f
}

func (r *request) try(w *worker) fit {
	lacks, _ := w.Lacks(r.needs)
	unmet := slices.ContainsFunc(r.requires, func(q sweeps.Requirement) bool { return !q.Met(w.Worker) })
	suits := lacks == "" && !unmet
	return fit{w.offer, suits, suits && w.unused(r.needs) >= r.needs.GPUCount()}
}

// unused is how many of the devices that others do not use would do for a request.
func (w *worker) unused(needs sweeps.Resources) (n int) {
	for _, g := range w.GPUs {
		if g.Busy == "" && needs.ShareOf(g).In(g, sweeps.GPUShare{}, needs) {
			n++
		}
	}
	return n
}

// suits reports whether the worker, once idle, could run what is asked for.
func (w *worker) suits(r *request) bool { return r.fit(w).suits }

// describe says what a trial has of a device, for people.
func (w *worker) describe(s sweeps.GPUShare) string {
	name := s.GPU
	for _, g := range w.GPUs {
		if g.ID == s.GPU {
			name = strings.TrimSpace(fmt.Sprintf("%d %s", g.Index, g.Model))
		}
	}
	switch {
	case s.Part == sweeps.WholeGPU:
		return "GPU " + name
	case s.Memory > 0:
		return fmt.Sprintf("%.3g of GPU %s, %s of its memory", float64(s.Part)/sweeps.WholeGPU, name, sweeps.FormatBytes(s.Memory))
	default:
		return fmt.Sprintf("%.3g of GPU %s", float64(s.Part)/sweeps.WholeGPU, name)
	}
}
