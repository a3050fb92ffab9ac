package nn

import (
	"fmt"
	"math"
)

// mask is a dropout mask (Srivastava et al. 2014, in the inverted form: what is
// kept is scaled by 1/(1-p), so that evaluation needs no correction). Nothing of
// it is stored. The mask of a row is hashed from (seed, step, operation, row),
// 15 bits an element, and hashed again in the backward pass.
type mask struct {
	clock *Clock
	id    uint64 // the operation
	// threshold, in each of four 16-bit lanes, is how many of 32768 values of an
	// element's bits drop it.
	threshold uint64
	factor    [2]float32 // of an element that is dropped, and of one that is kept
}

const (
	laneLow  = 0x0001000100010001 // the lowest bit of each lane
	laneHigh = 0x8000800080008000 // the highest
)

// newMask returns the mask of one operation; nil for p = 0 or without a clock,
// which means that everything passes unscaled.
func (n *Net) newMask(id uint64, p float64) (*mask, error) {
	if p < 0 || p >= 1 || math.IsNaN(p) {
		return nil, fmt.Errorf("dropout %v is not in [0, 1)", p)
	}
	threshold := min(math.Round(p*32768), 32767)
	if n.clock == nil || threshold == 0 {
		return nil, nil
	}
	// The scale belongs to the probability that is in force, which is p rounded to 15 bits.
	return &mask{clock: n.clock, id: id, threshold: uint64(threshold) * laneLow, factor: [2]float32{0, float32(32768 / (32768 - threshold))}}, nil
}

// keep hashes four elements: the highest bit of a lane is set if its element is
// kept, which is if its 15 random bits are not below the threshold. The set high
// bits take up the borrow of the subtraction, so that lanes do not disturb each other.
func (m *mask) keep(k uint64) uint64 { return (mix(k) | laneHigh) - m.threshold }

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
	f := m.factor // a product with 0 or the scale costs less than a branch that a random mask mispredicts
	j := 0
	for ; j+4 <= len(src); j += 4 {
		k += golden
		r := m.keep(k)
		s, d := src[j:j+4:j+4], dst[j:j+4:j+4]
		d[0] = s[0] * f[r>>15&1]
		d[1] = s[1] * f[r>>31&1]
		d[2] = s[2] * f[r>>47&1]
		d[3] = s[3] * f[r>>63]
	}
	if j < len(src) {
		r := m.keep(k + golden)
		for ; j < len(src); j++ {
			dst[j] = src[j] * f[r>>15&1]
			r >>= 16
		}
	}
}
