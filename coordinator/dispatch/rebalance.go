package dispatch

import (
	"cmp"
	"slices"
)

// rebalance recalls queued trials of a priority for slots that would stay free, or go to
// lower ones, and that could run them: those that would start last, of the workers with the
// most that could be recalled. One that fits nowhere else would only come back to where it
// was. Until they have come, nothing of a lower priority is begun in these slots.
func (s *State) rebalance(l level) {
	roomy, fits := s.roomy(l.priority)
	if len(roomy) == 0 {
		return
	}
	free := 0
	for _, w := range roomy {
		free += w.Slots - w.busy()
	}
	var queues []backlog
	var coming []*queued // that are recalled, and could begin there
	for _, m := range s.index.queues.list {
		if !m.w.connected {
			continue
		}
		b := backlog{w: m.w}
		for _, q := range m.w.queue {
			switch {
			case !fits[s.sweeps[q.trial.Sweep]] || !q.trial.Started.IsZero():
			case q.recalled:
				coming = append(coming, q)
			default:
				b.last = append(b.last, q)
			}
		}
		if len(b.last) > 0 {
			queues = append(queues, b)
		}
	}
	for _, q := range longest(queues, free-len(coming)) {
		s.recall(q)
		coming = append(coming, q)
	}
	for n := len(coming); n > 0 && len(roomy) > 0 && !l.lowest; roomy = roomy[1:] {
		s.kept[roomy[0]] = s.sweeps[coming[0].trial.Sweep]
		n -= roomy[0].Slots - roomy[0].busy()
	}
}

// roomy returns the workers with free slots for trials of a priority that wait on others, and
// the sweeps of those that fit there.
func (s *State) roomy(priority int) (workers []*worker, fits map[*sweep]bool) {
	var seen map[*worker]bool
	for _, sw := range s.order {
		if sw.policy.Priority != priority || sw.request.queued == 0 || !s.handsOut(sw) {
			continue
		}
		for _, m := range sw.request.room.list {
			if s.kept[m.w] != nil || s.reserved[m.w] || s.doubts(sw, m.w) {
				continue
			}
			if seen == nil {
				seen, fits = map[*worker]bool{}, map[*sweep]bool{}
			}
			fits[sw] = true
			if !seen[m.w] {
				seen[m.w] = true
				workers = append(workers, m.w)
			}
		}
	}
	return workers, fits
}

// backlog is what could be recalled of a worker, in the order in which it would begin.
type backlog struct {
	w    *worker
	last []*queued
}

// longest picks so many of what could be recalled, so that the longest become shorter.
func longest(queues []backlog, n int) (picked []*queued) {
	if n <= 0 || len(queues) == 0 {
		return nil
	}
	slices.SortFunc(queues, func(a, b backlog) int {
		return cmp.Or(cmp.Compare(len(b.last), len(a.last)), compare(a.w.ID, b.w.ID))
	})
	for left := len(queues[0].last); left > 0; left-- { // the longest are shortened to left - 1
		for _, b := range queues {
			if len(b.last) < left {
				break
			}
			if picked = append(picked, b.last[left-1]); len(picked) == n {
				return picked
			}
		}
	}
	return picked
}
