package boltstore

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// A column of integers is kept as the residuals that a simple prediction leaves, each
// in an Exp-Golomb code: few bits for a small one, and no harm done by a rare large
// one.
//
//	byte    the prediction (bit 7), and k (bits 0-6), the order of the code;
//	        k = 127: all residuals are zero, and none is written
//	varint  the base
//	varint  the usual difference, if prediction is by difference
//	bits    the residuals, zigzag, most significant bit first, filled up to a byte
//
// Predictions are the base itself, which suits noise, and the value before plus the
// usual difference, which suits counters and clocks. Arithmetic wraps around, so every
// int64 survives.
const (
	byDifference = 0x80
	allZero      = 0x7f
)

// column encodes integers; it keeps its scratch space.
type column struct {
	flat, diff []uint64
	sample     []int64
}

// append encodes v, which the reader must know the length of.
func (c *column) append(b []byte, v []int64) []byte {
	if len(v) == 0 {
		return b
	}
	base := c.median(len(v), func(i int) int64 { return v[i] })
	c.flat = c.flat[:0]
	for _, x := range v {
		c.flat = append(c.flat, zigzag(x-base))
	}
	k, cost := golombOrder(c.flat)

	if len(v) > 1 {
		step := c.median(len(v)-1, func(i int) int64 { return v[i+1] - v[i] })
		c.diff = c.diff[:0]
		for i, x := range v[1:] {
			c.diff = append(c.diff, zigzag(x-v[i]-step))
		}
		if dk, dcost := golombOrder(c.diff); dcost < cost {
			b = append(b, byDifference|dk)
			b = binary.AppendVarint(b, v[0])
			b = binary.AppendVarint(b, step)
			return appendGolomb(b, c.diff, dk)
		}
	}
	b = append(b, k)
	b = binary.AppendVarint(b, base)
	return appendGolomb(b, c.flat, k)
}

// median returns the median of a sample of n values, which unlike the mean is not
// moved by a few that stand out.
func (c *column) median(n int, at func(i int) int64) int64 {
	const size = 33
	c.sample = c.sample[:0]
	if n <= size {
		for i := range n {
			c.sample = append(c.sample, at(i))
		}
	} else {
		for i := range size {
			c.sample = append(c.sample, at(i*(n-1)/(size-1)))
		}
	}
	slices.Sort(c.sample)
	return c.sample[len(c.sample)/2]
}

