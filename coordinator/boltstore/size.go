package boltstore

import (
	"path/filepath"

	"go.etcd.io/bbolt"
)

// Sizes returns how many bytes of each of the home's files are in use, by name: up to the
// last page, those among them that are free included, but not what the file has reserved
// beyond to grow into.
func (s *Stores) Sizes() (map[string]int64, error) {
	sizes := map[string]int64{}
	for _, f := range s.files {
		err := f.view(func(tx *bbolt.Tx) error {
			sizes[filepath.Base(f.path)] = tx.Size()
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return sizes, nil
}
