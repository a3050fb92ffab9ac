package storetest

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"swath/coordinator"
	"swath/sweeps"
)

// MemLogs is a coordinator.LogStore in memory. The zero value is empty.
type MemLogs struct {
	mu      sync.RWMutex
	streams map[memStream][]byte
}

var _ coordinator.LogStore = (*MemLogs)(nil)

type memStream struct {
	ref  sweeps.AttemptRef
	name string
}

// Append implements coordinator.LogStore.
func (m *MemLogs) Append(ref sweeps.AttemptRef, stream string, offset int64, data []byte) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.streams == nil {
		m.streams = map[memStream][]byte{}
	}
	key := memStream{ref, stream}
	have := int64(len(m.streams[key]))
	if offset >= 0 && offset <= have && offset+int64(len(data)) > have {
		m.streams[key] = append(m.streams[key], data[have-offset:]...)
	}
	return int64(len(m.streams[key])), nil
}

// Remove implements coordinator.LogStore.
func (m *MemLogs) Remove(id sweeps.SweepID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.streams, func(s memStream, _ []byte) bool { return s.ref.Sweep == id })
	return nil
}

// Read implements coordinator.LogStore.
func (m *MemLogs) Read(ref sweeps.AttemptRef, stream string, offset int64, limit int) ([]byte, error) {
	if offset < 0 {
		return nil, fmt.Errorf("%w: log of %s: negative offset %d", sweeps.ErrInvalid, ref, offset)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	data := m.streams[memStream{ref, stream}]
	if offset >= int64(len(data)) || limit <= 0 {
		return nil, nil
	}
	data = data[offset:]
	return slices.Clone(data[:min(limit, len(data))]), nil
}
