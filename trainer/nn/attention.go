package nn

import (
	"fmt"
	"math"
	"sync"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"swath/trainer/nn/kernel"
)

// Attention is multi-head scaled dot-product self-attention (Vaswani et al. 2017,
// equation 1) on packed queries, keys and values: qkv is (batch·tokens) × 3·dim,
// its columns q, k and v in this order and each divided among the heads. For each
// image and head, with d = dim/heads,
//
//	P = softmax(q·kᵀ/√d),  o = P·v
//
// and the result, (batch·tokens) × dim, has the heads' outputs side by side. The
// projections before and after it are [Net.Linear].
func (n *Net) Attention(qkv *gorgonia.Node, name string, tokens, heads int) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "attention " + name
	rows, cols, err := matrix(qkv)
	if err == nil {
		err = checkHeads(rows, cols, tokens, heads)
	}
	if err != nil {
		return n.fail(label, err)
	}
	op := &attention{base: n.newBase(label, tensor.Shape{rows, cols / 3}, qkv), net: n, name: name,
		batch: rows / tokens, tokens: tokens, heads: heads, dim: cols / 3,
		scores: newPool(tokens * tokens), y: n.space.tensor(name+".out", rows, cols/3)}
	return n.apply(label, op, qkv)
}

// checkHeads reports a matrix that cannot be the queries, keys and values of so many tokens and heads.
func checkHeads(rows, cols, tokens, heads int) error {
	switch {
	case tokens <= 0 || rows%tokens != 0:
		return fmt.Errorf("%d rows are not a whole number of images of %d tokens", rows, tokens)
	case heads <= 0 || cols%(3*heads) != 0:
		return fmt.Errorf("%d columns are not q, k and v of %d heads", cols, heads)
	}
	return nil
}

type attention struct {
	base
	net                       *Net
	name                      string
	batch, tokens, heads, dim int
	scores                    *pool // tokens × tokens matrices, one for each goroutine at work
	y                         *tensor.Dense
}

// eachHead calls f in parallel for every image and head, with the offset of the
// head's queries in qkv and of its output in y. Keys and values follow the
// queries at a distance of dim and 2·dim.
func (a *attention) eachHead(f func(q, o int)) {
	d := a.dim / a.heads
	kernel.Parallel(a.batch*a.heads, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row, head := i/a.heads*a.tokens, i%a.heads
			f(row*3*a.dim+head*d, row*a.dim+head*d)
		}
	})
}

// probabilities sets p to softmax(q·kᵀ/√d) for the head whose queries start at
// offset q. Both passes compute it: storing it would take batch·heads·tokens²
// floats a layer, which at small patches is more than all else together.
func (a *attention) probabilities(p, qkv []float32, q int) {
	t, d, ld := a.tokens, a.dim/a.heads, 3*a.dim
	kernel.GemmSerial(false, true, t, t, d, scoreScale(d), qkv[q:], ld, qkv[q+a.dim:], ld, 0, p, t)
	kernel.Softmax(p, p, t, t)
}

// scoreScale is what scores of d elements are multiplied by.
func scoreScale(d int) float32 { return float32(1 / math.Sqrt(float64(d))) }

// Do computes the attention of every head.
func (a *attention) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := inputs{values: values}
	qkv := in.at(0, a.batch*a.tokens*3*a.dim)
	if in.err != nil {
		return nil, a.errMismatch(in.err)
	}
	y := a.y.Data().([]float32)
	t, d, ld := a.tokens, a.dim/a.heads, 3*a.dim
	a.eachHead(func(q, o int) {
		p := a.scores.get()
		a.probabilities(*p, qkv, q)
		kernel.GemmSerial(false, false, t, d, t, 1, *p, t, qkv[q+2*a.dim:], ld, 0, y[o:], a.dim)
		a.scores.put(p)
	})
	return a.y, nil
}

// DiffWRT says that attention is differentiable.
func (a *attention) DiffWRT(n int) []bool { return all(n) }

// SymDiff adds the backward operation.
func (a *attention) SymDiff(in gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	label := a.label + " backward"
	op := &attentionGrad{base: a.net.newBase(label, in[0].Shape(), grad, in[0], output), fwd: a,
		dqkv: a.net.space.tensor(a.name+".dqkv", a.batch*a.tokens, 3*a.dim)}
	dqkv, err := gorgonia.ApplyOp(op, grad, in[0], output)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	return gorgonia.Nodes{dqkv}, nil
}

type attentionGrad struct {
	base
	fwd  *attention
	dqkv *tensor.Dense
}

// Do computes, for each image and head,
//
//	dv = Pᵀ·do,  dP = do·vᵀ,  dS = P∘(dP - rowsum(P∘dP)),
//	dq = dS·k/√d,  dk = dSᵀ·q/√d
//
// Its last input is the forward result, only to run after it.
func (g *attentionGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	a, in := g.fwd, inputs{values: values}
	rows := a.batch * a.tokens
	dy, qkv := in.at(0, rows*a.dim), in.at(1, rows*3*a.dim)
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	dqkv := g.dqkv.Data().([]float32)
	t, d, ld := a.tokens, a.dim/a.heads, 3*a.dim
	factor := scoreScale(d)
	a.eachHead(func(q, o int) {
		k, v := q+a.dim, q+2*a.dim
		pp, sp := a.scores.get(), a.scores.get()
		p, s := *pp, *sp
		a.probabilities(p, qkv, q)
		kernel.GemmSerial(true, false, t, d, t, 1, p, t, dy[o:], a.dim, 0, dqkv[v:], ld)
		kernel.GemmSerial(false, true, t, t, d, 1, dy[o:], a.dim, qkv[v:], ld, 0, s, t)
		kernel.SoftmaxGrad(s, p, t, t)
		kernel.GemmSerial(false, false, t, d, t, factor, s, t, qkv[k:], ld, 0, dqkv[q:], ld)
		kernel.GemmSerial(true, false, t, d, t, factor, s, t, qkv[q:], ld, 0, dqkv[k:], ld)
		a.scores.put(pp)
		a.scores.put(sp)
	})
	return g.dqkv, nil
}

// dot is Σ x·y for short vectors, in four sums: one would wait for its own last addition.
func dot(x, y []float32) float32 {
	y = y[:len(x)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(x); i += 4 {
		a, b := x[i:i+4:i+4], y[i:i+4:i+4]
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
	}
	for ; i < len(x); i++ {
		s0 += x[i] * y[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// pool hands out scratch slices of one size to the goroutines of an operation.
type pool struct{ p sync.Pool }

func newPool(n int) *pool {
	return &pool{sync.Pool{New: func() any { s := make([]float32, n); return &s }}}
}

func (p *pool) get() *[]float32  { return p.p.Get().(*[]float32) }
func (p *pool) put(s *[]float32) { p.p.Put(s) }
