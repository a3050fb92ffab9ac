package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"go.etcd.io/bbolt"

	"swath/sweeps"
)

// layout is what a file is meant to hold.
type layout struct {
	name    string
	schema  uint32   // the version that this swath reads and writes; from 1
	buckets [][]byte // those of the schema, without meta
	// upgrades[v] turns a file of schema v into one of schema v+1.
	upgrades map[uint32]func(*bbolt.Tx) error
}

// The bucket meta tells of the file itself.
var (
	metaBucket = []byte("meta")
	schemaKey  = []byte("schema")  // uint32, big-endian
	versionKey = []byte("version") // of the swath that brought the file to its schema
)

// init makes the buckets of a new file.
func (l layout) init(tx *bbolt.Tx) error {
	for _, name := range append([][]byte{metaBucket}, l.buckets...) {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return fmt.Errorf("bucket %s: %w", name, err)
		}
	}
	return l.stamp(tx, l.schema)
}

// stamp notes the schema, and who wrote it.
func (l layout) stamp(tx *bbolt.Tx, schema uint32) error {
	meta := tx.Bucket(metaBucket)
	if err := meta.Put(schemaKey, binary.BigEndian.AppendUint32(nil, schema)); err != nil {
		return err
	}
	return meta.Put(versionKey, []byte(swathVersion()))
}

// migrate brings the file to the layout's schema, or refuses it.
func (f *file) migrate(l layout, readOnly bool) error {
	var schema uint32
	var writer string
	err := f.view(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if meta == nil || len(meta.Get(schemaKey)) != 4 {
			return damaged(f.path, "it is no store of swath's")
		}
		schema = binary.BigEndian.Uint32(meta.Get(schemaKey))
		writer = string(meta.Get(versionKey))
		return nil
	})
	switch {
	case err != nil:
		return err
	case schema == l.schema:
		return nil
	case schema > l.schema:
		return fmt.Errorf("%w: %s has schema %d, written by swath %s; this swath (%s) is too old and knows schemas up to %d: use the newer one, or another home with --home",
			sweeps.ErrStorage, f.path, schema, writer, swathVersion(), l.schema)
	case readOnly:
		return oldSchema{f.path, schema, l.schema}
	}
	return f.update(func(tx *bbolt.Tx) error {
		for v := schema; v < l.schema; v++ {
			up := l.upgrades[v]
			if up == nil {
				return damaged(f.path, fmt.Sprintf("there never was a schema %d", v))
			}
			if err := up(tx); err != nil {
				return fmt.Errorf("upgrade from schema %d: %w", v, err)
			}
		}
		return l.stamp(tx, l.schema)
	})
}

// oldSchema says that a file which was opened for reading is of an older schema.
type oldSchema struct {
	path         string
	is, shouldBe uint32
}

func (e oldSchema) Error() string {
	return fmt.Sprintf("%s has the old schema %d, not %d", e.path, e.is, e.shouldBe)
}

// upgradeHome brings a home to the present schemas for one who only reads: opening it for
// writing does so. That needs the home for itself for a moment, and files that can be written.
func upgradeHome(dir string, old oldSchema, opts Options) error {
	opts.ReadOnly = false
	s, err := open(dir, opts)
	switch {
	case errors.Is(err, sweeps.ErrConflict):
		return err
	case err != nil:
		// The class is said once, the hint about another home is the error's own.
		return fmt.Errorf("%w: %w, and upgrading it failed: %s (a copy of this one will do)",
			sweeps.ErrStorage, old, strings.TrimPrefix(err.Error(), sweeps.ErrStorage.Error()+": "))
	}
	return s.Close()
}

// swathVersion is this program's version, as the module system knows it.
func swathVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
