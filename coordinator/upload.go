package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// Upload is a checkpoint on its way from a worker.
type Upload struct {
	c      *Coordinator
	worker sweeps.WorkerID
	ref    sweeps.AttemptRef
	ckpt   sweeps.Checkpoint
	have   int64 // bytes that have arrived
	whole  bool  // the file is there
	unsure bool  // whether it is recorded
}

// ErrRefused says that a checkpoint is not wanted: its attempt was superseded, or there is
// no room for it. The message has the reason.
var ErrRefused = errors.New("checkpoint refused")

// Upload begins, or goes on with, the upload of an attempt's checkpoint. The error wraps
// ErrRefused if it is not wanted, and ErrUnavailable if it is to be tried again later. An
// upload that was begun must be closed.
func (c *Coordinator) Upload(worker sweeps.WorkerID, ref sweeps.AttemptRef, ckpt sweeps.Checkpoint) (*Upload, error) {
	k := &c.checkpoints
	if k.files == nil || !c.Running() {
		return nil, errNotRunning
	}
	if !c.fence.passes(worker, ref) {
		return nil, fmt.Errorf("%w: another attempt of the trial has taken the place of %d", ErrRefused, ref.Attempt)
	}
	if ckpt.Size <= 0 {
		return nil, fmt.Errorf("%w: a checkpoint of %d bytes", sweeps.ErrInvalid, ckpt.Size)
	}
	if !k.begin(ref.TrialKey, ckpt.Digest) {
		return nil, fmt.Errorf("%w: checkpoint %.12s is on its way on another connection", sweeps.ErrUnavailable, ckpt.Digest)
	}
	u := &Upload{c: c, worker: worker, ref: ref, ckpt: ckpt}
	var err error
	if u.have, u.whole, err = k.files.Have(ckpt.Digest); err == nil && !u.whole && u.have > ckpt.Size {
		u.have, err = 0, k.files.Remove(ckpt.Digest) // what came before was something else
	}
	if err == nil && !u.whole {
		var evicted []string
		var reason string
		evicted, reason, err = k.makeRoom(ref.TrialKey, ckpt.Digest, ckpt.Size, u.have)
		c.logEvicted(evicted, ref)
		if reason != "" {
			err = fmt.Errorf("%w: %s", ErrRefused, reason)
			k.refuse(ref.TrialKey, Refusal{Step: ckpt.Step, Reason: reason, Time: c.cfg.Now()})
			c.cfg.Log.Warn("checkpoint refused", "trial", ref, "step", ckpt.Step, "reason", reason)
		}
	}
	if err != nil {
		u.Close()
		return nil, err
	}
	return u, nil
}

// begin takes a digest for one upload. What the trial had begun to upload before, and did
// not end, is dropped.
func (k *checkpoints) begin(key sweeps.TrialKey, digest string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy[digest] != nil {
		return false
	}
	if before := k.parts[key]; before != "" && before != digest && k.busy[before] == nil && k.names[before] == 0 {
		_ = k.remove([]string{before}) // it goes with the next start, then
	}
	k.busy[digest] = &arriving{}
	k.parts[key] = digest
	return true
}

// Have is how many bytes the coordinator has: where the worker goes on.
func (u *Upload) Have() int64 {
	if u.whole {
		return u.ckpt.Size
	}
	return u.have
}

// Write takes the next bytes.
func (u *Upload) Write(offset int64, data []byte) error {
	if u.whole || offset != u.have || offset+int64(len(data)) > u.ckpt.Size {
		return fmt.Errorf("%w: bytes %d to %d of a checkpoint of %d bytes, of which %d have arrived", sweeps.ErrInvalid, offset, offset+int64(len(data)), u.ckpt.Size, u.have)
	}
	if !u.c.fence.passes(u.worker, u.ref) {
		return fmt.Errorf("%w: another attempt of the trial has taken the place of %d", ErrRefused, u.ref.Attempt)
	}
	if err := u.c.checkpoints.files.Append(u.ckpt.Digest, offset, data); err != nil {
		return err
	}
	u.have += int64(len(data))
	k := &u.c.checkpoints
	k.mu.Lock()
	k.busy[u.ckpt.Digest].left -= int64(len(data))
	k.mu.Unlock()
	return nil
}

