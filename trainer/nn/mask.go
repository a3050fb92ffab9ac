package nn

import (
	"fmt"
	"math"

	"swath/trainer/nn/kernel"
)

// mask is a dropout mask (Srivastava et al. 2014, in the inverted form: what is
// kept is scaled by 1/(1-p), so that evaluation needs no correction). Nothing of
// it is stored. The mask of a row is hashed from (seed, step, operation, row),
// and hashed again in the backward pass.
type mask struct {
	clock *Clock
	id    uint64  // the operation
	drop  int     // of kernel.DropoutLevels
	scale float32 // of an element that is kept
}

// newMask returns the mask of one operation; nil for p = 0 or without a clock,
// which means that everything passes unscaled.
func (n *Net) newMask(id uint64, p float64) (*mask, error) {
	if p < 0 || p >= 1 || math.IsNaN(p) {
		return nil, fmt.Errorf("dropout %v is not in [0, 1)", p)
	}
	drop := int(min(math.Round(p*kernel.DropoutLevels), kernel.DropoutLevels-1))
	if n.clock == nil || drop == 0 {
		return nil, nil
	}
	// The scale belongs to the probability that is in force, which is p rounded.
	return &mask{clock: n.clock, id: id, drop: drop, scale: float32(kernel.DropoutLevels / float64(kernel.DropoutLevels-drop))}, nil
}

// row applies the mask of one row: dst = src times mask. dst may be src. It is
// its own gradient, and a nil mask copies.
func (m *mask) row(dst, src []float32, row int) {
	if m == nil {
		if len(dst) > 0 && &dst[0] != &src[0] {
			copy(dst, src)
		}
		return
	}
	kernel.Dropout(dst, src, key(m.clock.Seed, m.clock.Step, m.id, uint64(row)), m.drop, m.scale)
}