// readInts appends n integers, as column.append wrote them, to v.
func (d *decoder) readInts(v []int64, n int) []int64 {
	if n == 0 {
		return v
	}
	head := d.byte()
	base := d.varint()
	var step int64
	if head&byDifference != 0 {
		if step = d.varint(); d.err == nil {
			v = append(v, base)
			n--
		}
	}
	if d.err != nil {
		return v
	}
	k := uint(head &^ byDifference)
	if k != allZero && k > 63 {
		d.fail()
		return v
	}
	r := bitReader{b: d.b}
	for range n {
		var z uint64
		if k != allZero {
			z = r.golomb(k)
		}
		if head&byDifference != 0 {
			base += step
			base += unzigzag(z)
			v = append(v, base)
		} else {
			v = append(v, base+unzigzag(z))
		}
	}
	if r.short {
		d.fail()
		return v
	}
	d.b = r.rest()
	return v
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(z uint64) int64 { return int64(z>>1) ^ -int64(z&1) }

// golombOrder returns the order that suits the residuals, and about how many bits they
// take in it.
func golombOrder(z []uint64) (k byte, cost int) {
	var byLength [65]int
	longest := 0
	for _, r := range z {
		n := bits.Len64(r)
		byLength[n]++
		longest = max(longest, n)
	}
	if longest == 0 {
		return allZero, 0
	}
	// The order is close to the length of the median.
	middle, seen := 0, byLength[0]
	for seen*2 < len(z) {
		middle++
		seen += byLength[middle]
	}
	first, last := max(middle-3, 0), min(middle+1, 63)
	if longest == 64 {
		first = max(first, 1) // or else the code's +1 would overflow
	}
	cost = -1
	for order := first; order <= last; order++ {
		total := 0
		for n := 0; n <= longest; n++ {
			total += byLength[n] * golombBits(n, order)
		}
		if cost < 0 || total < cost {
			k, cost = byte(order), total
		}
	}
	return k, cost
}

// golombBits is the length of the code of order k for a residual of n bits, rounded
// where it depends on the residual.
func golombBits(n, k int) int {
	switch d := n - k; {
	case d <= 0:
		return 1 + k
	case d == 1:
		return 3 + k
	case d == 2:
		return 4 + k
	default:
		return 2*d - 1 + k
	}
}

// appendGolomb writes residuals in the code of order k: with q the residual without
// its k low bits, q+1 in binary behind as many zeros as it has digits after the first,
// and then the k bits.
func appendGolomb(b []byte, z []uint64, k byte) []byte {
	if k == allZero {
		return b
	}
	w := bitWriter{b: b}
	for _, r := range z {
		x := r>>k + 1
		n := uint(bits.Len64(x))
		w.write(0, n-1)
		w.write(x, n)
		w.write(r&(1<<k-1), uint(k))
	}
	return w.finish()
}

// bitWriter appends bits, the most significant first.
type bitWriter struct {
	b   []byte
	acc uint64 // the low n bits are to be written
	n   uint   // < 64
}

// write appends the low n bits of v, whose others are zero; n ≤ 64.
func (w *bitWriter) write(v uint64, n uint) {
	free := 64 - w.n
	if n < free {
		w.acc = w.acc<<n | v
		w.n += n
		return
	}
	n -= free
	w.b = binary.BigEndian.AppendUint64(w.b, w.acc<<free|v>>n)
	w.acc, w.n = v&(1<<n-1), n
}

// finish fills the last byte up and returns all.
func (w *bitWriter) finish() []byte {
	acc := w.acc << (64 - w.n)
	for left := int(w.n); left > 0; left -= 8 {
		w.b = append(w.b, byte(acc>>56))
		acc <<= 8
	}
	return w.b
}

// bitReader reads what a bitWriter wrote. Beyond the end it yields zeros, and short
// tells.
type bitReader struct {
	b     []byte
	next  int    // of the bytes of b
	acc   uint64 // the high n bits are to be read; the others may hold a part of the next byte
	n     uint
	short bool
}

func (r *bitReader) refill() {
	if r.next+8 <= len(r.b) {
		r.acc |= binary.BigEndian.Uint64(r.b[r.next:]) >> r.n
		taken := (64 - r.n) / 8
		r.next += int(taken)
		r.n += taken * 8
		return
	}
	for r.n <= 56 && r.next < len(r.b) {
		r.acc |= uint64(r.b[r.next]) << (56 - r.n)
		r.next++
		r.n += 8
	}
}

// read returns the next n ≤ 64 bits.
func (r *bitReader) read(n uint) uint64 {
	if n > 32 {
		high := r.read(n - 32)
		return high<<32 | r.read(32)
	}
	if r.n < n {
		if r.refill(); r.n < n {
			r.short = true
			return 0
		}
	}
	v := r.acc >> (64 - n)
	r.acc <<= n
	r.n -= n
	return v
}

// golomb returns the next residual in the code of order k.
func (r *bitReader) golomb(k uint) uint64 {
	zeros := uint(0)
	for {
		if r.n == 0 {
			if r.refill(); r.n == 0 {
				r.short = true
				return 0
			}
		}
		z := uint(bits.LeadingZeros64(r.acc))
		if z < r.n {
			zeros += z
			r.acc <<= z
			r.n -= z
			break
		}
		zeros += r.n
		// What lies behind the n bits is a part of a byte that refill reads again.
		r.acc, r.n = 0, 0
	}
	if zeros > 63 {
		r.short = true
		return 0
	}
	x := r.read(zeros + 1)
	if r.short {
		return 0
	}
	return (x-1)<<k | r.read(k)
}

// rest returns the bytes after the last one that was begun.
func (r *bitReader) rest() []byte { return r.b[r.next-int(r.n/8):] }
