package report

import (
	"errors"
	"maps"
)

// Printed follows a file that a program's standard output goes to, and finds metrics in
// it with a [Scanner]. It looks when it is asked, and is for one goroutine.
type Printed struct {
	lines   *lines
	scanner *Scanner
	line    int64
	skipped int64
}

// NewPrinted returns a Printed that reads the file at path from a position on. The file
// need not exist yet.
func NewPrinted(path string, rules []Rule, from Position) (*Printed, error) {
	s, err := NewScanner(rules)
	if err != nil {
		return nil, err
	}
	s.steps = maps.Clone(from.Steps)
	return &Printed{
		// A carriage return ends a line for the sake of progress bars; the line feed of
		// a CR LF then ends an empty one.
		lines:   newLines(path, "\r\n", from.Offset),
		scanner: s,
		line:    from.Line,
		skipped: from.Skipped,
	}, nil
}

// Next returns the points of the next line that has any. io.EOF says that no further
// line is complete; calling again later may bring one. Any other error is one of reading
// the file.
func (p *Printed) Next() ([]Point, error) {
	for {
		line, restarted, err := p.lines.next()
		if restarted {
			p.line = 0
		}
		switch {
		case errors.Is(err, errLineTooLong):
			p.line++
			p.skipped++
			continue
		case err != nil:
			return nil, err
		}
		p.line++
		if points := p.scanner.Line(line); len(points) > 0 {
			return points, nil
		}
	}
}

// Finish says that nobody writes any more, as [Reader.Finish] does.
func (p *Printed) Finish() { p.lines.final = true }

// Until treats an offset as the end of the file, as [Reader.Until] does.
func (p *Printed) Until(offset int64) { p.lines.limit, p.lines.final = offset, true }

// Idle reports whether there is no rule, so that nothing can be found.
func (p *Printed) Idle() bool { return p.scanner.Idle() }

// Count takes note of a point that was printed earlier, into another file: those without a
// step are counted on from there.
func (p *Printed) Count(earlier Point) { p.scanner.steps.take(earlier.Metric, earlier.Step, true) }

// Position returns how far the file has been read.
func (p *Printed) Position() Position {
	return Position{
		Offset: p.lines.offset, Line: p.line, Skipped: p.skipped, Steps: maps.Clone(p.scanner.steps),
	}
}

// Close lets go of the file.
func (p *Printed) Close() error { return p.lines.close() }
