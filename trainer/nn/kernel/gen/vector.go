package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The vector functions take the signatures of package kernel's set. Each goes over its slices vector by vector, and
// over the last few elements with a mask, so that an element's result does not depend on its place.
func (i *isa) vectors() {
	i.exp()
	i.tanh()
	i.gelu()
	i.geluGrad()
	i.expSum()
	i.softmaxGrad()
	i.maximum()
	i.elementwise("add", "dst[i] = x[i] + y[i]", func(x, y reg.VecVirtual) { VADDPS(y, x, x) })
	i.elementwise("mul", "dst[i] = x[i]·y[i]", func(x, y reg.VecVirtual) { VMULPS(y, x, x) })
	i.axpy()
	i.scale()
	i.sum()
	i.dot()
	i.adam()
	i.dropout()
}

// function starts a function.
func (i *isa) function(name, signature, doc string) {
	TEXT(name+i.name, functionAttributes, signature)
	Pragma("noescape")
	Doc(name + i.name + " " + doc)
}

// each emits body for every vector of the slices, whose pointers it advances; the last time, for fewer elements than
// a vector has, with a mask.
func (i *isa) each(length string, slices []string, body func(mem []Mem, mask reg.Register)) {
	i.pass("", length, slices, body)
}

// pass is each, with a prefix of its labels, for functions that make several passes.
func (i *isa) pass(name, length string, slices []string, body func(mem []Mem, mask reg.Register)) {
	n := Load(Param(length).Len(), GP64())
	mem := make([]Mem, len(slices))
	for s, name := range slices {
		mem[s] = Mem{Base: Load(Param(name).Base(), GP64())}
	}
	SUBQ(U8(uint8(i.lanes)), n)
	JL(LabelRef(name + "tail"))
	Label(name + "loop")
	body(mem, nil)
	for _, m := range mem {
		ADDQ(U8(uint8(i.bytes())), m.Base)
	}
	SUBQ(U8(uint8(i.lanes)), n)
	JGE(LabelRef(name + "loop"))
	Label(name + "tail")
	ADDQ(U8(uint8(i.lanes)), n)
	JZ(LabelRef(name + "done"))
	body(mem, i.mask(n.(reg.GPVirtual)))
	Label(name + "done")
}

func (i *isa) read(m Mem, mask reg.Register) reg.VecVirtual {
	v := i.vec()
	i.load(m, mask, v)
	return v
}

func end() {
	VZEROUPPER()
	RET()
}

// op3 returns f(x, y) in a new register; f has Go's order of operands.
func (i *isa) op3(f func(ops ...Op), y Op, x reg.Register) reg.VecVirtual {
	d := i.vec()
	f(y, x, d)
	return d
}

// horner evaluates a polynomial at t, the coefficient of the highest power first.
func (i *isa) horner(t reg.VecVirtual, coefficients ...float64) reg.VecVirtual {
	p := i.floatReg(coefficients[0])
	for _, c := range coefficients[1:] {
		VFMADD213PS(float(c), t, p)
	}
	return p
}

// The constants are those of vector_portable.go, where they are explained.
var (
	expCoefficients  = []float64{1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1}
	tanhCoefficients = []float64{-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1}
	phiCoefficients  = []float64{
		0.025598603422552723, -0.1250756751580752, 0.20662137999779182, -0.14594757873542732, 0.14297962716525706,
		0.027260534339331566, 0.08809751819014776, 0.08885675303520026, 0.0958673218753482, 0.09574151729372936,
	}
)

// SplitMix64's, as in vector_portable.go.
const (
	golden uint64 = 0x9e3779b97f4a7c15
	mixA   uint64 = 0xbf58476d1ce4e5b9
	mixB   uint64 = 0x94d049bb133111eb
)

const (
	log2e       = 1.44269504088896341
	ln2Hi       = 0.693359375
	ln2Lo       = -2.12194440e-4
	expMax      = 89 // rounds to +Inf by itself
	expMin      = -104
	tanhSmall   = 0.625
	phiC        = 0.24
	phiArgument = 15
	invSqrt2Pi  = 0.3989422804014327

	signBit   = 0x80000000
	magnitude = 0x7fffffff
)

