package kernel

import (
	"fmt"
	"math"
)

// adamConstants is what one step of Adam needs beside its vectors, in the order in which the assembly reads it.
type adamConstants = [8]float32

// Indices into adamConstants.
const (
	adamBeta1 = iota
	adamOneMinusBeta1
	adamBeta2
	adamOneMinusBeta2
	adamDecay             // lr·weightDecay
	adamStepSize          // lr / (1 - beta1ᵗ)
	adamInvSqrtCorrection // 1 / √(1 - beta2ᵗ)
	adamEps
)

// Adam makes one step of AdamW (Loshchilov and Hutter 2019; PyTorch's torch.optim.AdamW, and its Adam where
// weightDecay is 0) in one pass over the weights w, the running means m and v of the gradient and of its square, and
// the gradient g. step counts from 1. The update is
//
//	m ← beta1·m + (1-beta1)·g
//	v ← beta2·v + (1-beta2)·g²
//	w ← w - (lr·weightDecay·w + lr/(1-beta1ᵗ) · m / (√v/√(1-beta2ᵗ) + eps))
//
// with the bias corrections computed in float64. From the same m and v, one step's error is ≤ 1e-6 of the two terms
// in parentheses plus half a unit in the last place of w.
func Adam(w, m, v, g []float32, lr, beta1, beta2, eps, weightDecay float32, step int) {
	sameLen("Adam", len(w), len(m), len(v), len(g))
	if step < 1 {
		panic(fmt.Sprintf("kernel.Adam: step %d; steps count from 1", step))
	}
	b1, b2, t := float64(beta1), float64(beta2), float64(step)
	c := &adamConstants{
		adamBeta1:             beta1,
		adamOneMinusBeta1:     float32(1 - b1),
		adamBeta2:             beta2,
		adamOneMinusBeta2:     float32(1 - b2),
		adamDecay:             float32(float64(lr) * float64(weightDecay)),
		adamStepSize:          float32(float64(lr) / (1 - math.Pow(b1, t))),
		adamInvSqrtCorrection: float32(1 / math.Sqrt(1-math.Pow(b2, t))),
		adamEps:               eps,
	}
	s := active.Load()
	Parallel(len(w), grain, func(lo, hi int) { s.adam(w[lo:hi], m[lo:hi], v[lo:hi], g[lo:hi], c) })
}
