package storetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"swath/coordinator"
	"swath/sweeps"
)

// TestCheckpointStore verifies what ports.go promises of a CheckpointStore. open is as for
// [TestLogStore].
func TestCheckpointStore(t *testing.T, open func(t *testing.T, home string) coordinator.CheckpointStore) {
	home := t.TempDir()
	s := open(t, home)
	content := bytes.Repeat([]byte("0123456789"), 1000)
	digest := Digest(content)

	have := func(want int64, complete bool) {
		t.Helper()
		size, is, err := s.Have(digest)
		if size != want || is != complete || err != nil {
			t.Errorf("have %d, %v, %v, want %d, %v", size, is, err, want, complete)
		}
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	have(0, false)
	if sizes, err := s.List(); len(sizes) != 0 || err != nil {
		t.Errorf("an empty store lists %v, %v", sizes, err)
	}
	ok(s.Append(digest, 0, content[:4000]))
	have(4000, false)
	if err := s.Append(digest, 5000, content[5000:]); !errors.Is(err, sweeps.ErrConflict) {
		t.Errorf("a gap: %v", err)
	}
	s = open(t, home) // what had arrived is not lost
	have(4000, false)
	if _, err := s.Read(digest, 0, 10); !errors.Is(err, sweeps.ErrNotFound) {
		t.Errorf("a part was read: %v", err)
	}
	ok(s.Append(digest, 4000, content[4000:]))
	ok(s.Complete(digest))
	s = open(t, home)
	have(10000, true)
	got, err := s.Read(digest, 9990, 100)
	if string(got) != "0123456789" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if got, err := s.Read(digest, 10000, 100); len(got) != 0 || err != nil {
		t.Errorf("read %q behind the end, %v", got, err)
	}
	if sizes, err := s.List(); len(sizes) != 1 || sizes[digest] != 10000 || err != nil {
		t.Errorf("listed %v, %v", sizes, err)
	}
	ok(s.Remove(digest))
	ok(s.Remove(digest))
	have(0, false)

	// What is not what it says is dropped.
	ok(s.Append(digest, 0, content[1:]))
	if err := s.Complete(digest); !errors.Is(err, sweeps.ErrInvalid) {
		t.Errorf("another content was taken: %v", err)
	}
	have(0, false)
	for _, bad := range []string{"", "abc", "../../../etc/passwd", digest[:63] + "/", digest[:63] + "G"} {
		if err := s.Append(bad, 0, nil); !errors.Is(err, sweeps.ErrInvalid) {
			t.Errorf("digest %q: %v", bad, err)
		}
	}
}

// Digest is the digest of a content.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// MemCheckpoints is a coordinator.CheckpointStore in memory. The zero value is empty.
type MemCheckpoints struct {
	// Free and Total are what Space returns.
	Free, Total int64

	mu    sync.Mutex
	files map[string][]byte
	parts map[string][]byte
}

var _ coordinator.CheckpointStore = (*MemCheckpoints)(nil)

// Have implements coordinator.CheckpointStore.
func (m *MemCheckpoints) Have(digest string) (int64, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f, is := m.files[digest]; is {
		return int64(len(f)), true, nil
	}
	return int64(len(m.parts[digest])), false, nil
}

// Append implements coordinator.CheckpointStore.
func (m *MemCheckpoints) Append(digest string, offset int64, data []byte) error {
	if b, err := hex.DecodeString(digest); err != nil || len(b) != sha256.Size {
		return fmt.Errorf("%w: digest %q", sweeps.ErrInvalid, digest)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.parts == nil {
		m.parts = map[string][]byte{}
	}
	if n := int64(len(m.parts[digest])); n != offset {
		return fmt.Errorf("%w: %d bytes are there", sweeps.ErrConflict, n)
	}
	m.parts[digest] = append(m.parts[digest], data...)
	return nil
}

// Complete implements coordinator.CheckpointStore.
func (m *MemCheckpoints) Complete(digest string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	content := m.parts[digest]
	delete(m.parts, digest)
	if Digest(content) != digest {
		return fmt.Errorf("%w: another content", sweeps.ErrInvalid)
	}
	if m.files == nil {
		m.files = map[string][]byte{}
	}
	m.files[digest] = content
	return nil
}

// Read implements coordinator.CheckpointStore.
func (m *MemCheckpoints) Read(digest string, offset int64, limit int) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, is := m.files[digest]
	if !is {
		return nil, fmt.Errorf("%w: checkpoint %.12s", sweeps.ErrNotFound, digest)
	}
	f = f[min(offset, int64(len(f))):]
	return slices.Clone(f[:min(limit, len(f))]), nil
}

// Remove implements coordinator.CheckpointStore.
func (m *MemCheckpoints) Remove(digest string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, digest)
	delete(m.parts, digest)
	return nil
}

// List implements coordinator.CheckpointStore.
func (m *MemCheckpoints) List() (map[string]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sizes := map[string]int64{}
	for digest, f := range m.files {
		sizes[digest] = int64(len(f))
	}
	return sizes, nil
}

// Space implements coordinator.CheckpointStore.
func (m *MemCheckpoints) Space() (free, total int64) { return m.Free, m.Total }