// clamp limits v to [expMin, expMax]. Where an operand is NaN, MIN and MAX return the second, here v.
func (i *isa) clamp(v reg.VecVirtual) {
	VMINPS(v, i.floatReg(expMax), v)
	VMAXPS(v, i.floatReg(expMin), v)
}

// expOf returns exp(x) for x in about [-126, 89]; x is overwritten.
func (i *isa) expOf(x reg.VecVirtual) reg.VecVirtual {
	n := i.op3(VMULPS, float(log2e), x)
	if i.wide() {
		VRNDSCALEPS(U8(8), n, n) // to the nearest integer, ties to even
	} else {
		VROUNDPS(U8(8), n, n)
	}
	VFNMADD231PS(float(ln2Hi), n, x)
	VFNMADD231PS(float(ln2Lo), n, x)
	p := i.horner(x, append(append([]float64{}, expCoefficients...), 1, 1)...)
	if i.wide() {
		VSCALEFPS(n, p, p)
		return p
	}
	// 2ⁿ in two factors, as n goes beyond the exponents of a float32.
	e, half := i.vec(), i.vec()
	VCVTPS2DQ(n, e)
	VPSRAD(U8(1), e, half)
	VPSUBD(half, e, e)
	for _, f := range []reg.VecVirtual{half, e} {
		VPADDD(bits(127), f, f)
		VPSLLD(U8(23), f, f)
		VMULPS(f, p, p)
	}
	return p
}

// choose returns yes where x < limit, else no.
func (i *isa) choose(x reg.VecVirtual, limit Mem, yes, no reg.VecVirtual) reg.VecVirtual {
	const less = 1 // ordered: false for NaN
	d := i.vec()
	if i.wide() {
		k := K()
		VCMPPS(U8(less), limit, x, k)
		VBLENDMPS(yes, no, k, d)
		return d
	}
	m := i.vec()
	VCMPPS(U8(less), limit, x, m)
	VBLENDVPS(m, yes, no, d)
	return d
}

func (i *isa) exp() {
	i.function("exp", "func(dst, x []float32)", "sets dst[i] = exp(x[i]).")
	i.each("x", []string{"dst", "x"}, func(mem []Mem, mask reg.Register) {
		x := i.read(mem[1], mask)
		i.clamp(x)
		i.store(i.expOf(x), mask, mem[0])
	})
	end()
}

func (i *isa) tanh() {
	i.function("tanh", "func(dst, x []float32)", "sets dst[i] = tanh(x[i]).")
	i.each("x", []string{"dst", "x"}, func(mem []Mem, mask reg.Register) {
		x := i.read(mem[1], mask)
		ax := i.op3(VANDPS, bits(magnitude), x)
		sign := i.op3(VANDPS, bits(signBit), x)
		e := i.op3(VADDPS, ax, ax)
		i.clamp(e)
		e = i.expOf(e)
		one := i.floatReg(1)
		VADDPS(one, e, e)
		large := i.floatReg(2)
		VDIVPS(e, large, large)
		VSUBPS(large, one, large)

		z := i.op3(VMULPS, ax, ax)
		small := i.horner(z, tanhCoefficients...)
		VMULPS(z, small, small)
		VFMADD213PS(ax, ax, small)

		y := i.choose(ax, float(tanhSmall), small, large)
		VORPS(sign, y, y)
		i.store(y, mask, mem[0])
	})
	end()
}

// normal returns min(|x|, phiArgument), Φ(x) and exp(-x²/2).
func (i *isa) normal(x reg.VecVirtual) (z, cdf, e reg.VecVirtual) {
	z = i.op3(VANDPS, bits(magnitude), x)
	VMINPS(z, i.floatReg(phiArgument), z)
	e = i.op3(VMULPS, float(-0.5), z)
	VMULPS(z, e, e)
	e = i.expOf(e)
	one := i.floatReg(1)
	d := i.floatReg(phiC)
	VFMADD213PS(one, z, d)
	t := i.op3(VDIVPS, d, one)
	q := i.horner(t, phiCoefficients...)
	VMULPS(t, q, q)
	VMULPS(e, q, q)
	upper := i.op3(VSUBPS, q, one)
	// Where x < 0 or is NaN the tail itself; choose asks "less", so it asks of -x.
	minus := i.op3(VXORPS, bits(signBit), x)
	return z, i.choose(minus, float(0), upper, q), e
}

