package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// packRows writes the packing of a matrix whose slivers' elements lie side by side: op(A) transposed, B plain. It
// goes along whole rows, as they lie in memory, and deals their elements out to the slivers.
func (i *isa) packRows(name string, width int) {
	name += i.name
	TEXT(name, functionAttributes, "func(dst *float32, ss int, src *float32, ld, k, slivers, rest int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s packs k rows of slivers·%d+rest elements from src, ld apart, into slivers of %d columns, ss apart in dst.", name, width, width),
		"A last one of rest columns, if any, is filled up with zeros. A vector may be written over the end of a sliver.")
	dst, ss := Load(Param("dst"), GP64()), Load(Param("ss"), GP64())
	src, ld := Load(Param("src"), GP64()), Load(Param("ld"), GP64())
	k := Load(Param("k"), GP64())
	slivers, rest := Load(Param("slivers"), GP64()), Load(Param("rest"), GP64())
	SHLQ(U8(2), ss)
	SHLQ(U8(2), ld)

	vecs := (width + i.lanes - 1) / i.lanes
	full := make([]reg.Register, vecs)
	if n := width % i.lanes; n > 0 {
		last := GP64()
		MOVQ(U32(uint32(n)), last)
		full[vecs-1] = i.mask(last)
	}
	some := GP64()
	MOVQ(rest, some)
	part := i.tileMasks(some, vecs)
	v := i.vec()
	from, to, n := GP64(), GP64(), GP64()
	copyTo := func(masks []reg.Register) {
		for j, m := range masks {
			i.load(Mem{Base: from, Disp: j * i.bytes()}, m, v)
			VMOVUPS(v, Mem{Base: to, Disp: j * i.bytes()})
		}
	}
	Label("row")
	MOVQ(src, from)
	MOVQ(dst, to)
	MOVQ(slivers, n)
	TESTQ(n, n)
	JZ(LabelRef("rest"))
	Label("sliver")
	copyTo(full)
	ADDQ(U8(uint8(4*width)), from)
	ADDQ(ss, to)
	DECQ(n)
	JNZ(LabelRef("sliver"))
	Label("rest")
	TESTQ(rest, rest)
	JZ(LabelRef("next"))
	copyTo(part)
	Label("next")
	ADDQ(ld, src)
	ADDQ(U8(uint8(4*width)), dst)
	DECQ(k)
	JNZ(LabelRef("row"))
	end()
}

// packBlocks writes the packing of a sliver of op(A) plain: rows are copied, a vector at a time, and never transposed.
func (i *isa) packBlocks() {
	name := "packBlocks" + i.name
	TEXT(name, functionAttributes, "func(dst *float32, src *float32, ld, k, n int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s packs n ≤ %d rows of k elements, ld apart in src, into blocks of %d×%d, the last filled up with", name, i.rows, i.rows, i.lanes),
		"zeros at its right. Rows from n on are left as they are.")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	ld, k := Load(Param("ld"), GP64()), Load(Param("k"), GP64())
	n := Load(Param("n"), GP64())
	SHLQ(U8(2), ld)
	some := GP64()
	MOVQ(k, some)
	ANDQ(U8(uint8(i.lanes-1)), some)
	part := i.mask(some)
	from, to, left := GP64(), GP64(), GP64()
	v := i.vec()
	Label("row")
	MOVQ(src, from)
	MOVQ(dst, to)
	MOVQ(k, left)
	Label("block")
	SUBQ(U8(uint8(i.lanes)), left)
	JL(LabelRef("rest"))
	VMOVUPS(Mem{Base: from}, v)
	VMOVUPS(v, Mem{Base: to})
	ADDQ(U8(uint8(i.bytes())), from)
	ADDQ(U32(uint32(i.rows*i.bytes())), to)
	JMP(LabelRef("block"))
	Label("rest")
	ADDQ(U8(uint8(i.lanes)), left)
	JZ(LabelRef("next"))
	i.load(Mem{Base: from}, part, v)
	VMOVUPS(v, Mem{Base: to})
	Label("next")
	ADDQ(ld, src)
	ADDQ(U8(uint8(i.bytes())), dst)
	DECQ(n)
	JNZ(LabelRef("row"))
	end()
}

