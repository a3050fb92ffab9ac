package boltstore

import (
	"crypto/rand"
	"encoding/hex"

	"go.etcd.io/bbolt"
)

// identityKey is, in the bucket meta of the state's file, the name that no other home has. It
// goes with the file, to wherever that is copied or moved.
var identityKey = []byte("identity")

// identity returns the home's name. A home that has none, as one of an earlier version, is
// given one if it may be written; else the name is empty.
func (f *file) identity(readOnly bool) (id string, err error) {
	err = f.view(func(tx *bbolt.Tx) error {
		id = string(tx.Bucket(metaBucket).Get(identityKey))
		return nil
	})
	if err != nil || id != "" || readOnly {
		return id, err
	}
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	id = hex.EncodeToString(random[:])
	return id, f.update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(identityKey, []byte(id)) })
}
