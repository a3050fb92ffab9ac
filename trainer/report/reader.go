package report

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
)

// Reader follows a report file while a trainer appends to it. It looks when it is
// asked, starts no goroutine, and is for one goroutine.
type Reader struct {
	lines   *lines
	line    int64
	skipped int64
	steps   steps
}

// NewReader returns a reader of the file at path that continues at a position. The file
// need not exist yet.
func NewReader(path string, from Position) *Reader {
	return &Reader{
		lines:   newLines(path, "\n", from.Offset),
		line:    from.Line,
		skipped: from.Skipped,
		steps:   maps.Clone(from.Steps),
	}
}

// Next returns what the next line says. io.EOF says that no further line is complete;
// calling again later may bring one. A line that the protocol does not know yields a
// Record with nothing but a Warning. Any other error is one of reading the file.
func (r *Reader) Next() (Record, error) {
	for {
		line, restarted, err := r.lines.next()
		if restarted {
			r.line = 0
		}
		if err != nil && !errors.Is(err, errLineTooLong) {
			return Record{}, err
		}
		r.line++
		var rec Record
		if err == nil {
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			rec, err = parseRecord(line, &r.steps)
		}
		if err != nil {
			r.skipped++
			rec = Record{Warning: fmt.Sprintf("skipped: %v", err)}
		}
		if rec.Warning != "" {
			rec.Warning = fmt.Sprintf("report line %d: %s", r.line, rec.Warning)
		}
		rec.Line, rec.Restarted = r.line, restarted
		return rec, nil
	}
}

// Finish says that nobody writes any more: Next then takes a last line that lacks its
// line feed as complete.
func (r *Reader) Finish() { r.lines.final = true }

// Until makes the reader treat an offset as the end of the file, as a repetition of
// what was read before needs it; the last line before it counts as complete.
func (r *Reader) Until(offset int64) { r.lines.limit, r.lines.final = offset, true }

// Position returns how far the file has been read: just after the line that Next
// returned last.
func (r *Reader) Position() Position {
	return Position{
		Offset: r.lines.offset, Line: r.line, Skipped: r.skipped, Steps: maps.Clone(r.steps),
	}
}

// Close lets go of the file.
func (r *Reader) Close() error { return r.lines.close() }
