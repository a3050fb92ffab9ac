package winograd

// assembly are the implementations by the name of the kernel set that they go with.
var assembly = map[string]*set{
	"avx512": {difference: differenceAVX512, expand: expandAVX512, contract: contractAVX512, gather: gatherAVX512},
	"avx2":   {difference: differenceAVX2, expand: expandAVX2, contract: contractAVX2, gather: gatherAVX2},
}
