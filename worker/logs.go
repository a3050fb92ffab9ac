package worker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"swath/proto/wire"
	"swath/worker/exec"
)

// What a trainer prints is bounded. The trainer writes to its files itself, so nobody can
// keep it from printing; but of a stream that is longer than the limit only the first and
// the last half of the limit are kept:
//
//   - On disk, what is between is freed again and again while the trainer runs (where the
//     system can do that: Linux, on the usual file systems). The file keeps its length.
//     Standard output that metrics are read from is freed only as far as the coordinator
//     has acknowledged the points that were in it: a trainer that prints its metrics and
//     much else, while the coordinator is away, takes the space that it takes.
//   - The coordinator is sent the first half as it is printed, then a note, and the last
//     half when the attempt has ended.
//
// Points that a coordinator had acknowledged, and lost with its store, can be told again
// only as far as they are not in what was freed; and an attempt that goes on from a checkpoint
// begins with those that were printed, as far as they were not freed.

// defaultLogLimit is how much of a stream is kept.
const defaultLogLimit = 64 << 20

// logLimit says how much of a stream is kept.
type logLimit int64

func (l logLimit) none() bool { return l < 0 }

// head and tail are how much of the beginning and the end is kept of a longer stream.
func (l logLimit) head() int64 { return int64(l) / 2 }
func (l logLimit) tail() int64 { return int64(l) - l.head() }

// note stands where something was left out.
func (l logLimit) note() string {
	return fmt.Sprintf("\n[swath: the output is longer than %s; what follows is left out but for its last %s, which come when the trial has ended]\n",
		bytesText(int64(l)), bytesText(l.tail()))
}

func bytesText(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.4g KiB", float64(n)/(1<<10))
}

// readLog returns what there is to be told of a stream from an offset on. final is the
// length of the stream of an attempt that has ended, negative while it runs.
func (at *attempt) readLog(stream string, offset int64, most int, final int64) ([]byte, error) {
	if at.dir == "" {
		return nil, nil
	}
	limit := at.agent.logLimit
	read := func(from int64, most int64) ([]byte, error) {
		return exec.ReadLog(at.dir, exec.Stream(stream), from, int(most))
	}
	if limit.none() || final >= 0 && final <= int64(limit) {
		return read(offset, int64(most))
	}
	if offset < limit.head() {
		return read(offset, min(int64(most), limit.head()-offset))
	}
	size := final
	if size < 0 {
		var err error
		if size, err = at.logSize(stream); err != nil {
			return nil, err
		}
	}
	if size <= int64(limit) {
		return nil, nil // whether anything is to be left out is not known yet
	}
	note := limit.note()
	offset -= limit.head()
	if n := int64(len(note)); offset < n {
		return []byte(note[offset:]), nil
	} else if offset -= n; final < 0 || offset >= limit.tail() {
		return nil, nil
	}
	return read(size-limit.tail()+offset, min(int64(most), limit.tail()-offset))
}

// logSize is the length of a stream.
func (at *attempt) logSize(stream string) (int64, error) {
	if at.dir == "" {
		return 0, nil
	}
	st, err := os.Stat(filepath.Join(at.dir, stream))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read the attempt's %s: %w", stream, err)
	}
	return st.Size(), nil
}

// tidy frees what is left out of the streams of attempts, now and then, until the agent
// shuts down.
func (a *Agent) tidy() {
	if a.logLimit.none() {
		return
	}
	tick := time.NewTicker(a.times.tidy)
	defer tick.Stop()
	for {
		select {
		case <-a.closing:
			return
		case <-tick.C:
		}
		for _, at := range a.held() {
			if began, _ := at.progress(); began && !at.isForgotten() {
				at.trim(wire.Stdout)
				at.trim(wire.Stderr)
			}
		}
	}
}

// trimmed is how far a stream of an attempt was freed; tidy's own.
type trimmed struct {
	end   int64
	never bool // the system cannot
}

// trim frees what is left out of a stream. An attempt that is cleared up meanwhile has no
// such file any more.
func (at *attempt) trim(stream string) {
	limit, t := at.agent.logLimit, at.trimmed[stream]
	size, err := at.logSize(stream)
	if err != nil || t.never || size <= int64(limit) {
		return
	}
	to := size - limit.tail()
	if stream == wire.Stdout && len(at.rules) > 0 {
		to = min(to, at.keepPlace(t.end, to, limit))
	}
	from := max(t.end, limit.head())
	if to-from < limit.step() {
		return
	}
	end, err := exec.Trim(at.dir, exec.Stream(stream), from, to)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		t.never = true
		at.log.Warn("the output is long, and what is left out of it takes space on disk: the file system cannot free it", "err", err)
	case err != nil:
		t.never = true
		at.log.Warn("what is left out of the output takes space on disk", "err", err)
	default:
		t.end = end
	}
	at.trimmed[stream] = t
}

// step is how much is freed at a time, at least.
func (l logLimit) step() int64 { return max(4096, l.tail()/8) }

// keepPlace returns how far standard output may be freed, and makes sure that no agent
// ever reads its points from further back.
func (at *attempt) keepPlace(from, to int64, limit logLimit) int64 {
	at.mu.Lock()
	safe := at.safe
	at.mu.Unlock()
	offset := safe.at.Stdout.Offset
	if min(offset, to)-max(from, limit.head()) < limit.step() {
		return 0
	}
	if err := writeJSON(at.dir, placeFile, place{safe.next, safe.at}); err != nil {
		at.log.Warn("the output is not freed", "err", err)
		return 0
	}
	return offset
}

// placeFile holds the place from which on an attempt's points can be read; there is none
// as long as they all can.
const placeFile = "place.json"

type place struct {
	Next int64         `json:"next"`
	At   exec.Position `json:"at"`
}

// restorePlace has the first reporter begin where the points can be read.
func (at *attempt) restorePlace() {
	var p place
	switch err := readJSON(at.dir, placeFile, &p); {
	case err == nil:
		at.acked.points = mark{p.Next, p.At}
		at.safe = at.acked.points
	case !errors.Is(err, fs.ErrNotExist):
		at.log.Warn("points may be numbered wrongly, as a part of the output was freed", "err", err)
	}
}
