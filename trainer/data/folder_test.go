package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// picture returns a picture whose pixel (x, y) is (x, y, tag) times ten.
func picture(width, height, tag int) *image.NRGBA {
	p := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			p.SetNRGBA(x, y, color.NRGBA{uint8(x * 10), uint8(y * 10), uint8(tag * 10), 255})
		}
	}
	return p
}

func writePNG(t *testing.T, name string, p image.Image) {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, p); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, filepath.Dir(name), map[string][]byte{filepath.Base(name): b.Bytes()})
}

// writeClasses makes a folder for each class with n pictures, named so that they sort in the order of their tags.
func writeClasses(t *testing.T, dir string, n int, classes ...string) {
	t.Helper()
	for _, c := range classes {
		for i := range n {
			writePNG(t, filepath.Join(dir, c, fmt.Sprintf("%02d.png", i)), picture(4, 4, i))
		}
	}
}

func openFolderFor(t *testing.T, root string, opts Options) *Dataset {
	t.Helper()
	d, err := Open(context.Background(), "folder:"+root, "", opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// tags returns the tags of a split's pictures, in order.
func tags(d *Dataset, s Split) []int {
	var out []int
	for i := range s.Len() {
		out = append(out, int(d.Image(s, i)[2*d.Height*d.Width])/10)
	}
	return out
}

func TestFolderTrainAndVal(t *testing.T) {
	root := t.TempDir()
	writeClasses(t, filepath.Join(root, "train"), 3, "dog", "cat")
	writeClasses(t, filepath.Join(root, "val"), 2, "dog", "cat")
	writeFiles(t, filepath.Join(root, "train", "dog"), map[string][]byte{".hidden.png": nil, "notes.txt": nil})
	if err := os.Mkdir(filepath.Join(root, "train", "nothing"), 0o755); err != nil {
		t.Fatal(err)
	}
	d := openFolderFor(t, root, Options{Size: 4})
	if !slices.Equal(d.Classes, []string{"cat", "dog"}) || d.Channels != 3 || d.Height != 4 || d.Width != 4 {
		t.Errorf("classes %v, %d x %d x %d", d.Classes, d.Channels, d.Height, d.Width)
	}
	if !slices.Equal(d.Train.Labels, []int{0, 0, 0, 1, 1, 1}) || !slices.Equal(d.Test.Labels, []int{0, 0, 1, 1}) {
		t.Errorf("labels %v and %v", d.Train.Labels, d.Test.Labels)
	}
	if got := tags(d, d.Train); !slices.Equal(got, []int{0, 1, 2, 0, 1, 2}) {
		t.Errorf("pictures %v", got)
	}

	// A test folder is preferred to val.
	writeClasses(t, filepath.Join(root, "test"), 1, "dog")
	if d = openFolderFor(t, root, Options{Size: 4}); !slices.Equal(d.Test.Labels, []int{1}) {
		t.Errorf("with a test folder, test labels are %v", d.Test.Labels)
	}

	// A subset is even over the classes, and decodes nothing else.
	writeFiles(t, filepath.Join(root, "train", "dog"), map[string][]byte{"99.png": []byte("broken")})
	opened := 0
	for seed := range uint64(20) {
		d, err := Open(context.Background(), "folder:"+root, "", Options{Size: 4, Train: 2, Seed: seed})
		if err != nil {
			continue // took the broken one
		}
		opened++
		if !slices.Equal(d.Train.Labels, []int{0, 1}) {
			t.Errorf("a subset of two has labels %v", d.Train.Labels)
		}
	}
	if opened == 0 {
		t.Error("no subset leaves the broken picture out")
	}
}

// Without test images, every tenth of a class is held out.
func TestFolderHoldsOut(t *testing.T) {
	for name, inner := range map[string]string{"classes": "", "train only": "train"} {
		root := t.TempDir()
		writeClasses(t, filepath.Join(root, inner), 11, "a", "b")
		d := openFolderFor(t, root, Options{Size: 4})
		if d.Train.Len() != 20 || !slices.Equal(tags(d, d.Test), []int{9, 9}) || !slices.Equal(d.Test.Labels, []int{0, 1}) {
			t.Errorf("%s: %d training images, test images %v of classes %v", name, d.Train.Len(), tags(d, d.Test), d.Test.Labels)
		}
	}
	root := t.TempDir()
	for i := range 10 {
		writePNG(t, filepath.Join(root, fmt.Sprintf("%d.PNG", i)), picture(4, 4, i))
	}
	d := openFolderFor(t, root, Options{Size: 4})
	if !slices.Equal(d.Classes, []string{"images"}) || d.Train.Len() != 9 || !slices.Equal(tags(d, d.Test), []int{9}) {
		t.Errorf("flat folder: classes %v, %d training images, test images %v", d.Classes, d.Train.Len(), tags(d, d.Test))
	}
}

// The centred square is taken and, here, not resized: pixels are exact.
func TestReadImageCrops(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ width, height, left, top int }{{8, 4, 2, 0}, {4, 7, 0, 1}, {4, 4, 0, 0}} {
		name := filepath.Join(dir, "a.png")
		writePNG(t, name, picture(c.width, c.height, 9))
		got := make([]uint8, 3*16)
		if err := readImage(got, name, 4, CropCenter); err != nil {
			t.Fatal(err)
		}
		for y := range 4 {
			for x := range 4 {
				want := [3]uint8{uint8((x + c.left) * 10), uint8((y + c.top) * 10), 90}
				if have := [3]uint8{got[y*4+x], got[16+y*4+x], got[32+y*4+x]}; have != want {
					t.Fatalf("%dx%d: pixel (%d, %d) is %v, want %v", c.width, c.height, x, y, have, want)
				}
			}
		}
	}
}

// The photographs are as wide as they are high: two beside each other, or one above the other, make one that is not.
func TestCropOfPhotographs(t *testing.T) {
	const set, side = "folder:dogfaces64", 64
	photos, err := imagesIn(filepath.Join(realData(t, set), "dogfaces64", "train", "dog"))
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) image.Image {
		t.Helper()
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		p, err := jpeg.Decode(f)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	dir := t.TempDir()
	for name, step := range map[string]image.Point{"wide.jpg": image.Pt(side, 0), "high.jpg": image.Pt(0, side)} {
		joined := image.NewRGBA(image.Rectangle{Max: image.Pt(side, side).Add(step)})
		whole := make([]image.Image, 2)
		for i := range whole {
			whole[i] = read(photos[i])
			at := image.Rectangle{Max: image.Pt(side, side)}.Add(step.Mul(i))
			draw.Draw(joined, at, whole[i], image.Point{}, draw.Src)
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, joined, &jpeg.Options{Quality: 100}); err != nil {
			t.Fatal(err)
		}
		writeFiles(t, dir, map[string][]byte{name: b.Bytes()})
		half := image.Pt(step.X/side, step.Y/side) // (1, 0) or (0, 1)
		for _, crop := range []Crop{CropCenter, CropNone} {
			got := make([]uint8, 3*side*side)
			if err := readImage(got, filepath.Join(dir, name), side, crop); err != nil {
				t.Fatal(err)
			}
			apart := 0.0
			for y := range side {
				for x := range side {
					// Where the pixel comes from in the joined picture: from the middle, or from two pixels.
					from := []image.Point{image.Pt(x, y).Add(step.Div(2))}
					if crop == CropNone {
						p := image.Pt(x+half.X*x, y+half.Y*y)
						from = []image.Point{p, p.Add(half)}
					}
					for c := range 3 {
						want := 0.0
						for _, p := range from {
							want += float64(joined.Pix[joined.PixOffset(p.X, p.Y)+c]) / float64(len(from))
						}
						apart += math.Abs(want - float64(got[c*side*side+y*side+x]))
					}
				}
			}
			// JPEG, and that the filter also looks at the pixels around, make a few grey levels.
			if mean := apart / (3 * side * side); mean > 6 {
				t.Errorf("%s, crop %s: pixels are %.1f grey levels from where they should come from", name, crop, mean)
			}
		}
	}
}

func TestReadImageFormats(t *testing.T) {
	dir := t.TempDir()
	grey := image.NewGray(image.Rect(5, 5, 15, 15)) // bounds that do not begin at zero
	for i := range grey.Pix {
		grey.Pix[i] = 77
	}
	clear := image.NewNRGBA(image.Rect(0, 0, 10, 10))
	writePNG(t, filepath.Join(dir, "grey.png"), grey)
	writePNG(t, filepath.Join(dir, "clear.png"), clear)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, grey, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, map[string][]byte{"grey.jpg": b.Bytes()})
	for name, want := range map[string]uint8{"grey.png": 77, "clear.png": 0, "grey.jpg": 77} {
		got := make([]uint8, 3*8*8)
		if err := readImage(got, filepath.Join(dir, name), 8, ""); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, bytes.Repeat([]byte{want}, len(got))) {
			t.Errorf("%s: %v, want %d everywhere", name, got, want)
		}
	}
}

