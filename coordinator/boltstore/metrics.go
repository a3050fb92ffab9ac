package boltstore

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/bbolt"

	"swath/coordinator"
	"swath/sweeps"
)

// The buckets of metrics.db. A number is four bytes and stands for a sweep (it need
// not be the number of state.db), an index eight, an attempt four, a series and a chunk
// four each; all are big-endian. Series are numbered in the order in which their
// metrics first appear in the attempt.
//
//	meta      "schema", "version"                         upgrade.go
//	sweeps    SweepID                           → number
//	attempts  number index attempt              → uvarint: how many points it has
//	series    number index attempt series       → record  series.go
//	chunks    number index attempt series chunk → blocks  block.go
var (
	sweepNumbersBucket = []byte("sweeps")
	attemptsBucket     = []byte("attempts")
	seriesBucket       = []byte("series")
	chunksBucket       = []byte("chunks")
)

var metricsLayout = layout{
	name:    "metrics.db",
	schema:  1,
	buckets: [][]byte{sweepNumbersBucket, attemptsBucket, seriesBucket, chunksBucket},
}

const (
	attemptKeySize = rowKeySize + 4
	seriesKeySize  = attemptKeySize + 4
)

// metricStore is the coordinator.MetricStore in metrics.db.
type metricStore struct{ f *file }

func attemptKey(number uint32, ref sweeps.AttemptRef) string {
	return string(binary.BigEndian.AppendUint32(rowKey(number, ref.Index), uint32(ref.Attempt)))
}

// seriesKey and chunkKey append a number to the key of the attempt, or of the series.
func seriesKey(attempt string, number uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte(attempt), number)
}

func chunkKey(series []byte, chunk uint32) []byte {
	return binary.BigEndian.AppendUint32(slices.Clone(series), chunk)
}

// appending is what one Append does to one attempt.
type appending struct {
	key    string
	next   int64 // points recorded, with those below
	points []sweeps.Point
}

// errUnchanged ends a transaction that turned out to have nothing to write.
var errUnchanged = errors.New("nothing to write")

