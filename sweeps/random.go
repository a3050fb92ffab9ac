package sweeps

import "hash/fnv"

// The random method's numbers come from no stream but from a hash of their place:
// (the sweep's seed, the number of the draw, the number of the try, the parameter's
// name). So the n-th point can be computed without the points before it, and adding
// a parameter or workers changes nothing else. The hash chains the finaliser of
// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
// 2014), a bijection that spreads every bit of its argument:
//
//	h = mix(seed + γ)            γ = 0x9e3779b97f4a7c15
//	h = mix(h ^ FNV-1a(name))    of the path, each name followed by a zero byte
//	h = mix(h + γ·(draw + 1))
//	h = mix(h + γ·(try + 1))
//
// and u = (⌊h / 2^11⌋ + ½) / 2^53, which lies strictly between 0 and 1, goes into the
// distribution's quantile function. Changing any of this changes every random sweep.

const gamma = 0x9e3779b97f4a7c15

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// drawKey hashes a parameter's path and the seed: the part of a draw's key that stays
// the same.
func drawKey(seed uint64, path []string) uint64 {
	f := fnv.New64a()
	for _, name := range path {
		// A hash.Hash never returns an error.
		_, _ = f.Write([]byte(name))
		_, _ = f.Write([]byte{0})
	}
	return mix(mix(seed+gamma) ^ f.Sum64())
}

// uniform01 is the random number of a draw and a try, strictly between 0 and 1.
func uniform01(key uint64, draw int64, try int) float64 {
	h := mix(key + gamma*(uint64(draw)+1))
	h = mix(h + gamma*(uint64(try)+1))
	return (float64(h>>11) + 0.5) / (1 << 53)
}
