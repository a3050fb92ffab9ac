package sweeps

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
)

// SweepID identifies a sweep for ever; the submitting client draws it, so that a
// repeated submit of the same request is recognised. Names may be reused, ids not.
type SweepID string

// TrialID is the content hash of a trial: of its trainer and its parameters (and,
// for the random method, of the draw's number, since a random sweep may draw the
// same point twice and mean it). Sixteen hexadecimal digits.
type TrialID string

// Basis says what else than a trial's id (its trainer or command, and its parameters) its
// result depends on, as far as a sweep knows it: the variables of the file's env, the
// patterns by which metrics are read, and the content of the program, whose digest is given
// (empty for a built-in trainer, or where nobody could read the program). Sixteen hexadecimal digits. Trials of the same id in
// sweeps of the same basis are equal: see Sweep.Reuse. Not part of it are the data, the
// machines, and what else the program reads.
func (s *Spec) Basis(program string) string {
	env := make(map[string]any, len(s.Env))
	for name, v := range s.Env {
		env[name] = v
	}
	basis := []any{env, program}
	patterns := map[string]any{}
	for _, rule := range s.MetricRules() {
		if rule.Pattern != "" {
			patterns[rule.Name] = rule.Pattern
		}
	}
	if len(patterns) > 0 {
		basis = append(basis, patterns)
	}
	sum := sha256.Sum256(appendJSON([]byte("swath basis 1\n"), basis))
	return hex.EncodeToString(sum[:8])
}

// WorkerID identifies a worker across restarts of its process: it is kept in the
// worker's home.
type WorkerID string

// TrialKey names a trial's place: the sweep and the trial's index in it. It is the
// key of the dispatcher and of the store.
type TrialKey struct {
	Sweep SweepID
	Index int64
}

// String prints the key as SWEEP/INDEX.
func (k TrialKey) String() string {
	return string(k.Sweep) + "/" + strconv.FormatInt(k.Index, 10)
}

// AttemptRef names one attempt of a trial. Attempt is the fencing token: it is
// counted from 1 and only grows.
type AttemptRef struct {
	TrialKey
	Attempt int
}

// String prints the reference as SWEEP/INDEX#ATTEMPT.
func (r AttemptRef) String() string {
	return fmt.Sprintf("%s#%d", r.TrialKey, r.Attempt)
}
