package coordinator

import (
	"fmt"
	"time"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// bases knows the basis and the name of every sweep there is; the loop's own.
type bases map[sweeps.SweepID]basis

type basis struct {
	name string
	text string // empty for one of a version that did not have it, until it is worked out
}

func (b bases) add(sw *sweeps.Sweep) {
	if _, known := b[sw.ID]; !known {
		b[sw.ID] = basis{sw.Name, sw.Basis}
	}
}

// equals are the other sweeps whose trials are equal to those of the sweep where their ids
// are: those of the same basis.
func (c *Coordinator) equals(id sweeps.SweepID) map[sweeps.SweepID]bool {
	own := c.bases[id].text
	of := map[sweeps.SweepID]bool{}
	for other, b := range c.bases {
		if b.text == "" {
			b.text = c.oldBasis(other)
			c.bases[other] = b
		}
		if other != id && b.text == own {
			of[other] = true
		}
	}
	return of
}

// oldBasis is the basis of a sweep of a version that did not record it: of its program,
// nothing is known. It is none for one whose file is no longer understood.
func (c *Coordinator) oldBasis(id sweeps.SweepID) string {
	sw, err := c.store.Sweep(string(id))
	if err != nil {
		return "none"
	}
	l, err := c.specs.get(sw)
	if err != nil {
		return "none"
	}
	return l.spec.Basis("")
}

// retryLookup is how soon a lookup that failed is tried again.
const retryLookup = 500 * time.Millisecond

// asked takes note of the sweeps that were committed or removed, and of what the dispatcher asked.
func (c *Coordinator) asked(changes dispatch.Changes, effects []dispatch.Effect) {
	for _, sw := range changes.Sweeps {
		c.bases.add(sw)
	}
	for _, id := range changes.Removed {
		delete(c.bases, id)
	}
	for _, e := range effects {
		if q, is := e.(dispatch.Lookup); is {
			c.lookups = append(c.lookups, q)
		}
	}
}

// answers appends the answers to what the dispatcher asked. They do not wait for others to
// share their commit, as the requests of users and workers do: a sweep whose results all
// exist goes through as fast as they are found.
func (c *Coordinator) answers(batch []request) []request {
	for len(c.lookups) > 0 {
		found, err := c.answer(c.lookups[0])
		if err != nil {
			c.cfg.Log.Error("reading failed, and is tried again", "err", err)
			return batch
		}
		c.lookups = c.lookups[1:]
		batch = append(batch, request{event: found})
	}
	return batch
}

// answer looks up what the dispatcher asked.
func (c *Coordinator) answer(q dispatch.Lookup) (dispatch.Found, error) {
	found, err := c.store.Finished(q.IDs, c.equals(q.Sweep))
	if err != nil {
		return dispatch.Found{}, fmt.Errorf("look up results to reuse: %w", err)
	}
	for i, t := range found {
		switch {
		case t == nil:
		case !t.Reused():
			t.ReusedFrom = sweeps.Origin{AttemptRef: t.Latest(), SweepName: c.bases[t.Sweep].name}
		case t.ReusedFrom.Sweep == q.Sweep:
			found[i] = nil // it is this sweep's own result that the other took over
		default:
			if _, there := c.bases[t.ReusedFrom.Sweep]; !there {
				found[i] = nil // its series went with the sweep that was removed
			}
		}
	}
	return dispatch.Found{Sweep: q.Sweep, First: q.First, Origins: found}, nil
}
