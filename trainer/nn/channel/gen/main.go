// Command gen writes the assembly of package channel, with avo (https://github.com/mmcloughlin/avo). It is a module
// of its own, so that swath itself does not depend on avo; `go generate ./trainer/nn/channel` runs it. Its output is
// committed and reproducible.
//
// Each function is described once, for a vector width, and emitted twice: for AVX-512 (F, VL, DQ, BW) and for AVX2
// with FMA3 and BMI2. Package channel says what the functions compute.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64")
	for _, i := range []*isa{avx512, avx2} {
		i.leaky()
		i.leakyGrad()
		i.apply()
		i.sum()
		i.input()
	}
	Generate()
}

// function starts a function.
func (i *isa) function(name, signature string) {
	TEXT(name+i.name, functionAttributes, signature)
	Pragma("noescape")
	Doc(name + i.name + " is the function of that name in package channel's set.")
}

// pointer returns a register with the address of a slice.
func pointer(slice string) reg.GPVirtual { return Load(Param(slice).Base(), GP64()).(reg.GPVirtual) }

// vectors emits body for each vector of n elements from the pointers, at a moving offset, and for what is left with
// a mask. n is overwritten. The label tells loops of a function apart.
func (i *isa) vectors(label string, n reg.GPVirtual, body func(at func(base reg.Register) Mem, mask reg.Register)) {
	offset := GP64()
	XORQ(offset, offset)
	at := func(base reg.Register) Mem { return Mem{Base: base, Index: offset, Scale: 1} }
	SUBQ(U8(uint8(i.lanes)), n)
	JL(LabelRef(label + "Tail"))
	Label(label + "Loop")
	body(at, nil)
	ADDQ(U8(uint8(4*i.lanes)), offset)
	SUBQ(U8(uint8(i.lanes)), n)
	JGE(LabelRef(label + "Loop"))
	Label(label + "Tail")
	ADDQ(U8(uint8(i.lanes)), n)
	JZ(LabelRef(label + "Done"))
	body(at, i.mask(n))
	Label(label + "Done")
}

// rows emits body for each vector of every row of the matrices, whose rows are as long as slice mean. It advances
// the matrices' pointers from row to row.
func (i *isa) rows(matrices []reg.GPVirtual, body func(at func(base reg.Register) Mem, mask reg.Register)) {
	left := Load(Param("rows"), GP64()).(reg.GPVirtual)
	channels := Load(Param("mean").Len(), GP64()).(reg.GPVirtual)
	TESTQ(left, left)
	JZ(LabelRef("end"))
	Label("row")
	n := GP64()
	MOVQ(channels, n)
	i.vectors("row", n, body)
	for _, m := range matrices {
		LEAQ(Mem{Base: m, Index: channels, Scale: 4}, m)
	}
	DECQ(left)
	JNZ(LabelRef("row"))
	Label("end")
	end()
}

// affine returns (x - mean)·gain + shift, and x - mean.
func (i *isa) affine(x, mean, gain, shift Mem, mask reg.Register) (y, centred reg.VecVirtual) {
	centred = i.load(x, mask)
	VSUBPS(i.load(mean, mask), centred, centred)
	y = i.load(shift, mask)
	VFMADD231PS(i.load(gain, mask), centred, y)
	return y, centred
}

func (i *isa) zero() reg.VecVirtual {
	v := i.vec()
	VXORPS(v, v, v)
	return v
}

func (i *isa) leaky() {
	i.function("leaky", "func(y, x []float32, slope float32)")
	y, x, slope, zero := pointer("y"), pointer("x"), i.broadcast("slope"), i.zero()
	n := Load(Param("x").Len(), GP64()).(reg.GPVirtual)
	i.vectors("all", n, func(at func(reg.Register) Mem, mask reg.Register) {
		v := i.load(at(x), mask)
		i.store(i.slope(v, v, slope, zero), mask, at(y))
	})
	end()
}

func (i *isa) leakyGrad() {
	i.function("leakyGrad", "func(dx, dy, y []float32, slope float32)")
	dx, dy, y, slope, zero := pointer("dx"), pointer("dy"), pointer("y"), i.broadcast("slope"), i.zero()
	n := Load(Param("y").Len(), GP64()).(reg.GPVirtual)
	i.vectors("all", n, func(at func(reg.Register) Mem, mask reg.Register) {
		i.store(i.slope(i.load(at(dy), mask), i.load(at(y), mask), slope, zero), mask, at(dx))
	})
	end()
}

func (i *isa) apply() {
	i.function("apply", "func(y, x []float32, rows int, mean, gain, shift []float32, slope float32)")
	y, x := pointer("y"), pointer("x")
	mean, gain, shift, slope, zero := pointer("mean"), pointer("gain"), pointer("shift"), i.broadcast("slope"), i.zero()
	i.rows([]reg.GPVirtual{y, x}, func(at func(reg.Register) Mem, mask reg.Register) {
		t, _ := i.affine(at(x), at(mean), at(gain), at(shift), mask)
		i.store(i.slope(t, t, slope, zero), mask, at(y))
	})
}

func (i *isa) sum() {
	i.function("sum", "func(g, gx, x, dy []float32, rows int, mean, gain, shift []float32, slope float32)")
	sumG, sumGX, x, dy := pointer("g"), pointer("gx"), pointer("x"), pointer("dy")
	mean, gain, shift, slope, zero := pointer("mean"), pointer("gain"), pointer("shift"), i.broadcast("slope"), i.zero()
	i.rows([]reg.GPVirtual{x, dy}, func(at func(reg.Register) Mem, mask reg.Register) {
		t, centred := i.affine(at(x), at(mean), at(gain), at(shift), mask)
		g := i.slope(i.load(at(dy), mask), t, slope, zero)
		s := i.load(at(sumG), mask)
		VADDPS(g, s, s)
		i.store(s, mask, at(sumG))
		s = i.load(at(sumGX), mask)
		VFMADD231PS(g, centred, s)
		i.store(s, mask, at(sumGX))
	})
}

func (i *isa) input() {
	i.function("input", "func(dx, x, dy []float32, rows int, mean, gain, shift, offset, tilt []float32, slope float32)")
	dx, x, dy := pointer("dx"), pointer("x"), pointer("dy")
	mean, gain, shift, slope, zero := pointer("mean"), pointer("gain"), pointer("shift"), i.broadcast("slope"), i.zero()
	offset, tilt := pointer("offset"), pointer("tilt")
	i.rows([]reg.GPVirtual{dx, x, dy}, func(at func(reg.Register) Mem, mask reg.Register) {
		t, centred := i.affine(at(x), at(mean), at(gain), at(shift), mask)
		g := i.slope(i.load(at(dy), mask), t, slope, zero)
		d := i.load(at(offset), mask)
		VFMADD231PS(i.load(at(tilt), mask), centred, d)
		VFMSUB231PS(i.load(at(gain), mask), g, d) // gain·g - d
		i.store(d, mask, at(dx))
	})
}
