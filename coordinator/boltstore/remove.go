package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"go.etcd.io/bbolt"

	"swath/sweeps"
)

// A sweep is removed in two steps. The first takes one small transaction: its record, its id
// and its name are deleted, so that nothing leads to its rows any more, and the bucket removed
// says whose they were. The second deletes the rows, a piece at a time, so that commits of
// others do not wait for millions of them.

// purgePiece is how many keys one transaction deletes.
const purgePiece = 2000

// removeSweep is the first step.
func (s *stateStore) removeSweep(tx *bbolt.Tx, id sweeps.SweepID) error {
	ids, names := tx.Bucket(sweepIDsBucket), tx.Bucket(sweepNamesBucket)
	number := numberOf(ids, id)
	if number == 0 {
		return nil
	}
	key := binary.BigEndian.AppendUint32(nil, number)
	sw, err := s.readSweep(tx, key)
	if err != nil {
		return err
	}
	if name := nameKey(sw.Name); bytes.Equal(names.Get(name), key) {
		if err := names.Delete(name); err != nil {
			return err
		}
	}
	reuses := tx.Bucket(reusesBucket)
	var pairs [][]byte
	err = reuses.ForEach(func(k, _ []byte) error {
		if bytes.HasPrefix(k, key) || bytes.HasSuffix(k, key) {
			pairs = append(pairs, bytes.Clone(k))
		}
		return nil
	})
	for _, k := range pairs {
		err = errors.Join(err, reuses.Delete(k))
	}
	return errors.Join(err,
		tx.Bucket(removedBucket).Put([]byte(id), key),
		tx.Bucket(sweepsBucket).Delete(key), tx.Bucket(sourcesBucket).Delete(key), ids.Delete([]byte(id)))
}

// removed reports whether the sweep of a number is gone, and its rows are only left over.
func removed(tx *bbolt.Tx, number uint32) bool {
	return tx.Bucket(sweepsBucket).Get(binary.BigEndian.AppendUint32(nil, number)) == nil
}

// Removed implements coordinator.Store.
func (s *stateStore) Removed() ([]sweeps.SweepID, error) {
	var list []sweeps.SweepID
	err := s.f.view(func(tx *bbolt.Tx) error {
		list = nil
		return tx.Bucket(removedBucket).ForEach(func(id, _ []byte) error {
			list = append(list, sweeps.SweepID(id))
			return nil
		})
	})
	return list, err
}

// Purge implements coordinator.Store.
func (s *stateStore) Purge(id sweeps.SweepID) error {
	for done := false; !done; {
		err := s.f.update(func(tx *bbolt.Tx) error {
			number := tx.Bucket(removedBucket).Get([]byte(id))
			if number == nil {
				done = true
				return errUnchanged
			}
			number = slices.Clone(number)
			trials := tx.Bucket(trialsBucket)
			keys := keysOf(trials, number, purgePiece)
			if done = len(keys) == 0; done {
				return tx.Bucket(removedBucket).Delete([]byte(id))
			}
			for _, k := range keys {
				trial, _, err := trialHead(trials.Get(k))
				if err != nil {
					return damaged(s.f.path, fmt.Sprintf("trial %x: %v", k, err))
				}
				err = errors.Join(
					tx.Bucket(trialIDsBucket).Delete(trialIDKey(trial, binary.BigEndian.Uint32(number), rowIndex(k))),
					tx.Bucket(liveBucket).Delete(k), tx.Bucket(checkpointedBucket).Delete(k), trials.Delete(k))
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errUnchanged) {
			return err
		}
	}
	return nil
}

// keysOf returns copies of the keys of a bucket that begin with a prefix, at most so many.
func keysOf(b *bbolt.Bucket, prefix []byte, most int) [][]byte {
	var keys [][]byte
	c := b.Cursor()
	for k, _ := c.Seek(prefix); len(keys) < most && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	return keys
}

// Remove implements coordinator.MetricStore.
func (s *metricStore) Remove(id sweeps.SweepID) error {
	for done := false; !done; {
		err := s.f.update(func(tx *bbolt.Tx) error {
			numbers := tx.Bucket(sweepNumbersBucket)
			number := slices.Clone(numbers.Get([]byte(id)))
			if number == nil {
				done = true
				return errUnchanged
			}
			// The attempts last: those that are there tell how many points are recorded.
			for _, name := range [][]byte{chunksBucket, seriesBucket, attemptsBucket} {
				b := tx.Bucket(name)
				keys := keysOf(b, number, purgePiece)
				for _, k := range keys {
					if err := b.Delete(k); err != nil {
						return err
					}
				}
				if len(keys) > 0 {
					return nil
				}
			}
			done = true
			return numbers.Delete([]byte(id))
		})
		if err != nil && !errors.Is(err, errUnchanged) {
			return err
		}
	}
	return nil
}

// Remove implements coordinator.LogStore.
func (l *logStore) Remove(id sweeps.SweepID) error {
	dir, err := l.folder(id)
	if err != nil {
		return err
	}
	if l.readOnly {
		return storageError("remove", dir, syscall.EROFS)
	}
	if err := os.RemoveAll(dir); err != nil {
		return storageError("remove", dir, err)
	}
	return nil
}
