package data

import "math/bits"

// stream is a counter-based random generator (SplitMix64): value k of the stream of a key is a pure function of key
// and k. It is written out here, rather than taken from math/rand, because golden files and resumed runs need the
// same numbers from every later Go release and on every architecture.
type stream struct{ key, counter uint64 }

// newStream returns the stream of a key made of parts, such as (seed, purpose, image). Different parts give
// unrelated streams.
func newStream(parts ...uint64) *stream {
	key := uint64(len(parts))
	for _, p := range parts {
		key = mix(key ^ mix(p+goldenGamma))
	}
	return &stream{key: key}
}

// The purposes of streams, so that no two kinds of draw share one by having equal seeds.
const (
	purposeOrder uint64 = iota + 1
	purposeSubset
	purposeShapes
)

const goldenGamma = 0x9e3779b97f4a7c15 // 2^64 / the golden ratio, odd

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood 2014; constants of variant 13 by Stafford).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (s *stream) next() uint64 {
	s.counter++
	return mix(s.key + s.counter*goldenGamma)
}

// intn returns a number in [0, n). Its bias, n/2^64, is beyond measurement for the counts used here.
func (s *stream) intn(n int) int {
	hi, _ := bits.Mul64(s.next(), uint64(n))
	return int(hi)
}

// between returns a number in [lo, hi). The conversion keeps the product from being fused with the sum, which some
// architectures would round differently.
func (s *stream) between(lo, hi float64) float64 {
	unit := float64(s.next()>>11) * 0x1p-53
	return lo + float64(unit*(hi-lo))
}

// shuffle permutes p in place (Fisher and Yates).
func (s *stream) shuffle(p []int) {
	for i := len(p) - 1; i > 0; i-- {
		j := s.intn(i + 1)
		p[i], p[j] = p[j], p[i]
	}
}

// Order returns the sequence in which an epoch visits n images: a permutation of 0..n-1 that is a pure function of
// its arguments, so that a resumed run visits what the uninterrupted one would have. Callers usually take the
// trial's seed and the epoch's number.
func Order(n int, seed, epoch uint64) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	newStream(purposeOrder, seed, epoch).shuffle(p)
	return p
}
