package exec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"swath/sweeps"
)

// endFile says how the attempt of a directory ended. It is there where that is not known
// to have been reported: whoever was to report it may be gone.
func endFile(attemptDir string) string { return file(attemptDir, "ended.json") }

// SaveEnd writes down how an attempt ended, durably. An end that is there already stays:
// an attempt ends once.
func SaveEnd(attemptDir string, outcome sweeps.Outcome) (err error) {
	if _, err := LoadEnd(attemptDir); err == nil {
		return nil
	}
	b, err := json.Marshal(outcome)
	if err != nil {
		return fmt.Errorf("write down the attempt's end: %w", err)
	}
	// One that a crash cut off is no JSON, and counts as none.
	f, err := os.OpenFile(endFile(attemptDir), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err == nil {
		_, err = f.Write(append(b, '\n'))
		if err == nil {
			err = f.Sync()
		}
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("write down the attempt's end: %w", err)
	}
	return nil
}

// LoadEnd returns how the attempt of a directory ended; an error that wraps
// fs.ErrNotExist says that nobody wrote it down.
func LoadEnd(attemptDir string) (sweeps.Outcome, error) {
	b, err := os.ReadFile(endFile(attemptDir))
	if err != nil {
		return sweeps.Outcome{}, err
	}
	var outcome sweeps.Outcome
	if err := json.Unmarshal(b, &outcome); err != nil {
		return sweeps.Outcome{}, fmt.Errorf("%w: %s was cut off: %w", fs.ErrNotExist, endFile(attemptDir), err)
	}
	return outcome, nil
}
