package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// idxArray is the content of an idx file of bytes: an array in row-major order.
type idxArray struct {
	dims []int
	data []uint8
}

const (
	idxBytes  = 0x08    // the only element type of the sets that are read here
	idxMax    = 1 << 31 // elements; more is a damaged header
	idxMaxDim = 8
)

// readIDX reads an array in the idx format of LeCun's MNIST page to the end of r: two zero bytes, the element type,
// the number of dimensions, each dimension as a big-endian 32-bit number, the elements. The header is not trusted
// with memory: no more is allocated than has been read, give or take a factor.
func readIDX(r io.Reader, dims int) (idxArray, error) {
	var magic [4]byte
	if n, err := io.ReadFull(r, magic[:]); err != nil {
		return idxArray{}, fmt.Errorf("the header ends after %d of 4 bytes: %w", n, unexpected(err))
	}
	if magic[0] != 0 || magic[1] != 0 || magic[3] == 0 || magic[3] > idxMaxDim {
		return idxArray{}, fmt.Errorf("it begins with % x, which is no idx header", magic)
	}
	if magic[2] != idxBytes {
		return idxArray{}, fmt.Errorf("its elements are of type %#02x, want unsigned bytes (%#02x)", magic[2], idxBytes)
	}
	if int(magic[3]) != dims {
		return idxArray{}, fmt.Errorf("it has %d dimensions, want %d", magic[3], dims)
	}
	a := idxArray{dims: make([]int, dims)}
	want := int64(1)
	for i := range a.dims {
		var dim [4]byte
		if _, err := io.ReadFull(r, dim[:]); err != nil {
			return idxArray{}, fmt.Errorf("the header ends before dimension %d of %d: %w", i+1, dims, unexpected(err))
		}
		v := binary.BigEndian.Uint32(dim[:])
		if v == 0 || int64(v) > idxMax/want {
			return idxArray{}, fmt.Errorf("dimension %d is %s, which leaves no array of sensible size", i+1, grouped(int64(v)))
		}
		a.dims[i] = int(v)
		want *= int64(v)
	}
	var err error
	if a.data, err = io.ReadAll(io.LimitReader(r, want+1)); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return idxArray{}, err
	}
	switch got := int64(len(a.data)); {
	case got < want:
		return idxArray{}, fmt.Errorf("it holds %s bytes of data, its header says %s: it is truncated", grouped(got), grouped(want))
	case got > want:
		return idxArray{}, fmt.Errorf("it holds more than the %s bytes of data that its header says", grouped(want))
	}
	return a, nil
}
