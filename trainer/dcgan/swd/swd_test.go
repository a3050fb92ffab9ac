package swd

import (
	"math"
	"slices"
	"strings"
	"testing"

	"swath/trainer/nn"
	"swath/trainer/nn/kernel"
)

const testSize = 32

// pictures are images of smooth random blobs: something with structure at every scale.
func pictures(n int, seed uint64) Images {
	s := Images{Size: testSize, Channels: 3, Pixels: make([]float32, n*testSize*testSize*3)}
	r := nn.NewRand(seed)
	for i := range n {
		image := s.image(i)
		for range 6 {
			cx, cy, radius := r.Uniform()*testSize, r.Uniform()*testSize, 2+6*r.Uniform()
			for c := range 3 {
				height := r.Normal()
				for y := range testSize {
					for x := range testSize {
						dx, dy := (float64(x)-cx)/radius, (float64(y)-cy)/radius
						image[s.at(x, y)+c] += float32(height * math.Exp(-dx*dx-dy*dy))
					}
				}
			}
		}
	}
	return s
}

// noisy adds noise of the given strength.
func noisy(s Images, strength float64) Images {
	r := nn.NewRand(99)
	out := s
	out.Pixels = slices.Clone(s.Pixels)
	for i := range out.Pixels {
		out.Pixels[i] += float32(strength * r.Normal())
	}
	return out
}

// blurred repeats a mean over three neighbours along each axis.
func blurred(s Images, times int) Images {
	for range times {
		out := s
		out.Pixels = slices.Clone(s.Pixels)
		for i := range s.count() {
			for y := range s.Size {
				for x := range s.Size {
					for c := range s.Channels {
						sum := float32(0)
						for _, d := range [][2]int{{0, 0}, {1, 0}, {-1, 0}, {0, 1}, {0, -1}} {
							sum += s.image(i)[s.at(mirror(x+d[0], s.Size), mirror(y+d[1], s.Size))+c]
						}
						out.image(i)[s.at(x, y)+c] = sum / 5
					}
				}
			}
		}
		s = out
	}
	return s
}

func distance(t *testing.T, a, b Images) []Level {
	t.Helper()
	r, err := NewReference(a, Options{Seed: 1, Patches: 16, Directions: 32})
	if err != nil {
		t.Fatal(err)
	}
	levels, err := r.Distance(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(levels) != 2 || levels[0].Size != testSize || levels[1].Size != testSize/2 {
		t.Fatalf("the levels are %v", levels)
	}
	return levels
}

func TestIdenticalSetsHaveDistanceZero(t *testing.T) {
	s := pictures(20, 1)
	if d := Mean(distance(t, s, s)); d != 0 {
		t.Errorf("the distance of a set to itself is %v", d)
	}
}

func TestDistanceGrowsWithNoiseAndBlur(t *testing.T) {
	s := pictures(60, 1)
	// Other pictures of the same kind are the floor that a perfect generator would reach.
	previous := Mean(distance(t, s, pictures(60, 2)))
	for _, strength := range []float64{0.1, 0.2, 0.4, 0.8} {
		d := Mean(distance(t, s, noisy(pictures(60, 2), strength)))
		if d <= previous {
			t.Errorf("with noise of %v the distance is %v, not more than %v with less", strength, d, previous)
		}
		previous = d
	}
	// Blur changes the shape of the details' distribution; noise in both keeps it from
	// being a mere change of scale, which the normalisation removes.
	s = noisy(s, 0.3)
	previous = 0
	for _, times := range []int{0, 1, 3} {
		d := Mean(distance(t, s, blurred(s, times)))
		if times > 0 && d <= previous {
			t.Errorf("blurred %d times the distance is %v, not more than %v with less", times, d, previous)
		}
		previous = d
	}
}

func TestDistanceDoesNotDependOnThreads(t *testing.T) {
	before := kernel.Threads()
	defer kernel.SetThreads(before)
	a, b := pictures(30, 1), pictures(30, 2)
	kernel.SetThreads(1)
	one := distance(t, a, b)
	kernel.SetThreads(3)
	if three := distance(t, a, b); !slices.Equal(one, three) {
		t.Errorf("distances are %v on one thread and %v on three", one, three)
	}
}

func TestPyramidOfConstantImage(t *testing.T) {
	s := Images{Size: 64, Channels: 2, Pixels: make([]float32, 64*64*2)}
	for i := range s.Pixels {
		s.Pixels[i] = 3
	}
	p := pyramid(s)
	if len(p) != 3 {
		t.Fatalf("%d levels, want 64, 32 and 16", len(p))
	}
	for l, level := range p {
		want := float32(0) // no details anywhere
		if l == 2 {
			want = 3
		}
		for i, v := range level.Pixels {
			if math.Abs(float64(v-want)) > 1e-5 {
				t.Fatalf("level of %d pixels has %v at %d, want %v", level.Size, v, i, want)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	good := pictures(3, 1)
	r, err := NewReference(good, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		images Images
		want   string
	}{
		{pictures(2, 1), "do not compare"},
		{Images{Size: 4, Channels: 3, Pixels: make([]float32, 48)}, "want at least 7×7"},
		{Images{Size: 32, Channels: 3, Pixels: make([]float32, 7)}, "not a whole number of images"},
	} {
		if _, err := r.Distance(c.images); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
	bad := noisy(good, 0)
	bad.Pixels[0] = float32(math.NaN())
	levels, err := r.Distance(bad)
	if err != nil || !math.IsNaN(Mean(levels)) {
		t.Errorf("images with NaN have the distance %v (%v), want NaN", levels, err)
	}
}
