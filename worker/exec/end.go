package exec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"swath/sweeps"
)

// End is how an attempt ended and when; Began is zero if it never did, or nobody knows.
type End struct {
	sweeps.Outcome
	Began time.Time `json:"began,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
}

// endFile says how the attempt of a directory ended. It is there where that is not known
// to have been reported: whoever was to report it may be gone.
func endFile(attemptDir string) string { return file(attemptDir, "ended.json") }

// SaveEnd writes down how an attempt ended, durably. An end that is there already stays:
// an attempt ends once.
func SaveEnd(attemptDir string, end End) (err error) {
	if _, err := LoadEnd(attemptDir); err == nil {
		return nil
	}
	b, err := json.Marshal(end)
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
func LoadEnd(attemptDir string) (End, error) {
	b, err := os.ReadFile(endFile(attemptDir))
	if err != nil {
		return End{}, err
	}
	var end End
	if err := json.Unmarshal(b, &end); err != nil {
		return End{}, fmt.Errorf("%w: %s was cut off: %w", fs.ErrNotExist, endFile(attemptDir), err)
	}
	return end, nil
}
