package nn

import (
	"hash/fnv"
	"math"
)

// golden is the odd integer nearest to 2^64 divided by the golden ratio: the
// increment of SplitMix64 (Steele, Lea and Flood 2014).
const golden = 0x9e3779b97f4a7c15

// mix is SplitMix64's output function: a bijection of 64-bit words that sends
// neighbouring inputs to unrelated outputs.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// key hashes a seed and coordinates (step, operation, row, ...) into one word, in
// such a way that the order of the coordinates matters.
func key(seed uint64, coordinates ...uint64) uint64 {
	k := mix(seed + golden)
	for _, c := range coordinates {
		k = mix(k ^ mix(c+golden))
	}
	return k
}

// hashString is the 64-bit FNV-1a hash of s.
func hashString(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // a hash.Hash never returns an error
	return h.Sum64()
}

// Rand is a small counter-based generator (SplitMix64): the i-th number is a
// function of the key and i. It is for initial weights and tests.
type Rand struct{ state uint64 }

// NewRand returns the generator of the given seed and coordinates.
func NewRand(seed uint64, coordinates ...uint64) *Rand {
	return &Rand{state: key(seed, coordinates...)}
}

// Uint64 returns 64 random bits.
func (r *Rand) Uint64() uint64 {
	r.state += golden
	return mix(r.state)
}

// Uniform returns a number in [0, 1).
func (r *Rand) Uniform() float64 { return float64(r.Uint64()>>11) / (1 << 53) }

// Normal returns a normally distributed number (Box and Muller's method).
func (r *Rand) Normal() float64 {
	u := 1 - r.Uniform() // in (0, 1], for the logarithm
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*r.Uniform())
}

// Intn returns an integer in [0, n).
func (r *Rand) Intn(n int) int { return int(r.Uniform() * float64(n)) }
