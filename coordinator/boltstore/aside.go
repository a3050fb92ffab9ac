package boltstore

import (
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// asideRecord is the JSON of a worker in the bucket aside.
type asideRecord struct {
	Name   string `json:"name"`
	Why    string `json:"why"`
	Blamed bool   `json:"blamed,omitempty"`
}

// putAside writes which workers were set aside, and drops those that are so no more.
func putAside(tx *bbolt.Tx, list []dispatch.Aside) error {
	bucket := tx.Bucket(asideBucket)
	for _, a := range list {
		var err error
		if a.Why == "" {
			err = bucket.Delete([]byte(a.Worker))
		} else {
			var record []byte
			if record, err = json.Marshal(asideRecord{a.Name, a.Why, a.Blamed}); err == nil {
				err = bucket.Put([]byte(a.Worker), record)
			}
		}
		if err != nil {
			return fmt.Errorf("worker %s, set aside: %w", a.Worker, err)
		}
	}
	return nil
}

// Aside implements coordinator.Store.
func (s *stateStore) Aside() (list []dispatch.Aside, err error) {
	err = s.f.view(func(tx *bbolt.Tx) error {
		list = nil
		return tx.Bucket(asideBucket).ForEach(func(k, v []byte) error {
			var r asideRecord
			if err := json.Unmarshal(v, &r); err != nil {
				return damaged(s.f.path, fmt.Sprintf("the record of worker %s, which is set aside: %v", k, err))
			}
			list = append(list, dispatch.Aside{Worker: sweeps.WorkerID(k), Name: r.Name, Why: r.Why, Blamed: r.Blamed})
			return nil
		})
	})
	return list, err
}
