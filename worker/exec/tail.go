package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"swath/sweeps"
	"swath/trainer/report"
)

// PollInterval is how often a followed attempt is looked at. It bounds how late a point is
// seen, and with it how late a trial is stopped that should be.
const PollInterval = 50 * time.Millisecond

// Position is how far an attempt's points have been read. It is a value to be saved as
// JSON and restored; the zero Position is the beginning. Nobody changes one that was
// handed out.
type Position struct {
	Seq    int64           `json:"seq"` // of the last point, from 1
	Report report.Position `json:"report"`
	Stdout report.Position `json:"stdout"`
}

// Batch is what was new in an attempt's files.
type Batch struct {
	// First is the sequence number of the first point; the others follow it one by one.
	First  int64
	Points []sweeps.Point
	// Progress is the latest fraction done, 0 to 1; nil where none was reported.
	Progress *float64
	// Warnings tell what was skipped, a few of them at most.
	Warnings []string
	// Next is where reading goes on after the batch.
	Next Position
}

// Empty reports whether the batch holds nothing worth sending.
func (b Batch) Empty() bool {
	return len(b.Points) == 0 && b.Progress == nil && len(b.Warnings) == 0
}

// maxWarnings bounds a batch's warnings, for trainers that write nothing but garbage.
const maxWarnings = 20

// Tail reads an attempt's points off its report file and its standard output, as one
// sequence. Within a batch those of the report come first, so that a batch is a function
// of where it begins and ends in the two files: see [Reread]. A metric that the report
// has is not taken from standard output.
//
// It is for one goroutine, and works on the files alone: the attempt may still run, or
// have ended long ago under another worker.
type Tail struct {
	report  *report.Reader
	printed *report.Printed
	at      Position
	seen    map[string]bool // metrics of the report
	now     func() time.Time
}

// OpenTail returns a tail of the attempt in a directory, from a position on.
func OpenTail(attemptDir string, rules []sweeps.MetricRule, from Position) (*Tail, error) {
	printed, err := report.NewPrinted(logFile(attemptDir, Stdout), scanRules(rules), from.Stdout)
	if err != nil {
		return nil, fmt.Errorf("follow the attempt: %w", err)
	}
	t := &Tail{
		report:  report.NewReader(ReportFile(attemptDir), from.Report),
		printed: printed,
		at:      from,
		seen:    make(map[string]bool),
		now:     time.Now,
	}
	for metric := range from.Report.Steps {
		t.seen[metric] = true
	}
	return t, nil
}

// Reread reads the batch between two positions again, point for point and number for
// number (but for the times of points that have none of their own, which are those of
// reading).
func Reread(attemptDir string, rules []sweeps.MetricRule, from, to Position) (Batch, error) {
	t, err := OpenTail(attemptDir, rules, from)
	if err != nil {
		return Batch{}, err
	}
	defer func() { _ = t.Close() }() // opened for reading
	t.report.Until(to.Report.Offset)
	t.printed.Until(to.Stdout.Offset)
	return t.Read(int(to.Seq - from.Seq + 1))
}

// Position returns where the next batch begins.
func (t *Tail) Position() Position { return t.at }

// Finish says that nobody writes any more: last lines without an end count from now on.
func (t *Tail) Finish() {
	t.report.Finish()
	t.printed.Finish()
}

// Close lets go of the files.
func (t *Tail) Close() error {
	return errors.Join(t.report.Close(), t.printed.Close())
}

// Read returns what is new and complete, without waiting: about limit points at most (a
// line's points are never parted). An empty batch says that there is nothing for now.
func (t *Tail) Read(limit int) (Batch, error) {
	b := Batch{First: t.at.Seq + 1}
	now := t.now()
	add := func(points []report.Point) {
		for _, p := range points {
			if p.Time.IsZero() {
				p.Time = now
			}
			b.Points = append(b.Points, sweeps.Point(p))
		}
	}
	reported := false // all that there is for now
	for !reported && len(b.Points) < limit {
		rec, err := t.report.Next()
		if errors.Is(err, io.EOF) {
			reported = true
			continue
		}
		if err != nil {
			return Batch{}, err
		}
		t.note(rec)
		add(rec.Points)
		if rec.Progress != nil {
			b.Progress = rec.Progress
		}
		if rec.Restarted {
			b.warn("the report file was truncated or replaced; it must only be appended to")
		}
		if rec.Warning != "" {
			b.warn(rec.Warning)
		}
	}
	for reported && !t.printed.Idle() && len(b.Points) < limit {
		points, err := t.printed.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Batch{}, err
		}
		kept := points[:0]
		for _, p := range points {
			if !t.seen[p.Metric] {
				kept = append(kept, p)
			}
		}
		add(kept)
	}
	t.at = Position{
		Seq:    t.at.Seq + int64(len(b.Points)),
		Report: t.report.Position(),
		Stdout: t.printed.Position(),
	}
	b.Next = t.at
	return b, nil
}

// note takes note of which metrics the report has, and of how far those have come that an
// earlier attempt printed.
func (t *Tail) note(rec report.Record) {
	for _, p := range rec.Points {
		if rec.Printed {
			t.printed.Count(p)
		} else {
			t.seen[p.Metric] = true
		}
	}
}

func (b *Batch) warn(text string) {
	switch n := len(b.Warnings); {
	case n < maxWarnings:
		b.Warnings = append(b.Warnings, text)
	case n == maxWarnings:
		b.Warnings = append(b.Warnings, "there are more of these; see the report file")
	}
}

// Follow calls f with every batch that is not empty, until done is closed and everything
// has been read, or f or reading fails, or ctx ends. Close done when the attempt has
// ended.
func (t *Tail) Follow(ctx context.Context, done <-chan struct{}, f func(Batch) error) error {
	const limit = 4096
	drain := func() error {
		for {
			b, err := t.Read(limit)
			if err != nil {
				return err
			}
			if b.Empty() {
				return nil
			}
			if err := f(b); err != nil {
				return err
			}
		}
	}
	tick := time.NewTicker(PollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			t.Finish()
			return drain()
		case <-tick.C:
			if err := drain(); err != nil {
				return err
			}
		}
	}
}