// Append implements coordinator.MetricStore.
func (s *metricStore) Append(batches []coordinator.Batch) ([]int64, error) {
	for _, b := range batches {
		if b.Ref.Sweep == "" || b.Ref.Index < 0 || b.Ref.Attempt < 0 {
			return nil, fmt.Errorf("%w: points of %q, which is no attempt", sweeps.ErrInvalid, b.Ref)
		}
	}
	if len(batches) == 0 {
		return nil, nil
	}
	var next []int64
	err := s.f.update(func(tx *bbolt.Tx) error {
		var work map[string]*appending
		var err error
		if next, work, err = sortOut(tx, batches); err != nil {
			return err
		}
		if len(work) == 0 {
			return errUnchanged
		}
		var e blockEncoder
		for _, key := range slices.Sorted(maps.Keys(work)) {
			if err := s.write(tx, &e, work[key]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return nil, err
	}
	return next, nil
}

// sortOut finds which points of the batches are new, and what may be acknowledged of
// each batch.
func sortOut(tx *bbolt.Tx, batches []coordinator.Batch) (next []int64, work map[string]*appending, err error) {
	numbers, attempts := tx.Bucket(sweepNumbersBucket), tx.Bucket(attemptsBucket)
	next = make([]int64, len(batches))
	work = map[string]*appending{}
	for i, b := range batches {
		number := numberOf(numbers, b.Ref.Sweep)
		if number == 0 {
			if b.First != 0 || len(b.Points) == 0 {
				continue // a gap, or nothing
			}
			if number, err = assignNumber(numbers, b.Ref.Sweep); err != nil {
				return nil, nil, err
			}
		}
		key := attemptKey(number, b.Ref)
		a := work[key]
		if a == nil {
			a = &appending{key: key}
			if v := attempts.Get([]byte(key)); v != nil {
				d := &decoder{b: v}
				a.next = int64(d.uvarint())
				if err := d.end(); err != nil {
					return nil, nil, fmt.Errorf("points of %s: %w", b.Ref, err)
				}
			}
		}
		if end := b.First + int64(len(b.Points)); b.First >= 0 && b.First <= a.next && end > a.next {
			a.points = append(a.points, b.Points[a.next-b.First:]...)
			a.next = end
			work[key] = a
		}
		next[i] = a.next
	}
	return next, work, nil
}

// write records the points of one attempt.
func (s *metricStore) write(tx *bbolt.Tx, e *blockEncoder, a *appending) error {
	attempts, records, chunks := tx.Bucket(attemptsBucket), tx.Bucket(seriesBucket), tx.Bucket(chunksBucket)
	// Attempts come roughly in order of index, and the records of the latest grow.
	records.FillPercent = 0.85
	chunks.FillPercent = 1
	known, err := s.seriesOf(tx, a.key)
	if err != nil {
		return err
	}
	byName := make(map[string]*addition, len(known))
	for i := range known {
		byName[known[i].name] = &addition{numbered: known[i]}
	}
	var changed []*addition
	for _, p := range a.points {
		add := byName[p.Metric]
		if add == nil {
			add = &addition{numbered: numbered{series: &series{name: p.Metric}, number: uint32(len(byName))}}
			byName[p.Metric] = add
		}
		if len(add.points) == 0 {
			changed = append(changed, add)
		}
		add.points = append(add.points, fromPoint(p))
		add.summary = add.summary.Add(p)
	}
	slices.SortFunc(changed, func(x, y *addition) int { return cmp.Compare(x.number, y.number) })
	for _, add := range changed {
		key := seriesKey(a.key, add.number)
		err := add.add(e, add.points, func(number uint32, block []byte) error {
			chunk := chunkKey(key, number/chunkBlocks)
			var before []byte
			if number%chunkBlocks > 0 {
				before = chunks.Get(chunk)
			}
			return chunks.Put(chunk, appendBlock(slices.Clone(before), block))
		})
		if errors.Is(err, errGarbled) {
			return damaged(s.f.path, fmt.Sprintf("series %x: %v", key, err))
		}
		if err != nil {
			return err
		}
		if err := records.Put(key, add.append(nil)); err != nil {
			return err
		}
	}
	return attempts.Put([]byte(a.key), binary.AppendUvarint(nil, uint64(a.next)))
}

// numbered is a series and its number in the attempt.
type numbered struct {
	*series
	number uint32
}

// addition is a series and the points that an append adds to it.
type addition struct {
	numbered
	points []point
}

// seriesOf returns the attempt's series by number. Their tails are the file's memory.
func (s *metricStore) seriesOf(tx *bbolt.Tx, attempt string) ([]numbered, error) {
	var list []numbered
	c := tx.Bucket(seriesBucket).Cursor()
	for k, v := c.Seek([]byte(attempt)); len(k) == seriesKeySize && bytes.HasPrefix(k, []byte(attempt)); k, v = c.Next() {
		record, err := decodeSeries(v)
		if err != nil {
			return nil, damaged(s.f.path, fmt.Sprintf("series %x: %v", k, err))
		}
		list = append(list, numbered{record, binary.BigEndian.Uint32(k[attemptKeySize:])})
	}
	return list, nil
}

// attempt runs fn in a transaction with the key of the attempt, unless nothing was
// ever recorded of it.
func (s *metricStore) attempt(ref sweeps.AttemptRef, fn func(tx *bbolt.Tx, key string) error) error {
	return s.f.view(func(tx *bbolt.Tx) error {
		number := numberOf(tx.Bucket(sweepNumbersBucket), ref.Sweep)
		if number == 0 {
			return nil
		}
		return fn(tx, attemptKey(number, ref))
	})
}

// Summaries implements coordinator.MetricStore.
func (s *metricStore) Summaries(ref sweeps.AttemptRef) (map[string]sweeps.Summary, error) {
	out := map[string]sweeps.Summary{}
	err := s.attempt(ref, func(tx *bbolt.Tx, key string) error {
		list, err := s.seriesOf(tx, key)
		for _, r := range list {
			out[r.name] = r.summary
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Read implements coordinator.MetricStore.
func (s *metricStore) Read(ref sweeps.AttemptRef, metric string, fn func(sweeps.Point) bool) error {
	// What is wanted, by name. Series keep their number for ever.
	var names []string
	numbers := map[string]uint32{}
	err := s.attempt(ref, func(tx *bbolt.Tx, key string) error {
		list, err := s.seriesOf(tx, key)
		for _, r := range list {
			if metric == "" || metric == r.name {
				names = append(names, r.name)
				numbers[r.name] = r.number
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if more, err := s.readSeries(ref, name, numbers[name], fn); err != nil || !more {
			return err
		}
	}
	return nil
}

// readSeries calls fn with the points of one series, a chunk at a time, and reports
// whether fn wants more. Points only move from the tail into the next full block, so
// none is read twice or missed if some are appended meanwhile.
func (s *metricStore) readSeries(ref sweeps.AttemptRef, name string, number uint32, fn func(sweeps.Point) bool) (more bool, err error) {
	var points []point
	next := uint32(0) // the first full block that was not read
	for done := false; !done; {
		var blocks [][]byte
		err := s.attempt(ref, func(tx *bbolt.Tx, attempt string) error {
			key := seriesKey(attempt, number)
			r, err := decodeSeries(tx.Bucket(seriesBucket).Get(key))
			if err == nil {
				blocks, err = s.blocks(tx, key, r, next)
			}
			if err != nil {
				return damaged(s.f.path, fmt.Sprintf("series %x: %v", key, err))
			}
			done = next == r.full
			next += uint32(len(blocks))
			return nil
		})
		if err != nil {
			return false, err
		}
		for _, b := range blocks {
			if points, err = decodeBlock(points[:0], b); err != nil {
				return false, damaged(s.f.path, fmt.Sprintf("metric %q of %s: %v", name, ref, err))
			}
			for _, p := range points {
				if !fn(p.point(name)) {
					return false, nil
				}
			}
		}
	}
	return true, nil
}

// blocks returns a copy of the series' full blocks from one on, as far as they are in
// the same chunk, or else of its tail's.
func (s *metricStore) blocks(tx *bbolt.Tx, key []byte, r *series, next uint32) ([][]byte, error) {
	if next >= r.full {
		return splitBlocks(bytes.Clone(r.tail))
	}
	chunk := next / chunkBlocks
	list, err := splitBlocks(bytes.Clone(tx.Bucket(chunksBucket).Get(chunkKey(key, chunk))))
	if err != nil {
		return nil, err
	}
	if want := min(r.full-chunk*chunkBlocks, chunkBlocks); uint32(len(list)) != want {
		return nil, fmt.Errorf("%w: %d blocks in chunk %d, want %d", errGarbled, len(list), chunk, want)
	}
	return list[next%chunkBlocks:], nil
}

// Close implements coordinator.MetricStore.
func (s *metricStore) Close() error { return s.f.close() }
