package nn

import (
	"errors"
	"fmt"
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"swath/trainer/nn/kernel"
)

// embeddingStd is the standard deviation that the class token and the positions start with.
const embeddingStd = 0.02

// Tokens is the number of tokens of an image: its patches and the class token.
func Tokens(height, width, patch int) int { return height/patch*(width/patch) + 1 }

// PatchEmbed turns images, batch × channels × height × width, into token
// embeddings, (batch·tokens) × dim, as equation 1 of the ViT paper (Dosovitskiy et
// al. 2021) has it: token 0 of an image is the class token, the others are its
// patches of patch×patch pixels, from left to right and top to bottom, times a
// matrix; a learned position is added to each. The images get no gradient.
//
// The weights are name+".weight" (channels·patch·patch × dim), ".bias", ".class"
// and ".position" (tokens × dim).
func (n *Net) PatchEmbed(images *gorgonia.Node, name string, patch, dim int) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "patch embedding " + name
	s := images.Shape()
	switch {
	case len(s) != 4:
		return n.fail(label, fmt.Errorf("images have shape %v, want batch × channels × height × width", s))
	case patch <= 0 || s[2]%patch != 0 || s[3]%patch != 0:
		return n.fail(label, fmt.Errorf("patches of %d×%d do not tile images of %d×%d", patch, patch, s[2], s[3]))
	}
	p := &patchEmbed{net: n, name: name, batch: s[0], channels: s[1], height: s[2], width: s[3], patch: patch, dim: dim,
		tokens: Tokens(s[2], s[3], patch)}
	p.pixels = p.channels * patch * patch
	rows := p.batch * p.tokens

	w := n.weight(name+".weight", TruncatedNormal(1/math.Sqrt(float64(p.pixels))), p.pixels, dim)
	b := n.weight(name+".bias", Zeros, dim)
	class := n.weight(name+".class", Normal(embeddingStd), dim)
	position := n.weight(name+".position", Normal(embeddingStd), p.tokens, dim)
	if n.err != nil {
		return nil
	}
	p.base = n.newBase(label, tensor.Shape{rows, dim}, images, w, b, class, position)
	p.patches = n.space.floats(name+".patches", rows*p.pixels)
	p.y = n.space.tensor(name+".out", rows, dim)
	return n.apply(label, p, images, w, b, class, position)
}

type patchEmbed struct {
	base
	net                                      *Net
	name                                     string
	batch, channels, height, width           int
	patch, pixels /* a patch */, tokens, dim int
	// patches has a row for each token, so that one matrix product writes the
	// embeddings in place; the rows of class tokens are zero.
	patches []float32
	y       *tensor.Dense
}

// gather cuts image i into the rows of patches.
func (p *patchEmbed) gather(images []float32, i int) {
	rows := p.patches[i*p.tokens*p.pixels : (i+1)*p.tokens*p.pixels]
	clear(rows[:p.pixels])
	image := images[i*p.channels*p.height*p.width:]
	at := p.pixels
	for y := 0; y < p.height; y += p.patch {
		for x := 0; x < p.width; x += p.patch {
			for c := range p.channels {
				for dy := range p.patch {
					from := (c*p.height+y+dy)*p.width + x
					at += copy(rows[at:at+p.patch], image[from:from+p.patch])
				}
			}
		}
	}
}

// Do embeds the patches and puts the class token before them.
func (p *patchEmbed) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := inputs{values: values}
	images, w := in.at(0, p.batch*p.channels*p.height*p.width), in.at(1, p.pixels*p.dim)
	b, class, position := in.at(2, p.dim), in.at(3, p.dim), in.at(4, p.tokens*p.dim)
	if in.err != nil {
		return nil, p.errMismatch(in.err)
	}
	kernel.Parallel(p.batch, 4, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			p.gather(images, i)
		}
	})
	y := p.y.Data().([]float32)
	kernel.Gemm(false, false, p.batch*p.tokens, p.dim, p.pixels, 1, p.patches, p.pixels, w, p.dim, 0, y, p.dim)
	kernel.Parallel(p.batch, 4, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			for t := range p.tokens {
				row := y[(i*p.tokens+t)*p.dim:][:p.dim]
				kernel.Add(row, row, position[t*p.dim:(t+1)*p.dim])
				if t == 0 {
					kernel.Add(row, row, class)
				} else {
					kernel.Add(row, row, b)
				}
			}
		}
	})
	return p.y, nil
}

// DiffWRT says that the weights, but not the images, get gradients.
func (p *patchEmbed) DiffWRT(int) []bool { return []bool{false, true, true, true, true} }

// SymDiff adds the backward operation and the picks of the weights' gradients.
func (p *patchEmbed) SymDiff(in gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	n := p.net
	label := p.label + " backward"
	op := &patchEmbedGrad{base: n.newBase(label, in[1].Shape(), grad, output), fwd: p,
		dw:        n.space.tensor(p.name+".dw", p.pixels, p.dim),
		db:        n.space.tensor(p.name+".db", p.dim),
		dclass:    n.space.tensor(p.name+".dclass", p.dim),
		dposition: n.space.tensor(p.name+".dposition", p.tokens, p.dim)}
	dw, err := gorgonia.ApplyOp(op, grad, output)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	db, errB := n.pick(p.label+" db", dw, op.db)
	dclass, errC := n.pick(p.label+" dclass", dw, op.dclass)
	dposition, errP := n.pick(p.label+" dposition", dw, op.dposition)
	if err := errors.Join(errB, errC, errP); err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	return gorgonia.Nodes{nil, dw, db, dclass, dposition}, nil
}

// patchEmbedGrad computes dW and fills the other gradients. Its last input is the
// forward result, only to run after it.
type patchEmbedGrad struct {
	base
	fwd                       *patchEmbed
	dw, db, dclass, dposition *tensor.Dense
}

// Do computes dW = patchesᵀ·dy (the zero rows of class tokens add nothing), the
// position's gradient as the sum over the batch, and from it those of the class
// token, which sits at position 0, and of the bias, which sits at all others.
func (g *patchEmbedGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	p, in := g.fwd, inputs{values: values}
	rows := p.batch * p.tokens
	dy := in.at(0, rows*p.dim)
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	kernel.Gemm(true, false, p.pixels, p.dim, rows, 1, p.patches, p.pixels, dy, p.dim, 0, g.dw.Data().([]float32), p.dim)
	dposition := g.dposition.Data().([]float32)
	kernel.Parallel(p.tokens, 1, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			sum := dposition[t*p.dim : (t+1)*p.dim]
			clear(sum)
			for i := range p.batch {
				at := (i*p.tokens + t) * p.dim
				kernel.Add(sum, sum, dy[at:at+p.dim])
			}
		}
	})
	copy(g.dclass.Data().([]float32), dposition[:p.dim])
	sumBlocks(g.db.Data().([]float32), dposition[p.dim:])
	return g.dw, nil
}
