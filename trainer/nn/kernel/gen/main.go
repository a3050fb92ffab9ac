// Command gen writes the assembly of package kernel, with avo (https://github.com/mmcloughlin/avo). It is a module
// of its own, so that swath itself does not depend on avo; `go generate ./trainer/nn/kernel` runs it. Its output is
// committed and reproducible.
//
// Each kernel is described once, for a vector width, and emitted twice: for AVX-512 (F, VL, DQ, BW) and for AVX2
// with FMA3 and BMI2.
package main

import (
	"flag"
	"log"

	. "github.com/mmcloughlin/avo/build"
)

func main() {
	what := flag.String("kernels", "", "which kernels to write: gemm or vector")
	flag.Parse()
	ConstraintExpr("amd64")
	isas := []*isa{avx512, avx2}
	switch *what {
	case "gemm":
		for _, i := range isas {
			for nv := i.vecs; nv > 0; nv-- {
				i.gemm(nv)
			}
			i.packRows("packA", i.rows)
			i.packRows("packB", i.vecs*i.lanes)
			i.packBlocks()
			i.packCols()
			i.peak()
		}
	case "vector":
		for _, i := range isas {
			i.vectors()
		}
	default:
		log.Fatalf("-kernels %q: want gemm or vector", *what)
	}
	Generate()
}
