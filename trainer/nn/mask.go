package nn

import (
	"fmt"
	"math"
)

// mask is a dropout mask (Srivastava et al. 2014, in the inverted form: what is
// kept is scaled by 1/(1-p), so that evaluation needs no correction). Nothing of
// it is stored. The mask of a row is hashed from (seed, step, operation, row),
// 16 bits an element, and hashed again in the backward pass.
type mask struct {
	clock     *Clock
	id        uint64 // the operation
	threshold uint32 // of 65536: an element is dropped if its 16 bits are below
	scale     float32
}

// newMask returns the mask of one operation; nil for p = 0 or without a clock,
// which means that everything passes unscaled.
func (n *Net) newMask(id uint64, p float64) (*mask, error) {
	if p < 0 || p >= 1 || math.IsNaN(p) {
		return nil, fmt.Errorf("dropout %v is not in [0, 1)", p)
	}
	threshold := uint32(math.Round(p * 65536))
	if n.clock == nil || threshold == 0 {
		return nil, nil
	}
	threshold = min(threshold, 65535)
	// The scale belongs to the probability that is in force, which is p rounded to 16 bits.
	return &mask{clock: n.clock, id: id, threshold: threshold, scale: float32(65536 / float64(65536-threshold))}, nil
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
	k := key(m.clock.Seed, m.clock.Step, m.id, uint64(row))
	threshold, scale := int32(m.threshold), m.scale
	j := 0
	for ; j+4 <= len(src); j += 4 {
		k += golden
		r := mix(k)
		s, d := src[j:j+4:j+4], dst[j:j+4:j+4]
		d[0] = keep(s[0]*scale, int32(r&0xffff)-threshold)
		d[1] = keep(s[1]*scale, int32(r>>16&0xffff)-threshold)
		d[2] = keep(s[2]*scale, int32(r>>32&0xffff)-threshold)
		d[3] = keep(s[3]*scale, int32(r>>48)-threshold)
	}
	if j < len(src) {
		r := mix(k + golden)
		for ; j < len(src); j++ {
			dst[j] = keep(src[j]*scale, int32(r&0xffff)-threshold)
			r >>= 16
		}
	}
}

// keep is x, or 0 if sign is negative; without a branch, which a random mask
// would mispredict.
func keep(x float32, sign int32) float32 {
	return math.Float32frombits(math.Float32bits(x) &^ uint32(sign>>31))
}