// packCols writes the packing of a sliver whose elements lie a row apart in the source: B transposed.
func (i *isa) packCols() {
	TEXT("packCols"+i.name, functionAttributes, "func(dst *float32, ds int, src *float32, ld, k, n int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("packCols%s transposes n ≤ %d rows of k elements, ld apart in src, to k rows of n, ds apart in dst, each filled up", i.name, i.lanes),
		fmt.Sprintf("to %d with zeros. Rows are written in order, so that one may run over the start of the next.", i.lanes))
	dst, ds := Load(Param("dst"), GP64()), Load(Param("ds"), GP64())
	src, ld := Load(Param("src"), GP64()), Load(Param("ld"), GP64())
	k := Load(Param("k"), GP64())
	SHLQ(U8(2), ds)
	SHLQ(U8(2), ld)

	// One block is lanes×lanes elements, transposed in registers.
	block := func(name string, mask reg.Register, count reg.Register) {
		rows := make([]reg.VecVirtual, i.lanes)
		for r := range rows {
			rows[r] = i.zero()
		}
		n := Load(Param("n"), GP64())
		p := GP64()
		MOVQ(src, p)
		for r := range rows {
			i.load(Mem{Base: p}, mask, rows[r])
			if r < i.lanes-1 {
				DECQ(n)
				JZ(LabelRef(name + "_loaded"))
				ADDQ(ld, p)
			}
		}
		Label(name + "_loaded")
		for r, v := range i.transpose(rows) {
			VMOVUPS(v, Mem{Base: dst})
			ADDQ(ds, dst)
			if count != nil && r < i.lanes-1 {
				DECQ(count)
				JZ(LabelRef("done"))
			}
		}
	}

	Label("loop")
	CMPQ(k, U8(uint8(i.lanes)))
	JL(LabelRef("tail"))
	block("full", nil, nil)
	ADDQ(U32(uint32(i.bytes())), src)
	SUBQ(U8(uint8(i.lanes)), k)
	JMP(LabelRef("loop"))
	Label("tail")
	TESTQ(k, k)
	JZ(LabelRef("done"))
	left := GP64()
	MOVQ(k, left)
	block("last", i.mask(left), k)
	Label("done")
	vzeroupper()
	RET()
}

// transpose returns the columns of a square block, given its rows.
func (i *isa) transpose(rows []reg.VecVirtual) []reg.VecVirtual {
	op := func(f func(ops ...Op), x, y reg.VecVirtual) reg.VecVirtual {
		d := i.vec()
		f(y, x, d)
		return d
	}
	// Within each 128-bit lane: q[g][j] holds column 4·lane+j of the four rows of group g.
	q := make([][4]reg.VecVirtual, len(rows)/4)
	for g := range q {
		r := rows[4*g:]
		lo0, hi0 := op(VUNPCKLPS, r[0], r[1]), op(VUNPCKHPS, r[0], r[1])
		lo1, hi1 := op(VUNPCKLPS, r[2], r[3]), op(VUNPCKHPS, r[2], r[3])
		q[g] = [4]reg.VecVirtual{op(VUNPCKLPD, lo0, lo1), op(VUNPCKHPD, lo0, lo1), op(VUNPCKLPD, hi0, hi1), op(VUNPCKHPD, hi0, hi1)}
	}
	cols := make([]reg.VecVirtual, len(rows))
	if !i.wide() {
		for j := range 4 {
			cols[j], cols[4+j] = YMM(), YMM()
			VPERM2F128(U8(0x20), q[1][j], q[0][j], cols[j])
			VPERM2F128(U8(0x31), q[1][j], q[0][j], cols[4+j])
		}
		return cols
	}
	// Across lanes: even lanes of two groups, odd lanes, then the same of the results.
	shuffle := func(imm uint8, x, y reg.VecVirtual) reg.VecVirtual {
		d := ZMM()
		VSHUFF32X4(U8(imm), y, x, d)
		return d
	}
	const even, odd = 0x88, 0xdd
	for j := range 4 {
		e0, o0 := shuffle(even, q[0][j], q[1][j]), shuffle(odd, q[0][j], q[1][j])
		e1, o1 := shuffle(even, q[2][j], q[3][j]), shuffle(odd, q[2][j], q[3][j])
		cols[j], cols[8+j] = shuffle(even, e0, e1), shuffle(odd, e0, e1)
		cols[4+j], cols[12+j] = shuffle(even, o0, o1), shuffle(odd, o0, o1)
	}
	return cols
}
