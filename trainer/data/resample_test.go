package data

import (
	"bytes"
	"context"
	"testing"
)

// The expected bytes are those of Pillow 13.0.0: Image.frombytes("L", (7, 5), src).resize(size, Image.BILINEAR).
func TestResamplerEqualsPillow(t *testing.T) {
	const width, height = 7, 5
	src := make([]uint8, width*height)
	for i := range src {
		src[i] = uint8((i*i*37 + 11*i) % 256)
	}
	for _, c := range []struct {
		width, height int
		want          []uint8
	}{
		{3, 4, []uint8{69, 140, 165, 120, 161, 189, 165, 124, 178, 162, 97, 159}},
		{9, 8, []uint8{0, 32, 102, 157, 110, 121, 173, 181, 118, 43, 77, 99, 119, 161, 174, 166, 163, 177, 107, 132, 95, 75, 220, 236, 159, 145, 247, 194, 115, 100, 135, 159, 177, 193, 200, 197, 215, 139, 126, 146, 111, 132, 195, 214, 160, 169, 202, 173, 109, 76, 100, 166, 188, 136, 146, 192, 165, 94, 64, 92, 160, 185, 136, 132, 180, 155, 86, 58, 88, 158, 185, 138}},
		{1, 1, []uint8{144}},
		{7, 2, []uint8{102, 97, 109, 160, 180, 169, 186, 168, 175, 118, 87, 119, 214, 149}},
	} {
		got := make([]uint8, c.width*c.height)
		newResampler(width, height, c.width, c.height).plane(got, src, make([]uint8, c.width*height))
		if !bytes.Equal(got, c.want) {
			t.Errorf("to %dx%d: %d, want %d", c.width, c.height, got, c.want)
		}
	}
}

func TestResamplerKeeps(t *testing.T) {
	src := counting(12*9, 256)
	got := make([]uint8, len(src))
	newResampler(12, 9, 12, 9).plane(got, src, make([]uint8, len(src)))
	if !bytes.Equal(got, src) {
		t.Error("resizing to the same size changes the image")
	}
	for _, v := range []uint8{0, 1, 127, 254, 255} {
		flat := bytes.Repeat([]byte{v}, 50*41)
		got := make([]uint8, 64*3)
		newResampler(50, 41, 64, 3).plane(got, flat, make([]uint8, 64*41))
		if !bytes.Equal(got, bytes.Repeat([]byte{v}, len(got))) {
			t.Errorf("an image of %d only becomes %v", v, got)
		}
	}
}

func TestResize(t *testing.T) {
	d := openShapesFor(t, Options{Train: 20, Test: 10, Size: 16})
	for i := range 5 { // make one image recognisable
		copy(d.Image(d.Train, i), bytes.Repeat([]byte{uint8(i)}, d.ImageLen()))
	}
	if err := d.resize(context.Background(), 24); err != nil {
		t.Fatal(err)
	}
	if err := d.check(); err != nil {
		t.Fatal(err)
	}
	if d.Height != 24 || d.Width != 24 || d.ImageLen() != 3*24*24 {
		t.Errorf("the images are %dx%d", d.Height, d.Width)
	}
	for i := range 5 {
		if !bytes.Equal(d.Image(d.Train, i), bytes.Repeat([]byte{uint8(i)}, d.ImageLen())) {
			t.Errorf("image %d is not at its place", i)
		}
	}
}