func (i *isa) gelu() {
	i.function("gelu", "func(dst, x []float32)", "sets dst[i] = x[i]·Φ(x[i]).")
	i.each("x", []string{"dst", "x"}, func(mem []Mem, mask reg.Register) {
		x := i.read(mem[1], mask)
		_, cdf, _ := i.normal(x)
		VMULPS(x, cdf, cdf)
		i.store(cdf, mask, mem[0])
	})
	end()
}

func (i *isa) geluGrad() {
	i.function("geluGrad", "func(dx, x, dy []float32)", "sets dx[i] = dy[i]·(Φ(x[i]) + x[i]·φ(x[i])).")
	i.each("x", []string{"dx", "x", "dy"}, func(mem []Mem, mask reg.Register) {
		x := i.read(mem[1], mask)
		z, cdf, e := i.normal(x)
		VANDPS(bits(signBit), x, x)
		VORPS(x, z, z) // x, limited
		VMULPS(float(invSqrt2Pi), e, e)
		VFMADD231PS(z, e, cdf)
		dy := i.read(mem[2], mask)
		VMULPS(dy, cdf, cdf)
		i.store(cdf, mask, mem[0])
	})
	end()
}

func (i *isa) expSum() {
	i.function("expSum", "func(dst, x []float32, shift float32) float32", "sets dst[i] = exp(x[i] - shift) and returns the sum of dst.")
	shift := i.broadcast("shift")
	sum := i.zero()
	i.each("x", []string{"dst", "x"}, func(mem []Mem, mask reg.Register) {
		x := i.read(mem[1], mask)
		VSUBPS(shift, x, x)
		i.clamp(x)
		e := i.expOf(x)
		i.store(e, mask, mem[0])
		i.keep(e, mask)
		VADDPS(e, sum, sum)
	})
	i.returnReduced(sum, VADDPS, VADDSS)
}

func (i *isa) softmaxGrad() {
	i.function("softmaxGrad", "func(dx, y []float32)", "sets dx[i] = y[i]·(dx[i] - Σ y[j]·dx[j]).")
	sum := i.zero()
	i.pass("sum_", "y", []string{"dx", "y"}, func(mem []Mem, mask reg.Register) {
		dx, y := i.read(mem[0], mask), i.read(mem[1], mask)
		VFMADD231PS(dx, y, sum)
	})
	VBROADCASTSS(i.reduced(sum, VADDPS, VADDSS).AsX(), sum)
	i.pass("", "y", []string{"dx", "y"}, func(mem []Mem, mask reg.Register) {
		dx, y := i.read(mem[0], mask), i.read(mem[1], mask)
		VSUBPS(sum, dx, dx)
		VMULPS(y, dx, dx)
		i.store(dx, mask, mem[0])
	})
	end()
}

