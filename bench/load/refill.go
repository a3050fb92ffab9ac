package load

import (
	"slices"
	"sync"
	"time"

	"swath/proto/wire"
)

// Refills gathers how long slots were free between two attempts. The zero value is ready
// for use, by any number of workers at a time.
type Refills struct {
	mu    sync.Mutex
	times []time.Duration
}

func (r *Refills) add(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times = append(r.times, d)
}

// Count is how many there were.
func (r *Refills) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.times)
}

// Quantile returns the time that a part q of the refills, from 0 to 1, did not exceed; zero
// if there were none.
func (r *Refills) Quantile(q float64) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.times) == 0 {
		return 0
	}
	slices.Sort(r.times)
	return r.times[min(int(q*float64(len(r.times))), len(r.times)-1)]
}

// Watch returns a session that notes the refills of a worker with so many slots. A slot
// falls free when the worker reports an end, and is taken again when it reports the next
// attempt's beginning. A worker that reports the beginning first has left the slot empty
// for no time that could be seen from outside.
func (r *Refills) Watch(s Session, slots int) Session {
	return &watched{Session: s, refills: r, idle: slots}
}

type watched struct {
	Session
	refills *Refills

	mu    sync.Mutex
	idle  int         // slots that were never used
	free  []time.Time // since when the others are free, the longest first
	early int         // beginnings that came before the end that made room for them
}

func (w *watched) Send(m wire.WorkerMessage) error {
	switch m.(type) {
	case wire.Started:
		w.onStarted(time.Now())
	case wire.Exited:
		w.onExited(time.Now())
	default:
	}
	return w.Session.Send(m)
}

func (w *watched) onStarted(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.idle > 0:
		w.idle--
	case len(w.free) > 0:
		w.refills.add(now.Sub(w.free[0]))
		w.free = w.free[1:]
	default:
		w.early++
		w.refills.add(0)
	}
}

func (w *watched) onExited(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.early > 0 {
		w.early--
		return
	}
	w.free = append(w.free, now)
}
