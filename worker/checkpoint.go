package worker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
	"swath/trainer/report"
	"swath/worker/bundle"
	"swath/worker/exec"
)

// Checkpoints survive the attempt: one goroutine of the agent brings the checkpoint that a
// trainer named last to the coordinator, a trial after the other, not more often than every
// so many seconds, and at the end of an attempt that others may go on from. It packs the
// checkpoint first (package bundle), since the trainer may remove it any moment; while the
// coordinator is away, what is packed waits on disk until a newer one takes its place. An
// end is reported when the checkpoint before it has arrived, so that whoever goes on from
// the attempt goes on from its last.

// Transfer moves checkpoints; *wire.Client is one.
type Transfer interface {
	// UploadCheckpoint brings a checkpoint and returns when it is recorded; refused is why
	// it is not wanted. moved is called as it goes on.
	UploadCheckpoint(ctx context.Context, worker sweeps.WorkerID, ref sweeps.AttemptRef, ckpt sweeps.Checkpoint, r io.ReaderAt, moved func()) (refused string, err error)
	// ReadCheckpoint writes a checkpoint's file to w, from an offset on.
	ReadCheckpoint(ctx context.Context, digest string, offset int64, w io.Writer) error
}

// saving is what becomes of an attempt's checkpoints. It belongs to the goroutine that
// brings them.
type saving struct {
	reader *report.CheckpointReader // nil before the first look
	next   time.Time                // when the next one is due
	named  *named                   // the one that was named last, if it is not packed; nil for none
	sure   int64                    // so much had been printed when the report was last looked at
	packed *packed                  // the one that is to be brought; nil for none
	failed int                      // how often that failed in a row, by the coordinator's fault
}

// named is a checkpoint that a trainer named. The last one is written down, as another agent
// could not find out any more what had been printed by then.
type named struct {
	Name string      `json:"name"` // empty as long as there is none
	Step int64       `json:"step"`
	At   exec.Moment `json:"at"`
}

// namedFile holds it; there is none before a trainer named one or went on from one.
const namedFile = "checkpoint.json"

// packed is a checkpoint that is packed.
type packed struct {
	*named
	file string
	ckpt sweeps.Checkpoint
}

// costShare bounds the share of the time that checkpoints take: the next one waits so many
// times as long as the last one took.
const costShare = 20

// maxUnused is how long a bundle stays in the cache that nobody uses.
const maxUnused = time.Hour

// maxUploads is how often a coordinator that is there may fail to take a checkpoint.
const maxUploads = 5

// bringCheckpoints brings checkpoints until ctx is done.
func (a *Agent) bringCheckpoints(ctx context.Context) {
	if a.cfg.Transfer == nil {
		return
	}
	open := map[*attempt]bool{} // those with something to be dropped in the end
	var tidied time.Time
	tick := time.NewTicker(a.times.look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-a.saving:
		}
		for _, at := range a.held() {
			if ctx.Err() == nil {
				at.bring(ctx)
			}
			if at.saving.packed != nil || at.saving.reader != nil {
				open[at] = true
			}
		}
		for at := range open {
			if at.isForgotten() {
				at.dropPacked()
				delete(open, at)
			}
		}
		if now := time.Now(); now.Sub(tidied) > time.Minute {
			tidied = now
			a.cache.expire(now.Add(-maxUnused))
		}
	}
}

// bring brings the attempt's last checkpoint, if one is due.
func (at *attempt) bring(ctx context.Context) {
	began, outcome := at.progress()
	final := at.owesCheckpoint()
	s := &at.saving
	switch now := time.Now(); {
	case at.isForgotten(), outcome == nil && !began, outcome != nil && !final:
		return
	case s.next.IsZero():
		s.next = now.Add(at.agent.cfg.CheckpointEvery)
	}
	at.notice()
	if !final && time.Now().Before(s.next) {
		return
	}
	started := time.Now()
	at.agent.moved() // to pack a large one takes a while
	at.pack()
	at.agent.moved()
	if s.packed == nil {
		at.paid(final)
		return
	}
	if at.upload(ctx) {
		at.paid(final)
	}
	s.next = time.Now().Add(max(at.agent.cfg.CheckpointEvery, costShare*time.Since(started)))
}