// dropout hashes four elements a 64-bit word, as many words as a vector has elements for.
func (i *isa) dropout() {
	i.function("dropout", "func(dst, x []float32, key, threshold uint64, scale float32)",
		"sets dst[i] to scale·x[i] or 0·x[i], as vector_portable.go says.")
	words := i.lanes / 4
	hash := func() reg.VecVirtual {
		if i.wide() {
			return YMM()
		}
		return XMM()
	}
	load := func(name string, word func(j int) uint64) reg.VecVirtual {
		v := hash()
		VMOVDQU(constData(fmt.Sprintf("%s%d", name, words), 2*words, func(j int) Constant {
			return U32(uint32(word(j/2) >> (32 * (j % 2))))
		}), v)
		return v
	}
	same := func(x uint64) func(int) uint64 { return func(int) uint64 { return x } }
	key, threshold := hash(), hash()
	VPBROADCASTQ(address("key"), key)
	VPBROADCASTQ(address("threshold"), threshold)
	VPADDQ(load("golden", func(j int) uint64 { return golden * uint64(j+1) }), key, key)
	next := load("next", same(golden*uint64(words)))
	high := load("high", same(0x8000800080008000))
	factors := []reg.VecVirtual{load("mixA", same(mixA)), load("mixB", same(mixB))}
	scale := i.broadcast("scale")

	shiftXor := func(x reg.VecVirtual, by uint64) {
		y := hash()
		VPSRLQ(U8(by), x, y)
		VPXOR(y, x, x)
	}
	multiply := func(x, by reg.VecVirtual) {
		if i.wide() {
			VPMULLQ(by, x, x)
			return
		}
		// (xh·2³² + xl)·(bh·2³² + bl) mod 2⁶⁴ = xl·bl + 2³²·(xh·bl + xl·bh)
		xh, bh := hash(), hash()
		VPSRLQ(U8(32), x, xh)
		VPSRLQ(U8(32), by, bh)
		VPMULUDQ(by, xh, xh)
		VPMULUDQ(bh, x, bh)
		VPADDQ(bh, xh, xh)
		VPSLLQ(U8(32), xh, xh)
		VPMULUDQ(by, x, x)
		VPADDQ(xh, x, x)
	}
	i.each("x", []string{"dst", "x"}, func(mem []Mem, mask reg.Register) {
		h := hash()
		VMOVDQA(key, h)
		VPADDQ(next, key, key)
		shiftXor(h, 30)
		multiply(h, factors[0])
		shiftXor(h, 27)
		multiply(h, factors[1])
		shiftXor(h, 31)
		VPOR(high, h, h)
		VPSUBQ(threshold, h, h)
		// The sign of a 16-bit lane says whether its element is kept.
		f := i.vec()
		if i.wide() {
			k := K()
			VPMOVW2M(h, k)
			VMOVAPS_Z(scale, k, f)
		} else {
			VPMOVSXWD(h, f)
			VPSRAD(U8(31), f, f)
			VANDPS(scale, f, f)
		}
		x := i.read(mem[1], mask)
		VMULPS(f, x, x)
		i.store(x, mask, mem[0])
	})
	end()
}

func (i *isa) maximum() {
	i.function("max", "func(x []float32) float32", "returns the largest element of x; NaNs are passed over.")
	lowest := i.vec()
	VMOVUPS(bits(0xff800000), lowest) // -Inf
	most := i.vec()
	VMOVAPS(lowest, most)
	i.each("x", []string{"x"}, func(mem []Mem, mask reg.Register) {
		x := i.vec()
		switch {
		case mask == nil:
			VMOVUPS(mem[0], x)
		case i.wide():
			VMOVAPS(lowest, x)
			VMOVUPS(mem[0], mask, x)
		default:
			VMASKMOVPS(mem[0], mask, x)
			VBLENDVPS(mask, x, lowest, x)
		}
		VMAXPS(most, x, most) // the second operand, most, where x is NaN
	})
	i.returnReduced(most, VMAXPS, VMAXSS)
}

// reduced returns the lanes of v brought down to one by f, halving their number each time.
func (i *isa) reduced(v reg.VecVirtual, f, scalar func(ops ...Op)) reg.VecVirtual {
	y := v.AsY()
	if i.wide() {
		high := YMM()
		VEXTRACTF64X4(U8(1), v, high)
		f(high, y, y)
	}
	x, high := v.AsX(), XMM()
	VEXTRACTF128(U8(1), y, high)
	f(high, x, x)
	VMOVHLPS(x, x, high)
	f(high, x, x)
	VMOVSHDUP(x, high)
	scalar(high, x, x)
	return v
}

// returnReduced returns the lanes of v brought down to one by f.
func (i *isa) returnReduced(v reg.VecVirtual, f, scalar func(ops ...Op)) {
	Store(i.reduced(v, f, scalar).AsX(), ReturnIndex(0))
	end()
}

func (i *isa) elementwise(name, doc string, f func(x, y reg.VecVirtual)) {
	i.function(name, "func(dst, x, y []float32)", "sets "+doc+".")
	i.each("x", []string{"dst", "x", "y"}, func(mem []Mem, mask reg.Register) {
		x, y := i.read(mem[1], mask), i.read(mem[2], mask)
		f(x, y)
		i.store(x, mask, mem[0])
	})
	end()
}

func (i *isa) axpy() {
	i.function("axpy", "func(alpha float32, x, y []float32)", "sets y[i] += alpha·x[i].")
	alpha := i.broadcast("alpha")
	i.each("x", []string{"x", "y"}, func(mem []Mem, mask reg.Register) {
		x, y := i.read(mem[0], mask), i.read(mem[1], mask)
		VFMADD231PS(x, alpha, y)
		i.store(y, mask, mem[1])
	})
	end()
}

