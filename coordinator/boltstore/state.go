package boltstore

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// The buckets of state.db. A number is four bytes, an index eight, both big-endian,
// so that the rows of a sweep lie together and in order.
//
//	meta         "schema", "version", "identity"             upgrade.go, identity.go
//	sweep_ids    SweepID                       → number
//	sweep_names  name                          → number      the latest sweep of that name
//	sweeps       number                        → JSON        record.go
//	sources      number                        → the sweep file, byte for byte
//	trials       number index                  → record      record.go
//	live         number index                  → ""          the pending and running rows
//	checkpointed number index                  → ""          the rows that have checkpoints
//	trial_ids    TrialID 0x00 ^number index    → ""          latest sweep first
//	reuses       number number                 → ""          a sweep, and one that took over results of it
//	removed      SweepID                       → number      whose rows are still to be deleted, see remove.go
//	aside        WorkerID                      → JSON        workers that are set aside, see aside.go
var (
	sweepIDsBucket   = []byte("sweep_ids")
	sweepNamesBucket = []byte("sweep_names")
	sweepsBucket     = []byte("sweeps")
	sourcesBucket    = []byte("sources")
	trialsBucket     = []byte("trials")
	liveBucket       = []byte("live")
	trialIDsBucket   = []byte("trial_ids")
	reusesBucket     = []byte("reuses")
	removedBucket    = []byte("removed")
	asideBucket      = []byte("aside")

	checkpointedBucket = []byte("checkpointed")
)

var stateLayout = layout{
	name:   "state.db",
	schema: 5,
	buckets: [][]byte{
		sweepIDsBucket, sweepNamesBucket, sweepsBucket, sourcesBucket,
		trialsBucket, liveBucket, checkpointedBucket, trialIDsBucket, reusesBucket, removedBucket, asideBucket,
	},
	// An older program cannot read the records of trials that a newer schema has; see trialVersion.
	upgrades: map[uint32]func(*bbolt.Tx) error{
		1: func(tx *bbolt.Tx) error { // its rows have no checkpoints
			_, err := tx.CreateBucketIfNotExists(checkpointedBucket)
			return err
		},
		2: func(tx *bbolt.Tx) error { // and those took over no results
			_, err := tx.CreateBucketIfNotExists(reusesBucket)
			return err
		},
		3: func(tx *bbolt.Tx) error { // and no sweep was removed
			_, err := tx.CreateBucketIfNotExists(removedBucket)
			return err
		},
		4: func(tx *bbolt.Tx) error { // and no worker was set aside for longer than a coordinator ran
			_, err := tx.CreateBucketIfNotExists(asideBucket)
			return err
		},
	},
}

const (
	numberSize = 4
	rowKeySize = numberSize + 8
	// A read decodes firstRows rows in its first transaction, since it may want no
	// more, and rowsPerView in each further one.
	firstRows   = 8
	rowsPerView = 256
)

// stateStore is the coordinator.Store in state.db.
type stateStore struct{ f *file }

func rowKey(number uint32, index int64) []byte {
	k := make([]byte, 0, rowKeySize)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(k, number), uint64(index))
}

func rowIndex(key []byte) int64 { return int64(binary.BigEndian.Uint64(key[numberSize:])) }

func trialIDKey(id []byte, number uint32, index int64) []byte {
	k := make([]byte, 0, len(id)+1+rowKeySize)
	k = append(append(k, id...), 0)
	k = binary.BigEndian.AppendUint32(k, ^number)
	return binary.BigEndian.AppendUint64(k, uint64(index))
}

// splitTrialIDKey is the inverse of trialIDKey.
func splitTrialIDKey(k []byte) (id []byte, number uint32, index int64, ok bool) {
	n := len(k) - 1 - rowKeySize
	if n < 0 {
		return nil, 0, 0, false
	}
	row := k[n+1:]
	return k[:n], ^binary.BigEndian.Uint32(row), rowIndex(row), true
}

