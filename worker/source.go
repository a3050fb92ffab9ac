package worker

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"swath/proto/wire"
	"swath/sweeps"
	"swath/worker/exec"
)

// batchesFile lists, a JSON line each, the positions at which batches of points ended.
//
// Points come from two files, the report and standard output, and which of them is
// further at the moment of reading decides how the two mix into one sequence. A later
// reading, by another session or another agent, must mix them alike, or else it would
// number other points with the numbers that the coordinator knows. So where a batch
// took from standard output, its end is written down before it is sent, and reading
// again goes from one such position to the next. The list is not fsynced: it has to
// survive the agent, not the machine, with which the trainer would go, too.
const batchesFile = "batches.jsonl"

// source yields an attempt's points, in the same order whenever it is read.
type source struct {
	at      *attempt
	pos     exec.Position
	journal *os.File      // batchesFile; nil as long as there is none
	replay  *bufio.Reader // what is in journal; nil when all of it has been read
	whole   int64         // how many bytes of it are whole lines, as far as it was read
	noted   int64         // the number of points up to the last position in journal
	tail    *exec.Tail    // behind that; nil while replay lasts
}

// openSource opens the attempt's points from a position on.
func (at *attempt) openSource(from exec.Position) (*source, error) {
	s := &source{at: at, pos: from}
	if at.dir == "" {
		return s, nil // it never came to run
	}
	f, err := os.OpenFile(s.journalPath(), os.O_RDWR, 0)
	switch {
	case err == nil:
		s.journal, s.replay = f, bufio.NewReader(f)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("keep the order of the points: %w", err)
	}
	return s, nil
}

func (s *source) journalPath() string { return filepath.Join(s.at.dir, batchesFile) }

// read returns further points, about limit at most; none where there are no more for
// now. ended says that the attempt has, so that a last line without an end counts.
func (s *source) read(limit int, ended bool) ([]sweeps.Point, error) {
	if s.at.dir == "" {
		return nil, nil
	}
	for s.replay != nil {
		points, err := s.readAgain()
		if err != nil || len(points) > 0 {
			return points, err
		}
	}
	if s.tail == nil {
		var err error
		if s.tail, err = exec.OpenTail(s.at.dir, s.at.rules, s.pos); err != nil {
			return nil, err
		}
	}
	if ended {
		s.tail.Finish()
	}
	for {
		b, err := s.tail.Read(limit)
		if err != nil {
			return nil, err
		}
		before := s.pos
		s.pos = b.Next
		s.at.warn(b.Warnings)
		if len(b.Points) > 0 {
			s.note(before)
			return b.Points, nil
		}
		if b.Next.Report.Offset == before.Report.Offset && b.Next.Stdout.Offset == before.Stdout.Offset {
			return nil, nil
		}
	}
}

// readAgain returns the points up to the next position in the journal, if they are behind
// those that were read.
func (s *source) readAgain() ([]sweeps.Point, error) {
	line, err := s.replay.ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		// A last line that a crash cut off gives way to what comes.
		s.replay = nil
		if err := s.journal.Truncate(s.whole); err != nil {
			return nil, fmt.Errorf("keep the order of the points: %w", err)
		}
		_, err := s.journal.Seek(s.whole, io.SeekStart)
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("read the order of the points: %w", err)
	}
	s.whole += int64(len(line))
	var to exec.Position
	if err := json.Unmarshal(line, &to); err != nil {
		return nil, fmt.Errorf("the order of the points in %s is damaged: %w", s.journal.Name(), err)
	}
	s.noted = to.Seq
	if to.Seq <= s.pos.Seq {
		return nil, nil
	}
	b, err := exec.Reread(s.at.dir, s.at.rules, s.pos, to)
	if err != nil {
		return nil, err
	}
	s.pos = to
	return b.Points, nil
}

// note writes the end of the batch down if the order could otherwise not be found again,
// and now and then in any case, so that what is read again at once has a bound.
func (s *source) note(before exec.Position) {
	if s.pos.Stdout.Offset == before.Stdout.Offset && s.pos.Seq-s.noted < pointsBatch {
		return
	}
	line, err := json.Marshal(s.pos)
	if err == nil && s.journal == nil {
		s.journal, err = os.OpenFile(s.journalPath(), os.O_CREATE|os.O_RDWR, 0o644)
	}
	if err == nil {
		_, err = s.journal.Write(append(line, '\n'))
	}
	if err != nil {
		// A full disk, most likely. The points had better arrive.
		s.at.warn([]string{fmt.Sprintf("keep the order of the points: %v", err)})
		return
	}
	s.noted = s.pos.Seq
}

// position returns how far the points have been read.
func (s *source) position() exec.Position { return s.pos }

func (s *source) close() {
	if s.tail != nil {
		_ = s.tail.Close() // opened for reading
	}
	if s.journal != nil {
		_ = s.journal.Close() // see batchesFile for what it has to survive
	}
}

// wroteNothing reports whether the files of an attempt that has ended hold nothing. It
// costs less than to read nothing from them.
func (at *attempt) wroteNothing() bool {
	if at.dir == "" || at.silent {
		return true
	}
	for _, path := range []string{exec.ReportFile(at.dir), filepath.Join(at.dir, wire.Stdout), filepath.Join(at.dir, wire.Stderr)} {
		if st, err := os.Stat(path); err == nil && st.Size() > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// maxWarned bounds the warnings logged for an attempt.
const maxWarned = 20

// warn logs what package exec has to say about the attempt's files.
func (at *attempt) warn(texts []string) {
	for _, text := range texts {
		if at.warned++; at.warned <= maxWarned {
			at.log.Warn("reading what the trainer wrote", "warning", text)
		}
	}
}
