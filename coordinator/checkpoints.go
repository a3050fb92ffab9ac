package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// checkpoints keeps account of the checkpoints' files: which records name them, and how much
// space they take. The records, in trials and sweeps, are the truth of what is wanted, the
// files of what is there: a file that no record names is removed, and a record whose file
// was evicted is one of a checkpoint that there was.
type checkpoints struct {
	files CheckpointStore // nil where none are kept
	quota Quota

	mu      sync.Mutex
	sizes   map[string]int64 // of the complete files, by digest
	owners  map[owner]owned
	names   map[string]int              // how many owners name a digest
	busy    map[string]bool             // digests that are being uploaded
	parts   map[sweeps.TrialKey]string  // what each trial uploads, or did before its connection broke
	refused map[sweeps.TrialKey]Refusal // the last checkpoint that was refused, if none was kept since
}

// Quota bounds the space that checkpoints take.
type Quota struct {
	Total   int64 // bytes of all checkpoints; 0 for no bound
	Reserve int64 // bytes of the disk that are left to everything else
}

// Refusal says why a checkpoint was not kept.
type Refusal struct {
	Step   int64
	Reason string
	Time   time.Time
}

// owner is a record that names checkpoints: a trial, or a sweep's list of its best, with
// index -1.
type owner = sweeps.TrialKey

// owned is what an owner names.
type owned struct {
	digests []string
	live    bool // it is a trial that has not ended
	saved   time.Time
}

func ownedByTrial(t *sweeps.Trial) owned {
	o := owned{live: !t.State.Terminal()}
	for _, c := range t.Checkpoints {
		o.digests = append(o.digests, c.Digest)
		o.saved = later(o.saved, c.Saved)
	}
	return o
}

