package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// MaxLine is the length in bytes above which a line is skipped.
const MaxLine = 1 << 20

// errLineTooLong says that a line longer than MaxLine was skipped; reading goes on
// behind it.
var errLineTooLong = errors.New("line longer than 1 MiB")

// lines follows a file that another process appends to and yields it line by line. It
// looks only when asked; it starts no goroutine and waits for nothing.
type lines struct {
	path string
	ends string // the bytes that each end a line

	file *os.File // nil until the file exists
	buf  []byte   // read and not yet yielded
	seen int      // how much of buf is known to hold no end of line
	// offset is where the next line begins. It stays where it is while a line that is
	// too long is being skipped, so that a restored position meets the line again.
	offset   int64
	pos      int64 // where the next read begins
	skipping bool

	final bool  // the last line counts without its end, too
	limit int64 // read nothing from here on; negative for no limit
	chunk []byte
}

func newLines(path, ends string, offset int64) *lines {
	return &lines{path: path, ends: ends, offset: offset, pos: offset, limit: -1}
}

// next returns the next line without its end. The line is valid until the next call.
// io.EOF says that no further line is complete, and calling again later may bring
// one. errLineTooLong stands for a line that was skipped. restarted tells that the
// file was truncated or replaced, and that this line is of the new one.
func (l *lines) next() (line []byte, restarted bool, err error) {
	for {
		if i := bytes.IndexAny(l.buf[l.seen:], l.ends); i >= 0 {
			line, err := l.take(l.seen+i, 1)
			return line, restarted, err
		}
		l.seen = len(l.buf)
		if len(l.buf) > MaxLine {
			l.skipping = true
			l.buf, l.seen = l.buf[:0], 0
		}
		again, err := l.fill()
		restarted = restarted || again
		if errors.Is(err, io.EOF) && l.final && (len(l.buf) > 0 || l.skipping) {
			line, err := l.take(len(l.buf), 0)
			return line, restarted, err
		}
		if err != nil {
			return nil, restarted, err
		}
	}
}

// take yields the first n bytes of buf as a line that is followed by end bytes of ending.
func (l *lines) take(n, end int) ([]byte, error) {
	line := l.buf[:n:n]
	l.buf, l.seen = l.buf[n+end:], 0
	l.offset = l.pos - int64(len(l.buf))
	if l.skipping || n > MaxLine {
		l.skipping = false
		return nil, errLineTooLong
	}
	return line, nil
}

// fill reads more into buf. It returns io.EOF where there is nothing more, and true
// where it began at the start of a new or truncated file.
func (l *lines) fill() (restarted bool, err error) {
	if l.file == nil {
		f, err := os.Open(l.path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, io.EOF
		}
		if err != nil {
			return false, fmt.Errorf("follow %s: %w", l.path, err)
		}
		l.file = f
	}
	const chunk = 32 << 10
	if l.chunk == nil {
		l.chunk = make([]byte, chunk)
	}
	want := l.chunk
	if l.limit >= 0 {
		want = want[:max(0, min(int64(len(want)), l.limit-l.pos))]
	}
	var n int
	if len(want) > 0 {
		n, err = l.file.ReadAt(want, l.pos)
	}
	if n > 0 {
		l.buf = append(l.buf, want[:n]...)
		l.pos += int64(n)
		return false, nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("follow %s: %w", l.path, err)
	}
	if l.limit >= 0 || !l.replaced() {
		return false, io.EOF
	}
	_ = l.file.Close() // opened for reading: nothing to lose
	l.file, l.buf, l.seen, l.skipping = nil, nil, 0, false
	l.offset, l.pos = 0, 0
	return true, nil
}

// replaced reports whether the path now names another file than the one that was read
// to its end, or the same one but shorter than what was read of it.
func (l *lines) replaced() bool {
	now, err := os.Stat(l.path)
	if err != nil {
		return false // removed, or out of reach for the moment: stay with what is open
	}
	open, err := l.file.Stat()
	if err != nil {
		return false
	}
	return !os.SameFile(now, open) || now.Size() < l.pos
}

func (l *lines) close() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