// notice looks whether the trainer named another checkpoint, and takes note of how much it had
// printed then. The more often it is called, the better is that known.
func (at *attempt) notice() {
	s := &at.saving
	if s.reader == nil {
		last := named{At: exec.Moment{Report: at.prefix}}
		if err := readJSON(at.dir, namedFile, &last); err != nil && !errors.Is(err, fs.ErrNotExist) {
			at.log.Warn("what was printed before the last checkpoint is not known for certain", "err", err)
		}
		if last.Name != "" {
			s.named, s.sure = &last, last.At.Most
		}
		s.reader = report.NewCheckpointReader(exec.ReportFile(at.dir), last.At.Report)
	}
	sure := s.sure
	var err error
	if len(at.rules) > 0 {
		s.sure, err = at.logSize(wire.Stdout)
	}
	last, is, bad := s.reader.Last()
	if is {
		now := exec.Moment{Report: last.End, Sure: sure, Step: last.Step}
		if last.Counted {
			now.Step = math.MaxInt64
		}
		if len(at.rules) > 0 {
			now.Most, err = at.logSize(wire.Stdout)
		}
		s.named = &named{last.Name, last.Step, now}
		err = errors.Join(err, writeJSON(at.dir, namedFile, s.named))
	}
	if err = errors.Join(err, bad); err != nil {
		at.log.Warn("looking for checkpoints", "err", err)
	}
}

// pack packs the checkpoint that was named last, if that is news.
func (at *attempt) pack() {
	s := &at.saving
	last := s.named
	if last == nil {
		return
	}
	s.named = nil
	spec, err := at.agent.specs.get(at.start.Source, at.start.File)
	if err != nil {
		return // then it never ran
	}
	file := filepath.Join(at.agent.cache.dir, filepath.Base(at.dir)+packedSuffix)
	lines, err := at.linesUpTo(last.At)
	var info bundle.Info
	if err == nil {
		at.agent.cache.drop(trialName(at.start.Ref.TrialKey)) // there need not be room for both
		info, err = bundle.Pack(file, exec.CheckpointDir(at.dir), last.Name, lines)
	}
	ahead := errors.Is(err, fs.ErrNotExist) || errors.Is(err, bundle.ErrChanged) // is the trainer: the next one will do
	if err != nil && !ahead && at.agent.cache.empty() {
		info, err = bundle.Pack(file, exec.CheckpointDir(at.dir), last.Name, lines)
	}
	if err != nil {
		s.packed = nil // its file was overwritten
		level := at.log.Warn
		if at.isForgotten() || ahead {
			level = at.log.Info
		}
		level("a checkpoint is not kept", "checkpoint", last.Name, "step", last.Step, "err", err)
		return
	}
	c := sweeps.Checkpoint{Step: last.Step, Digest: info.Digest, Size: info.Size, Value: math.NaN()}
	if spec.Keep.Best > 0 {
		if v, is := report.LastValue(lines, spec.Objective.Name); is {
			c.Value = v
		}
	}
	s.packed, s.failed = &packed{last, file, c}, 0
}

// linesUpTo returns the report that an attempt begins with which goes on from a checkpoint.
func (at *attempt) linesUpTo(then exec.Moment) ([]byte, error) {
	lines, err := bundle.Lines(exec.ReportFile(at.dir), then.Report)
	if err != nil {
		return nil, err
	}
	points, err := exec.Printed(at.dir, at.rules, then)
	if err != nil {
		return nil, err
	}
	var printed []byte
	for _, p := range points {
		printed = report.AppendPrinted(printed, p)
	}
	names := bytes.LastIndexByte(bytes.TrimRight(lines, "\n"), '\n') + 1 // the line that names it
	return slices.Insert(lines, names, printed...), nil
}

