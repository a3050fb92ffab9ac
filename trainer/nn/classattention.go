package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"swath/trainer/nn/kernel"
)

// ClassAttention is what [Net.Attention] gives to the first token of each image, the class
// token, batch × dim: all keys and values have a part in it, but of the queries only the
// class token's. After a layer of which nothing else is read it saves nearly all work.
func (n *Net) ClassAttention(qkv *gorgonia.Node, name string, tokens, heads int) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "class attention " + name
	rows, cols, err := matrix(qkv)
	if err == nil {
		err = checkHeads(rows, cols, tokens, heads)
	}
	if err != nil {
		return n.fail(label, err)
	}
	batch, dim := rows/tokens, cols/3
	op := &classAttention{base: n.newBase(label, tensor.Shape{batch, dim}, qkv), net: n, name: name,
		batch: batch, tokens: tokens, heads: heads, dim: dim,
		p: n.space.floats(name+".p", batch*heads*tokens), y: n.space.tensor(name+".out", batch, dim)}
	return n.apply(label, op, qkv)
}

type classAttention struct {
	base
	net                       *Net
	name                      string
	batch, tokens, heads, dim int
	p                         []float32 // the class token's probabilities, for each image and head a row over the tokens
	y                         *tensor.Dense
}

// Do computes p = softmax(q·kᵀ/√d) and o = p·v for each image and head.
func (a *classAttention) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := inputs{values: values}
	qkv := in.at(0, a.batch*a.tokens*3*a.dim)
	if in.err != nil {
		return nil, a.errMismatch(in.err)
	}
	y := a.y.Data().([]float32)
	d, ld := a.dim/a.heads, 3*a.dim
	kernel.Parallel(a.batch*a.heads, a.heads, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			p := a.p[i*a.tokens : (i+1)*a.tokens]
			from, o := i/a.heads*a.tokens*ld+i%a.heads*d, y[i*d:(i+1)*d]
			classProbabilities(p, qkv[from:], a.dim, d)
			clear(o)
			for t, w := range p {
				v := from + t*ld + 2*a.dim
				addScaled(o, w, qkv[v:v+d])
			}
		}
	})
	return a.y, nil
}

// classProbabilities sets p, an element for each token, to softmax(q·kᵀ/√d), where q, of d
// elements, is the beginning of qkv, and the keys are those of the same head.
func classProbabilities(p, qkv []float32, dim, d int) {
	q, s := qkv[:d], scoreScale(d)
	for t := range p {
		k := t*3*dim + dim
		p[t] = s * dot(q, qkv[k:k+d])
	}
	kernel.Softmax(p, p, 1, len(p))
}

// DiffWRT says that attention is differentiable.
func (a *classAttention) DiffWRT(n int) []bool { return all(n) }

// SymDiff adds the backward operation.
func (a *classAttention) SymDiff(in gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	label := a.label + " backward"
	op := &classAttentionGrad{base: a.net.newBase(label, in[0].Shape(), grad, in[0], output), fwd: a,
		dqkv: a.net.space.tensor(a.name+".dqkv", a.batch*a.tokens, 3*a.dim)}
	dqkv, err := gorgonia.ApplyOp(op, grad, in[0], output)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	return gorgonia.Nodes{dqkv}, nil
}

type classAttentionGrad struct {
	base
	fwd  *classAttention
	dqkv *tensor.Dense
}

// Do computes what attentionGrad does, for one query: dv = p·do, ds = p∘(do·vᵀ - do·o),
// dq = ds·k/√d, dk = ds·q/√d. The gradient of the other queries is zero.
func (g *classAttentionGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	a, in := g.fwd, inputs{values: values}
	dy, qkv, y := in.at(0, a.batch*a.dim), in.at(1, a.batch*a.tokens*3*a.dim), in.at(2, a.batch*a.dim)
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	dqkv := g.dqkv.Data().([]float32)
	d, ld := a.dim/a.heads, 3*a.dim
	s := scoreScale(d)
	kernel.Parallel(a.batch*a.heads, a.heads, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			p, do := a.p[i*a.tokens:(i+1)*a.tokens], dy[i*d:(i+1)*d]
			from := i/a.heads*a.tokens*ld + i%a.heads*d
			sum := dot(do, y[i*d:(i+1)*d])
			q, dq := qkv[from:from+d], dqkv[from:from+d]
			clear(dq)
			for t, w := range p {
				at := from + t*ld
				if t > 0 {
					clear(dqkv[at : at+d])
				}
				k, v := at+a.dim, at+2*a.dim
				ds := s * w * (dot(do, qkv[v:v+d]) - sum)
				setScaled(dqkv[v:v+d], w, do)
				setScaled(dqkv[k:k+d], ds, q)
				addScaled(dq, ds, qkv[k:k+d])
			}
		}
	})
	return g.dqkv, nil
}

// setScaled sets y to a·x, and addScaled adds it, for short vectors.
func setScaled(y []float32, a float32, x []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] = a * v
	}
}

func addScaled(y []float32, a float32, x []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] += a * v
	}
}

// ClassAttentionMap returns how much the class token of one image attends to each of its
// tokens, itself first: the mean over the heads. qkv are the image's queries, keys and
// values as [Net.Attention] takes them, tokens × 3·dim.
func ClassAttentionMap(qkv []float32, tokens, heads int) []float32 {
	dim := len(qkv) / (3 * tokens)
	d := dim / heads
	mean, p := make([]float32, tokens), make([]float32, tokens)
	for h := range heads {
		classProbabilities(p, qkv[h*d:], dim, d)
		addScaled(mean, 1/float32(heads), p)
	}
	return mean
}
