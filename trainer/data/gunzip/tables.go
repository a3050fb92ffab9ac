package gunzip

import "math/bits"

// An entry of a decoding table is
//
//	bits 0-3    length of the code, as far as this table resolves it; the number of bits to drop
//	bits 4-7    number of extra bits behind a length or distance; index bits of the subtable behind a link
//	bits 8-11   kind
//	bits 12-31  literal, base of a length or distance, or beginning of a subtable
//
// and 0 for bits that begin no code.
type entry uint32

const (
	kindLiteral entry = 0x100
	kindCopy    entry = 0x200 // a length, in the table of distances a distance
	kindEnd     entry = 0x400
	kindLink    entry = 0x800 // the code is longer than the table's index: look in a subtable
)

func (e entry) length() uint  { return uint(e & 15) }
func (e entry) extra() uint   { return uint(e >> 4 & 15) }
func (e entry) value() uint32 { return uint32(e >> 12) }

const (
	maxCode = 15 // bits

	// Index bits of the three kinds of table, and the size that is enough for any code with its subtables. A subtable
	// is shared by two symbols or more and has 2^(15-index) entries, so literals and lengths need at most
	// 2048 + 286/2 * 16 = 4336 and distances 256 + 30/2 * 128 = 2176; the code of code lengths has no code above 7 bits.
	literalBits  = 11
	distanceBits = 8
	lengthsBits  = 7
	tableSize    = 8192
)

// table decodes one Huffman code. Its size is a power of two, so that a masked index needs no bounds check.
type table [tableSize]entry

// build fills the table for a code, given by the length of each symbol's code (0: unused) and the entry of each
// symbol without its length. It reports false for lengths that make no complete code; as in compress/flate, a code of
// one symbol with one bit, and one of no symbols, pass.
func (t *table) build(lengths []uint8, symbols []entry, index uint) bool {
	var count [maxCode + 1]int
	longest := 0
	for _, l := range lengths {
		count[l]++
		longest = max(longest, int(l))
	}
	count[0] = 0
	clear(t[:1<<index])
	if longest == 0 {
		return true
	}
	var next [maxCode + 2]int // next code of each length
	code := 0
	for l := 1; l <= longest; l++ {
		code <<= 1
		next[l] = code
		code += count[l]
	}
	if code != 1<<longest && (code != 1 || longest != 1) {
		return false
	}

	// Codes longer than the index share their first bits; each such first part gets a subtable that the longest code
	// of all would fit.
	used := 1 << index
	for symbol, l := range lengths {
		if l == 0 {
			continue
		}
		length := uint(l)
		reversed := bits.Reverse16(uint16(next[l])) >> (16 - length)
		next[l]++
		e := symbols[symbol]
		if length <= index {
			for i := uint(reversed); i < 1<<index; i += 1 << length {
				t[i] = e | entry(length)
			}
			continue
		}
		first := uint(reversed) & (1<<index - 1)
		link := t[first]
		if link == 0 {
			width := uint(longest) - index
			clear(t[used : used+1<<width])
			link = kindLink | entry(used)<<12 | entry(width)<<4 | entry(index)
			t[first] = link
			used += 1 << width
		}
		rest := length - index
		for i := uint(reversed) >> index; i < 1<<link.extra(); i += 1 << rest {
			t[uint(link.value())+i] = e | entry(rest)
		}
	}
	return true
}

// What the symbols of the three codes mean.
var (
	literalEntries  = makeLiteralEntries()
	distanceEntries = makeDistanceEntries()
	lengthEntries   = makeLengthEntries()
)

// fixedLengths are the code lengths of the fixed code: 288 of literals and lengths, 32 of distances.
var fixedLengths = makeFixedLengths()

// makeLiteralEntries returns literals, the end of a block, and lengths (RFC 1951, section 3.2.5). Symbols 286 and
// 287 stay without a kind: they are in the fixed code but mean nothing.
func makeLiteralEntries() []entry {
	entries := make([]entry, 288)
	for i := range 256 {
		entries[i] = kindLiteral | entry(i)<<12
	}
	entries[256] = kindEnd
	base := 3
	for i := range 28 {
		extra := max(0, i/4-1)
		entries[257+i] = kindCopy | entry(base)<<12 | entry(extra)<<4
		base += 1 << extra
	}
	entries[285] = kindCopy | longest<<12
	return entries
}

// makeDistanceEntries returns the distances; symbols 30 and 31 mean nothing.
func makeDistanceEntries() []entry {
	entries := make([]entry, 32)
	base := 1
	for i := range 30 {
		extra := max(0, i/2-1)
		entries[i] = kindCopy | entry(base)<<12 | entry(extra)<<4
		base += 1 << extra
	}
	return entries
}

// makeLengthEntries returns the symbols of the code of code lengths, as they are.
func makeLengthEntries() []entry {
	entries := make([]entry, 19)
	for i := range entries {
		entries[i] = kindLiteral | entry(i)<<12
	}
	return entries
}

func makeFixedLengths() (lengths [288 + 32]uint8) {
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		case i < 288:
			lengths[i] = 8
		default:
			lengths[i] = 5
		}
	}
	return lengths
}
