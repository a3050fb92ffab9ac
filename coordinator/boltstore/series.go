package boltstore

import (
	"encoding/binary"
	"fmt"

	"swath/sweeps"
)

const (
	// chunkPoints is how many points a chunk has. Few make long keys of it all, many
	// make each small append copy a long tail.
	chunkPoints = 1024
	// smallBlock is the size up to which the last block of a tail is encoded anew
	// with the points that are appended, instead of being left as it is.
	smallBlock = 128
	// seriesVersion is the first byte of a series' record.
	seriesVersion = 1
)

// series is the record of one metric of one attempt.
//
//	byte     version
//	string   the metric's name
//	summary  of all points                       record.go
//	uvarint  number of chunks
//	rest     the tail: the points after those in chunks, fewer than chunkPoints,
//	         as blocks, each behind its length in bytes
//
// So most series, which are short, are one record, and an append to a long one
// rewrites no more than a tail.
type series struct {
	name    string
	summary sweeps.Summary
	chunks  uint32
	tail    []byte // not to be changed: it may be the file's own memory
}

func (s *series) append(b []byte) []byte {
	b = append(b, seriesVersion)
	b = appendString(b, s.name)
	b = appendSummary(b, s.summary)
	b = binary.AppendUvarint(b, uint64(s.chunks))
	return append(b, s.tail...)
}

// decodeSeries reads a record; the tail is not copied.
func decodeSeries(b []byte) (*series, error) {
	d := &decoder{b: b}
	if v := d.byte(); v != seriesVersion {
		return nil, fmt.Errorf("%w: version %d of a series", errGarbled, v)
	}
	s := &series{name: d.string(), summary: d.summary()}
	chunks := d.uvarint()
	if d.err != nil || chunks > 1<<32-1 {
		return nil, errGarbled
	}
	s.chunks, s.tail = uint32(chunks), d.b
	return s, nil
}

// tailBlocks splits a tail into its blocks.
func tailBlocks(tail []byte) ([][]byte, error) {
	var blocks [][]byte
	d := &decoder{b: tail}
	for len(d.b) > 0 {
		blocks = append(blocks, d.block())
	}
	return blocks, d.err
}

// decodeTail returns the points of blocks.
func decodeTail(blocks [][]byte) (points []point, err error) {
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

// add puts points behind those of the series. It calls seal for each chunk that became
// full, with its number; the bytes may be kept.
func (s *series) add(e *blockEncoder, points []point, seal func(number uint32, chunk []byte) error) error {
	blocks, err := tailBlocks(s.tail)
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
	// Blocks are left as they are, but for a small last one, and if a chunk is full.
	keep := len(blocks)
	switch {
	case total >= chunkPoints:
		keep = 0
	case keep > 0 && last < smallBlock:
		keep--
	}
	old, err := decodeTail(blocks[keep:])
	if err != nil {
		return err
	}
	points = append(old, points...)
	if total >= chunkPoints {
		for ; len(points) >= chunkPoints; points = points[chunkPoints:] {
			if err := seal(s.chunks, e.append(nil, points[:chunkPoints])); err != nil {
				return err
			}
			s.chunks++
		}
	}
	tail := make([]byte, 0, len(s.tail)+16*len(points))
	for _, b := range blocks[:keep] {
		tail = append(binary.AppendUvarint(tail, uint64(len(b))), b...)
	}
	if len(points) > 0 {
		b := e.append(nil, points)
		tail = append(binary.AppendUvarint(tail, uint64(len(b))), b...)
	}
	s.tail = tail
	return nil
}
