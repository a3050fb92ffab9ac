package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// isa is an instruction set: how wide its vectors are, and the few things that the two do differently.
type isa struct {
	name  string
	lanes int // float32 elements of a vector
}

var (
	avx512 = &isa{name: "AVX512", lanes: 16}
	avx2   = &isa{name: "AVX2", lanes: 8}
)

func (i *isa) wide() bool { return i == avx512 }

func (i *isa) vec() reg.VecVirtual {
	if i.wide() {
		return ZMM()
	}
	return YMM()
}

// load reads a vector; with a mask, the lanes outside it are 0 and their memory is not touched.
func (i *isa) load(m Mem, mask reg.Register) reg.VecVirtual {
	v := i.vec()
	switch {
	case mask == nil:
		VMOVUPS(m, v)
	case i.wide():
		VMOVUPS_Z(m, mask, v)
	default:
		VMASKMOVPS(m, mask, v)
	}
	return v
}

// store writes a vector; with a mask, only the lanes in it.
func (i *isa) store(v reg.VecVirtual, mask reg.Register, m Mem) {
	switch {
	case mask == nil:
		VMOVUPS(v, m)
	case i.wide():
		VMOVUPS(v, mask, m)
	default:
		VMASKMOVPS(v, mask, m)
	}
}

func (i *isa) add(x, y reg.VecVirtual) reg.VecVirtual {
	d := i.vec()
	VADDPS(y, x, d)
	return d
}

// sub returns x - y.
func (i *isa) sub(x, y reg.VecVirtual) reg.VecVirtual {
	d := i.vec()
	VSUBPS(y, x, d)
	return d
}

// mask returns a mask of the first n lanes, 0 ≤ n ≤ lanes; n is a 64-bit register, which is overwritten.
func (i *isa) mask(n reg.GPVirtual) reg.Register {
	if i.wide() {
		ones := GP64()
		MOVQ(I32(-1), ones)
		BZHIQ(n, ones, n)
		k := K()
		KMOVW(n.As32(), k)
		return k
	}
	table := GP64()
	LEAQ(maskTable(), table)
	NEGQ(n)
	v := YMM()
	VMOVUPS(Mem{Base: table, Index: n, Scale: 4}.Offset(4*i.lanes), v)
	return v
}

var table *Mem

// maskTable returns a table of a vector of ones followed by one of zeros.
func maskTable() Mem {
	if table == nil {
		m := GLOBL("mask", dataAttributes)
		for j := range 2 * avx2.lanes {
			word := uint32(0)
			if j < avx2.lanes {
				word = math.MaxUint32
			}
			DATA(4*j, U32(word))
		}
		table = &m
	}
	return *table
}

func end() {
	VZEROUPPER()
	RET()
}
