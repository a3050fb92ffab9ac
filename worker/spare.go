package worker

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"swath/worker/exec"
)

// spares are directories of attempts that are over, as they were before those began:
// empty folders, empty files for the output, parameters that will be overwritten. To make
// and remove all that costs more than the rest of a short attempt, and on some file
// systems more than its process; a spare is renamed instead.
//
// Only attempts that were over in a moment and printed nothing leave one. Nobody must
// still write to it: that its group is gone is not enough, as processes can leave their
// group, so the system is asked who has the files open, and where it does not tell, the
// files are made anew.
type spares struct {
	mu   sync.Mutex
	free []string    // paths
	made int         // how many there ever were
	mode os.FileMode // of directories as they are made here
}

const (
	sparePrefix = ".spare-" // no attempt's directory begins so
	maxSpares   = 64
)

// take gives an attempt a spare for its directory, and reports whether there was one.
func (s *spares) take(dir string) bool {
	s.mu.Lock()
	n := len(s.free)
	if n == 0 {
		s.mu.Unlock()
		return false
	}
	spare := s.free[n-1]
	s.free = s.free[:n-1]
	s.mu.Unlock()
	return os.Rename(spare, dir) == nil // not over anything that is there already
}

// give takes the directory of an attempt that is over, and reports whether it would do.
func (s *spares) give(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	folders := 0
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch name := e.Name(); {
		case !e.IsDir():
			if !exec.Reusable(dir, name) && os.Remove(path) != nil {
				return false
			}
		case name != "checkpoint" && name != "artifacts", !s.asMade(path), !empty(path):
			return false
		default:
			folders++
		}
	}
	if folders < 2 || !s.asMade(dir) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) >= maxSpares {
		return false
	}
	s.made++
	spare := filepath.Join(filepath.Dir(dir), sparePrefix+strconv.Itoa(s.made))
	if os.Rename(dir, spare) != nil {
		return false
	}
	s.free = append(s.free, spare)
	return true
}

// close removes the spares.
func (s *spares) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, spare := range s.free {
		_ = os.RemoveAll(spare) // the next agent removes what is left
	}
	s.free = nil
}

// asMade reports whether a directory's permissions are those that it was made with.
func (s *spares) asMade(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.Mode() == s.mode
}

func empty(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	names, err := f.Readdirnames(1)
	_ = f.Close() // opened for reading
	return len(names) == 0 && errors.Is(err, io.EOF)
}
