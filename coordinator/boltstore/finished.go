package boltstore

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"swath/sweeps"
)

// Finished implements coordinator.Store. Both the entries of an id and the sweeps that are
// asked for are looked at the latest first, and whichever is behind leaps to where the other
// is: so it costs as many looks as there are of the fewer.
func (s *stateStore) Finished(ids []sweeps.TrialID, of map[sweeps.SweepID]bool) ([]*sweeps.Trial, error) {
	out := make([]*sweeps.Trial, len(ids))
	// In order of the ids, which is that of the pages.
	order := make([]int, len(ids))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(ids[a], ids[b]) })
	for chunk := range slices.Chunk(order, rowsPerView) {
		err := s.f.view(func(tx *bbolt.Tx) error {
			wanted := numbersOf(tx.Bucket(sweepIDsBucket), of)
			if len(wanted) == 0 {
				return nil
			}
			c := tx.Bucket(trialIDsBucket).Cursor()
			for _, i := range chunk {
				if ids[i] == "" {
					continue
				}
				var err error
				if out[i], err = s.finished(tx, c, ids[i], wanted); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// numbered is a sweep with its number.
type numberedSweep struct {
	number uint32
	id     sweeps.SweepID
}

// numbersOf returns the sweeps that are there, the latest first.
func numbersOf(ids *bbolt.Bucket, of map[sweeps.SweepID]bool) []numberedSweep {
	var list []numberedSweep
	for id, wanted := range of {
		if n := numberOf(ids, id); wanted && n != 0 {
			list = append(list, numberedSweep{n, id})
		}
	}
	slices.SortFunc(list, func(a, b numberedSweep) int { return cmp.Compare(b.number, a.number) })
	return list
}

// maxEquals is how many rows of one id are looked at in a sweep: a grid may list a value
// many times over.
const maxEquals = 16

// finished returns a finished row of the id in one of the sweeps; nil if there is none.
func (s *stateStore) finished(tx *bbolt.Tx, c *bbolt.Cursor, id sweeps.TrialID, wanted []numberedSweep) (*sweeps.Trial, error) {
	prefix := append([]byte(id), 0)
	for k, _ := c.Seek(trialIDKey([]byte(id), wanted[0].number, 0)); bytes.HasPrefix(k, prefix); {
		_, number, _, ok := splitTrialIDKey(k)
		if !ok || len(k) != len(prefix)+rowKeySize {
			break
		}
		// wanted falls as the keys' numbers do.
		for len(wanted) > 0 && wanted[0].number > number {
			wanted = wanted[1:]
		}
		if len(wanted) == 0 {
			return nil, nil
		}
		if wanted[0].number < number {
			k, _ = c.Seek(trialIDKey([]byte(id), wanted[0].number, 0))
			continue
		}
		for n := 0; n < maxEquals && bytes.HasPrefix(k, prefix); n++ {
			_, at, index, ok := splitTrialIDKey(k)
			if !ok || at != number {
				break
			}
			record := tx.Bucket(trialsBucket).Get(rowKey(number, index))
			_, state, err := trialHead(record)
			key := sweeps.TrialKey{Sweep: wanted[0].id, Index: index}
			if err == nil && sweeps.TrialState(state) == sweeps.TrialFinished {
				var t *sweeps.Trial
				if t, err = decodeTrial(key, record); err == nil {
					return t, nil
				}
			}
			if err != nil {
				return nil, damaged(s.f.path, fmt.Sprintf("trial %s: %v", key, err))
			}
			k, _ = c.Next()
		}
		if wanted = wanted[1:]; len(wanted) == 0 {
			return nil, nil
		}
		k, _ = c.Seek(trialIDKey([]byte(id), wanted[0].number, 0))
	}
	return nil, nil
}

// Reusers implements coordinator.Store.
func (s *stateStore) Reusers(id sweeps.SweepID) ([]sweeps.SweepID, error) {
	var list []sweeps.SweepID
	err := s.f.view(func(tx *bbolt.Tx) error {
		list = nil
		number := numberOf(tx.Bucket(sweepIDsBucket), id)
		if number == 0 {
			return nil
		}
		prefix := binary.BigEndian.AppendUint32(nil, number)
		c := tx.Bucket(reusesBucket).Cursor()
		for k, _ := c.Seek(prefix); len(k) == 2*numberSize && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			sw, err := s.readSweep(tx, k[numberSize:])
			if err != nil {
				return err
			}
			list = append(list, sw.ID)
		}
		return nil
	})
	return list, err
}
