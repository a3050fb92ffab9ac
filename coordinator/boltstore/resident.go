package boltstore

import (
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// bbolt reads its files through memory maps. Pages that were read stay in them for as long
// as the system has memory to spare, and count as the process's own: after a million trials
// a coordinator that needs some tens of megabytes looks like one of a gigabyte, to people
// and to whatever limits it. So what is resident is bounded: now and then the maps are
// emptied, and pages that are read again come from the system's cache, not from the disk.
const (
	// maxResident is how much of files may be resident, in bytes, the program itself among
	// them.
	maxResident = 128 << 20
	// lookEvery is after how many transactions it is looked at. A transaction reads some
	// hundred pages at most, and each brings its neighbours with it.
	lookEvery = 16
)

// residency bounds what is resident of a home's files.
type residency struct {
	files []*file
	limit int64 // in bytes
	count atomic.Int64
}

// after is called after every transaction, outside of it.
func (r *residency) after() {
	if r == nil || r.count.Add(1)%lookEvery != 0 {
		return
	}
	if resident, ok := residentFiles(); !ok || resident < r.limit {
		return
	}
	for _, f := range r.files {
		// A transaction keeps the map where it is. That nothing is emptied if the file
		// was closed meanwhile does no harm.
		_ = f.db.View(func(tx *bbolt.Tx) error {
			emptyMap(f.db.Info().Data, tx.Size())
			return nil
		})
	}
}
