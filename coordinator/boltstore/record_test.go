package boltstore

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"swath/sweeps"
)

// That every field of a record survives is for storetest to verify; these are about
// bytes that are no record.

func TestTrialRecordIsCompact(t *testing.T) {
	trial := benchTrial(1_000_000, sweeps.TrialFinished)
	if n := len(appendTrial(nil, trial)); n > 460 {
		t.Errorf("a trial of six parameters and four metrics takes %d bytes, want at most 460", n)
	}
}

func TestTrialHead(t *testing.T) {
	trial := benchTrial(7, sweeps.TrialPending)
	id, state, err := trialHead(appendTrial(nil, trial))
	if err != nil || string(id) != string(trial.ID) || string(state) != "pending" {
		t.Errorf("head %q, %q, error %v", id, state, err)
	}
	if _, _, err := trialHead([]byte{trialVersion + 1, 0, 0}); err == nil {
		t.Error("a record of a later version has a head")
	}
}

func TestDecodeTrialRefusesCutRecords(t *testing.T) {
	b := appendTrial(nil, benchTrial(7, sweeps.TrialFinished))
	for n := range b {
		if _, err := decodeTrial(sweeps.TrialKey{}, b[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are a trial", n, len(b))
		}
	}
	if _, err := decodeTrial(sweeps.TrialKey{}, append(b, 0)); err == nil {
		t.Error("a record with a byte too many is a trial")
	}
}

func FuzzDecodeTrial(f *testing.F) {
	for i, state := range sweeps.TrialStates() {
		trial := benchTrial(int64(i), state)
		trial.Outcome = sweeps.Outcome{Class: sweeps.ClassExit, ExitCode: -1, Message: "exit status 1"}
		trial.Metrics = map[string]sweeps.Summary{"loss": {Count: 1, Last: math.NaN(), Min: math.Inf(-1)}}
		f.Add(appendTrial(nil, trial))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		key := sweeps.TrialKey{Sweep: "s", Index: 3}
		trial, err := decodeTrial(key, b)
		if err != nil {
			return
		}
		again, err := decodeTrial(key, appendTrial(nil, trial))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(trial, again, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzDecodeSweep(f *testing.F) {
	record, err := encodeSweep(&sweeps.Sweep{ID: "s1", Name: "name", State: sweeps.SweepRunning, Created: benchEpoch, Next: 5})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSweep(b, nil)
		if err != nil {
			return
		}
		record, err := encodeSweep(s)
		if err != nil {
			return // JSON reads offsets of time zones that it does not write
		}
		again, err := decodeSweep(record, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
