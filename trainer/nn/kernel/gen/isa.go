package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// isa is an instruction set: how wide its vectors are, and the few things that the two do differently.
type isa struct {
	name  string
	lanes int // float32 elements of a vector
	rows  int // height of the micro-kernel's tile
	vecs  int // its width in vectors

	// embed is in how many rows of the tile each multiply-add reads its element of A from memory itself, in place
	// of one instruction that reads it for all; embedNarrow is that of narrower tiles. It saves instructions and
	// costs reads. Where a core's other hardware thread is busy, as on a shared machine, instructions are scarce.
	embed, embedNarrow int
}

// The tiles are the largest that fit the registers beside a row of B and two elements of A: 9·3+3+2 = 32 and
// 6·2+2+2 = 16.
var (
	avx512 = &isa{name: "AVX512", lanes: 16, rows: 9, vecs: 3, embed: 5, embedNarrow: 9}
	avx2   = &isa{name: "AVX2", lanes: 8, rows: 6, vecs: 2}
)

func (i *isa) wide() bool { return i == avx512 }

// bytes is the size of a vector.
func (i *isa) bytes() int { return 4 * i.lanes }

func (i *isa) vec() reg.VecVirtual {
	if i.wide() {
		return ZMM()
	}
	return YMM()
}

func (i *isa) zero() reg.VecVirtual {
	v := i.vec()
	VXORPS(v, v, v)
	return v
}

// maskTable returns a table of n words of ones followed by n of zeros.
func maskTable(n int) Mem {
	return constData(fmt.Sprintf("mask%d", n), 2*n, func(i int) Constant {
		if i < n {
			return U32(math.MaxUint32)
		}
		return U32(0)
	})
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
	LEAQ(maskTable(i.lanes), table)
	NEGQ(n)
	v := YMM()
	VMOVUPS(Mem{Base: table, Index: n, Scale: 4}.Offset(4*i.lanes), v)
	return v
}

// load reads a vector; with a mask, the lanes outside it are 0 and their memory is not touched.
func (i *isa) load(m Mem, mask reg.Register, v reg.VecVirtual) {
	switch {
	case mask == nil:
		VMOVUPS(m, v)
	case i.wide():
		VMOVUPS_Z(m, mask, v)
	default:
		VMASKMOVPS(m, mask, v)
	}
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

// keep zeroes the lanes of v outside mask.
func (i *isa) keep(v reg.VecVirtual, mask reg.Register) {
	switch {
	case mask == nil:
	case i.wide():
		VMOVAPS_Z(v, mask, v)
	default:
		VANDPS(v, mask, v)
	}
}

// defined remembers which tables the file has.
var defined = map[string]Mem{}

// constData defines a read-only table of n words, once in the file.
func constData(name string, n int, word func(i int) Constant) Mem {
	if m, ok := defined[name]; ok {
		return m
	}
	m := GLOBL(name, dataAttributes)
	for i := range n {
		DATA(4*i, word(i))
	}
	defined[name] = m
	return m
}

// float returns a vector of one number in memory.
func float(x float64) Mem { return bits(math.Float32bits(float32(x))) }

// bits returns a vector of one 32-bit pattern in memory, wide enough for either instruction set.
func bits(b uint32) Mem {
	return constData(fmt.Sprintf("c%08x", b), avx512.lanes, func(int) Constant { return U32(b) })
}

// floatReg returns a vector of one number in a register.
func (i *isa) floatReg(x float64) reg.VecVirtual {
	v := i.vec()
	VMOVUPS(float(x), v)
	return v
}

// broadcast loads a parameter of type float32 into every lane.
func (i *isa) broadcast(param string) reg.VecVirtual {
	v := i.vec()
	VBROADCASTSS(address(param), v)
	return v
}

// address returns where a parameter lies.
func address(param string) Mem {
	p, err := Param(param).Resolve()
	if err != nil {
		panic(err)
	}
	return p.Addr
}
