package worker

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

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
	free []*spare
	made int         // how many there ever were
	mode os.FileMode // of directories as they are made here
}

// spare is such a directory.
type spare struct {
	dir string
	// was are the directory and its two folders as they were when all was looked through;
	// not sure if one had changed so shortly before that its time tells nothing.
	was  [3]fs.FileInfo
	sure bool
}

const (
	sparePrefix = ".spare-" // no attempt's directory begins so
	maxSpares   = 256
	// clockTick is longer than the times of files are apart that change one after the other.
	clockTick = 50 * time.Millisecond
)

// take gives an attempt a spare for its directory; nil if there is none.
func (s *spares) take(dir string) *spare {
	s.mu.Lock()
	n := len(s.free)
	if n == 0 {
		s.mu.Unlock()
		return nil
	}
	spare := s.free[n-1]
	s.free = s.free[:n-1]
	s.mu.Unlock()
	if os.Rename(spare.dir, dir) != nil { // not over anything that is there already
		return nil
	}
	spare.dir = dir
	return spare
}

// give takes the directory of an attempt that is over, and reports whether it would do.
func (s *spares) give(at *attempt) bool {
	spare := at.spare
	if spare == nil || !at.silent || !spare.unchanged() || !exec.Reusable(at.dir, "params.json") {
		if spare = s.lookThrough(at.dir); spare == nil {
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) >= maxSpares {
		return false
	}
	s.made++
	dir := filepath.Join(filepath.Dir(at.dir), sparePrefix+strconv.Itoa(s.made))
	if os.Rename(at.dir, dir) != nil {
		return false
	}
	spare.dir = dir
	s.free = append(s.free, spare)
	return true
}

// unchanged reports whether nothing was made, removed or renamed in the spare since it was
// looked through, and nobody changed who may do that.
func (p *spare) unchanged() bool {
	if !p.sure {
		return false
	}
	for i, dir := range p.folders() {
		st, err := os.Lstat(dir)
		if err != nil || st.Mode() != p.was[i].Mode() || !st.ModTime().Equal(p.was[i].ModTime()) {
			return false
		}
	}
	return true
}

func (p *spare) folders() [3]string {
	const sep = string(os.PathSeparator)
	return [3]string{p.dir, p.dir + sep + "checkpoint", p.dir + sep + "artifacts"}
}

// lookThrough makes a spare of a directory; nil if it will not do.
func (s *spares) lookThrough(dir string) *spare {
	p := &spare{dir: dir}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch name := e.Name(); {
		case !e.IsDir():
			if !exec.Reusable(dir, name) && os.Remove(path) != nil {
				return nil
			}
		case name != "checkpoint" && name != "artifacts", !empty(path):
			return nil
		}
	}
	p.sure = true
	for i, path := range p.folders() {
		st, err := os.Lstat(path)
		if err != nil || st.Mode() != s.mode {
			return nil
		}
		p.was[i] = st
		p.sure = p.sure && time.Since(st.ModTime()) > clockTick
	}
	return p
}

// close removes the spares.
func (s *spares) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, spare := range s.free {
		_ = os.RemoveAll(spare.dir) // the next agent removes what is left
	}
	s.free = nil
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