// upload brings what is packed, and reports whether that is done with.
func (at *attempt) upload(ctx context.Context) (done bool) {
	s, a := &at.saving, at.agent
	log := at.log.With("step", s.packed.ckpt.Step, "bytes", s.packed.ckpt.Size)
	f, err := os.Open(s.packed.file)
	if err != nil {
		log.Warn("a checkpoint is not kept", "err", err)
		s.packed = nil
		return true
	}
	refused, err := a.cfg.Transfer.UploadCheckpoint(ctx, a.home.id, at.start.Ref, s.packed.ckpt, f, a.moved)
	_ = f.Close() // it was only read
	switch {
	case err == nil && refused == "":
		log.Info("checkpoint kept by the coordinator")
		if at.mayReturn() {
			at.cached.Store(true)
			a.cache.keep(s.packed.file, s.packed.ckpt.Digest, trialName(at.start.Ref.TrialKey))
		} else {
			_ = os.Remove(s.packed.file) // the next agent removes what is left
		}
		s.packed = nil
		return true
	case err == nil:
		log.Warn("the coordinator refused a checkpoint", "reason", refused)
	case ctx.Err() != nil, errors.Is(err, sweeps.ErrUnavailable):
		return false
	default:
		if s.failed++; s.failed < maxUploads {
			log.Info("bringing a checkpoint failed, and is tried again", "err", err)
			return false
		}
		log.Warn("bringing a checkpoint failed too often: it is not kept", "err", err)
	}
	if s.named == nil {
		s.named = s.packed.named // the next time that one is due there may be room
	}
	_ = os.Remove(s.packed.file) // the next agent removes what is left
	s.packed = nil
	return true
}

// dropPacked gives up what is packed.
func (at *attempt) dropPacked() {
	if p := at.saving.packed; p != nil {
		_ = os.Remove(p.file) // the next agent removes what is left
		at.saving.packed = nil
	}
	if at.saving.reader != nil {
		_ = at.saving.reader.Close() // opened for reading
		at.saving.reader = nil
	}
}

// owesCheckpoint reports whether the attempt's end waits for its last checkpoint.
func (at *attempt) owesCheckpoint() bool {
	at.mu.Lock()
	defer at.mu.Unlock()
	return at.owes
}

// paid says that the last checkpoint of an attempt that has ended is done with.
func (at *attempt) paid(final bool) {
	if !final {
		return
	}
	at.mu.Lock()
	at.owes = false
	at.mu.Unlock()
	nudge(at.changed)
}

// mayOwe reports whether somebody may go on from the last checkpoint of an attempt that
// ended so, and whether there may be one.
func (at *attempt) mayOwe(out sweeps.Outcome) bool {
	if at.agent.cfg.Transfer == nil || at.dir == "" {
		return false
	}
	spec, err := at.agent.specs.get(at.start.Source, at.start.File)
	switch {
	case err != nil:
		return false
	case out.OK():
		if spec.Keep == (sweeps.Keep{}) && spec.Continue == "" {
			return false
		}
	case !out.Class.Resumable():
		return false
	}
	st, err := os.Stat(exec.ReportFile(at.dir))
	return err == nil && st.Size() > 0
}

// mayReturn reports whether another attempt may go on from the checkpoint of this one on the
// same worker, before long.
func (at *attempt) mayReturn() bool {
	_, out := at.progress()
	switch {
	case out == nil:
		return true
	case out.OK():
		spec, err := at.agent.specs.get(at.start.Source, at.start.File)
		return err == nil && spec.Continue != ""
	}
	return out.Class.Retryable()
}

// moved notes that an upload goes on.
func (a *Agent) moved() { a.lastMoved.Store(time.Now().UnixNano()) }

// moving is how long ago an upload last went on.
func (a *Agent) moving() time.Duration { return time.Since(time.Unix(0, a.lastMoved.Load())) }
