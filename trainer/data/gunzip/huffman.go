package gunzip

import (
	"encoding/binary"
	"io"
)

// huffman decodes symbols until the block ends, the output buffer is full, or the input needs care.
func (z *Reader) huffman() error {
	if !z.ended && z.end-z.pos < inAhead {
		if err := z.more(); err != nil {
			return err
		}
	}
	limit := z.end - inAhead
	if z.ended {
		limit = z.end // one turn may then read zeros behind the end; settle takes them back
	}
	ended, err := z.decode(limit, len(z.out)-outRoom)
	if settled := z.settle(); settled != nil {
		return settled // whatever zeros decoded to is no news
	}
	if ended {
		z.step = (*Reader).block
	}
	return err
}

// settle takes the zeros behind the end of the input out of the bit buffer; if some were used, the file is truncated.
func (z *Reader) settle() error {
	over := z.pos - z.end
	if over <= 0 {
		return nil
	}
	if z.have < uint(8*over) {
		return io.ErrUnexpectedEOF
	}
	z.have -= uint(8 * over)
	z.pos = z.end
	return nil
}

// decode is the inner loop: it goes on while pos <= limit and w <= full, and reports whether the block has ended.
// Every turn takes at most inAhead bytes of input and outRoom of output. The state lives in local
// variables meanwhile, which no closure may capture, or they would not be kept in registers.
func (z *Reader) decode(limit, full int) (ended bool, err error) {
	in, out, low := z.in, z.out, z.low
	pos, w, buf, have := z.pos, z.w, z.bits, z.have
	literals, distances := &z.literals, &z.distances

turns:
	for pos <= limit && w <= full {
		// Fill the bit buffer to 56 bits or more. The bytes are counted in full only; what else of them is in the
		// buffer is or-ed in again, unchanged, the next time.
		buf |= binary.LittleEndian.Uint64(in[pos:]) << (have & 63)
		pos += int((63 - have) >> 3)
		have |= 56

		// Up to four literals of at most 11 bits: 44 bits, and 11 more to look at.
		e := literals[buf&(1<<literalBits-1)]
		if e&kindLiteral != 0 {
			buf >>= e & 15
			have -= uint(e & 15)
			out[w] = byte(e >> 12)
			w++
			e = literals[buf&(1<<literalBits-1)]
			if e&kindLiteral != 0 {
				buf >>= e & 15
				have -= uint(e & 15)
				out[w] = byte(e >> 12)
				w++
				e = literals[buf&(1<<literalBits-1)]
				if e&kindLiteral != 0 {
					buf >>= e & 15
					have -= uint(e & 15)
					out[w] = byte(e >> 12)
					w++
					e = literals[buf&(1<<literalBits-1)]
					if e&kindLiteral != 0 {
						buf >>= e & 15
						have -= uint(e & 15)
						out[w] = byte(e >> 12)
						w++
						continue
					}
				}
			}
		}

		// Anything else takes at most 15+5 bits for the length and 15+13 for the distance: 48 after another fill.
		buf |= binary.LittleEndian.Uint64(in[pos:]) << (have & 63)
		pos += int((63 - have) >> 3)
		have |= 56
		if e&kindLink != 0 {
			buf >>= e & 15
			have -= uint(e & 15)
			e = literals[(uint64(e.value())+buf&(1<<e.extra()-1))&(tableSize-1)]
		}
		buf >>= e & 15
		have -= uint(e & 15)
		if e&kindCopy == 0 {
			switch {
			case e&kindLiteral != 0:
				out[w] = byte(e >> 12)
				w++
				continue
			case e&kindEnd != 0:
				ended = true
			default:
				err = ErrCorrupt
			}
			break turns
		}
		length := int(e.value()) + int(buf&(1<<e.extra()-1))
		buf >>= e.extra()
		have -= e.extra()

		e = distances[buf&(1<<distanceBits-1)]
		if e&kindLink != 0 {
			buf >>= e & 15
			have -= uint(e & 15)
			e = distances[(uint64(e.value())+buf&(1<<e.extra()-1))&(tableSize-1)]
		}
		buf >>= e & 15
		have -= uint(e & 15)
		if e&kindCopy == 0 {
			err = ErrCorrupt
			break
		}
		distance := int(e.value()) + int(buf&(1<<e.extra()-1))
		buf >>= e.extra()
		have -= e.extra()
		if distance > w-low {
			err = ErrCorrupt
			break
		}
		end := w + length
		if distance >= 8 {
			// Eight bytes at a time, up to seven too many: there is room, and they are overwritten.
			for from := w - distance; w < end; from, w = from+8, w+8 {
				binary.LittleEndian.PutUint64(out[w:], binary.LittleEndian.Uint64(out[from:]))
			}
			w = end
		} else {
			for ; w < end; w++ { // overlapping itself
				out[w] = out[w-distance]
			}
		}
	}
	z.pos, z.w, z.bits, z.have = pos, w, buf, have
	return ended, err
}
