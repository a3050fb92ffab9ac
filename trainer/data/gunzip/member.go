package gunzip

import (
	"errors"
	"io"
)

// firstHeader reads the header of the first member, which has to be there.
func (z *Reader) firstHeader() error {
	if err := z.need(8); err != nil {
		return err
	}
	return z.header()
}

// nextHeader reads the header of another member, or finds the end of the file.
func (z *Reader) nextHeader() error {
	if err := z.need(8); errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return z.header()
}

// header skips a member's header (RFC 1952, section 2.3).
func (z *Reader) header() error {
	magic, err := z.take(24)
	if err != nil {
		return err
	}
	if magic != 0x08_8b_1f { // two bytes of magic, method deflate
		return ErrHeader
	}
	flags, err := z.take(8)
	if err != nil {
		return err
	}
	if err := z.skip(6); err != nil { // time, extra flags, system
		return err
	}
	if flags&4 != 0 { // an extra field, with its length
		n, err := z.take(16)
		if err != nil {
			return err
		}
		if err := z.skip(int(n)); err != nil {
			return err
		}
	}
	for _, text := range []uint32{8, 16} { // a name and a comment, each to a zero byte
		if flags&text == 0 {
			continue
		}
		for {
			c, err := z.take(8)
			if err != nil {
				return err
			}
			if c == 0 {
				break
			}
		}
	}
	if flags&2 != 0 { // the header's own checksum
		if err := z.skip(2); err != nil {
			return err
		}
	}
	z.low, z.counted, z.crc, z.size = z.w, z.w, 0, 0
	z.step = (*Reader).block
	return nil
}

func (z *Reader) skip(bytes int) error {
	for range bytes {
		if _, err := z.take(8); err != nil {
			return err
		}
	}
	return nil
}

// trailer verifies a member that is complete.
func (z *Reader) trailer() error {
	z.count()
	z.drop(z.have & 7)
	crc, err := z.take(32)
	if err != nil {
		return err
	}
	size, err := z.take(32)
	if err != nil {
		return err
	}
	if crc != z.crc || size != z.size {
		return ErrChecksum
	}
	z.step = (*Reader).nextHeader
	return nil
}
