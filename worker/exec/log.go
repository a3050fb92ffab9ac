package exec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Stream is one of the two outputs of a trainer.
type Stream string

// The streams, which are also the names of their files in the attempt directory.
const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

func logFile(attemptDir string, s Stream) string { return file(attemptDir, string(s)) }

// openLog opens a stream for the trainer. made says that it is empty, if it is there: to
// empty it once more is not for nothing on some file systems.
func openLog(attemptDir string, s Stream, made bool) (*os.File, error) {
	flags := os.O_CREATE | os.O_APPEND | os.O_WRONLY
	if !made {
		flags |= os.O_TRUNC
	}
	f, err := openPlain(logFile(attemptDir, s), flags)
	if err != nil {
		return nil, fmt.Errorf("make the attempt's %s: %w", s, err)
	}
	return f, nil
}

// ReadLog returns what a stream holds from a byte offset on, max bytes at most; nothing
// where the offset is its end or behind it, or nothing was written yet. The caller adds
// the length to its offset and asks again.
func ReadLog(attemptDir string, s Stream, offset int64, max int) ([]byte, error) {
	// Mostly there is nothing new, and to ask costs less than to open.
	st, err := os.Stat(logFile(attemptDir, s))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the attempt's %s: %w", s, err)
	}
	if offset < 0 || offset >= st.Size() || max <= 0 {
		return nil, nil
	}
	f, err := os.Open(logFile(attemptDir, s))
	if err != nil {
		return nil, fmt.Errorf("read the attempt's %s: %w", s, err)
	}
	defer func() { _ = f.Close() }() // opened for reading
	b := make([]byte, min(int64(max), st.Size()-offset))
	n, err := f.ReadAt(b, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the attempt's %s: %w", s, err)
	}
	return b[:n], nil
}
