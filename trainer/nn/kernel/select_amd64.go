package kernel

import "golang.org/x/sys/cpu"

var (
	setAVX512, setAVX2 set
	// sets has the kernel sets of this machine, the fastest first.
	sets []*set
)

func init() {
	tAVX512 := &tile{
		set: &setAVX512, mr: 9, nr: 48, lanes: 16,
		kernels: []microKernel{gemm9x16AVX512, gemm9x32AVX512, gemm9x48AVX512},
		packA:   packAAVX512, packB: packBAVX512, packBlocks: packBlocksAVX512, packCols: packColsAVX512,
	}
	setAVX512 = set{
		name: "avx512",
		gemm: tAVX512.gemm, packUnit: tAVX512.nr, packedLen: tAVX512.packedLen, packB: tAVX512.packRows, gemmPacked: tAVX512.gemmPacked,
		exp: expAVX512, tanh: tanhAVX512, gelu: geluAVX512, geluGrad: geluGradAVX512, expSum: expSumAVX512, max: maxAVX512,
		add: addAVX512, mul: mulAVX512, axpy: axpyAVX512, scale: scaleAVX512, sum: sumAVX512, dot: dotAVX512, adam: adamAVX512,
		softmaxGrad: softmaxGradAVX512, dropout: dropoutAVX512,
		peak: peakAVX512, peakFLOPs: 12 * 16 * 2,
	}
	tAVX2 := &tile{
		set: &setAVX2, mr: 6, nr: 16, lanes: 8,
		kernels: []microKernel{gemm6x8AVX2, gemm6x16AVX2},
		packA:   packAAVX2, packB: packBAVX2, packBlocks: packBlocksAVX2, packCols: packColsAVX2,
	}
	setAVX2 = set{
		name: "avx2",
		gemm: tAVX2.gemm, packUnit: tAVX2.nr, packedLen: tAVX2.packedLen, packB: tAVX2.packRows, gemmPacked: tAVX2.gemmPacked,
		exp: expAVX2, tanh: tanhAVX2, gelu: geluAVX2, geluGrad: geluGradAVX2, expSum: expSumAVX2, max: maxAVX2,
		add: addAVX2, mul: mulAVX2, axpy: axpyAVX2, scale: scaleAVX2, sum: sumAVX2, dot: dotAVX2, adam: adamAVX2,
		softmaxGrad: softmaxGradAVX2, dropout: dropoutAVX2,
		peak: peakAVX2, peakFLOPs: 12 * 8 * 2,
	}
	x := &cpu.X86
	if x.HasAVX512F && x.HasAVX512VL && x.HasAVX512DQ && x.HasAVX512BW && x.HasBMI2 {
		sets = append(sets, &setAVX512)
	}
	if x.HasAVX2 && x.HasFMA && x.HasBMI2 {
		sets = append(sets, &setAVX2)
	}
	sets = append(sets, &portable)
	choose()
}
