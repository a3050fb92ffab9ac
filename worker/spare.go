package worker

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// spares are directories of attempts that are over, with nothing in them but the empty
// folders that every attempt is given. To make and remove those costs more than the rest
// of a short attempt's files, and on some file systems as much as the attempt; a spare is
// renamed instead.
//
// Only attempts that were over in a moment, and left nothing else, leave one: of others
// some process might still have its working directory there, and the cost does not show.
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

// take gives an attempt a spare for its directory, if there is one. Whoever gets none, or
// one that is gone meanwhile, makes its own.
func (s *spares) take(dir string) {
	s.mu.Lock()
	n := len(s.free)
	if n == 0 {
		s.mu.Unlock()
		return
	}
	spare := s.free[n-1]
	s.free = s.free[:n-1]
	s.mu.Unlock()
	_ = os.Rename(spare, dir)
}

// give takes the directory of an attempt that is over, if it will do; it reports whether
// it did.
func (s *spares) give(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case !e.IsDir():
			if os.Remove(path) != nil {
				return false
			}
		case e.Name() != "checkpoint" && e.Name() != "artifacts", !asMade(path, s.mode), !empty(path):
			return false
		}
	}
	if !asMade(dir, s.mode) {
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
func asMade(path string, mode os.FileMode) bool {
	st, err := os.Lstat(path)
	return err == nil && st.Mode() == mode
}

func empty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}
