package vit

import (
	"math"
	"testing"
)

func TestRate(t *testing.T) {
	// 10 steps an epoch, 4 epochs, 1.5 of them warm-up: 15 steps, and 25 after them.
	rates := func(params map[string]any) (all []float64) {
		params["learning_rate"], params["epochs"] = 0.2, 4
		c := tiny(t, params)
		for step := range int64(40) {
			all = append(all, c.rate(step, 10))
		}
		return all
	}
	for _, c := range []struct {
		name   string
		params map[string]any
		want   map[int]float64
	}{
		{"constant", map[string]any{}, map[int]float64{0: 0.2, 39: 0.2}},
		{"warm-up", map[string]any{"warmup_epochs": 1.5}, map[int]float64{0: 0.2 / 15, 1: 0.4 / 15, 14: 0.2, 15: 0.2, 39: 0.2}},
		{"cosine", map[string]any{"schedule": "cosine"}, map[int]float64{0: 0.2, 10: 0.2 * (1 + math.Sqrt2/2) / 2, 20: 0.1, 39: 0.1 * (1 - math.Cos(math.Pi/40))}},
		{"both", map[string]any{"schedule": "cosine", "warmup_epochs": 1.5}, map[int]float64{0: 0.2 / 15, 14: 0.2, 15: 0.2, 39: 0.1 * (1 - math.Cos(math.Pi/25))}},
		{"warm-up only", map[string]any{"schedule": "cosine", "warmup_epochs": 4}, map[int]float64{0: 0.2 / 40, 39: 0.2}},
	} {
		got := rates(c.params)
		for step, want := range c.want {
			if math.Abs(got[step]-want) > 1e-15 {
				t.Errorf("%s: step %d has rate %v, want %v", c.name, step, got[step], want)
			}
		}
		for step, rate := range got {
			if rate <= 0 || rate > 0.2 {
				t.Errorf("%s: step %d has rate %v", c.name, step, rate)
			}
		}
	}
}
