package exec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// processFile tells a restarted worker which process an attempt directory belongs to. It
// is there while the attempt runs, but for its first moments.
type processFile struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Argv    []string  `json:"argv"`
	// Birth tells this process from another that was given its number later; empty
	// where the system does not say.
	Birth string `json:"birth"`
	// Place is the attempt directory's: in a copy of it the process is somebody else's.
	Place string `json:"place,omitempty"`
}

func processPath(attemptDir string) string { return file(attemptDir, "process.json") }

func writeProcessFile(attemptDir string, pid int, started time.Time, argv []string) error {
	b, err := json.Marshal(processFile{PID: pid, Started: started, Argv: argv, Birth: birth(pid), Place: Place(attemptDir)})
	if err == nil { // whoever looks sees all of it, or nothing
		tmp := processPath(attemptDir) + ".tmp"
		err = errors.Join(os.WriteFile(tmp, append(b, '\n'), 0o644), os.Rename(tmp, processPath(attemptDir)))
	}
	if err != nil {
		return fmt.Errorf("note the attempt's process: %w", err)
	}
	return nil
}

// removeProcessFile removes the note of a process that has ended. Should it stay, the
// birth in it says the same.
func removeProcessFile(attemptDir string) { _ = os.Remove(processPath(attemptDir)) }

// Note writes down in a directory that this process is the one that belongs to it, for
// [KillOrphan] by another. Unnote takes that back.
func Note(dir string) error { return writeProcessFile(dir, os.Getpid(), time.Now(), os.Args) }

// Unnote removes what Note wrote.
func Unnote(dir string) { removeProcessFile(dir) }

// KillOrphan ends what a worker that died left running of the attempt in a directory, and
// reports whether there was anything. It kills at once: whoever calls it has given the
// attempt up. It goes by the process file, and for attempts that have none yet, and for
// processes that left their group, by the environment, which names the attempt's report
// file. What it finds in a copy of an attempt's directory is left alone. Where the system
// cannot tell one process from a later one of the same number, it does nothing.
func KillOrphan(attemptDir string) (bool, error) {
	killed, err := killNoted(attemptDir)
	return killDescendants(attemptDir) || killed, err
}

// killNoted ends the group of the process in the process file.
func killNoted(attemptDir string) (bool, error) {
	b, err := os.ReadFile(processPath(attemptDir))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for an orphan: %w", err)
	}
	var note processFile
	if err := json.Unmarshal(b, &note); err != nil {
		return false, fmt.Errorf("look for an orphan: %s: %w", processPath(attemptDir), err)
	}
	if note.PID <= 1 || note.Birth == "" || note.Birth != birth(note.PID) || note.Place != "" && note.Place != Place(attemptDir) {
		removeProcessFile(attemptDir)
		return false, nil
	}
	leader, err := os.FindProcess(note.PID)
	if err != nil {
		return false, fmt.Errorf("end the orphan %d: %w", note.PID, err)
	}
	killGroup(leader)
	_ = leader.Release() // it is no child of ours to wait for
	removeProcessFile(attemptDir)
	return true, nil
}
