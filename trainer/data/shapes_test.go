package data

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"
)

func openShapesFor(t *testing.T, opts Options) *Dataset {
	t.Helper()
	d, err := Open(context.Background(), "shapes", "", opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The pictures are part of the contract: results of two machines or releases are compared.
func TestShapesGolden(t *testing.T) {
	for size, want := range map[int]string{
		32: "e1711729f006e35c5e475777950b5458f33758d14285f5f16f4d91a29e7da387",
		16: "3dd750013413a76402fdd2d772ec2ee25050d26399f7df57e5858cf39bd2622a",
	} {
		d := openShapesFor(t, Options{Train: 200, Test: 50, Size: size, Seed: 1})
		h := sha256.New()
		h.Write(d.Train.Images)
		h.Write(d.Test.Images)
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("size %d: sha256 %s, want %s", size, got, want)
		}
	}
}

func TestShapesForm(t *testing.T) {
	d := openShapesFor(t, Options{Train: 105, Test: 33})
	if d.Channels != 3 || d.Height != 32 || d.Width != 32 || len(d.Classes) != 10 || d.Train.Len() != 105 || d.Test.Len() != 33 {
		t.Errorf("%d x %d x %d, %d classes, %d + %d images", d.Channels, d.Height, d.Width, len(d.Classes), d.Train.Len(), d.Test.Len())
	}
	if err := d.check(); err != nil {
		t.Error(err)
	}
	// A longer set begins with a shorter one; another seed, and the other split, shows other pictures.
	longer := openShapesFor(t, Options{Train: 200, Test: 33})
	if !slices.Equal(longer.Train.Images[:len(d.Train.Images)], d.Train.Images) {
		t.Error("the longer set does not begin with the shorter one")
	}
	if other := openShapesFor(t, Options{Train: 105, Test: 33, Seed: 1}); slices.Equal(other.Train.Images, d.Train.Images) {
		t.Error("another seed gives the same pictures")
	}
	if slices.Equal(d.Image(d.Train, 0), d.Image(d.Test, 0)) {
		t.Error("training and test begin with the same picture")
	}
}

func TestShapesRefuse(t *testing.T) {
	for want, opts := range map[string]Options{
		"use 8 to 512":         {Size: 4},
		"must not be negative": {Train: -1},
		"GiB of memory":        {Train: 1 << 30, Size: 512},
	} {
		if _, err := Open(context.Background(), "shapes", "", opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", opts, err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Open(ctx, "shapes", "", Options{}); err == nil {
		t.Error("a cancelled open succeeds")
	}
}

// Every figure has area 1 and stays within its reach, else colour statistics or the border would tell.
func TestFiguresHaveEqualAreas(t *testing.T) {
	const n = 800 // samples a unit
	for _, f := range figures {
		inside, reach := 0, 0.0
		for i := -n; i < n; i++ {
			for j := -n; j < n; j++ {
				x, y := (float64(i)+0.5)/n, (float64(j)+0.5)/n
				if f.inside(x, y) {
					inside++
					reach = max(reach, math.Hypot(x, y))
				}
			}
		}
		if area := float64(inside) / (n * n); math.Abs(area-1) > 0.005 {
			t.Errorf("%s has area %.4f, want 1", f.name, area)
		}
		if reach > figureReach {
			t.Errorf("%s reaches %.4f, more than %.2f", f.name, reach, figureReach)
		}
	}
}

// Nothing but geometry tells the classes apart: a classifier that sees only colour statistics stays near chance.
func TestShapesColoursTellNothing(t *testing.T) {
	for _, size := range []int{32, 16} {
		d := openShapesFor(t, Options{Train: 3000, Test: 2000, Size: size, Seed: 3})
		for name, feature := range map[string]func(plane []uint8) []float64{
			"mean and standard deviation": func(p []uint8) []float64 {
				var s, q float64
				for _, v := range p {
					s += float64(v)
					q += float64(v) * float64(v)
				}
				m := s / float64(len(p))
				return []float64{m, math.Sqrt(q/float64(len(p)) - m*m)}
			},
			"histogram": func(p []uint8) []float64 {
				h := make([]float64, 8)
				for _, v := range p {
					h[v/32]++
				}
				return h
			},
			"sorted histogram": func(p []uint8) []float64 { // blind to which colours, not to how many
				h := make([]float64, 16)
				for _, v := range p {
					h[v/16]++
				}
				slices.Sort(h)
				return h
			},
		} {
			if got := nearestMeanAccuracy(d, feature); got > 0.15 {
				t.Errorf("size %d: the nearest class mean of %s is right in %.3f of the cases, chance is 0.1", size, name, got)
			}
		}
	}
}

// nearestMeanAccuracy trains a nearest-class-mean classifier on a feature of each channel, scaled to variance 1.
func nearestMeanAccuracy(d *Dataset, feature func(plane []uint8) []float64) float64 {
	features := func(s Split) [][]float64 {
		out := make([][]float64, s.Len())
		plane := d.Height * d.Width
		for i := range out {
			for c := range d.Channels {
				out[i] = append(out[i], feature(d.Image(s, i)[c*plane:(c+1)*plane])...)
			}
		}
		return out
	}
	train, test := features(d.Train), features(d.Test)
	width := len(train[0])
	means, counts := make([][]float64, len(d.Classes)), make([]float64, len(d.Classes))
	for c := range means {
		means[c] = make([]float64, width)
	}
	sum, square := make([]float64, width), make([]float64, width)
	for i, f := range train {
		c := d.Train.Labels[i]
		counts[c]++
		for k, v := range f {
			means[c][k] += v
			sum[k] += v
			square[k] += v * v
		}
	}
	n := float64(len(train))
	right := 0
	for i, f := range test {
		best, least := -1, math.Inf(1)
		for c := range means {
			dist := 0.0
			for k, v := range f {
				variance := square[k]/n - sum[k]/n*sum[k]/n
				diff := v - means[c][k]/counts[c]
				dist += diff * diff / max(variance, 1e-9)
			}
			if dist < least {
				best, least = c, dist
			}
		}
		if best == d.Test.Labels[i] {
			right++
		}
	}
	return float64(right) / float64(len(test))
}