// The outer quarters of a picture twice as long as it is wide are green: center leaves them out, none keeps them.
func TestFolderCrop(t *testing.T) {
	root := t.TempDir()
	for i, size := range []image.Point{{40, 20}, {20, 40}} {
		p := image.NewNRGBA(image.Rectangle{Max: size})
		for y := range size.Y {
			for x := range size.X {
				along := x
				if size.Y > size.X {
					along = y
				}
				p.SetNRGBA(x, y, color.NRGBA{200, 0, 0, 255})
				if along < 10 || along >= 30 {
					p.SetNRGBA(x, y, color.NRGBA{0, 200, 0, 255})
				}
			}
		}
		for _, split := range []string{"train", "val"} {
			writePNG(t, filepath.Join(root, split, "stripes", fmt.Sprint(i, ".png")), p)
		}
	}
	for crop, want := range map[Crop]float64{"": 0, CropCenter: 0, CropNone: 0.5} {
		d := openFolderFor(t, root, Options{Size: 16, Crop: crop})
		for i := range 2 {
			green := 0
			for _, v := range d.Image(d.Train, i)[256:512] {
				green += int(v)
			}
			if got := float64(green) / (256 * 200); math.Abs(got-want) > 0.01 {
				t.Errorf("crop %q, image %d: %.3f of it is green, want %.1f", crop, i, got, want)
			}
		}
	}
	_, err := Open(context.Background(), "folder:"+root, "", Options{Crop: "middle"})
	wantMessage(t, err, `crop "middle" is neither center nor none`)
}

