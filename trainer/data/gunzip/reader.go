package gunzip

import (
	"errors"
	"hash/crc32"
	"io"
)

// Errors of a damaged file. One that ends too early gives [io.ErrUnexpectedEOF].
var (
	ErrHeader   = errors.New("gunzip: not in gzip format")
	ErrCorrupt  = errors.New("gunzip: the compressed data is damaged")
	ErrChecksum = errors.New("gunzip: the checksum or the length of the data is wrong")
)

const (
	window  = 32 << 10 // how far back a copy may reach
	longest = 258      // bytes of a copy
	outSize = window + 512<<10
	outRoom = longest + 16 // room that one turn of the inner loop may need: four literals, a copy, its overshoot
	inSize  = 256 << 10
	inAhead = 32 // input that one turn of the inner loop may look at
)

// Reader decompresses a gzip file of one or more members. It reads ahead of what it has handed out.
type Reader struct {
	src   io.Reader
	in    []byte // in[pos:end] is input that is not in the bit buffer yet; once it has ended, zeros are behind end
	pos   int
	end   int
	ended bool // whether the input has ended

	bits uint64 // the next bits, lowest first; above the valid ones there may be more of the same input
	have uint   // number of valid bits

	out     []byte // out[low:w] is decompressed, of it out[r:w] not handed out yet
	low     int    // the beginning of the member, or of what is left of it
	r, w    int
	counted int    // out[:counted] is in crc and size
	crc     uint32 // of the member
	size    uint32 // of the member, modulo 2^32

	step   func(*Reader) error // what comes next in the file
	last   bool                // whether this block is the member's last
	stored int                 // bytes left of a stored block
	err    error               // why there is nothing more

	literals, distances, lengths table
}

// NewReader returns a reader of the decompressed content of src. Unlike compress/gzip it reads nothing before the
// first Read.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src, in: make([]byte, inSize+inAhead), out: make([]byte, outSize), step: (*Reader).firstHeader}
}

// Read hands out decompressed bytes. It reports the end of the file only after all checksums were verified.
func (z *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for z.r == z.w {
		if z.err != nil {
			return 0, z.err
		}
		z.slide()
		for z.err == nil && z.w <= len(z.out)-outRoom {
			z.err = z.step(z)
		}
		z.count()
	}
	n := copy(p, z.out[z.r:z.w])
	z.r += n
	return n, nil
}

// slide keeps the last window of output, for copies, and makes room behind it. All of it has been handed out.
func (z *Reader) slide() {
	if drop := z.w - window; drop > 0 {
		copy(z.out, z.out[drop:z.w])
		z.w -= drop
		z.r, z.counted = z.w, z.w
		z.low = max(0, z.low-drop)
	}
}

// count takes new output into the member's checksum and size.
func (z *Reader) count() {
	z.crc = crc32.Update(z.crc, crc32.IEEETable, z.out[z.counted:z.w])
	z.size += uint32(z.w - z.counted)
	z.counted = z.w
}

// more brings at least inAhead bytes of input, or else notes that it has ended.
func (z *Reader) more() error {
	z.end = copy(z.in, z.in[z.pos:z.end])
	z.pos = 0
	n, err := io.ReadAtLeast(z.src, z.in[z.end:inSize], inAhead)
	z.end += n
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		z.ended = true
		clear(z.in[z.end : z.end+inAhead])
	case err != nil:
		return err
	}
	return nil
}

// need makes n bits valid, at most 32.
func (z *Reader) need(n uint) error {
	for z.have < n {
		if z.pos == z.end {
			if z.ended {
				return io.ErrUnexpectedEOF
			}
			if err := z.more(); err != nil {
				return err
			}
			continue
		}
		z.bits |= uint64(z.in[z.pos]) << z.have
		z.pos++
		z.have += 8
	}
	return nil
}

// take returns the next n bits, at most 32.
func (z *Reader) take(n uint) (uint32, error) {
	if err := z.need(n); err != nil {
		return 0, err
	}
	v := uint32(z.bits & (1<<n - 1))
	z.drop(n)
	return v, nil
}

func (z *Reader) drop(n uint) {
	z.bits >>= n
	z.have -= n
}
