package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	"swath/sweeps"
)

var quick = Options{NoSync: true, LockTimeout: 10 * time.Millisecond}

// refused opens a home that cannot be opened, and verifies what it is told: the class of
// the error, one line, and that it mentions what it should.
func refused(t *testing.T, dir string, opts Options, class error, mentions ...string) {
	t.Helper()
	s, err := Open(dir, opts)
	if err == nil {
		t.Fatalf("the home was opened; close: %v", s.Close())
	}
	told(t, err, class, mentions...)
}

func told(t *testing.T, err, class error, mentions ...string) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("error %v, want one that wraps %v", err, class)
		return
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error of several lines: %v", err)
	}
	for _, m := range mentions {
		if !strings.Contains(err.Error(), m) {
			t.Errorf("error %q does not mention %q", err, m)
		}
	}
}

// entries lists what is in a directory.
func entries(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// seed puts a sweep, a row and a point into a home, and closes it.
func seed(t *testing.T, dir string) {
	t.Helper()
	s, err := Open(dir, quick)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.State.Commit(seedChanges()); err != nil {
		t.Fatal(err)
	}
	batch := coordinator.Batch{Ref: sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s1"}, Attempt: 1}, Points: []sweeps.Point{{Metric: "loss"}}}
	if _, err := s.Metrics.Append([]coordinator.Batch{batch}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Check(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

func seedChanges() dispatch.Changes {
	return dispatch.Changes{
		Sweeps: []*sweeps.Sweep{{ID: "s1", Name: "first", State: sweeps.SweepRunning, Created: benchEpoch}},
		Trials: []*sweeps.Trial{{TrialKey: sweeps.TrialKey{Sweep: "s1"}, ID: "abc", State: sweeps.TrialRunning, Attempt: 1}},
	}
}

func TestOpenMakesTheHome(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	openHome(t, dir, quick)
	if got := entries(t, dir); got != "metrics.db state.db" {
		t.Errorf("the home has: %s", got)
	}
}

func TestHomeInUse(t *testing.T) {
	dir := t.TempDir()
	openHome(t, dir, quick)
	refused(t, dir, quick, sweeps.ErrConflict, dir, "in use", "--coordinator", "--home")
	readOnly := quick
	readOnly.ReadOnly = true
	refused(t, dir, readOnly, sweeps.ErrConflict, dir)
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	opts := quick
	opts.ReadOnly = true
	refused(t, dir, opts, sweeps.ErrNotFound, dir)
	refused(t, filepath.Join(dir, "nowhere"), opts, sweeps.ErrNotFound, "nowhere")
	if got := entries(t, dir); got != "" {
		t.Errorf("opening for reading left: %s", got)
	}
	seed(t, dir)

	one, two := openHome(t, dir, opts), openHome(t, dir, opts)
	for _, s := range []*Stores{one, two} {
		if _, err := s.State.Sweep("first"); err != nil {
			t.Error(err)
		}
		told(t, s.State.Commit(seedChanges()), sweeps.ErrStorage, "read")
		_, err := s.Logs.Append(sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s1"}}, "stdout", 0, []byte("x"))
		told(t, err, sweeps.ErrStorage, "read-only")
	}
	refused(t, dir, quick, sweeps.ErrConflict, dir)
}

func TestSomethingInTheWay(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, file, quick, sweeps.ErrStorage, file, "not a directory", "--home")
	refused(t, filepath.Join(file, "below"), quick, sweeps.ErrStorage, file, "--home")

	// A directory where a file should be.
	home := filepath.Join(dir, "home")
	if err := os.MkdirAll(filepath.Join(home, "metrics.db"), 0o755); err != nil {
		t.Fatal(err)
	}
	refused(t, home, quick, sweeps.ErrStorage, "metrics.db", "in the way")
}

func TestHomeWithoutPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("permissions do not bind root")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, quick, sweeps.ErrStorage, dir, "permission denied", "--home")
	refused(t, filepath.Join(dir, "below"), quick, sweeps.ErrStorage, dir, "permission denied", "--home")
	if got := entries(t, dir); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

func TestDamagedFiles(t *testing.T) {
	for _, name := range []string{stateLayout.name, metricsLayout.name} {
		damage := map[string]func(b []byte) []byte{
			"garbage": func([]byte) []byte { return []byte(strings.Repeat("this is no database ", 3000)) },
			"short":   func(b []byte) []byte { return b[:100] },
			"cut":     func(b []byte) []byte { return b[:2*os.Getpagesize()] },
			"noise": func(b []byte) []byte {
				r := rand.New(rand.NewPCG(1, 1))
				for i := 2 * os.Getpagesize(); i < len(b); i++ { // all but the meta pages
					b[i] = byte(r.Uint32())
				}
				return b
			},
			"foreign": func([]byte) []byte {
				path := filepath.Join(t.TempDir(), "foreign")
				db, err := bbolt.Open(path, 0o644, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				return b
			},
		}
		for kind, spoil := range damage {
			t.Run(name+" "+kind, func(t *testing.T) {
				dir := t.TempDir()
				seed(t, dir)
				path := filepath.Join(dir, name)
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, spoil(b), 0o644); err != nil {
					t.Fatal(err)
				}
				refused(t, dir, quick, sweeps.ErrStorage, path)
				// Nobody holds the home now.
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				openHome(t, dir, quick)
			})
		}
	}
}

func TestEmptyFileIsRefused(t *testing.T) {
	// swath never leaves one: its files are made elsewhere and linked into place.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "state.db"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, quick, sweeps.ErrStorage, "state.db")
}

// setSchema changes the schema version of a file.
func setSchema(t *testing.T, path string, schema uint32) {
	t.Helper()
	db, err := bbolt.Open(path, 0o644, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if err := meta.Put(versionKey, []byte("v9.8.7")); err != nil {
			return err
		}
		return meta.Put(schemaKey, binary.BigEndian.AppendUint32(nil, schema))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	for _, l := range []layout{stateLayout, metricsLayout} {
		dir := t.TempDir()
		seed(t, dir)
		path := filepath.Join(dir, l.name)
		setSchema(t, path, l.schema+1)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		readOnly := quick
		readOnly.ReadOnly = true
		for _, opts := range []Options{quick, readOnly} {
			refused(t, dir, opts, sweeps.ErrStorage, path, fmt.Sprintf("schema %d", l.schema+1), "v9.8.7", "too old")
		}
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(before) != string(after) {
			t.Error("the file was changed")
		}
	}
}

func TestUpgrade(t *testing.T) {
	dir := t.TempDir()
	seed(t, dir)
	added := []byte("added")
	later := stateLayout
	now := stateLayout.schema
	later.schema = now + 2
	later.upgrades = map[uint32]func(*bbolt.Tx) error{
		now: func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket(added)
			return err
		},
		now + 1: func(tx *bbolt.Tx) error { return tx.Bucket(added).Put([]byte("from"), []byte("last")) },
	}
	broken := later
	broken.upgrades = map[uint32]func(*bbolt.Tx) error{
		now:     later.upgrades[now],
		now + 1: func(*bbolt.Tx) error { return errors.New("cannot") },
	}
	open := func(l layout, opts Options) (*file, error) { return openFile(dir, l, opts) }

	readOnly := quick
	readOnly.ReadOnly = true
	_, err := open(later, readOnly)
	if old, is := errors.AsType[oldSchema](err); !is || old.is != now || old.shouldBe != later.schema {
		t.Errorf("error %v, want one that tells the schemas", err)
	}
	// An upgrade that fails half way changes nothing.
	_, err = open(broken, quick)
	told(t, err, sweeps.ErrStorage, fmt.Sprint("schema ", now+1), "cannot")
	for range 2 { // the second time there is nothing to do
		f, err := open(later, quick)
		if err != nil {
			t.Fatal(err)
		}
		err = f.view(func(tx *bbolt.Tx) error {
			if got := string(tx.Bucket(added).Get([]byte("from"))); got != "last" {
				t.Errorf("the upgrade left %q", got)
			}
			if n := numberOf(tx.Bucket(sweepIDsBucket), "s1"); n != 1 {
				t.Errorf("the sweep's number is %d", n)
			}
			return nil
		})
		if err := errors.Join(err, f.close()); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, dir, quick, sweeps.ErrStorage, fmt.Sprint("schema ", now+2))
}

// A home has a name of its own, which stays; one of an earlier version is given one.
func TestIdentity(t *testing.T) {
	seen := map[string]bool{}
	for range 2 {
		dir := t.TempDir()
		seed(t, dir)
		readOnly := quick
		readOnly.ReadOnly = true
		identity := func(opts Options) string {
			t.Helper()
			s, err := Open(dir, opts)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}()
			return s.Identity
		}
		first := identity(quick)
		if again := identity(readOnly); first == "" || seen[first] || again != first {
			t.Errorf("the identity is %q, then %q", first, again)
		}
		seen[first] = true
		db, err := bbolt.Open(filepath.Join(dir, "state.db"), 0o644, nil)
		if err == nil {
			err = errors.Join(db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(identityKey) }), db.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		if id := identity(readOnly); id != "" {
			t.Errorf("one who only reads sees identity %q", id)
		}
		if id := identity(quick); id == "" || seen[id] || identity(readOnly) != id {
			t.Errorf("an old home is given identity %q", id)
		}
	}
}

func TestClosedStore(t *testing.T) {
	s, err := Open(t.TempDir(), quick)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	told(t, s.State.Commit(seedChanges()), sweeps.ErrStorage, "closed")
	_, err = s.State.Sweeps()
	told(t, err, sweeps.ErrStorage, "closed")
}

func TestLogNamesStayInTheHome(t *testing.T) {
	home := t.TempDir()
	l := newLogStore(filepath.Join(home, "logs"), false)
	for _, name := range []string{"", ".", "..", "../x", "a/b", `a\b`, "c:", "x\x00", strings.Repeat("x", 300)} {
		ref := sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: sweeps.SweepID(name)}}
		_, err := l.Append(ref, "stdout", 0, []byte("x"))
		told(t, err, sweeps.ErrInvalid)
		_, err = l.Read(ref, "stdout", 0, 1)
		told(t, err, sweeps.ErrInvalid)
		ref.Sweep = "s1"
		_, err = l.Append(ref, name, 0, []byte("x"))
		told(t, err, sweeps.ErrInvalid)
	}
	if got := entries(t, home); got != "" {
		t.Errorf("written: %s", got)
	}
}
