package vit

import (
	"cmp"
	"fmt"
	"slices"
)

const (
	// maxEmbedDim bounds embed_dim, whether it is given or follows from patch_size.
	maxEmbedDim = 65536
	// maxMemory is what training may need, in bytes: more than machines have that train
	// without GPUs. Below it the machine decides.
	maxMemory = 1 << 38
)

// part is something of a training that takes memory.
type part struct {
	param   string // that it grows with first
	what    string
	numbers float64
	less    string // what makes it smaller
}

// weightParts are the weights, by where they are.
func (c *Config) weightParts() []part {
	e, m, layers := float64(c.EmbedDim), float64(c.MLPDim), float64(c.ClassTokenLayer)
	pixels := float64(c.PatchSize * c.PatchSize * c.Channels)
	embedding := "embed_dim"
	if c.EmbedDim == c.defaultEmbedDim() {
		embedding = "patch_size"
	}
	return []part{
		{"patch_size", "the embedding of patches and positions", (pixels + float64(c.Tokens()) + 2) * e, "patch_size or embed_dim"},
		{embedding, fmt.Sprintf("attention in %d encoder layers", c.ClassTokenLayer), layers * (4*e*e + 8*e), "embed_dim, or fewer encoder_layers"},
		{"mlp_dim", fmt.Sprintf("the MLPs of %d encoder layers", c.ClassTokenLayer), layers * (2*e*m + m + e), "mlp_dim or embed_dim, or fewer encoder_layers"},
		{"classes", "the head", e*float64(c.Classes) + float64(c.Classes) + 2*e, "number of classes or embed_dim"},
	}
}

// results is at least what a batch's images and layers leave for the way back.
func (c *Config) results() part {
	e, m, layers := float64(c.EmbedDim), float64(c.MLPDim), float64(c.ClassTokenLayer)
	image := float64(c.Channels * c.ImageSize * c.ImageSize)
	// Of the last layer only keys and values are computed for every token.
	token := (layers-1)*(6*e+2*m) + 3*e
	return part{"batch_size", fmt.Sprintf("a batch of %d images of %d tokens", c.BatchSize, c.Tokens()), float64(c.BatchSize) * (image + float64(c.Tokens())*token), "batch_size"}
}

// checkSize reports a training that could not be held in memory. It counts low: what it
// lets pass may still not fit into a machine.
func (c *Config) checkSize() error {
	if c.EmbedDim > maxEmbedDim {
		return fmt.Errorf("patch_size: %d makes the default embed_dim, which is patch_size * patch_size * channels * 5, %d and more than %d (use a smaller patch_size, or set embed_dim)",
			c.PatchSize, c.EmbedDim, maxEmbedDim)
	}
	parts := c.weightParts()
	copies := 4.0 // the weight, its gradient, and the two means of Adam
	if c.Optimizer == "sgd" {
		copies = 3
	}
	for i := range parts {
		parts[i].numbers *= copies
	}
	parts = append(parts, c.results())
	all := 0.0
	for _, p := range parts {
		all += 4 * p.numbers
	}
	if all <= maxMemory {
		return nil
	}
	most := slices.MaxFunc(parts, func(a, b part) int { return cmp.Compare(a.numbers, b.numbers) })
	return fmt.Errorf("%s: training would take at least %s of memory, %s of it for %s, and more than %s is refused (use a smaller %s)", most.param,
		gib(all), gib(4*most.numbers), most.what, gib(maxMemory), most.less)
}

// gib prints a number of bytes in GiB.
func gib(bytes float64) string { return fmt.Sprintf("%.0f GiB", bytes/(1<<30)) }