// Finish verifies the file and records it; when it returns nil the checkpoint is durable,
// and every later attempt of the trial goes on from it, or from a later one.
func (u *Upload) Finish(ctx context.Context) error {
	k := &u.c.checkpoints
	if !u.whole {
		if u.have != u.ckpt.Size {
			return fmt.Errorf("%w: a checkpoint of %d bytes, of which %d have arrived", sweeps.ErrInvalid, u.ckpt.Size, u.have)
		}
		if err := k.files.Complete(u.ckpt.Digest); err != nil {
			return err
		}
		u.whole = true
	}
	k.mu.Lock()
	k.sizes[u.ckpt.Digest], *k.busy[u.ckpt.Digest] = u.ckpt.Size, arriving{}
	delete(k.refused, u.ref.TrialKey)
	delete(k.parts, u.ref.TrialKey)
	k.mu.Unlock()
	u.unsure = true
	// It is here, and counts, also where the machine that brought it has just died.
	err := u.c.do(context.WithoutCancel(ctx), dispatch.Checkpointed{Worker: u.worker, Ref: u.ref, Checkpoint: u.ckpt})
	if u.unsure = err != nil; errors.Is(err, sweeps.ErrFenced) {
		u.unsure = false
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err != nil {
		return err
	}
	evicted, err := k.enforce(u.ckpt.Digest)
	u.c.logEvicted(evicted, u.ref)
	if err != nil {
		u.c.cfg.Log.Warn("checkpoints that are too many cannot be removed: the next coordinator on this home tries again", "err", err)
	}
	return nil
}

func (c *Coordinator) logEvicted(evicted []string, by sweeps.AttemptRef) {
	for _, d := range evicted {
		c.cfg.Log.Info("checkpoint evicted for a newer one", "digest", d, "for", by)
	}
}

// Close ends the upload. What has arrived of an unfinished one stays for a while.
func (u *Upload) Close() {
	k := &u.c.checkpoints
	k.mu.Lock()
	delete(k.busy, u.ckpt.Digest)
	k.mu.Unlock()
	if u.whole && !u.unsure {
		u.c.drop([]string{u.ckpt.Digest}) // unless a record names it
	}
}

// ReadCheckpoint returns up to max bytes of a checkpoint's file from an offset on; none at
// its end.
func (c *Coordinator) ReadCheckpoint(digest string, offset int64, limit int) ([]byte, error) {
	if c.checkpoints.files == nil {
		return nil, fmt.Errorf("%w: no checkpoints are kept here", sweeps.ErrNotFound)
	}
	return c.checkpoints.files.Read(digest, offset, limit)
}

// Kept reports whether the file of a checkpoint is there.
func (c *Coordinator) Kept(digest string) bool { return c.checkpoints.kept(digest) }

// ListedCheckpoint is a checkpoint, its trial, and why it is kept.
type ListedCheckpoint struct {
	sweeps.KeptCheckpoint
	Trial      sweeps.TrialID
	Last, Best bool
}

// Checkpoints lists the checkpoints of a sweep that are kept, by index, the latest first; or
// those of a trial, named as in FindTrial, if that is not empty.
func (c *Coordinator) Checkpoints(nameOrID, trial string) ([]ListedCheckpoint, error) {
	only := int64(-1)
	if trial != "" {
		t, err := c.FindTrial(trial)
		if err != nil {
			return nil, err
		}
		nameOrID, only = string(t.Sweep), t.Index
	}
	sw, err := c.find(nameOrID)
	if err != nil {
		return nil, err
	}
	if c.checkpoints.files == nil {
		return nil, nil
	}
	there, err := c.checkpoints.files.List()
	if err != nil {
		return nil, err
	}
	var list []ListedCheckpoint
	add := func(k sweeps.KeptCheckpoint, id sweeps.TrialID, best bool) {
		if _, is := there[k.Digest]; !is || only >= 0 && k.Index != only {
			return
		}
		for i := range list {
			if list[i].Index == k.Index && list[i].Digest == k.Digest {
				list[i].Last, list[i].Best = list[i].Last || !best, list[i].Best || best
				return
			}
		}
		list = append(list, ListedCheckpoint{KeptCheckpoint: k, Trial: id, Last: !best, Best: best})
	}
	err = c.store.Checkpointed(func(t *sweeps.Trial) bool {
		if t.Sweep == sw.ID {
			for _, k := range t.Checkpoints {
				add(sweeps.KeptCheckpoint{Index: t.Index, Checkpoint: k}, t.ID, false)
			}
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("read the checkpoints of sweep %q: %w", sw.Name, err)
	}
	for _, k := range sw.Best {
		var id sweeps.TrialID
		err := c.store.Trials(sw.ID, k.Index, func(t *sweeps.Trial) bool { id = t.ID; return false })
		if err != nil {
			return nil, fmt.Errorf("read trial %d of sweep %q: %w", k.Index, sw.Name, err)
		}
		add(k, id, true)
	}
	slices.SortStableFunc(list, func(a, b ListedCheckpoint) int {
		if a.Index != b.Index {
			return int(min(max(a.Index-b.Index, -1), 1))
		}
		return b.Saved.Compare(a.Saved)
	})
	return list, nil
}
