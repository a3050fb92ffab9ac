package worker

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"swath/sweeps"
	"swath/worker/exec"
)

// maxWorkers bounds how many agents may share a home.
const maxWorkers = 1000

// errLocked says that another agent holds the lock.
var errLocked = errors.New("locked by another worker")

// home is the directory that an agent owns while it runs.
type home struct {
	root string // shared by the agents of a machine
	dir  string // this agent's
	n    int
	id   sweeps.WorkerID
	lock *os.File
	// place tells this directory from copies of it; empty where that cannot be told.
	place string
	// coordinator is the home of the coordinator whose attempts are in here, as its Welcome
	// names it; empty if that is not known.
	coordinator string
}

// Files in the directory.
const (
	lockName        = "lock"
	idFile          = "id"
	coordinatorFile = "coordinator" // keeps home.coordinator
)

// claimHome takes the first directory under root that no other agent holds.
func claimHome(root string) (*home, error) {
	for n := range maxWorkers {
		h := &home{root: root, dir: filepath.Join(root, "worker", strconv.Itoa(n)), n: n}
		if err := os.MkdirAll(h.attempts(), 0o755); err != nil {
			return nil, homeError(root, err)
		}
		f, err := os.OpenFile(filepath.Join(h.dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, homeError(root, err)
		}
		if err := lockFile(f); err != nil {
			_ = f.Close() // nothing was written
			if errors.Is(err, errLocked) {
				continue
			}
			return nil, homeError(root, err)
		}
		h.lock = f
		if h.id, err = workerID(h.idFile()); err != nil {
			h.release()
			return nil, homeError(root, err)
		}
		h.place = exec.Place(f.Name())
		if b, err := os.ReadFile(filepath.Join(h.dir, coordinatorFile)); err == nil {
			h.coordinator = string(b)
		}
		return h, nil
	}
	return nil, fmt.Errorf("%w: all %d places for workers in %s are taken: give this one another --home", sweeps.ErrConflict, maxWorkers, root)
}

func homeError(root string, err error) error {
	return fmt.Errorf("%w: the worker needs a home that it can write to, and %s is none: free or repair it, or give another with --home: %w",
		sweeps.ErrStorage, root, err)
}

// serves takes note of the coordinator whose attempts are in here from now on.
func (h *home) serves(coordinator string) error {
	if coordinator == "" || coordinator == h.coordinator {
		return nil
	}
	if err := writeFile(filepath.Join(h.dir, coordinatorFile), []byte(coordinator)); err != nil {
		return err
	}
	h.coordinator = coordinator
	return nil
}

func (h *home) idFile() string { return filepath.Join(h.dir, idFile) }

func (h *home) attempts() string { return filepath.Join(h.dir, "attempts") }

// release lets the next agent have the directory.
func (h *home) release() {
	_ = h.lock.Close() // the lock goes with the descriptor
}

// LeftBehind is how many attempts earlier agents have left in the home at root: trainers that
// go on, or ends that the coordinator does not know yet. Agents that run there are not told
// from those that do no more.
func LeftBehind(root string) int {
	dirs, _ := filepath.Glob(filepath.Join(root, "worker", "*", "attempts", "*")) // the pattern is a good one
	return len(slices.DeleteFunc(dirs, func(dir string) bool {
		return strings.HasPrefix(filepath.Base(dir), sparePrefix)
	}))
}

var goodID = regexp.MustCompile(`^[0-9a-f]{16}$`)

// workerID reads the identity in the file, or draws one and writes it.
func workerID(file string) (sweeps.WorkerID, error) {
	b, err := os.ReadFile(file)
	switch {
	case err == nil && goodID.Match(b):
		return sweeps.WorkerID(b), nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	id := hex.EncodeToString(random[:])
	return sweeps.WorkerID(id), writeFile(file, []byte(id))
}

// writeFile replaces a file durably: after a crash it is either the old or the new one,
// and once this has returned nil it is the new one.
func writeFile(file string, data []byte) error {
	if err := replaceFile(file, data, true); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// replaceFile replaces a file, so that no process ever sees half of it. Without sync a
// crash of the machine may leave anything of it, nothing included.
func replaceFile(file string, data []byte, sync bool) (err error) {
	tmp := file + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp, file)
	}
	if err != nil {
		_ = os.Remove(tmp) // the first error tells more
	}
	return err
}