func (i *isa) scale() {
	i.function("scale", "func(dst []float32, alpha float32, x []float32)", "sets dst[i] = alpha·x[i].")
	alpha := i.broadcast("alpha")
	i.each("x", []string{"dst", "x"}, func(mem []Mem, mask reg.Register) {
		x := i.read(mem[1], mask)
		VMULPS(alpha, x, x)
		i.store(x, mask, mem[0])
	})
	end()
}

// doubles returns the two halves of v in double precision.
func (i *isa) doubles(v reg.VecVirtual) (low, high reg.VecVirtual) {
	low, high = i.vec(), i.vec()
	if i.wide() {
		h := YMM()
		VEXTRACTF64X4(U8(1), v, h)
		VCVTPS2PD(h, high)
		VCVTPS2PD(v.AsY(), low)
	} else {
		h := XMM()
		VEXTRACTF128(U8(1), v, h)
		VCVTPS2PD(h, high)
		VCVTPS2PD(v.AsX(), low)
	}
	return low, high
}

// returnDoubles returns the sum of the lanes of two vectors of float64.
func (i *isa) returnDoubles(v, w reg.VecVirtual) {
	VADDPD(w, v, v)
	y := v.AsY()
	if i.wide() {
		high := YMM()
		VEXTRACTF64X4(U8(1), v, high)
		VADDPD(high, y, y)
	}
	x, high := v.AsX(), XMM()
	VEXTRACTF128(U8(1), y, high)
	VADDPD(high, x, x)
	VUNPCKHPD(x, x, high)
	VADDSD(high, x, x)
	Store(x, ReturnIndex(0))
	end()
}

func (i *isa) sum() {
	i.function("sum", "func(x []float32) float64", "returns the sum of x.")
	low, high := i.zero(), i.zero()
	i.each("x", []string{"x"}, func(mem []Mem, mask reg.Register) {
		l, h := i.doubles(i.read(mem[0], mask))
		VADDPD(l, low, low)
		VADDPD(h, high, high)
	})
	i.returnDoubles(low, high)
}

func (i *isa) dot() {
	i.function("dot", "func(x, y []float32) float64", "returns the sum of x[i]·y[i].")
	low, high := i.zero(), i.zero()
	i.each("x", []string{"x", "y"}, func(mem []Mem, mask reg.Register) {
		xl, xh := i.doubles(i.read(mem[0], mask))
		yl, yh := i.doubles(i.read(mem[1], mask))
		VFMADD231PD(xl, yl, low)
		VFMADD231PD(xh, yh, high)
	})
	i.returnDoubles(low, high)
}

// adam has the constants in the order of kernel.adamConstants.
func (i *isa) adam() {
	i.function("adam", "func(w, m, v, g []float32, c *[8]float32)", "makes one step of Adam.")
	c := make([]reg.VecVirtual, 8)
	p := Load(Param("c"), GP64())
	Comment("beta1, 1-beta1, beta2, 1-beta2, decay, step size, 1/sqrt(1-beta2^t), eps")
	for f := range c {
		c[f] = i.vec()
		VBROADCASTSS(Mem{Base: p, Disp: 4 * f}, c[f])
	}
	i.each("w", []string{"w", "m", "v", "g"}, func(mem []Mem, mask reg.Register) {
		g, m, v := i.read(mem[3], mask), i.read(mem[1], mask), i.read(mem[2], mask)
		VMULPS(c[0], m, m)
		VFMADD231PS(c[1], g, m)
		i.store(m, mask, mem[1])
		VMULPS(c[2], v, v)
		VMULPS(g, g, g)
		VFMADD231PS(c[3], g, v)
		i.store(v, mask, mem[2])
		VSQRTPS(v, v)
		VFMADD213PS(c[7], c[6], v)
		VDIVPS(v, m, m)
		VMULPS(c[5], m, m)
		w := i.read(mem[0], mask)
		VFMADD231PS(c[4], w, m)
		VSUBPS(m, w, w)
		i.store(w, mask, mem[0])
	})
	end()
}
