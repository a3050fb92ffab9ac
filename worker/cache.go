package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"swath/sweeps"
	"swath/worker/bundle"
	"swath/worker/exec"
)

// cache holds the bundles that were brought to the coordinator lately, or fetched from it:
// a trial whose next attempt comes to the same worker need not be sent its checkpoint.
type cache struct {
	dir  string
	most int // bundles to hold

	mu sync.Mutex // held while a bundle is fetched, unpacked or removed
}

// packedSuffix is at the end of the names of bundles that have not been brought yet, and
// partSuffix of those that were not wholly fetched. The others' names are their digests.
const (
	packedSuffix = ".packed"
	partSuffix   = ".part"
)

var goodDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// open makes the directory and removes what an earlier agent did not finish.
func (c *cache) open() error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !goodDigest.MatchString(e.Name()) {
			_ = os.Remove(filepath.Join(c.dir, e.Name())) // the next agent tries again
		}
	}
	return nil
}

// keep takes a bundle into the cache, under its digest.
func (c *cache) keep(file, digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if os.Rename(file, filepath.Join(c.dir, digest)) != nil {
		_ = os.Remove(file) // it is but a copy
	}
	c.prune()
}

// prune removes the oldest bundles. The caller holds mu.
func (c *cache) prune() {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	var files []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && goodDigest.MatchString(e.Name()) {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, info := range files[min(len(files), c.most):] {
		_ = os.Remove(filepath.Join(c.dir, info.Name()))
	}
}

// unpack unpacks the bundle of a digest, which is fetched if need be.
func (c *cache) unpack(ctx context.Context, t Transfer, from sweeps.Checkpoint, dir, report string) (fetched bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	file := filepath.Join(c.dir, from.Digest)
	if !goodDigest.MatchString(from.Digest) {
		return false, fmt.Errorf("%w: %.80q is no digest", sweeps.ErrInvalid, from.Digest)
	}
	if bundle.Verify(file, from.Digest) != nil {
		fetched = true
		if err := c.fetch(ctx, t, from.Digest, file); err != nil {
			return true, err
		}
	}
	now := time.Now()
	_ = os.Chtimes(file, now, now) // it is the last to be pruned
	f, err := os.Open(file)
	if err != nil {
		return fetched, err
	}
	defer func() { _ = f.Close() }() // it was only read
	err = bundle.Unpack(f, dir, report)
	c.prune()
	return fetched, err
}

// fetch reads a bundle from the coordinator, for as long as it takes. What came before a
// connection broke is not read again.
func (c *cache) fetch(ctx context.Context, t Transfer, digest, file string) error {
	part := file + partSuffix
	for damaged := 0; ; {
		err := fetchRest(ctx, t, digest, part)
		if err == nil {
			if err = bundle.Verify(part, digest); err == nil {
				return os.Rename(part, file)
			}
			_ = os.Remove(part)
			if damaged++; damaged > 1 {
				return err
			}
			continue
		}
		if !errors.Is(err, sweeps.ErrUnavailable) || ctx.Err() != nil {
			_ = os.Remove(part)
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func fetchRest(ctx context.Context, t Transfer, digest, part string) (err error) {
	f, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return t.ReadCheckpoint(ctx, digest, st.Size(), f)
}

// resume puts the checkpoint that the attempt goes on from into its folder. Without it the
// attempt begins anew.
func (at *attempt) resume() {
	from, a := at.start.From, at.agent
	if from == nil || a.cfg.Transfer == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-at.halted:
			cancel()
		case <-ctx.Done():
		}
	}()
	report, dir := exec.ReportFile(at.dir), exec.CheckpointDir(at.dir)
	fetched, err := a.cache.unpack(ctx, a.cfg.Transfer, *from, dir, report)
	if err == nil {
		var st fs.FileInfo
		if st, err = os.Stat(report); err == nil {
			at.prefix = st.Size()
			at.log.Info("going on from a checkpoint", "step", from.Step, "fetched", fetched)
			return
		}
	}
	if ctx.Err() == nil {
		at.log.Warn("the checkpoint to go on from cannot be had: the attempt begins anew", "step", from.Step, "err", err)
	}
	_ = os.Remove(report)
	if entries, err := os.ReadDir(dir); err == nil {
		for _, e := range entries {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}
