// Command gen writes the assembly of package winograd, with avo (https://github.com/mmcloughlin/avo). It is a module
// of its own, so that swath itself does not depend on avo; `go generate ./trainer/nn/winograd` runs it. Its output is
// committed and reproducible.
//
// Each function is described once, for a vector width, and emitted twice: for AVX-512 (F, VL, DQ, BW) and for AVX2
// with BMI2. Package winograd says what the functions compute.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64")
	for _, i := range []*isa{avx512, avx2} {
		i.difference()
		i.expand()
		i.contract()
		i.gather()
	}
	Generate()
}

// function starts a function.
func (i *isa) function(name, signature string) {
	TEXT(name+i.name, functionAttributes, signature)
	Pragma("noescape")
	Doc(name + i.name + " is the function of that name in package winograd's set.")
}

func pointer(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

func base(slice string) reg.GPVirtual { return Load(Param(slice).Base(), GP64()).(reg.GPVirtual) }

// bytes returns a parameter that counts elements, in bytes.
func bytes(name string) reg.GPVirtual {
	r := Load(Param(name), GP64()).(reg.GPVirtual)
	SHLQ(U8(2), r)
	return r
}

// vectors emits body for each vector of n elements, at a moving offset from any pointer, and for what is left with a
// mask.
func (i *isa) vectors(body func(at func(base reg.Register) Mem, mask reg.Register)) {
	n := Load(Param("n"), GP64()).(reg.GPVirtual)
	offset := GP64()
	XORQ(offset, offset)
	at := func(base reg.Register) Mem { return Mem{Base: base, Index: offset, Scale: 1} }
	SUBQ(U8(uint8(i.lanes)), n)
	JL(LabelRef("tail"))
	Label("loop")
	body(at, nil)
	ADDQ(U8(uint8(4*i.lanes)), offset)
	SUBQ(U8(uint8(i.lanes)), n)
	JGE(LabelRef("loop"))
	Label("tail")
	ADDQ(U8(uint8(i.lanes)), n)
	JZ(LabelRef("done"))
	body(at, i.mask(n))
	Label("done")
	end()
}

// headers is the size of a slice's header, whose first word is the address.
const headers = 24

// slice returns the address of slice j of an array of slices. The register is free again after its use.
func slice(array reg.Register, j int) reg.GPVirtual {
	p := GP64()
	MOVQ(Mem{Base: array, Disp: headers * j}, p)
	return p
}

// points emits f for the nine points of a tile, whose places are step apart.
func (i *isa) points(base, step reg.Register, at func(reg.Register) Mem, f func(p int, m Mem)) {
	p := GP64()
	LEAQ(at(base), p)
	for j := range 9 {
		f(j, Mem{Base: p})
		if j < 8 {
			ADDQ(step, p)
		}
	}
}

func (i *isa) difference() {
	i.function("difference", "func(dst []float32, step int, d *[9][]float32, n int)")
	dst, step, d := base("dst"), bytes("step"), pointer("d")
	i.vectors(func(at func(reg.Register) Mem, mask reg.Register) {
		var v [9]reg.VecVirtual
		for j := range v {
			v[j] = i.load(at(slice(d, j)), mask)
		}
		for r := 0; r < 9; r += 3 { // along rows
			v[r], v[r+2] = i.sub(v[r], v[r+1]), i.sub(v[r+2], v[r+1])
		}
		for c := range 3 { // along columns
			v[c], v[6+c] = i.sub(v[c], v[3+c]), i.sub(v[6+c], v[3+c])
		}
		i.points(dst, step, at, func(p int, m Mem) { i.store(v[p], mask, m) })
	})
}

func (i *isa) expand() {
	i.function("expand", "func(dst []float32, step int, y *[4][]float32, n int)")
	dst, step, y := base("dst"), bytes("step"), pointer("y")
	i.vectors(func(at func(reg.Register) Mem, mask reg.Register) {
		var v [9]reg.VecVirtual
		for j, p := range []int{0, 2, 6, 8} {
			v[p] = i.load(at(slice(y, j)), mask)
		}
		for _, r := range []int{0, 6} {
			v[r+1] = i.add(v[r], v[r+2])
		}
		for c := range 3 {
			v[3+c] = i.add(v[c], v[6+c])
		}
		i.points(dst, step, at, func(p int, m Mem) { i.store(v[p], mask, m) })
	})
}

func (i *isa) contract() {
	i.function("contract", "func(y *[4][]float32, m []float32, step int, n int)")
	y, m, step := pointer("y"), base("m"), bytes("step")
	i.vectors(func(at func(reg.Register) Mem, mask reg.Register) {
		var v [9]reg.VecVirtual
		i.points(m, step, at, func(p int, m Mem) { v[p] = i.load(m, mask) })
		for r := 0; r < 9; r += 3 {
			v[r], v[r+1] = i.add(v[r], v[r+1]), i.add(v[r+1], v[r+2])
		}
		for j := range 4 {
			p := j/2*3 + j%2
			i.store(i.add(v[p], v[p+3]), mask, at(slice(y, j)))
		}
	})
}

func (i *isa) gather() {
	i.function("gather", "func(x *[4][]float32, m []float32, own, beside, above, corner, across, down int, n int)")
	x, m := pointer("x"), base("m")
	place := func(name string) reg.GPVirtual {
		p := pointer(name)
		LEAQ(Mem{Base: m, Index: p, Scale: 4}, p)
		return p
	}
	own, beside, above, corner := place("own"), place("beside"), place("above"), place("corner")
	across, down := bytes("across"), bytes("down")
	i.vectors(func(at func(reg.Register) Mem, mask reg.Register) {
		// row returns what a row of three points, and one of a tile beside, come to.
		row := func(m, beside reg.Register) (edge, middle reg.VecVirtual) {
			first := i.load(Mem{Base: m}, mask)
			edge = i.add(first, i.load(Mem{Base: beside, Index: across, Scale: 2}, mask))
			middle = i.sub(i.load(Mem{Base: m, Index: across, Scale: 1}, mask), first)
			return edge, i.sub(middle, i.load(Mem{Base: m, Index: across, Scale: 2}, mask))
		}
		p, b := GP64(), GP64()
		LEAQ(at(above), p)
		LEAQ(at(corner), b)
		for _, last := range []reg.Register{p, b} {
			LEAQ(Mem{Base: last, Index: down, Scale: 2}, last)
		}
		aboveEdge, aboveMiddle := row(p, b)
		LEAQ(at(own), p)
		LEAQ(at(beside), b)
		var edge, middle [3]reg.VecVirtual
		for r := range 3 {
			edge[r], middle[r] = row(p, b)
			if r < 2 {
				ADDQ(down, p)
				ADDQ(down, b)
			}
		}
		i.store(i.add(edge[0], aboveEdge), mask, at(slice(x, 0)))
		i.store(i.add(middle[0], aboveMiddle), mask, at(slice(x, 1)))
		i.store(i.sub(i.sub(edge[1], edge[0]), edge[2]), mask, at(slice(x, 2)))
		i.store(i.sub(i.sub(middle[1], middle[0]), middle[2]), mask, at(slice(x, 3)))
	})
}
