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
	busy    map[string]*arriving        // what is being uploaded, by digest
	parts   map[sweeps.TrialKey]string  // what each trial uploads, or did before its connection broke
	refused map[sweeps.TrialKey]Refusal // the last checkpoint that was refused, if none was kept since
}

// arriving is the room that an upload under way takes: none any more when its file is whole.
type arriving struct {
	size int64 // of the whole
	left int64 // have not arrived yet
}

// Quota bounds the space that checkpoints take.
type Quota struct {
	// Total is how many bytes all checkpoints may have, and all those that are on their way;
	// 0 for no bound. What a checkpoint takes the place of stays until it has arrived.
	Total   int64
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
		k.busy, k.parts, k.refused = map[string]*arriving{}, map[sweeps.TrialKey]string{}, map[sweeps.TrialKey]Refusal{}
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
		if k.names[digest] == 0 && k.busy[digest] == nil {
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
	return k.remove(slices.DeleteFunc(slices.Clone(digests), func(d string) bool { return k.names[d] > 0 || k.busy[d] != nil }))
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

// makeRoom makes room for what is still to arrive of a checkpoint: on the disk, where others
// are evicted for it, but none of the trial itself, which has nothing else until it has
// arrived; and among what is on its way, as what the quota bounds gives way only then: see
// [checkpoints.enforce]. It returns what was evicted, and why the checkpoint is refused, or an
// error if it can come later.
func (k *checkpoints) makeRoom(key sweeps.TrialKey, digest string, size, have int64) (evicted []string, reason string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.quota.Total > 0 && size > k.quota.Total {
		return nil, fmt.Sprintf("it has %s, and all checkpoints together may have %s: raise the coordinator's setting checkpoint-quota", sizeText(size), sizeText(k.quota.Total)), nil
	}
	coming, left := int64(0), int64(0)
	for _, a := range k.busy {
		coming += a.size
		left += a.left
	}
	if k.quota.Total > 0 && coming+size > k.quota.Total {
		return nil, "", fmt.Errorf("%w: checkpoints of %s are on their way, and all together may have %s (coordinator setting checkpoint-quota)", sweeps.ErrUnavailable, sizeText(coming), sizeText(k.quota.Total))
	}
	if free, disk := k.files.Space(); disk > 0 {
		spared := func(d string) bool { return slices.Contains(k.owners[key].digests, d) }
		over := left + size - have + k.quota.Reserve - free
		victims, enough := k.victims(over, spared)
		if !enough {
			return nil, fmt.Sprintf("it has %s, and the coordinator's disk has %s left, of which %s are reserved: free some space there", sizeText(size), sizeText(free), sizeText(k.quota.Reserve)), nil
		}
		evicted = victims
	}
	if err := k.remove(evicted); err != nil {
		return evicted, "there is no room for it, and an older one cannot be removed: " + err.Error(), nil
	}
	*k.busy[digest] = arriving{size, size - have}
	return evicted, "", nil
}

// enforce evicts checkpoints until all together keep to the quota, but not the one that has
// just been recorded. It returns what was evicted.
func (k *checkpoints) enforce(but string) (evicted []string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.quota.Total <= 0 {
		return nil, nil
	}
	total := int64(0)
	for digest, n := range k.sizes {
		if k.names[digest] > 0 || k.busy[digest] != nil { // the others are about to be removed
			total += n
		}
	}
	evicted, _ = k.victims(total-k.quota.Total, func(d string) bool { return d == but })
	return evicted, k.remove(evicted)
}

// victims returns checkpoints that have so many bytes together, and whether there are so many:
// those of least value, which are those of trials that have ended, and of others the oldest.
// The caller holds mu.
func (k *checkpoints) victims(bytes int64, spared func(digest string) bool) (list []string, enough bool) {
	if bytes <= 0 {
		return nil, true
	}
	type victim struct {
		live  bool
		saved time.Time
	}
	all := map[string]victim{}
	for _, o := range k.owners {
		for _, d := range o.digests {
			v := all[d]
			all[d] = victim{v.live || o.live, later(v.saved, o.saved)}
		}
	}
	for d := range all {
		if _, there := k.sizes[d]; there && k.busy[d] == nil && !spared(d) {
			list = append(list, d)
		}
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
	for i, d := range list {
		if bytes -= k.sizes[d]; bytes <= 0 {
			return list[:i+1], true
		}
	}
	return list, false
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
