package worker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"swath/proto/wire"
	"swath/sweeps"
)

// attemptFile is what the agent keeps in an attempt's directory, beside what package exec
// does: a record.
const attemptFile = "attempt.json"

// record is everything of Start, what the attempt took of the machine and how its output is read,
// so that an agent can go on with what another one began, also one of a version that does not
// understand the sweep file.
type record struct {
	Sweep     sweeps.SweepID  `json:"sweep"`
	Index     int64           `json:"index"`
	Attempt   int             `json:"attempt"`
	Trial     sweeps.TrialID  `json:"trial"`
	Params    json.RawMessage `json:"params"`
	SweepName string          `json:"sweep_name"`
	File      string          `json:"file"`
	WorkDir   string          `json:"work_dir"`
	Source    string          `json:"source"`
	// Devices are the GPUs that it was given.
	Devices []sweeps.GPUShare   `json:"devices,omitempty"`
	Needs   sweeps.Resources    `json:"needs,omitzero"`
	Rules   []sweeps.MetricRule `json:"rules,omitempty"`
}

// render returns the attempt's record.
func (at *attempt) render() ([]byte, error) {
	m := at.start
	return json.Marshal(record{
		Sweep: m.Ref.Sweep, Index: m.Ref.Index, Attempt: m.Ref.Attempt,
		Trial: m.TrialID, Params: m.Params.JSON(),
		SweepName: m.SweepName, File: m.File, WorkDir: m.WorkDir, Source: string(m.Source),
		Devices: m.GPUs, Needs: at.needs, Rules: at.rules,
	})
}

// parseRecord returns a record, and Start as it says. from tells where it was, for messages.
func parseRecord(b []byte, from string) (r record, m wire.Start, err error) {
	if err := json.Unmarshal(b, &r); err != nil {
		return r, m, fmt.Errorf("the record of an attempt in %s is damaged: %w", from, err)
	}
	params, err := sweeps.ParamsFromJSON(r.Params)
	if err != nil {
		return r, m, fmt.Errorf("parameters in %s: %w", from, err)
	}
	return r, wire.Start{
		Ref:     sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: r.Sweep, Index: r.Index}, Attempt: r.Attempt},
		TrialID: r.Trial, Params: params, SweepName: r.SweepName,
		Source: []byte(r.Source), File: r.File, WorkDir: r.WorkDir,
		GPUs: r.Devices,
	}, nil
}

// writeJSON and readJSON keep one value in a file of a directory. It survives the agent,
// but not for certain the machine.
func writeJSON(dir, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, name), b, false)
}

func readJSON(dir, name string, v any) error {
	file := filepath.Join(dir, name)
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s is damaged: %w", file, err)
	}
	return nil
}

// attemptDir is the name of an attempt's directory.
func attemptDir(ref sweeps.AttemptRef) string {
	return fmt.Sprintf("%s-%d", trialName(ref.TrialKey), ref.Attempt)
}

// trialName is what the names of a trial's files begin with.
func trialName(key sweeps.TrialKey) string {
	return fmt.Sprintf("%s-%d", safeName(string(key.Sweep)), key.Index)
}

// safeName returns a name that is one element of a path and that no two names share: s
// itself where it is harmless, as the names that swath makes are.
func safeName(s string) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '_'
	}, s)
	if safe == s && s != "" && s[0] != '.' && len(s) <= 128 {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	if len(safe) > 64 {
		safe = safe[:64]
	}
	return "_" + strings.TrimLeft(safe, ".") + "-" + hex.EncodeToString(sum[:4])
}
