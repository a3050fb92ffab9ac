package channel

// assembly are the implementations by the name of the kernel set that they go with.
var assembly = map[string]*set{
	"avx512": {leaky: leakyAVX512, leakyGrad: leakyGradAVX512, apply: applyAVX512, sum: sumAVX512, input: inputAVX512},
	"avx2":   {leaky: leakyAVX2, leakyGrad: leakyGradAVX2, apply: applyAVX2, sum: sumAVX2, input: inputAVX2},
}
