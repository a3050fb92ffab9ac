package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemm writes the micro-kernel whose tile is nv vectors wide.
//
// A is read element by element through two strides, so that one kernel serves a plain matrix (rs=lda, ks=1), a
// transposed one (rs=1, ks=lda) and both kinds of packed slivers: of columns (rs=1, ks=rows) and of rows (rs=lanes,
// ks=1), which come in blocks of as many terms as a vector has lanes. B is read nv vectors at a time. The tile is
// scaled and added to C at the end; rows and cols say how much of it C has.
func (i *isa) gemm(nv int) {
	TEXT(fmt.Sprintf("gemm%dx%d%s", i.rows, nv*i.lanes, i.name), functionAttributes,
		"func(k int, a *float32, rs, ks int, b *float32, bs int, c *float32, ldc, rows, cols int, alpha, beta float32, ahead *float32, stride int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("gemm%dx%d%s computes C = alpha·A·B + beta·C for a tile of %d×%d, of which C has rows×cols.", i.rows, nv*i.lanes, i.name, i.rows, nv*i.lanes),
		"A[r,l] is at a[r·rs+l·ks], B[l,j] at b[l·bs+j]; all of the tile's A and B is read. With beta = 0, C is not read.",
		fmt.Sprintf("With rs = %d and ks = 1, terms from %d on are in a next block, %d·%d elements on, and so forth.", i.lanes, i.lanes, i.rows, i.lanes),
		fmt.Sprintf("If A and B are packed, it fetches from ahead into the second-level cache, and goes on by stride bytes, every %d steps.", unroll))

	k := Load(Param("k"), GP64())

	// Fetch the tile of C early: it is needed after k steps, and is not in the first-level cache.
	c := Load(Param("c"), GP64())
	ldc := Load(Param("ldc"), GP64())
	SHLQ(U8(2), ldc)
	for range i.rows {
		for v := 0; v < nv*i.bytes(); v += 64 {
			PREFETCHT0(Mem{Base: c, Disp: v})
		}
		ADDQ(ldc, c)
	}

	// One pointer serves three rows: [p], [p+rs], [p+2·rs].
	a := make([]reg.Register, (i.rows+2)/3)
	a[0] = Load(Param("a"), GP64())
	for g := 1; g < len(a); g++ {
		a[g] = GP64()
	}
	var rs, ks, bs reg.Register
	row := func(r int) Mem {
		m := Mem{Base: a[r/3]}
		if r%3 > 0 {
			m.Index, m.Scale = rs, uint8(r%3)
		}
		return m
	}
	b := Load(Param("b"), GP64())

	acc := make([][]reg.VecVirtual, i.rows)
	for r := range acc {
		for range nv {
			acc[r] = append(acc[r], i.zero())
		}
	}
	bv := make([]reg.VecVirtual, nv)
	for v := range bv {
		bv[v] = i.vec()
	}
	av := []reg.VecVirtual{i.vec(), i.vec()}

	step := func(embed int, a func(r int) Mem, b Mem, then func(r int)) {
		for v := range bv {
			VMOVUPS(b.Offset(v*i.bytes()), bv[v])
		}
		for r := range acc {
			if r*embed%i.rows < embed {
				for v := range bv {
					VFMADD231PS_BCST(a(r), bv[v], acc[r][v])
				}
			} else {
				VBROADCASTSS(a(r), av[r%2])
				for v := range bv {
					VFMADD231PS(bv[v], av[r%2], acc[r][v])
				}
			}
			then(r)
		}
	}

	CMPQ(address("bs"), U8(uint8(i.vecs*i.lanes)))
	JNE(LabelRef("strided"))
	ahead, stride := Load(Param("ahead"), GP64()), Load(Param("stride"), GP64())
	embed := i.embed
	if nv < i.vecs {
		embed = i.embedNarrow
	}
	// packed writes a loop over packed slivers, which are read at fixed offsets, several steps at a time: the fewer
	// integer instructions, the fewer of them take a slot from the multiply-adds.
	packed := func(label string, steps int, at func(r, u int) int) {
		Label(label)
		CMPQ(k, U8(uint8(steps)))
		JL(LabelRef("rest"))
		for u := range steps {
			step(embed, func(r int) Mem { return Mem{Base: a[0], Disp: 4 * at(r, u)} }, Mem{Base: b, Disp: u * i.vecs * i.bytes()}, func(int) {})
			if u%unroll == unroll-1 {
				PREFETCHT1(Mem{Base: ahead})
				ADDQ(stride, ahead)
			}
		}
		ADDQ(U32(uint32(steps*4*i.rows)), a[0])
		ADDQ(U32(uint32(steps*i.vecs*i.bytes())), b)
		SUBQ(U8(uint8(steps)), k)
		JMP(LabelRef(label))
	}
	CMPQ(address("ks"), U8(1))
	JNE(LabelRef("columns"))
	CMPQ(address("rs"), U8(uint8(i.lanes)))
	JNE(LabelRef("strided"))
	packed("rowblocks", i.lanes, func(r, u int) int { return r*i.lanes + u })
	Label("columns")
	CMPQ(address("ks"), U8(uint8(i.rows)))
	JNE(LabelRef("strided"))
	CMPQ(address("rs"), U8(1))
	JNE(LabelRef("strided"))
	packed("packed", unroll, func(r, u int) int { return u*i.rows + r })
	Label("rest")
	TESTQ(k, k)
	JZ(LabelRef("multiplied"))

	Label("strided")
	rs, ks, bs = Load(Param("rs"), GP64()), Load(Param("ks"), GP64()), Load(Param("bs"), GP64())
	for _, r := range []reg.Register{rs, ks, bs} {
		SHLQ(U8(2), r)
	}
	for g := 1; g < len(a); g++ {
		LEAQ(Mem{Base: a[g-1], Index: rs, Scale: 2}, a[g])
		ADDQ(rs, a[g])
	}
	Label("step")
	step(0, row, Mem{Base: b}, func(r int) {
		if r%3 == 2 || r == i.rows-1 {
			ADDQ(ks, a[r/3])
		}
	})
	ADDQ(bs, b)
	DECQ(k)
	JNZ(LabelRef("step"))

	Label("multiplied")
	Comment("alpha is 1 nearly always")
	alphaBits := GP32()
	MOVL(address("alpha"), alphaBits)
	CMPL(alphaBits, U32(math.Float32bits(1)))
	JE(LabelRef("scaled"))
	alpha := i.broadcast("alpha")
	for r := range acc {
		for v := range bv {
			VMULPS(alpha, acc[r][v], acc[r][v])
		}
	}

	Label("scaled")
	c = Load(Param("c"), GP64())
	ldc = Load(Param("ldc"), GP64())
	SHLQ(U8(2), ldc)
	rows := Load(Param("rows"), GP64())
	cols := Load(Param("cols"), GP64())
	beta := GP32()
	MOVL(address("beta"), beta)
	ADDL(beta, beta) // without the sign, as -0 is 0
	betav := i.broadcast("beta")
	tmp := i.vec()

	finish := func(label string, masks []reg.Register) {
		out := func(label string, accumulate bool) {
			Label(label)
			for r := range acc {
				for v := range bv {
					m := Mem{Base: c, Disp: v * i.bytes()}
					if accumulate {
						i.load(m, masks[v], tmp)
						VFMADD231PS(tmp, betav, acc[r][v])
					}
					i.store(acc[r][v], masks[v], m)
				}
				if r < i.rows-1 {
					DECQ(rows)
					JZ(LabelRef("done"))
					ADDQ(ldc, c)
				}
			}
			JMP(LabelRef("done"))
		}
		TESTL(beta, beta)
		JZ(LabelRef(label + "_overwrite"))
		out(label+"_add", true)
		out(label+"_overwrite", false)
	}

	CMPQ(cols, U32(uint32(nv*i.lanes)))
	JNE(LabelRef("edge"))
	finish("full", make([]reg.Register, nv))
	Label("edge")
	finish("masked", i.tileMasks(cols, nv))
	Label("done")
	vzeroupper()
	RET()
}