func TestFolderBroken(t *testing.T) {
	var whole bytes.Buffer
	if err := png.Encode(&whole, picture(40, 40, 1)); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	_, err := Open(context.Background(), "folder:dogs", root, Options{})
	var missing *MissingError
	if !errors.As(err, &missing) {
		t.Errorf("error %v, want a MissingError", err)
	}
	wantMessage(t, err, filepath.Join(root, "dogs"), "--data DIR")

	for name, c := range map[string]struct {
		spoil func(root string)
		opts  Options
		want  []string
	}{
		"no images": {func(root string) { _ = os.RemoveAll(filepath.Join(root, "train")) }, Options{}, []string{"no .jpg, .jpeg or .png"}},
		"a file": {func(root string) {
			_ = os.RemoveAll(root)
			writeFiles(t, filepath.Dir(root), map[string][]byte{filepath.Base(root): nil})
		}, Options{}, []string{"is a file", "train/CLASS"}},
		"unreadable image": {func(root string) {
			writeFiles(t, filepath.Join(root, "train", "dog"), map[string][]byte{"x.jpg": []byte("<html>")})
		}, Options{}, []string{"x.jpg is no readable JPEG or PNG"}},
		"truncated image": {func(root string) {
			writeFiles(t, filepath.Join(root, "val", "dog"), map[string][]byte{"y.png": whole.Bytes()[:whole.Len()/2]})
		}, Options{}, []string{"y.png is no readable JPEG or PNG"}},
		"class without training images": {func(root string) { writeClasses(t, filepath.Join(root, "val"), 1, "wolf") }, Options{}, []string{"wolf", "training images lack (dog)"}},
		"empty val": {func(root string) {
			_ = os.RemoveAll(filepath.Join(root, "val", "dog"))
		}, Options{}, []string{"no .jpg, .jpeg or .png in the folders of"}},
		"images beside classes": {func(root string) { writePNG(t, filepath.Join(root, "val", "z.png"), picture(4, 4, 1)) }, Options{}, []string{"val holds both images (z.png) and folders of images (dog)"}},
		"a stray image":         {func(root string) { writePNG(t, filepath.Join(root, "train", "stray.png"), picture(4, 4, 1)) }, Options{}, []string{"train holds both images (stray.png) and folders of images (dog)"}},
		"stray images without train": {func(root string) {
			_ = os.RemoveAll(filepath.Join(root, "train"))
			writeClasses(t, root, 1, "cat")
			for i := range 7 {
				writePNG(t, filepath.Join(root, fmt.Sprint(i, ".png")), picture(4, 4, 1))
			}
		}, Options{}, []string{"holds both images (0.png, 1.png, 2.png, 3.png, 4.png and 2 more) and folders of images (cat)"}},
		"classes in train only": {func(root string) {
			_ = os.RemoveAll(filepath.Join(root, "val", "dog"))
			writePNG(t, filepath.Join(root, "val", "z.png"), picture(4, 4, 1))
		}, Options{}, []string{"val holds images outside folders, and", "in folders, one a class (dog)"}},
		"classes in val only": {func(root string) {
			_ = os.RemoveAll(filepath.Join(root, "train", "dog"))
			writePNG(t, filepath.Join(root, "train", "z.png"), picture(4, 4, 1))
		}, Options{}, []string{"val holds folders of images, one a class (dog), and", "train images outside folders"}},
		"no such class":                  {func(string) {}, Options{Class: "dogs"}, []string{`has no class "dogs"; did you mean "dog"?`}},
		"more than there are of a class": {func(string) {}, Options{Class: "dog", Train: 4}, []string{"has 3 training images of class dog, not 4"}},

		"too few to hold out": {func(root string) { _ = os.RemoveAll(filepath.Join(root, "val")) }, Options{}, []string{"too few images"}},
		"more than there are": {func(string) {}, Options{Train: 4}, []string{"has 3 training images, not 4 (use at most 3, or 0 for all)"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "set")
			writeClasses(t, filepath.Join(root, "train"), 3, "dog")
			writeClasses(t, filepath.Join(root, "val"), 1, "dog")
			c.spoil(root)
			_, err := Open(context.Background(), "folder:"+root, "", c.opts)
			wantMessage(t, err, append(c.want, root)...)
		})
	}
}

