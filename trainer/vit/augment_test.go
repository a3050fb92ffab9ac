package vit

import (
	"fmt"
	"slices"
	"testing"

	"swath/trainer/data"
)

// ramp is a set of 64 training images of 6×5 pixels in two channels, whose pixels tell
// where they are from, and never are black.
func ramp() *data.Dataset {
	d := &data.Dataset{Name: "ramp", Classes: []string{"a"}, Channels: 2, Height: 6, Width: 5, Mean: []float64{0.5, 0.25}, Std: []float64{0.5, 1}}
	for range 64 {
		for ch := range 2 {
			for y := range 6 {
				for x := range 5 {
					d.Train.Images = append(d.Train.Images, uint8(1+100*ch+10*y+x))
				}
			}
		}
		d.Train.Labels = append(d.Train.Labels, 0)
	}
	return d
}

func TestAugmentation(t *testing.T) {
	const h, w, n = 6, 5, 60
	d := ramp()
	idx := make([]int, d.Train.Len())
	for i := range idx {
		idx[i] = i
	}
	plain := make([]float32, len(d.Train.Images))
	if err := d.Batch(plain, d.Train, idx); err != nil {
		t.Fatal(err)
	}
	augmented := func(kind string, seed uint64, epoch int, idx []int) []float32 {
		a, err := newAugmentation(&Config{Augment: kind, Seed: seed}, d)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]float32, len(idx)*n)
		if err := d.Batch(out, d.Train, idx); err != nil {
			t.Fatal(err)
		}
		a.apply(out, idx, epoch)
		return out
	}
	if !slices.Equal(augmented("none", 1, 1, idx), plain) {
		t.Error("no augmentation changes images")
	}
	// expected is an image by definition: mirrored, black around, cut out.
	expected := func(image []float32, flip bool, dx, dy int) []float32 {
		out := make([]float32, 0, n)
		for ch := range 2 {
			for y := dy; y < h+dy; y++ {
				for x := dx; x < w+dx; x++ {
					v := []float32{-1, -0.25}[ch] // black, normalised
					if y >= 0 && y < h && x >= 0 && x < w {
						from := x
						if flip {
							from = w - 1 - x
						}
						v = image[ch*h*w+y*w+from]
					}
					out = append(out, v)
				}
			}
		}
		return out
	}
	for kind, reach := range map[string]int{"flip": 0, "flip_crop": cropPadding} {
		flips, seen := 0, map[string]int{}
		for epoch := range 20 {
			out := augmented(kind, 1, epoch, idx)
			for k := range idx {
				image := out[k*n : (k+1)*n]
				found := ""
				for _, flip := range []bool{false, true} {
					for dy := -reach; dy <= reach; dy++ {
						for dx := -reach; dx <= reach; dx++ {
							if found == "" && slices.Equal(image, expected(plain[k*n:(k+1)*n], flip, dx, dy)) {
								found = fmt.Sprint(flip, dx, dy)
								if flip {
									flips++
								}
							}
						}
					}
				}
				if found == "" {
					t.Fatalf("%s: image %d of epoch %d is no shift or mirror image", kind, k, epoch)
				}
				seen[found]++
			}
		}
		// 1280 draws: half of them flipped, and every shift drawn.
		if want := 2 * (2*reach + 1) * (2*reach + 1); flips < 560 || flips > 720 || len(seen) < want*9/10 {
			t.Errorf("%s: %d of 1280 are flipped, and %d of %d ways are seen", kind, flips, len(seen), want)
		}
		// What happens to an image depends on seed, epoch and its number, not on its place in a batch.
		one := augmented(kind, 1, 3, idx)
		if slices.Equal(one, augmented(kind, 1, 4, idx)) || slices.Equal(one, augmented(kind, 2, 3, idx)) {
			t.Errorf("%s: another epoch or seed changes nothing", kind)
		}
		if !slices.Equal(augmented(kind, 1, 3, []int{7, 2}), slices.Concat(one[7*n:8*n], one[2*n:3*n])) {
			t.Errorf("%s: an image depends on its place in the batch", kind)
		}
	}
}
