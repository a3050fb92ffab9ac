package kernel

import "math"

// portable is the kernel set in plain Go. Its functions use the same approximations as the assembly, element by
// element, and are the ones to read first.
var portable = set{
	name: "portable",
	gemm: gemmPortable,

	packUnit:   1,
	packedLen:  func(k, n int) int { return k * n },
	packB:      packBPortable,
	gemmPacked: gemmPackedPortable,

	exp:      func(dst, x []float32) { apply(dst, x, exp32) },
	tanh:     func(dst, x []float32) { apply(dst, x, tanh32) },
	gelu:     func(dst, x []float32) { apply(dst, x, gelu32) },
	geluGrad: geluGradPortable,
	expSum:   expSumPortable,
	max:      maxPortable,
	add:      addPortable,
	mul:      mulPortable,
	axpy:     axpyPortable,
	scale:    scalePortable,
	sum:      sumPortable,
	dot:      dotPortable,
	adam:     adamPortable,

	softmaxGrad: softmaxGradPortable,
	dropout:     dropoutPortable,
}

// Constants of exp: the range in which it is neither 0 nor +Inf, log2(e), and ln 2 in two parts, the first with so
// few bits that its product with an exponent is exact. The polynomial is expf's of the Cephes library
// (S. L. Moshier): exp(r) ≈ 1 + r + r²·p(r) for |r| ≤ ln(2)/2.
const (
	expMax = 88.72284
	expMin = -104
	log2e  = 1.44269504088896341
	ln2Hi  = 0.693359375
	ln2Lo  = -2.12194440e-4
	expP0  = 1.9875691500e-4
	expP1  = 1.3981999507e-3
	expP2  = 8.3334519073e-3
	expP3  = 4.1665795894e-2
	expP4  = 1.6666665459e-1
	expP5  = 5.0000001201e-1
)

func exp32(x float32) float32 {
	switch {
	case x != x:
		return x
	case x > expMax:
		return float32(math.Inf(1))
	case x < expMin:
		return 0
	}
	n := float32(math.RoundToEven(float64(x * log2e)))
	r := x - n*ln2Hi - n*ln2Lo
	p := float32(expP0)
	p = p*r + expP1
	p = p*r + expP2
	p = p*r + expP3
	p = p*r + expP4
	p = p*r + expP5
	y := p*r*r + r + 1
	// 2ⁿ in two factors, as n runs from -150 to 128 and a float32 holds powers from -126 to 127.
	half := int32(n) >> 1
	return y * pow2(half) * pow2(int32(n)-half)
}

// pow2 returns 2ⁿ for -126 ≤ n ≤ 127.
func pow2(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }

// Constants of tanh, from Cephes' tanhf: x + x³·p(x²) below tanhSmall, 1 - 2/(exp(2|x|)+1) above.
const (
	tanhSmall = 0.625
	tanhP0    = -5.70498872745e-3
	tanhP1    = 2.06390887954e-2
	tanhP2    = -5.37397155531e-2
	tanhP3    = 1.33314422036e-1
	tanhP4    = -3.33332819422e-1
)

func tanh32(x float32) float32 {
	if -tanhSmall < x && x < tanhSmall {
		z := x * x
		p := float32(tanhP0)
		p = p*z + tanhP1
		p = p*z + tanhP2
		p = p*z + tanhP3
		p = p*z + tanhP4
		return p*z*x + x
	}
	ax := float32(math.Abs(float64(x)))
	y := 1 - 2/(exp32(2*ax)+1)
	return float32(math.Copysign(float64(y), float64(x)))
}

// Constants of Φ. For z ≥ 0 the upper tail is Q(z) = exp(-z²/2)·t·p(t) with t = 1/(1+c·z); p is the Chebyshev fit of
// degree 9 on 0 ≤ z ≤ 14, relative error 4e-9, made for this package (a form as in Abramowitz and Stegun 7.1.26).
const (
	phiC        = 0.24
	phiP0       = 0.025598603422552723
	phiP1       = -0.1250756751580752
	phiP2       = 0.20662137999779182
	phiP3       = -0.14594757873542732
	phiP4       = 0.14297962716525706
	phiP5       = 0.027260534339331566
	phiP6       = 0.08809751819014776
	phiP7       = 0.08885675303520026
	phiP8       = 0.0958673218753482
	phiP9       = 0.09574151729372936
	invSqrt2Pi  = 0.3989422804014327
	phiArgument = 15 // from here on exp(-z²/2), and so Q, is 0 in float32
)

