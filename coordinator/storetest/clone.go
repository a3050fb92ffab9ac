package storetest

import (
	"maps"
	"slices"

	"swath/sweeps"
)

// cloneSweep returns a copy that shares nothing with s, not even what is never to be
// changed.
func cloneSweep(s *sweeps.Sweep) *sweeps.Sweep {
	c := *s
	c.Source = slices.Clone(s.Source)
	c.Best = slices.Clone(s.Best)
	return &c
}

// cloneTrial does the same for a trial.
func cloneTrial(t *sweeps.Trial) *sweeps.Trial {
	c := *t
	c.Metrics = maps.Clone(t.Metrics)
	c.Checkpoints = slices.Clone(t.Checkpoints)
	if t.Params != nil {
		c.Params = cloneValue(map[string]any(t.Params)).(map[string]any)
	}
	return &c
}

// cloneValue copies a parameter's value.
func cloneValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for k, x := range v {
			c[k] = cloneValue(x)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, x := range v {
			c[i] = cloneValue(x)
		}
		return c
	default:
		return v
	}
}
