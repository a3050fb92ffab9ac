package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestGemmPacked multiplies with matrices packed in parts, plain and transposed, and holds the result to Gemm's bound.
func TestGemmPacked(t *testing.T) {
	sizes := [][3]int{ // m, n, k
		{1, 1, 1}, {9, 48, 10}, {6, 16, 10}, {10, 49, 33}, {5, 30, 7}, {126, 128, 256}, {13, 300, 60}, {31, 65, 700}, {20, 17, 1300},
	}
	eachSet(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for _, s := range sizes {
			for _, transB := range []bool{false, true} {
				g := gemmCase{m: s[0], n: s[1], k: s[2], alpha: 1, transB: transB, padA: 3, padB: 2, padC: 5}
				t.Run(g.String(), func(t *testing.T) {
					p := g.operands(r)
					packed := slices.Repeat([]float32{guard}, PackedLen(p.k, p.n))
					rows := p.k
					if transB {
						rows = p.n
					}
					// Parts of a few units, the last one first.
					part := 2 * PackUnit()
					for lo := (rows - 1) / part * part; lo >= 0; lo -= part {
						PackB(packed, transB, p.k, p.n, lo, min(lo+part, rows), p.b[lo*p.ldb:], p.ldb)
					}
					c := slices.Clone(p.c)
					GemmPacked(p.m, p.n, p.k, p.a, p.lda, packed, c, p.ldc)
					p.verify(t, c)
				})
			}
		}
	})
}

func TestPackedRefusesWrongArguments(t *testing.T) {
	x := make([]float32, 4*PackedLen(4, 4))
	for name, call := range map[string]func(){
		"PackB beyond the matrix":  func() { PackB(x, false, 4, 4, 2, 5, x, 4) },
		"PackB of short B":         func() { PackB(x, false, 4, 4, 0, 4, x[:15], 4) },
		"PackB into short memory":  func() { PackB(x[:3], false, 4, 4, 0, 4, x, 4) },
		"GemmPacked with short A":  func() { GemmPacked(2, 4, 4, x[:7], 4, x, x, 4) },
		"GemmPacked with short B":  func() { GemmPacked(2, 4, 4, x, 4, x[:15], x, 4) },
		"GemmPacked with short C":  func() { GemmPacked(2, 4, 4, x, 4, x, x[:7], 4) },
		"GemmPacked without terms": func() { GemmPacked(2, 4, 0, x, 4, x, x, 4) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}