// normal returns Φ(x) and exp(-x²/2).
func normal(x float32) (cdf, e float32) {
	z := float32(math.Abs(float64(x)))
	if z > phiArgument {
		z = phiArgument
	}
	e = exp32(-0.5 * z * z)
	t := 1 / (1 + phiC*z)
	p := float32(phiP0)
	p = p*t + phiP1
	p = p*t + phiP2
	p = p*t + phiP3
	p = p*t + phiP4
	p = p*t + phiP5
	p = p*t + phiP6
	p = p*t + phiP7
	p = p*t + phiP8
	p = p*t + phiP9
	q := p * t * e
	if x > 0 {
		return 1 - q, e
	}
	return q, e
}

func gelu32(x float32) float32 {
	cdf, _ := normal(x)
	return x * cdf
}

func geluGradPortable(dx, x, dy []float32) {
	for i, v := range x {
		cdf, e := normal(v)
		dx[i] = dy[i] * (cdf + max(-phiArgument, min(phiArgument, v))*e*invSqrt2Pi)
	}
}

func apply(dst, x []float32, f func(float32) float32) {
	for i, v := range x {
		dst[i] = f(v)
	}
}

func expSumPortable(dst, x []float32, shift float32) float32 {
	sum := 0.0
	for i, v := range x {
		e := exp32(v - shift)
		dst[i] = e
		sum += float64(e)
	}
	return float32(sum)
}

func maxPortable(x []float32) float32 {
	m := x[0]
	for _, v := range x[1:] {
		m = max(m, v)
	}
	return m
}

func addPortable(dst, x, y []float32) {
	for i, v := range x {
		dst[i] = v + y[i]
	}
}

func mulPortable(dst, x, y []float32) {
	for i, v := range x {
		dst[i] = v * y[i]
	}
}

func axpyPortable(alpha float32, x, y []float32) {
	for i, v := range x {
		y[i] += alpha * v
	}
}

func scalePortable(dst []float32, alpha float32, x []float32) {
	for i, v := range x {
		dst[i] = alpha * v
	}
}

// Four accumulators, as one would wait for its own last addition.
func sumPortable(x []float32) float64 {
	var s0, s1, s2, s3 float64
	for ; len(x) >= 4; x = x[4:] {
		s0 += float64(x[0])
		s1 += float64(x[1])
		s2 += float64(x[2])
		s3 += float64(x[3])
	}
	for _, v := range x {
		s0 += float64(v)
	}
	return (s0 + s1) + (s2 + s3)
}

func dotPortable(x, y []float32) float64 {
	var s0, s1, s2, s3 float64
	for ; len(x) >= 4; x, y = x[4:], y[4:] {
		s0 += float64(x[0]) * float64(y[0])
		s1 += float64(x[1]) * float64(y[1])
		s2 += float64(x[2]) * float64(y[2])
		s3 += float64(x[3]) * float64(y[3])
	}
	for i, v := range x {
		s0 += float64(v) * float64(y[i])
	}
	return (s0 + s1) + (s2 + s3)
}

func adamPortable(w, m, v, g []float32, c *adamConstants) {
	for i, gi := range g {
		mi := c[adamBeta1]*m[i] + c[adamOneMinusBeta1]*gi
		vi := c[adamBeta2]*v[i] + c[adamOneMinusBeta2]*(gi*gi)
		m[i], v[i] = mi, vi
		d := float32(math.Sqrt(float64(vi)))*c[adamInvSqrtCorrection] + c[adamEps]
		w[i] -= c[adamDecay]*w[i] + c[adamStepSize]*(mi/d)
	}
}

func softmaxGradPortable(dx, y []float32) {
	var sum float32
	for i, v := range y {
		sum += v * dx[i]
	}
	for i, v := range y {
		dx[i] = v * (dx[i] - sum)
	}
}

// golden is the odd integer nearest to 2⁶⁴ divided by the golden ratio: the increment of SplitMix64 (Steele, Lea and
// Flood 2014).
const golden = 0x9e3779b97f4a7c15

// mix is SplitMix64's output function.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// dropoutPortable hashes four elements at once. In each of four 16-bit lanes, 15 random bits are compared with the
// threshold: the highest bit, which is set before, is left set if they are not below. So it takes up the borrow of the
// subtraction, and lanes do not disturb each other.
func dropoutPortable(dst, x []float32, key, threshold uint64, scale float32) {
	const high = 0x8000800080008000
	f := [2]float32{0, scale} // a product with either costs less than a branch that a random mask mispredicts
	j := 0
	for ; j+4 <= len(x); j += 4 {
		key += golden
		r := (mix(key) | high) - threshold
		s, d := x[j:j+4:j+4], dst[j:j+4:j+4]
		d[0] = s[0] * f[r>>15&1]
		d[1] = s[1] * f[r>>31&1]
		d[2] = s[2] * f[r>>47&1]
		d[3] = s[3] * f[r>>63]
	}
	if j < len(x) {
		r := (mix(key+golden) | high) - threshold
		for ; j < len(x); j++ {
			dst[j] = x[j] * f[r>>15&1]
			r >>= 16
		}
	}
}
