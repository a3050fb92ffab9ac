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
	"strings"
	"sync"
	"time"

	"swath/sweeps"
	"swath/worker/bundle"
	"swath/worker/exec"
)

// cache holds the bundles that were brought to the coordinator lately, or fetched from it:
// a trial whose next attempt comes to the same worker need not be sent its checkpoint. It has
// the last one of a trial only, and none of one that has come to its end; nothing is lost with
// it, so it is emptied where the disk has no room. Whether a trial that failed is tried again the
// worker does not know: after a while its bundle goes, too.
type cache struct {
	dir  string
	most int // bundles to hold

	mu sync.Mutex // held while files are named, opened or removed
}

// packedSuffix is at the end of the names of bundles that have not been brought yet, and
// partSuffix of those that were not wholly fetched. The others are named by digest and trial.
const (
	packedSuffix = ".packed"
	partSuffix   = ".part"
)

var (
	goodDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)
	goodBundle = regexp.MustCompile(`^[0-9a-f]{64}\.`)
)

// bundleName is the name of a trial's bundle.
func bundleName(digest, trial string) string { return digest + "." + trial }

// belongs reports whether a bundle of that name is the trial's.
func belongs(name, trial string) bool {
	return goodBundle.MatchString(name) && name == bundleName(name[:64], trial)
}

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
		if !goodBundle.MatchString(e.Name()) {
			_ = os.Remove(filepath.Join(c.dir, e.Name())) // the next agent tries again
		}
	}
	return nil
}

// keep takes a bundle into the cache, as the trial's only one.
func (c *cache) keep(file, digest, trial string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(file, digest, trial)
}

// put is keep; the caller holds mu.
func (c *cache) put(file, digest, trial string) {
	to := bundleName(digest, trial)
	if os.Rename(file, filepath.Join(c.dir, to)) != nil {
		_ = os.Remove(file) // it is but a copy
	}
	kept := 0
	for _, info := range c.list() {
		if replaced := belongs(info.Name(), trial) && info.Name() != to; replaced || kept == c.most {
			_ = os.Remove(filepath.Join(c.dir, info.Name()))
			continue
		}
		kept++
	}
}

// list returns the bundles, the latest first. The caller holds mu.
func (c *cache) list() (files []fs.FileInfo) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && goodBundle.MatchString(e.Name()) {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	return files
}

// drop removes what the cache has of a trial.
func (c *cache) drop(trial string) {
	c.remove(func(info fs.FileInfo) bool { return belongs(info.Name(), trial) })
}

// expire removes what was neither brought nor used since then.
func (c *cache) expire(since time.Time) {
	c.remove(func(info fs.FileInfo) bool { return info.ModTime().Before(since) })
}

// empty removes everything, and reports whether there was anything.
func (c *cache) empty() bool { return c.remove(func(fs.FileInfo) bool { return true }) }

func (c *cache) remove(which func(fs.FileInfo) bool) (any bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, info := range c.list() {
		if which(info) {
			any = os.Remove(filepath.Join(c.dir, info.Name())) == nil || any
		}
	}
	return any
}

// find opens the bundle of a digest, whichever trial left it: from now on it is this trial's.
// It returns nil if there is none.
func (c *cache) find(digest, trial string) *os.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, info := range c.list() {
		if !strings.HasPrefix(info.Name(), digest) {
			continue
		}
		file := filepath.Join(c.dir, info.Name())
		now := time.Now()
		_ = os.Chtimes(file, now, now) // it is the last to be removed
		c.put(file, digest, trial)
		f, err := os.Open(filepath.Join(c.dir, bundleName(digest, trial)))
		if err != nil {
			return nil
		}
		return f
	}
	return nil
}

// unpack unpacks the bundle of a digest, which is fetched if need be. part is a file for that.
func (c *cache) unpack(ctx context.Context, t Transfer, from sweeps.Checkpoint, trial, part, dir, report string) (fetched bool, err error) {
	if !goodDigest.MatchString(from.Digest) {
		return false, fmt.Errorf("%w: %.80q is no digest", sweeps.ErrInvalid, from.Digest)
	}
	if f := c.find(from.Digest, trial); f != nil {
		err := bundle.Verify(f.Name(), from.Digest)
		if err == nil {
			err = bundle.Unpack(f, dir, report)
		}
		if err = errors.Join(err, f.Close()); err == nil {
			return false, nil
		}
		c.empty() // it is damaged, or there was no room for what is in it
	}
	if err := c.fetch(ctx, t, from.Digest, part); err != nil {
		return true, err
	}
	f, err := os.Open(part)
	if err != nil {
		return true, err
	}
	err = errors.Join(bundle.Unpack(f, dir, report), f.Close())
	c.keep(part, from.Digest, trial)
	return true, err
}

// fetch reads a bundle from the coordinator into a file, for as long as it takes. What came
// before a connection broke is not read again.
func (c *cache) fetch(ctx context.Context, t Transfer, digest, part string) error {
	for damaged := 0; ; {
		err := fetchRest(ctx, t, digest, part)
		if err == nil {
			if err = bundle.Verify(part, digest); err == nil {
				return nil
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
	part := filepath.Join(a.cache.dir, filepath.Base(at.dir)+partSuffix)
	at.cached.Store(true)
	fetched, err := a.cache.unpack(ctx, a.cfg.Transfer, *from, trialName(at.start.Ref.TrialKey), part, dir, report)
	if err == nil {
		var st fs.FileInfo
		if st, err = os.Stat(report); err == nil {
			at.prefix = st.Size()
			// Another agent has to know that the checkpoint in there is not this attempt's. It does
			// no harm if that fails: what it would bring is there already.
			_ = writeJSON(at.dir, namedFile, named{At: exec.Moment{Report: at.prefix}})
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
