//go:build amd64

package kernel

import (
	"math/bits"
	"sync"
	"unsafe"
)

// scratch is a piece of memory for one call, aligned to a cache line. Its contents are whatever the last user left.
type scratch struct {
	x    []float32
	home *sync.Pool
}

// cacheLine is in float32 elements.
const cacheLine = 16

// scratchPools holds free scratch by the logarithm of its length.
var scratchPools [40]sync.Pool

// getScratch returns n elements or more. The caller gives them back with put when no goroutine uses them any longer.
func getScratch(n int) *scratch {
	class := bits.Len(uint(n))
	home := &scratchPools[class]
	if s, ok := home.Get().(*scratch); ok {
		return s
	}
	all := make([]float32, 1<<class+cacheLine)
	misaligned := int(uintptr(unsafe.Pointer(unsafe.SliceData(all))) / 4 % cacheLine)
	return &scratch{x: all[(cacheLine-misaligned)%cacheLine:], home: home}
}

func (s *scratch) put() { s.home.Put(s) }
