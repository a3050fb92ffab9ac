package exec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Trim frees the disk space of a stream's bytes from one offset to another, which then
// read as zeros; everything behind them keeps its place, and the trainer may go on
// writing. It returns where the freed part ends, which is not always where it was asked
// to. An error that wraps errors.ErrUnsupported says that the file system cannot do that.
func Trim(attemptDir string, s Stream, from, to int64) (end int64, err error) {
	const block = 4096
	from, to = (from+block-1)/block*block, to/block*block
	if to <= from {
		return from, nil
	}
	f, err := os.OpenFile(logFile(attemptDir, s), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return from, nil
	}
	if err != nil {
		return from, fmt.Errorf("trim the attempt's %s: %w", s, err)
	}
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from)
	if err = errors.Join(err, f.Close()); err != nil {
		return from, fmt.Errorf("trim the attempt's %s: %w", s, err)
	}
	return to, nil
}