// numberOf returns the number that stands for a sweep; 0 if it has none. Numbers begin
// at 1.
func numberOf(ids *bbolt.Bucket, id sweeps.SweepID) uint32 {
	if v := ids.Get([]byte(id)); len(v) == numberSize {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

// assignNumber gives a sweep its number.
func assignNumber(ids *bbolt.Bucket, id sweeps.SweepID) (uint32, error) {
	if id == "" {
		return 0, fmt.Errorf("%w: a sweep without an id", sweeps.ErrInvalid)
	}
	seq, err := ids.NextSequence()
	if err != nil {
		return 0, err
	}
	if seq > 1<<32-1 {
		return 0, fmt.Errorf("%w: the home has had all the sweeps that it can number: begin a new one", sweeps.ErrStorage)
	}
	return uint32(seq), ids.Put([]byte(id), binary.BigEndian.AppendUint32(nil, uint32(seq)))
}

// Commit implements coordinator.Store.
func (s *stateStore) Commit(c dispatch.Changes) error {
	if c.Empty() {
		return nil
	}
	rows, err := encodeRows(c.Trials)
	if err != nil {
		return err
	}
	return s.f.update(func(tx *bbolt.Tx) error {
		for _, sw := range c.Sweeps {
			if err := putSweep(tx, sw); err != nil {
				return fmt.Errorf("sweep %s: %w", sw.ID, err)
			}
		}
		if err := putRows(tx, rows); err != nil {
			return err
		}
		if err := putAside(tx, c.Aside); err != nil {
			return err
		}
		for _, id := range c.Removed {
			if err := s.removeSweep(tx, id); err != nil {
				return fmt.Errorf("remove sweep %s: %w", id, err)
			}
		}
		return nil
	})
}

// putSweep writes a sweep's record, its source if that is new, and its indices.
func putSweep(tx *bbolt.Tx, sw *sweeps.Sweep) error {
	ids, names := tx.Bucket(sweepIDsBucket), tx.Bucket(sweepNamesBucket)
	records, sources := tx.Bucket(sweepsBucket), tx.Bucket(sourcesBucket)
	number := numberOf(ids, sw.ID)
	isNew := number == 0
	if isNew {
		var err error
		if number, err = assignNumber(ids, sw.ID); err != nil {
			return err
		}
	}
	key := binary.BigEndian.AppendUint32(nil, number)
	if isNew || !bytes.Equal(sources.Get(key), sw.Source) {
		if err := sources.Put(key, sw.Source); err != nil {
			return err
		}
	}
	if !isNew {
		// A sweep that was renamed gives its old name back.
		old, err := decodeSweep(records.Get(key), nil)
		if err != nil {
			return err
		}
		if old.Name != sw.Name && bytes.Equal(names.Get(nameKey(old.Name)), key) {
			if err := names.Delete(nameKey(old.Name)); err != nil {
				return err
			}
		}
		isNew = old.Name != sw.Name
	}
	if isNew {
		if err := names.Put(nameKey(sw.Name), key); err != nil {
			return err
		}
	}
	record, err := encodeSweep(sw)
	if err != nil {
		return err
	}
	return records.Put(key, record)
}

// nameKey is the key of a name: bbolt has no empty keys, and names may be empty in
// tests.
func nameKey(name string) []byte { return append([]byte{'='}, name...) }

// row is a trial's record on its way into the file.
type row struct {
	key    sweeps.TrialKey
	record []byte
	live   bool
	kept   bool           // it has checkpoints
	origin sweeps.SweepID // whose result it took over; empty for none
}

// encodeRows encodes trials, in the order of their keys (which spares the file
// needless seeking); of several records of one trial the last holds.
func encodeRows(trials []*sweeps.Trial) ([]row, error) {
	rows := make([]row, len(trials))
	buf := make([]byte, 0, 256*len(trials))
	for i, t := range trials {
		if t.Index < 0 {
			return nil, fmt.Errorf("%w: trial %s has a negative index", sweeps.ErrInvalid, t.TrialKey)
		}
		begin := len(buf)
		buf = appendTrial(buf, t)
		rows[i] = row{
			key: t.TrialKey, record: buf[begin:len(buf):len(buf)],
			live: !t.State.Terminal(), kept: len(t.Checkpoints) > 0, origin: t.ReusedFrom.Sweep,
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		if c := cmp.Compare(a.key.Sweep, b.key.Sweep); c != 0 {
			return c
		}
		return cmp.Compare(a.key.Index, b.key.Index)
	})
	return rows, nil
}

// putRows writes the rows and their indices.
func putRows(tx *bbolt.Tx, rows []row) error {
	ids := tx.Bucket(sweepIDsBucket)
	trials, live, trialIDs := tx.Bucket(trialsBucket), tx.Bucket(liveBucket), tx.Bucket(trialIDsBucket)
	checkpointed := tx.Bucket(checkpointedBucket)
	// Rows come in order of index and grow a little when they end.
	trials.FillPercent = 0.85
	var sweep sweeps.SweepID
	var number uint32
	for _, r := range rows {
		if number == 0 || r.key.Sweep != sweep {
			sweep, number = r.key.Sweep, numberOf(ids, r.key.Sweep)
			if number == 0 {
				return fmt.Errorf("%w: trial %s: its sweep has no record", sweeps.ErrNotFound, r.key)
			}
		}
		key := rowKey(number, r.key.Index)
		id, _, err := trialHead(r.record)
		if err != nil {
			return err
		}
		var oldID []byte
		wasLive := false
		if old := trials.Get(key); old != nil {
			var state []byte
			if oldID, state, err = trialHead(old); err != nil {
				return fmt.Errorf("trial %s: %w", r.key, err)
			}
			wasLive = !sweeps.TrialState(state).Terminal()
			if !bytes.Equal(oldID, id) {
				if err := trialIDs.Delete(trialIDKey(oldID, number, r.key.Index)); err != nil {
					return err
				}
				oldID = nil
			}
		}
		// The ids are spread all over their bucket: each new one costs a page.
		if oldID == nil {
			if err := trialIDs.Put(trialIDKey(id, number, r.key.Index), nil); err != nil {
				return err
			}
		}
		switch {
		case r.live && !wasLive:
			err = live.Put(key, nil)
		case !r.live && wasLive:
			err = live.Delete(key)
		}
		if err != nil {
			return err
		}
		if has := checkpointed.Get(key) != nil; has != r.kept {
			if err := flag(checkpointed, key, r.kept); err != nil {
				return err
			}
		}
		if err := trials.Put(key, r.record); err != nil {
			return err
		}
		if r.origin != "" {
			if err := noteReuse(tx, numberOf(ids, r.origin), number); err != nil {
				return err
			}
		}
	}
	return nil
}

// flag puts a key into a set, or takes it out.
func flag(set *bbolt.Bucket, key []byte, in bool) error {
	if in {
		return set.Put(key, []byte{})
	}
	return set.Delete(key)
}

// Checkpointed implements coordinator.Store.
func (s *stateStore) Checkpointed(fn func(*sweeps.Trial) bool) error {
	list, err := s.Sweeps()
	if err != nil {
		return err
	}
	more := true
	for _, sw := range list {
		err := s.rows(checkpointedBucket, sw.ID, 0, func(t *sweeps.Trial) bool { more = fn(t); return more })
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// noteReuse notes that a sweep took over a result of another; nothing is noted of one that
// is no longer there.
func noteReuse(tx *bbolt.Tx, origin, number uint32) error {
	if origin == 0 {
		return nil
	}
	key := reuseKey(origin, number)
	reuses := tx.Bucket(reusesBucket)
	if reuses.Get(key) != nil {
		return nil
	}
	return reuses.Put(key, []byte{})
}

func reuseKey(origin, number uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, origin), number)
}

// readSweep returns the sweep of a number.
func (s *stateStore) readSweep(tx *bbolt.Tx, number []byte) (*sweeps.Sweep, error) {
	sw, err := decodeSweep(tx.Bucket(sweepsBucket).Get(number), tx.Bucket(sourcesBucket).Get(number))
	if err != nil {
		return nil, damaged(s.f.path, fmt.Sprintf("sweep number %x: %v", number, err))
	}
	return sw, nil
}

// Sweeps implements coordinator.Store.
func (s *stateStore) Sweeps() ([]*sweeps.Sweep, error) {
	var list []*sweeps.Sweep
	err := s.f.view(func(tx *bbolt.Tx) error {
		list = nil
		return tx.Bucket(sweepsBucket).ForEach(func(number, _ []byte) error {
			sw, err := s.readSweep(tx, number)
			list = append(list, sw)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b *sweeps.Sweep) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return list, nil
}

// Sweep implements coordinator.Store.
func (s *stateStore) Sweep(nameOrID string) (*sweeps.Sweep, error) {
	var sw *sweeps.Sweep
	err := s.f.view(func(tx *bbolt.Tx) error {
		number := tx.Bucket(sweepIDsBucket).Get([]byte(nameOrID))
		if number == nil {
			number = tx.Bucket(sweepNamesBucket).Get(nameKey(nameOrID))
		}
		if number == nil {
			return fmt.Errorf("sweep %q: %w", nameOrID, sweeps.ErrNotFound)
		}
		var err error
		sw, err = s.readSweep(tx, number)
		return err
	})
	return sw, err
}

// Trials implements coordinator.Store.
func (s *stateStore) Trials(id sweeps.SweepID, from int64, fn func(*sweeps.Trial) bool) error {
	return s.rows(trialsBucket, id, from, fn)
}

// Live implements coordinator.Store.
func (s *stateStore) Live(id sweeps.SweepID, fn func(*sweeps.Trial) bool) error {
	return s.rows(liveBucket, id, 0, fn)
}

// rows calls fn for the rows that an index bucket lists (or the bucket of the rows
// itself), from an index on. It reads a page of rows in a transaction and calls fn
// outside.
func (s *stateStore) rows(bucket []byte, id sweeps.SweepID, from int64, fn func(*sweeps.Trial) bool) error {
	from = max(from, 0)
	var page []*sweeps.Trial
	for size := firstRows; ; size = rowsPerView {
		page = page[:0]
		more := false
		err := s.f.view(func(tx *bbolt.Tx) error {
			number := numberOf(tx.Bucket(sweepIDsBucket), id)
			if number == 0 {
				return nil
			}
			first := rowKey(number, from)
			trials, c := tx.Bucket(trialsBucket), tx.Bucket(bucket).Cursor()
			for k, _ := c.Seek(first); len(k) == rowKeySize && bytes.HasPrefix(k, first[:numberSize]); k, _ = c.Next() {
				if len(page) == size {
					more = true
					return nil
				}
				key := sweeps.TrialKey{Sweep: id, Index: rowIndex(k)}
				t, err := decodeTrial(key, trials.Get(k))
				if err != nil {
					return damaged(s.f.path, fmt.Sprintf("trial %s: %v", key, err))
				}
				page = append(page, t)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, t := range page {
			if !fn(t) {
				return nil
			}
		}
		if !more {
			return nil
		}
		from = page[len(page)-1].Index + 1
	}
}

// FindTrial implements coordinator.Store.
func (s *stateStore) FindTrial(prefix string, limit int) ([]*sweeps.Trial, error) {
	var found []*sweeps.Trial
	err := s.f.view(func(tx *bbolt.Tx) error {
		found = nil
		f := finder{store: s, tx: tx, sweeps: map[uint32]*sweeps.Sweep{}}
		var group []hit // the rows of one id
		c := tx.Bucket(trialIDsBucket).Cursor()
		k, _ := c.Seek([]byte(prefix))
		for ; k != nil && len(found) < limit; k, _ = c.Next() {
			id, number, index, ok := splitTrialIDKey(k)
			if !ok || !bytes.HasPrefix(id, []byte(prefix)) {
				break
			}
			if len(group) > 0 && !bytes.Equal(group[0].id, id) {
				if err := f.take(group, limit, &found); err != nil {
					return err
				}
				group = group[:0]
			}
			group = append(group, hit{id, number, index})
		}
		return f.take(group, limit, &found)
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// hit is an entry of the bucket trial_ids.
type hit struct {
	id     []byte
	number uint32
	index  int64
}

// finder reads the rows of hits, within one transaction.
type finder struct {
	store  *stateStore
	tx     *bbolt.Tx
	sweeps map[uint32]*sweeps.Sweep
}

func (f *finder) sweep(number uint32) (*sweeps.Sweep, error) {
	if sw := f.sweeps[number]; sw != nil {
		return sw, nil
	}
	sw, err := f.store.readSweep(f.tx, binary.BigEndian.AppendUint32(nil, number))
	if err == nil {
		f.sweeps[number] = sw
	}
	return sw, err
}

// take appends the rows of one trial id to found, latest sweep first.
func (f *finder) take(group []hit, limit int, found *[]*sweeps.Trial) error {
	type candidate struct {
		hit
		sweep   sweeps.SweepID
		created time.Time
	}
	list := make([]candidate, 0, len(group))
	for _, h := range group {
		if removed(f.tx, h.number) {
			continue
		}
		sw, err := f.sweep(h.number)
		if err != nil {
			return err
		}
		list = append(list, candidate{h, sw.ID, sw.Created})
	}
	slices.SortFunc(list, func(a, b candidate) int {
		if c := b.created.Compare(a.created); c != 0 {
			return c
		}
		if c := cmp.Compare(b.sweep, a.sweep); c != 0 {
			return c
		}
		return cmp.Compare(a.index, b.index)
	})
	for _, h := range list {
		if len(*found) >= limit {
			return nil
		}
		key := sweeps.TrialKey{Sweep: h.sweep, Index: h.index}
		t, err := decodeTrial(key, f.tx.Bucket(trialsBucket).Get(rowKey(h.number, h.index)))
		if err != nil {
			return damaged(f.store.f.path, fmt.Sprintf("trial %s: %v", key, err))
		}
		*found = append(*found, t)
	}
	return nil
}

// Close implements coordinator.Store.
func (s *stateStore) Close() error { return s.f.close() }
