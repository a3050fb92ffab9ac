package boltstore

import (
	"encoding/binary"
	"fmt"

	"swath/sweeps"
)

const (
	// fullBlock is how many points a block has that no more are added to. Few make
	// poor compression, many make each small append copy a long tail.
	fullBlock = 1024
	// smallBlock is the size up to which the last block of a tail is encoded anew
	// with the points that are appended, instead of being left as it is.
	smallBlock = 128
	// chunkBlocks is how many full blocks a chunk has. A page of the file holds a
	// few values or a part of one; larger ones leave less of it empty.
	chunkBlocks = 4
	// seriesVersion is the first byte of a series' record.
	seriesVersion = 1
)

// series is the record of one metric of one attempt.
//
//	byte     version
//	string   the metric's name
//	summary  of all points                       record.go
//	uvarint  number of full blocks, which are in chunks
//	rest     the tail: the points after those, fewer than fullBlock, as blocks
//
// So most series, which are short, are one record, and an append to a long one
// rewrites no more than a tail. In a tail as in a chunk each block stands behind its
// length in bytes.
type series struct {
	name    string
	summary sweeps.Summary
	full    uint32
	tail    []byte // not to be changed: it may be the file's own memory
}

func (s *series) append(b []byte) []byte {
	b = append(b, seriesVersion)
	b = appendString(b, s.name)
	b = appendSummary(b, s.summary)
	b = binary.AppendUvarint(b, uint64(s.full))
	return append(b, s.tail...)
}

// decodeSeries reads a record; the tail is not copied.
func decodeSeries(b []byte) (*series, error) {
	d := &decoder{b: b}
	if v := d.byte(); v != seriesVersion {
		return nil, fmt.Errorf("%w: version %d of a series", errGarbled, v)
	}
	s := &series{name: d.string(), summary: d.summary()}
	full := d.uvarint()
	if d.err != nil || full > 1<<32-1 {
		return nil, errGarbled
	}
	s.full, s.tail = uint32(full), d.b
	return s, nil
}

// appendBlock appends a block to a tail or a chunk.
func appendBlock(b, block []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(block))), block...)
}

// splitBlocks returns the blocks of a tail or of a chunk, not copied.
func splitBlocks(b []byte) ([][]byte, error) {
	var blocks [][]byte
	d := &decoder{b: b}
	for len(d.b) > 0 {
		blocks = append(blocks, d.block())
	}
	return blocks, d.err
}

// decodeBlocks returns the points of blocks.
func decodeBlocks(blocks [][]byte) (points []point, err error) {
	for _, b := range blocks {
		if points, err = decodeBlock(points, b); err != nil {
			return nil, err
		}
	}
	return points, nil
}

// blockLen returns how many points a block has.
func blockLen(b []byte) (int, error) {
	d := &decoder{b: b}
	d.byte()
	n := d.uvarint()
	if d.err != nil || n > maxBlock {
		return 0, errGarbled
	}
	return int(n), nil
}

// add puts points behind those of the series. It calls seal for each block that became
// full, with its number.
func (s *series) add(e *blockEncoder, points []point, seal func(number uint32, block []byte) error) error {
	blocks, err := splitBlocks(s.tail)
	if err != nil {
		return err
	}
	total, last := len(points), 0
	for _, b := range blocks {
		if last, err = blockLen(b); err != nil {
			return err
		}
		total += last
	}
	// Blocks are left as they are, but for a small last one, and if they make a full one.
	keep := len(blocks)
	switch {
	case total >= fullBlock:
		keep = 0
	case keep > 0 && last < smallBlock:
		keep--
	}
	old, err := decodeBlocks(blocks[keep:])
	if err != nil {
		return err
	}
	points = append(old, points...)
	if total >= fullBlock {
		for ; len(points) >= fullBlock; points = points[fullBlock:] {
			if err := seal(s.full, e.append(nil, points[:fullBlock])); err != nil {
				return err
			}
			s.full++
		}
	}
	tail := make([]byte, 0, len(s.tail)+16*len(points))
	for _, b := range blocks[:keep] {
		tail = appendBlock(tail, b)
	}
	if len(points) > 0 {
		tail = appendBlock(tail, e.append(nil, points))
	}
	s.tail = tail
	return nil
}
