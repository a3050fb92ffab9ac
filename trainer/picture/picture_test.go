package picture

import (
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestPixels(t *testing.T) {
	c := New(6, 6)
	// 2×2 pixels in three planes: red, green / blue, white.
	c.Pixels(1, 1, 4, []uint8{255, 0, 0, 255 /**/, 0, 255, 0, 255 /**/, 0, 0, 255, 255}, 3, 2, 2)
	for _, p := range []struct {
		x, y int
		want color.RGBA
	}{
		{0, 0, White}, {1, 1, color.RGBA{255, 0, 0, 255}}, {2, 2, color.RGBA{255, 0, 0, 255}}, {3, 1, color.RGBA{0, 255, 0, 255}},
		{1, 4, color.RGBA{0, 0, 255, 255}}, {4, 4, White}, {5, 5, White},
	} {
		if got := c.rgba.RGBAAt(p.x, p.y); got != p.want {
			t.Errorf("pixel %d,%d is %v, want %v", p.x, p.y, got, p.want)
		}
	}
	c.Pixels(4, 4, 4, []uint8{7}, 1, 1, 1) // half of it beyond the edge
	if got := c.rgba.RGBAAt(5, 5); got != (color.RGBA{7, 7, 7, 255}) {
		t.Errorf("a grey pixel is %v", got)
	}
}

func TestHeat(t *testing.T) {
	for v, want := range map[float64]color.RGBA{
		0: viridis[0], -1: viridis[0], math.Inf(-1): viridis[0], 1: viridis[9], 5: viridis[9], math.Inf(1): viridis[9], 1.0 / 3: viridis[3],
	} {
		if got := Heat(v); got != want {
			t.Errorf("%v has colour %v, want %v", v, got, want)
		}
	}
	if got := Heat(math.NaN()); got != viridis[0] {
		t.Errorf("NaN has colour %v", got)
	}
	if Ink(viridis[0]) != White || Ink(viridis[9]) != Black {
		t.Error("ink on the ends of the map is not readable")
	}
	c := New(4, 2)
	c.Map(0, 0, 2, []float32{0, 1, 1, 0}, 2, 2)
	if c.rgba.RGBAAt(0, 0) != viridis[0] || c.rgba.RGBAAt(1, 0) != viridis[9] || c.rgba.RGBAAt(0, 1) != viridis[9] || c.rgba.RGBAAt(2, 0) != White {
		t.Error("a map is drawn elsewhere than asked")
	}
}

// ink counts the black pixels of a canvas.
func ink(c *Canvas) (n int) {
	b := c.rgba.Bounds()
	for y := range b.Dy() {
		for x := range b.Dx() {
			if c.rgba.RGBAAt(x, y) == Black {
				n++
			}
		}
	}
	return n
}

func TestText(t *testing.T) {
	if len(alphabet) != len(font) {
		t.Fatalf("%d characters, %d letters", len(alphabet), len(font))
	}
	seen := map[[LetterHeight]string]byte{box: '?'}
	for i, letter := range font {
		if other, ok := seen[letter]; ok {
			t.Errorf("%q looks like %q", alphabet[i], other)
		}
		seen[letter] = alphabet[i]
	}
	flat, up := New(40, 9), New(9, 40)
	flat.Text(1, 1, "l7é", Black)
	up.TextUp(1, 38, "l7é", Black)
	if n := ink(flat); n == 0 || n != ink(up) {
		t.Errorf("a label has %d dots, upwards %d", n, ink(up))
	}
	// The stem of the L is its left edge, and upwards its lower edge.
	if flat.rgba.RGBAAt(1, 1) != Black || flat.rgba.RGBAAt(5, 7) != Black || up.rgba.RGBAAt(1, 38) != Black || up.rgba.RGBAAt(7, 34) != Black {
		t.Error("a label is not where it was asked for")
	}
	if Width("") != 0 || Width("ab") != 11 {
		t.Errorf("widths are %d and %d", Width(""), Width("ab"))
	}
	flat.Text(-3, -3, "cut off at every edge", Black)
}

func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.png")
	if err := New(3, 2).Save(path); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil || img.Bounds().Dx() != 3 || img.Bounds().Dy() != 2 {
		t.Errorf("the file holds %v (%v)", img, err)
	}
	if err := New(1, 1).Save(filepath.Join(path, "b.png")); err == nil {
		t.Error("saving below a file is no error")
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v (%v)", entries, err)
	}
}
