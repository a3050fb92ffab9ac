package gunzip

import "io"

// block reads the header of a deflate block (RFC 1951, section 3.2.3).
func (z *Reader) block() error {
	if z.last {
		z.last = false
		return z.trailer()
	}
	head, err := z.take(3)
	if err != nil {
		return err
	}
	z.last = head&1 != 0
	switch head >> 1 {
	case 0:
		return z.storedHeader()
	case 1:
		z.literals.build(fixedLengths[:288], literalEntries, literalBits)
		z.distances.build(fixedLengths[288:], distanceEntries, distanceBits)
	case 2:
		if err := z.dynamicHeader(); err != nil {
			return err
		}
	default:
		return ErrCorrupt
	}
	z.step = (*Reader).huffman
	return nil
}

func (z *Reader) storedHeader() error {
	z.drop(z.have & 7)
	lengths, err := z.take(32)
	if err != nil {
		return err
	}
	if lengths&0xffff != ^lengths>>16 {
		return ErrCorrupt
	}
	z.stored = int(lengths & 0xffff)
	z.step = (*Reader).copyStored
	return nil
}

// copyStored copies a stored block, as far as there is room.
func (z *Reader) copyStored() error {
	for ; z.have > 0 && z.stored > 0 && z.w < len(z.out); z.stored-- {
		z.out[z.w] = byte(z.bits)
		z.w++
		z.drop(8)
	}
	if z.have == 0 {
		z.bits = 0 // what is above the valid bits is about to be taken from the input
		for z.stored > 0 && z.w < len(z.out) {
			if z.pos == z.end {
				if z.ended {
					return io.ErrUnexpectedEOF
				}
				if err := z.more(); err != nil {
					return err
				}
			}
			n := copy(z.out[z.w:], z.in[z.pos:min(z.end, z.pos+z.stored)])
			z.w += n
			z.pos += n
			z.stored -= n
		}
	}
	if z.stored == 0 {
		z.step = (*Reader).block
	}
	return nil
}

// lengthsOrder is the order in which the lengths of the code of code lengths are stored.
var lengthsOrder = [19]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamicHeader reads the two codes of a block (RFC 1951, section 3.2.7).
func (z *Reader) dynamicHeader() error {
	counts, err := z.take(14)
	if err != nil {
		return err
	}
	literals, distances, codes := 257+int(counts&31), 1+int(counts>>5&31), 4+int(counts>>10)
	if literals > 286 || distances > 30 {
		return ErrCorrupt
	}
	var lengths [286 + 30]uint8
	var codeLengths [19]uint8
	for _, symbol := range lengthsOrder[:codes] {
		l, err := z.take(3)
		if err != nil {
			return err
		}
		codeLengths[symbol] = uint8(l)
	}
	if !z.lengths.build(codeLengths[:], lengthEntries, lengthsBits) {
		return ErrCorrupt
	}
	all := lengths[:literals+distances]
	for i := 0; i < len(all); {
		// A member ends in eight bytes more, so that looking at seven bits never asks for too much.
		if err := z.need(lengthsBits); err != nil {
			return err
		}
		e := z.lengths[z.bits&(1<<lengthsBits-1)]
		if e&kindLiteral == 0 {
			return ErrCorrupt
		}
		z.drop(e.length())
		symbol := uint8(e.value())
		if symbol < 16 {
			all[i] = symbol
			i++
			continue
		}
		repeat, bits, value := 3, uint(2), uint8(0)
		switch symbol {
		case 16: // the length before, 3 to 6 times
			if i == 0 {
				return ErrCorrupt
			}
			value = all[i-1]
		case 17: // zero, 3 to 10 times
			bits = 3
		case 18: // zero, 11 to 138 times
			repeat, bits = 11, 7
		}
		further, err := z.take(bits)
		if err != nil {
			return err
		}
		repeat += int(further)
		if i+repeat > len(all) {
			return ErrCorrupt
		}
		for ; repeat > 0; repeat-- {
			all[i] = value
			i++
		}
	}
	if !z.literals.build(all[:literals], literalEntries, literalBits) || !z.distances.build(all[literals:], distanceEntries, distanceBits) {
		return ErrCorrupt
	}
	return nil
}
