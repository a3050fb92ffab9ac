package kernel

import "golang.org/x/sys/cpu"

var (
	setAVX512 = portable
	setAVX2   = portable

	tileAVX512 = tile{set: &setAVX512, mr: 14, lanes: 16, full: gemm14x32AVX512, half: gemm14x16AVX512, packRows: packRowsAVX512, packCols: packColsAVX512}
	tileAVX2   = tile{set: &setAVX2, mr: 6, lanes: 8, full: gemm6x16AVX2, half: gemm6x8AVX2, packRows: packRowsAVX2, packCols: packColsAVX2}
)

// available returns the kernel sets of this machine, the fastest first.
func available() []*set {
	setAVX512.name = "avx512"
	setAVX512.gemm = tileAVX512.gemm
	setAVX2.name = "avx2"
	setAVX2.gemm = tileAVX2.gemm
	setAVX512.peak, setAVX512.peakFLOPs = peakAVX512, 12*16*2
	setAVX2.peak, setAVX2.peakFLOPs = peakAVX2, 12*8*2
	var sets []*set
	x := &cpu.X86
	if x.HasAVX512F && x.HasAVX512VL && x.HasAVX512DQ && x.HasAVX512BW && x.HasBMI2 {
		sets = append(sets, &setAVX512)
	}
	if x.HasAVX2 && x.HasFMA && x.HasBMI2 {
		sets = append(sets, &setAVX2)
	}
	return append(sets, &portable)
}
