package boltstore

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"time"

	"swath/sweeps"
)

// A block is a run of points of one series.
//
//	byte     version
//	uvarint  number of points
//	column   steps                               ints.go
//	column   times, milliseconds since 1970
//	byte     how a value becomes an integer:
//	           e < 64   value × 10^e    for values with few decimals: 0.6931
//	           64 + s   bits / 2^s      for values with few binary digits, as those
//	                                    that were float32, and for all others
//	uvarint  number of exceptions: values that do not become an integer that way
//	         each: uvarint distance from the one before, 8 bytes
//	column   the other values' integers
//
// Steps and values come back bit for bit (a NaN as the NaN it was). Times are kept to
// the millisecond, rounded down.
const (
	blockVersion = 1
	// maxBlock is how many points a block may have; a decoder refuses more.
	maxBlock = 4096
	// decimals is the greatest e.
	decimals = 18
	// byBits marks the other way; its s is below 64, too.
	byBits = 64
)

// point is a measurement as a block holds it.
type point struct {
	step  int64
	ms    int64
	value float64
}

func fromPoint(p sweeps.Point) point {
	return point{step: p.Step, ms: p.Time.UnixMilli(), value: p.Value}
}

func (p point) point(metric string) sweeps.Point {
	return sweeps.Point{Metric: metric, Step: p.step, Value: p.value, Time: time.UnixMilli(p.ms).UTC()}
}

// blockEncoder encodes blocks; it keeps its scratch space.
type blockEncoder struct {
	column
	ints       []int64
	best, next []byte
}

// append encodes up to maxBlock points.
func (e *blockEncoder) append(b []byte, points []point) []byte {
	b = append(b, blockVersion)
	b = binary.AppendUvarint(b, uint64(len(points)))
	e.ints = e.ints[:0]
	for _, p := range points {
		e.ints = append(e.ints, p.step)
	}
	b = e.column.append(b, e.ints)
	e.ints = e.ints[:0]
	for _, p := range points {
		e.ints = append(e.ints, p.ms)
	}
	b = e.column.append(b, e.ints)
	return e.appendValues(b, points)
}

// appendValues encodes the values in each way that may suit them, and keeps the
// shortest.
func (e *blockEncoder) appendValues(b []byte, points []point) []byte {
	all, most := shifts(points)
	e.best = e.appendAs(e.best[:0], points, byBits+all)
	try := func(way byte) {
		e.next = e.appendAs(e.next[:0], points, way)
		if len(e.next) < len(e.best) {
			e.best, e.next = e.next, e.best
		}
	}
	if most > all {
		try(byBits + most)
	}
	if exp, ok := exponent(points); ok {
		try(exp)
	}
	return append(b, e.best...)
}

// appendAs encodes the values in one way.
func (e *blockEncoder) appendAs(b []byte, points []point, way byte) []byte {
	b = append(b, way)
	e.ints = e.ints[:0]
	exceptions := 0
	for _, p := range points {
		if n, ok := toInt(p.value, way); ok {
			e.ints = append(e.ints, n)
		} else {
			exceptions++
		}
	}
	b = binary.AppendUvarint(b, uint64(exceptions))
	if exceptions > 0 {
		last := 0
		for i, p := range points {
			if _, ok := toInt(p.value, way); !ok {
				b = binary.AppendUvarint(b, uint64(i-last))
				b = appendFloat(b, p.value)
				last = i
			}
		}
	}
	return e.column.append(b, e.ints)
}

// decodeBlock appends a block's points; the block is all of b.
func decodeBlock(points []point, b []byte) ([]point, error) {
	d := &decoder{b: b}
	if d.byte() != blockVersion {
		return nil, errGarbled
	}
	n := d.uvarint()
	if d.err != nil || n > maxBlock {
		return nil, errGarbled
	}
	count := int(n)
	ints := make([]int64, 0, 3*count)
	ints = d.readInts(ints, count)
	ints = d.readInts(ints, count)
	way := d.byte()
	exceptions := d.uvarint()
	if d.err != nil || len(ints) != 2*count || exceptions > n || !validWay(way) {
		return nil, errGarbled
	}
	first := len(points)
	points = slices.Grow(points, count)[:first+count]
	block := points[first:]
	for i := range block {
		block[i] = point{step: ints[i], ms: ints[count+i]}
	}
	at := make(map[int]bool, exceptions)
	position := uint64(0)
	for range exceptions {
		position += d.uvarint()
		if d.err != nil || position >= n || at[int(position)] {
			return nil, errGarbled
		}
		at[int(position)] = true
		block[position].value = d.float()
	}
	values := d.readInts(ints[2*count:], count-len(at))
	if err := d.end(); err != nil || len(values) != count-len(at) {
		return nil, errGarbled
	}
	for i := range block {
		if at[i] {
			continue
		}
		block[i].value = fromInt(values[0], way)
		values = values[1:]
	}
	return points, nil
}

func validWay(way byte) bool { return way <= decimals || way >= byBits && way < 2*byBits }

// powers of ten; all of them are exact.
var pow10 = func() (p [decimals + 1]float64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

const signBit = 1 << 63

// toInt returns the integer for a value, if fromInt makes exactly that value of it.
func toInt(v float64, way byte) (int64, bool) {
	if way >= byBits {
		b := math.Float64bits(v)
		shift := way - byBits
		magnitude := b &^ signBit
		if magnitude&(1<<shift-1) != 0 {
			return 0, false
		}
		n := int64(magnitude >> shift)
		if b&signBit != 0 {
			n = ^n // -0 is not 0
		}
		return n, true
	}
	// A quotient of two exact floats is rounded correctly, so it is the float nearest
	// to the decimal number: what reading its digits yields.
	f := math.RoundToEven(v * pow10[way])
	if !(math.Abs(f) < 1<<53) {
		return 0, false
	}
	n := int64(f)
	return n, math.Float64bits(float64(n)/pow10[way]) == math.Float64bits(v)
}

func fromInt(n int64, way byte) float64 {
	if way >= byBits {
		shift := way - byBits
		if n < 0 {
			return math.Float64frombits(uint64(^n)<<shift | signBit)
		}
		return math.Float64frombits(uint64(n) << shift)
	}
	return float64(n) / pow10[way]
}

// shifts returns how many low bits are zero in all values, and in all but those that
// are no numbers.
func shifts(points []point) (all, most byte) {
	const limit = 52 // the mantissa
	low, lowFinite := limit, limit
	for _, p := range points {
		n := bits.TrailingZeros64(math.Float64bits(p.value))
		low = min(low, n)
		if !math.IsNaN(p.value) && !math.IsInf(p.value, 0) {
			lowFinite = min(lowFinite, n)
		}
	}
	return byte(low), byte(lowFinite)
}

// exponent returns how many decimals the values have; not ok if many of a sample have
// no such number.
func exponent(points []point) (exp byte, ok bool) {
	const size = 32
	stride := max(len(points)/size, 1)
	seen, fit := 0, 0
	for i := 0; i < len(points); i += stride {
		seen++
		// Mostly the values have as many decimals as the ones before.
		for e := exp; e <= decimals; e++ {
			if _, ok := toInt(points[i].value, e); ok {
				exp = e
				fit++
				break
			}
		}
	}
	return exp, fit*4 >= seen*3
}
