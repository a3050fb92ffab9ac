package vit

import (
	"math"
	"strings"
	"testing"
)

func TestCheckSize(t *testing.T) {
	for _, c := range []struct {
		name   string
		params map[string]any
		want   string // "" for a size that some machine can train
	}{
		{"ViT-L/16", map[string]any{"image_size": 224, "patch_size": 16, "embed_dim": 1024, "heads": 16, "encoder_layers": 24, "mlp_dim": 4096, "batch_size": 256}, ""},
		{"ViT-g/14", map[string]any{"image_size": 224, "patch_size": 14, "embed_dim": 1408, "heads": 16, "encoder_layers": 40, "mlp_dim": 6144, "batch_size": 64}, ""},
		{"one wide layer", map[string]any{"embed_dim": 32768, "heads": 16, "encoder_layers": 1}, ""},
		{"256 layers", map[string]any{"encoder_layers": 256, "batch_size": 10}, ""},
		{"as deep as it is wide", map[string]any{"encoder_layers": 256, "embed_dim": 16384, "heads": 16}, "embed_dim: training would take at least 4845 GiB of memory, "},
		{"a wide MLP", map[string]any{"embed_dim": 65536, "mlp_dim": 262144, "heads": 16}, "mlp_dim: training would take at least "},
		{"a wide MLP in one layer", map[string]any{"embed_dim": 65536, "mlp_dim": 262144, "heads": 16, "encoder_layers": 1}, "mlp_dim: training would take at least "},
		{"the largest embedding", map[string]any{"image_size": 64, "patch_size": 64}, "patch_size: training would take at least 920 GiB of memory, 900 GiB of it for attention in 4 encoder layers, and more than 256 GiB is refused"},
		{"a patch of 256", map[string]any{"dataset": "shapes", "image_size": 256, "patch_size": 256}, "patch_size: 256 makes the default embed_dim, which is patch_size * patch_size * channels * 5, 983040 and more than 65536 (use a smaller patch_size, or set embed_dim)"},
		{"a patch of 512", map[string]any{"dataset": "shapes", "image_size": 512, "patch_size": 512}, "patch_size: 512 makes the default embed_dim"},
		{"a patch of 256 with an embedding", map[string]any{"image_size": 256, "patch_size": 256, "embed_dim": 240}, ""},
		{"many images", map[string]any{"dataset": "folder:x", "batch_size": 65536, "image_size": 224, "patch_size": 16, "embed_dim": 768}, "batch_size: training would take at least "},
		{"large images", map[string]any{"dataset": "folder:x", "batch_size": 65536, "image_size": 1024, "patch_size": 64, "embed_dim": 12}, "batch_size: "},
		{"many classes", map[string]any{"classes": 100_000, "embed_dim": 65536, "heads": 1, "encoder_layers": 1, "mlp_dim": 1}, ": training would take at least "},
	} {
		err := Validate(c.params)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s gives %v, want %q", c.name, err, c.want)
		}
	}
}

// TestWeightParts compares the sum with a model that was built.
func TestWeightParts(t *testing.T) {
	for _, params := range []map[string]any{nil, {"class_token_layer": 1}, {"embed_dim": 36, "mlp_dim": 7, "heads": 3, "encoder_layers": 3, "image_size": 16}} {
		c := tiny(t, params)
		m, err := NewModel(c)
		if err != nil {
			t.Fatal(err)
		}
		built, counted := 0, 0.0
		for _, p := range m.Params.All() {
			built += len(p.Data())
		}
		for _, p := range c.weightParts() {
			counted += p.numbers
		}
		if float64(built) != counted {
			t.Errorf("%v: the model has %d weights, and %v were counted", params, built, counted)
		}
	}
}

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