// tileMasks returns the masks of nv vectors of which the first cols lanes count.
func (i *isa) tileMasks(cols reg.Register, nv int) []reg.Register {
	masks := make([]reg.Register, nv)
	if i.wide() {
		all := GP64()
		MOVQ(I32(-1), all)
		BZHIQ(cols, all, all)
		for v := range masks {
			k := K()
			KMOVW(all.As32(), k)
			masks[v] = k
			if v < nv-1 {
				SHRQ(U8(uint8(i.lanes)), all)
			}
		}
		return masks
	}
	table := GP64()
	LEAQ(maskTable(nv*i.lanes), table)
	NEGQ(cols)
	for v := range masks {
		m := YMM()
		VMOVUPS(Mem{Base: table, Index: cols, Scale: 4}.Offset(4*(nv+v)*i.lanes), m)
		masks[v] = m
	}
	return masks
}

// peak writes a loop of independent FMAs, to measure what the core can do at best.
func (i *isa) peak() {
	TEXT("peak"+i.name, functionAttributes, "func(n int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("peak%s makes n rounds of %d independent fused multiply-adds of %d lanes.", i.name, peakFMAs, i.lanes))
	n := Load(Param("n"), GP64())
	x := i.zero()
	acc := make([]reg.VecVirtual, peakFMAs)
	for j := range acc {
		acc[j] = i.zero()
	}
	Label("round")
	for j := range acc {
		VFMADD231PS(x, x, acc[j])
	}
	DECQ(n)
	JNZ(LabelRef("round"))
	vzeroupper()
	RET()
}

// unroll is how many steps of a packed product follow each fetch; package kernel's fetchSteps.
const unroll = 4

// peakFMAs is enough to fill two pipelines of four or five stages.
const peakFMAs = 12

// vzeroupper ends every function: without it, SSE code that follows would run slowly.
func vzeroupper() { VZEROUPPER() }
