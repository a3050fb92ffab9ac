package boltstore

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"swath/sweeps"
)

// sweepRecord is the JSON of a sweep in the bucket sweeps; its source is kept apart.
type sweepRecord struct {
	ID         sweeps.SweepID    `json:"id"`
	Name       string            `json:"name"`
	File       string            `json:"file,omitempty"`
	WorkDir    string            `json:"work_dir,omitempty"`
	State      sweeps.SweepState `json:"state"`
	Reason     string            `json:"reason,omitempty"`
	Created    time.Time         `json:"created"`
	Ended      time.Time         `json:"ended,omitzero"`
	Revived    time.Time         `json:"revived,omitzero"`
	Next       int64             `json:"next"`
	Closed     bool              `json:"closed,omitempty"`
	Dispatched int64             `json:"dispatched"`
	Excluded   int64             `json:"excluded"`
	Running    int64             `json:"running"`
	Finished   int64             `json:"finished"`
	Failed     int64             `json:"failed"`
	Cancelled  int64             `json:"cancelled"`
	Retrying   int64             `json:"retrying"`
	Unstarted  int64             `json:"unstarted,omitempty"` // among the retrying, before there was this
	Best       []bestRecord      `json:"best,omitempty"`
	Reuse      bool              `json:"reuse,omitempty"`
	Basis      string            `json:"basis,omitempty"`
	Reused     int64             `json:"reused,omitempty"`
}

// bestRecord is one of a sweep's best checkpoints. Its value is finite.
type bestRecord struct {
	Index   int64     `json:"index"`
	Attempt int       `json:"attempt"`
	Step    int64     `json:"step"`
	Digest  string    `json:"digest"`
	Size    int64     `json:"size"`
	Value   float64   `json:"value"`
	Saved   time.Time `json:"saved"`
}

func bestRecords(list []sweeps.KeptCheckpoint) []bestRecord {
	var out []bestRecord
	for _, k := range list {
		out = append(out, bestRecord{k.Index, k.Attempt, k.Step, k.Digest, k.Size, k.Value, k.Saved.UTC()})
	}
	return out
}

func bestCheckpoints(list []bestRecord) []sweeps.KeptCheckpoint {
	var out []sweeps.KeptCheckpoint
	for _, r := range list {
		out = append(out, sweeps.KeptCheckpoint{Index: r.Index, Checkpoint: sweeps.Checkpoint{
			Attempt: r.Attempt, Step: r.Step, Digest: r.Digest, Size: r.Size, Value: r.Value, Saved: r.Saved,
		}})
	}
	return out
}

// encodeSweep returns the record of a sweep, without its source.
func encodeSweep(s *sweeps.Sweep) ([]byte, error) {
	return json.Marshal(sweepRecord{
		ID: s.ID, Name: s.Name, File: s.File, WorkDir: s.WorkDir, State: s.State, Reason: s.Reason,
		Created: s.Created.UTC(), Ended: s.Ended.UTC(), Revived: s.Revived.UTC(),
		Next: s.Next, Closed: s.Closed, Dispatched: s.Dispatched, Excluded: s.Excluded,
		Running: s.Counts.Running, Finished: s.Counts.Finished, Failed: s.Counts.Failed,
		Cancelled: s.Counts.Cancelled, Retrying: s.Counts.Retrying, Unstarted: s.Counts.Unstarted, Best: bestRecords(s.Best),
		Reuse: s.Reuse, Basis: s.Basis, Reused: s.Reused,
	})
}

// decodeSweep reads what encodeSweep wrote; the source is copied in.
func decodeSweep(b, source []byte) (*sweeps.Sweep, error) {
	var r sweepRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	return &sweeps.Sweep{
		ID: r.ID, Name: r.Name, File: r.File, WorkDir: r.WorkDir, State: r.State, Reason: r.Reason,
		Source: slices.Clone(source), Created: r.Created, Ended: r.Ended, Revived: r.Revived,
		Next: r.Next, Closed: r.Closed, Dispatched: r.Dispatched, Excluded: r.Excluded,
		Reuse: r.Reuse, Basis: r.Basis, Reused: r.Reused,
		Counts: sweeps.Counts{
			Running: r.Running, Finished: r.Finished, Failed: r.Failed,
			Cancelled: r.Cancelled, Retrying: r.Retrying, Unstarted: r.Unstarted,
		},
		Best: bestCheckpoints(r.Best),
	}, nil
}

// trialVersion is the first byte of a trial's record. A change of the fields takes
// the next number, and decodeTrial goes on reading the old ones:
//
//	1  the first
//	2  Continued and Checkpoints at the end
//	3  ReusedFrom behind them
const trialVersion = 3