func ownedBySweep(sw *sweeps.Sweep) owned {
	o := owned{}
	for _, c := range sw.Best {
		o.digests = append(o.digests, c.Digest)
		o.saved = later(o.saved, c.Saved)
	}
	return o
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// load takes account of everything anew, and removes the files that no record names.
func (k *checkpoints) load(store Store) error {
	if k.files == nil {
		return nil
	}
	sizes, err := k.files.List()
	if err != nil {
		return fmt.Errorf("list the checkpoints: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sizes, k.owners, k.names = sizes, map[owner]owned{}, map[string]int{}
	if k.busy == nil {
		k.busy, k.parts, k.refused = map[string]bool{}, map[sweeps.TrialKey]string{}, map[sweeps.TrialKey]Refusal{}
	}
	list, err := store.Sweeps()
	if err != nil {
		return fmt.Errorf("load the sweeps: %w", err)
	}
	for _, sw := range list {
		k.set(owner{Sweep: sw.ID, Index: -1}, ownedBySweep(sw))
	}
	err = store.Checkpointed(func(t *sweeps.Trial) bool { k.set(t.TrialKey, ownedByTrial(t)); return true })
	if err != nil {
		return fmt.Errorf("load the checkpoints' records: %w", err)
	}
	var orphans []string
	for digest := range sizes {
		if k.names[digest] == 0 && !k.busy[digest] {
			orphans = append(orphans, digest)
		}
	}
	return k.remove(orphans)
}

// update takes account of committed changes, and returns the digests that nothing names any
// more.
func (k *checkpoints) update(changes dispatch.Changes) (dropped []string) {
	if k.files == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range changes.Trials {
		dropped = append(dropped, k.set(t.TrialKey, ownedByTrial(t))...)
		if t.State == sweeps.TrialFinished && len(k.refused) > 0 {
			delete(k.refused, t.TrialKey)
		}
	}
	for _, sw := range changes.Sweeps {
		dropped = append(dropped, k.set(owner{Sweep: sw.ID, Index: -1}, ownedBySweep(sw))...)
	}
	for _, id := range changes.Removed {
		for by := range k.owners {
			if by.Sweep == id {
				dropped = append(dropped, k.set(by, owned{})...)
			}
		}
		maps.DeleteFunc(k.refused, func(key sweeps.TrialKey, _ Refusal) bool { return key.Sweep == id })
	}
	return dropped
}

// set notes what an owner names, and returns what nobody names any more. The caller holds mu.
func (k *checkpoints) set(by owner, now owned) (dropped []string) {
	before, had := k.owners[by]
	if !had && len(now.digests) == 0 {
		return nil
	}
	for _, d := range now.digests {
		k.names[d]++
	}
	for _, d := range before.digests {
		if k.names[d]--; k.names[d] == 0 {
			delete(k.names, d)
			dropped = append(dropped, d)
		}
	}
	if len(now.digests) == 0 {
		delete(k.owners, by)
	} else {
		k.owners[by] = now
	}
	return dropped
}

// discard removes the files of digests that are still named by nobody.
func (k *checkpoints) discard(digests []string) error {
	if k.files == nil || len(digests) == 0 {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.remove(slices.DeleteFunc(slices.Clone(digests), func(d string) bool { return k.names[d] > 0 || k.busy[d] }))
}

// remove removes files. The caller holds mu.
func (k *checkpoints) remove(digests []string) error {
	var errs []error
	for _, d := range digests {
		errs = append(errs, k.files.Remove(d))
		delete(k.sizes, d)
	}
	return errors.Join(errs...)
}

// kept reports whether the file of a digest is there.
func (k *checkpoints) kept(digest string) bool {
	if k.files == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_, is := k.sizes[digest]
	return is
}

// refuse notes that a trial's checkpoint is not kept, and why.
func (k *checkpoints) refuse(key sweeps.TrialKey, r Refusal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refused[key] = r
}

// refusal returns why the trial's last checkpoint is not kept, if it is not.
func (k *checkpoints) refusal(key sweeps.TrialKey) (Refusal, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, is := k.refused[key]
	return r, is
}

// refusals returns how many of a sweep's trials had their last checkpoint refused, and the
// latest refusal.
func (k *checkpoints) refusals(id sweeps.SweepID) (n int, last Refusal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, r := range k.refused {
		if key.Sweep == id {
			n++
			if r.Time.After(last.Time) {
				last = r
			}
		}
	}
	return n, last
}

// makeRoom evicts checkpoints until one of a size fits, those of least value first: of trials
// that have ended, then those of others, the oldest first. What the trial itself has will be
// replaced, and does not count. It returns what was evicted, and why there can be no room.
func (k *checkpoints) makeRoom(key sweeps.TrialKey, size int64) (evicted []string, reason string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.quota.Total > 0 && size > k.quota.Total {
		return nil, fmt.Sprintf("it has %s, and all checkpoints together may have %s (coordinator setting checkpoint-quota)", sizeText(size), sizeText(k.quota.Total))
	}
	free, disk := k.files.Space()
	total, own := int64(0), int64(0)
	for digest, n := range k.sizes {
		total += n
		if k.names[digest] == 1 && slices.Contains(k.owners[key].digests, digest) {
			own += n
		}
	}
	over := int64(0) // bytes that have to go
	if k.quota.Total > 0 {
		over = total - own + size - k.quota.Total
	}
	if disk > 0 {
		over = max(over, size+k.quota.Reserve-free)
	}
	if over <= 0 {
		return nil, ""
	}
	victims, room := k.victims(key), int64(0)
	for _, v := range victims {
		room += k.sizes[v]
	}
	if room < over {
		return nil, fmt.Sprintf("it has %s, and the coordinator's disk has %s left, of which %s are reserved: free some space there", sizeText(size), sizeText(free), sizeText(k.quota.Reserve))
	}
	for _, v := range victims {
		if over <= 0 {
			break
		}
		over -= k.sizes[v]
		evicted = append(evicted, v)
	}
	if err := k.remove(evicted); err != nil {
		return evicted, "there is no room for it, and an older one cannot be removed: " + err.Error()
	}
	return evicted, ""
}

// victims returns the digests that may be evicted for a trial's, those of least value first.
// The caller holds mu.
func (k *checkpoints) victims(key sweeps.TrialKey) []string {
	type victim struct {
		live  bool
		saved time.Time
	}
	all := map[string]victim{}
	for by, o := range k.owners {
		for _, d := range o.digests {
			v := all[d]
			all[d] = victim{v.live || o.live, later(v.saved, o.saved)}
			if _, there := k.sizes[d]; !there || by == key || k.busy[d] {
				delete(all, d)
			}
		}
	}
	list := make([]string, 0, len(all))
	for d := range all {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b string) int {
		x, y := all[a], all[b]
		if x.live != y.live {
			if y.live {
				return -1
			}
			return 1
		}
		return cmp.Or(x.saved.Compare(y.saved), cmp.Compare(a, b))
	})
	return list
}

// sizeText prints a number of bytes.
func sizeText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", max(n, 0))
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// collect removes files that nobody names, when the loop says so: the loop itself never
// waits for the disk to remove a file.
func (c *Coordinator) collect(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.dropping:
		}
		c.dropMu.Lock()
		dropped := c.dropped
		c.dropped = nil
		c.dropMu.Unlock()
		if err := c.checkpoints.discard(dropped); err != nil {
			c.cfg.Log.Warn("removing checkpoints failed: the next coordinator on this home tries again", "err", err)
		}
	}
}

// drop hands digests to collect.
func (c *Coordinator) drop(digests []string) {
	if len(digests) == 0 {
		return
	}
	c.dropMu.Lock()
	c.dropped = append(c.dropped, digests...)
	c.dropMu.Unlock()
	select {
	case c.dropping <- struct{}{}:
	default:
	}
}
