package storetest

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"swath/coordinator"
	"swath/sweeps"
)

// MemMetrics is a coordinator.MetricStore in memory. The zero value is empty.
type MemMetrics struct {
	mu     sync.RWMutex
	points map[sweeps.AttemptRef][]sweeps.Point // by sequence number
}

var _ coordinator.MetricStore = (*MemMetrics)(nil)

// Append implements coordinator.MetricStore.
func (m *MemMetrics) Append(batches []coordinator.Batch) ([]int64, error) {
	for _, b := range batches {
		if b.Ref.Sweep == "" || b.Ref.Index < 0 || b.Ref.Attempt < 0 {
			return nil, fmt.Errorf("%w: points of %q, which is no attempt", sweeps.ErrInvalid, b.Ref)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.points == nil {
		m.points = map[sweeps.AttemptRef][]sweeps.Point{}
	}
	next := make([]int64, len(batches))
	for i, b := range batches {
		have := int64(len(m.points[b.Ref]))
		if b.First >= 0 && b.First <= have && b.First+int64(len(b.Points)) > have {
			m.points[b.Ref] = append(m.points[b.Ref], b.Points[have-b.First:]...)
		}
		next[i] = int64(len(m.points[b.Ref]))
	}
	return next, nil
}

// Summaries implements coordinator.MetricStore.
func (m *MemMetrics) Summaries(ref sweeps.AttemptRef) (map[string]sweeps.Summary, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := map[string]sweeps.Summary{}
	for _, p := range m.points[ref] {
		out[p.Metric] = out[p.Metric].Add(p)
	}
	return out, nil
}

// Read implements coordinator.MetricStore.
func (m *MemMetrics) Read(ref sweeps.AttemptRef, metric string, fn func(sweeps.Point) bool) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	byName := map[string][]sweeps.Point{}
	var names []string
	for _, p := range m.points[ref] {
		if metric != "" && p.Metric != metric {
			continue
		}
		if byName[p.Metric] == nil {
			names = append(names, p.Metric)
		}
		byName[p.Metric] = append(byName[p.Metric], p)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, p := range byName[name] {
			if !fn(p) {
				return nil
			}
		}
	}
	return nil
}

// Remove implements coordinator.MetricStore.
func (m *MemMetrics) Remove(id sweeps.SweepID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.points, func(ref sweeps.AttemptRef, _ []sweeps.Point) bool { return ref.Sweep == id })
	return nil
}

// Close implements coordinator.MetricStore. The store can still be used.
func (m *MemMetrics) Close() error { return nil }