// appendTrial writes the record of a trial: the version, and the fields in order, as
// the append functions of codec.go write them. Identity and state come first, for
// trialHead. The key holds the index, and stands for the sweep.
func appendTrial(b []byte, t *sweeps.Trial) []byte {
	b = append(b, trialVersion)
	b = appendString(b, t.ID)
	b = appendString(b, t.State)
	b = appendString(b, string(t.Params.JSON()))
	b = binary.AppendVarint(b, int64(t.Attempt))
	b = binary.AppendVarint(b, int64(t.Returned))
	b = binary.AppendVarint(b, int64(t.Charged))
	b = binary.AppendVarint(b, int64(t.Losses))
	b = appendBool(b, t.Alone)
	b = appendTime(b, t.NotBefore)
	b = appendString(b, t.Worker)
	b = appendString(b, t.WorkerName)
	b = appendTime(b, t.Assigned)
	b = appendTime(b, t.Started)
	b = appendTime(b, t.Ended)
	b = appendString(b, t.Outcome.Class)
	b = binary.AppendVarint(b, int64(t.Outcome.ExitCode))
	b = appendString(b, t.Outcome.Message)
	b = binary.AppendUvarint(b, uint64(len(t.Metrics)))
	for _, name := range slices.Sorted(maps.Keys(t.Metrics)) {
		b = appendString(b, name)
		b = appendSummary(b, t.Metrics[name])
	}
	b = appendBool(b, t.Continued)
	b = binary.AppendUvarint(b, uint64(len(t.Checkpoints)))
	for _, c := range t.Checkpoints {
		b = binary.AppendVarint(b, int64(c.Attempt))
		b = binary.AppendVarint(b, c.Step)
		b = appendString(b, c.Digest)
		b = binary.AppendVarint(b, c.Size)
		b = appendFloat(b, c.Value)
		b = appendTime(b, c.Saved)
	}
	b = appendBool(b, t.Reused())
	if o := t.ReusedFrom; t.Reused() {
		b = appendString(b, o.Sweep)
		b = binary.AppendVarint(b, o.Index)
		b = binary.AppendVarint(b, int64(o.Attempt))
		b = appendString(b, o.SweepName)
	}
	return b
}

// decodeTrial reads the record of the trial at key; nothing of b is kept.
func decodeTrial(key sweeps.TrialKey, b []byte) (*sweeps.Trial, error) {
	d := &decoder{b: b}
	version := d.byte()
	if version < 1 || version > trialVersion {
		return nil, fmt.Errorf("%w: version %d of a trial", errGarbled, version)
	}
	t := &sweeps.Trial{TrialKey: key}
	t.ID = sweeps.TrialID(d.string())
	t.State = sweeps.TrialState(d.string())
	params := d.block()
	t.Attempt = int(d.varint())
	t.Returned = int(d.varint())
	t.Charged = int(d.varint())
	t.Losses = int(d.varint())
	t.Alone = d.bool()
	t.NotBefore = d.time()
	t.Worker = sweeps.WorkerID(d.string())
	t.WorkerName = d.string()
	t.Assigned = d.time()
	t.Started = d.time()
	t.Ended = d.time()
	t.Outcome.Class = sweeps.Class(d.string())
	t.Outcome.ExitCode = int(d.varint())
	t.Outcome.Message = d.string()
	if n := d.count(); n > 0 {
		t.Metrics = make(map[string]sweeps.Summary, n)
		for range n {
			name := d.string()
			t.Metrics[name] = d.summary()
		}
	}
	if version >= 2 {
		t.Continued = d.bool()
		for range d.count() {
			t.Checkpoints = append(t.Checkpoints, sweeps.Checkpoint{
				Attempt: int(d.varint()), Step: d.varint(), Digest: d.string(), Size: d.varint(),
				Value: d.float(), Saved: d.time(),
			})
		}
	}
	if version >= 3 && d.bool() {
		o := &t.ReusedFrom
		o.Sweep = sweeps.SweepID(d.string())
		o.Index = d.varint()
		o.Attempt = int(d.varint())
		o.SweepName = d.string()
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	var err error
	if t.Params, err = sweeps.ParamsFromJSON(params); err != nil {
		return nil, err
	}
	return t, nil
}

// trialHead returns a record's identity and state, not copied.
func trialHead(b []byte) (id, state []byte, err error) {
	d := &decoder{b: b}
	if v := d.byte(); v < 1 || v > trialVersion {
		return nil, nil, fmt.Errorf("%w: version %d of a trial", errGarbled, v)
	}
	id, state = d.block(), d.block()
	return id, state, d.err
}

// appendSummary writes a summary, bit by bit what it was.
func appendSummary(b []byte, s sweeps.Summary) []byte {
	b = binary.AppendVarint(b, s.Count)
	b = appendFloat(b, s.Last)
	b = binary.AppendVarint(b, s.LastStep)
	b = appendFloat(b, s.Min)
	b = binary.AppendVarint(b, s.MinStep)
	b = appendFloat(b, s.Max)
	return binary.AppendVarint(b, s.MaxStep)
}

func (d *decoder) summary() sweeps.Summary {
	return sweeps.Summary{
		Count: d.varint(),
		Last:  d.float(), LastStep: d.varint(),
		Min: d.float(), MinStep: d.varint(),
		Max: d.float(), MaxStep: d.varint(),
	}
}