// Of a class, the images are those that a subset of the whole folder takes, and no other is opened.
func TestFolderClass(t *testing.T) {
	root := t.TempDir()
	writeClasses(t, filepath.Join(root, "train"), 8, "cat", "dog")
	writeClasses(t, filepath.Join(root, "val"), 2, "dog", "cat")
	writeClasses(t, filepath.Join(root, "train"), 1, "wolf")
	both := openFolderFor(t, root, Options{Size: 4, Train: 9})
	var dogs []int
	for i, tag := range tags(both, both.Train) {
		if both.Train.Labels[i] == 1 {
			dogs = append(dogs, tag)
		}
	}
	for _, split := range []string{"train", "val"} {
		writeFiles(t, filepath.Join(root, split, "cat"), map[string][]byte{"a.png": []byte("broken")})
	}
	for n, want := range map[int][]int{len(dogs): dogs, 0: {0, 1, 2, 3, 4, 5, 6, 7}} {
		d := openFolderFor(t, root, Options{Size: 4, Class: "dog", Train: n})
		if !slices.Equal(d.Classes, []string{"cat", "dog", "wolf"}) || !slices.Equal(tags(d, d.Train), want) || !slices.Equal(tags(d, d.Test), []int{0, 1}) {
			t.Errorf("classes %v, training images %v, want %v, test images %v", d.Classes, tags(d, d.Train), want, tags(d, d.Test))
		}
		for _, l := range append(slices.Clone(d.Train.Labels), d.Test.Labels...) {
			if l != 1 {
				t.Errorf("a label is %d", l)
			}
		}
	}
	if d := openFolderFor(t, root, Options{Size: 4, Class: "wolf"}); d.Train.Len() != 1 || d.Test.Len() != 0 {
		t.Errorf("of wolves there are %d and %d images", d.Train.Len(), d.Test.Len())
	}
}

func TestFolderReal(t *testing.T) {
	const set = "folder:dogfaces64"
	d, err := Open(context.Background(), set, realData(t, set), Options{Train: 100, Test: 50, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(d.Classes, []string{"dog"}) || d.Train.Len() != 100 || d.Test.Len() != 50 || d.Height != 32 {
		t.Errorf("classes %v, %d + %d images of %dx%d", d.Classes, d.Train.Len(), d.Test.Len(), d.Height, d.Width)
	}
	for c, m := range d.Mean { // photographs: neither dark nor bright
		if m < 0.3 || m > 0.6 || d.Std[c] < 0.15 || d.Std[c] > 0.35 {
			t.Errorf("channel %d: mean %.3f, std %.3f", c, m, d.Std[c])
		}
	}
}
