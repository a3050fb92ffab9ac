package boltstore

import (
	"math"
	"math/rand/v2"
	"testing"
)

// valueKinds are series of values and how many bytes a value of each may take.
func valueKinds() map[string]struct {
	values []float64
	bytes  float64
} {
	r := rand.New(rand.NewPCG(21, 22))
	series := func(f func(i int) float64) []float64 {
		v := make([]float64, fullBlock)
		for i := range v {
			v[i] = f(i)
		}
		return v
	}
	loss := func(i int) float64 { return (2*math.Exp(-float64(i)/300) + 0.3) * (1 + 0.1*r.NormFloat64()) }
	return map[string]struct {
		values []float64
		bytes  float64
	}{
		"constant":       {series(func(int) float64 { return 0.001 }), 0.1},
		"epochs":         {series(func(i int) float64 { return float64(i) }), 0.1},
		"four decimals":  {series(func(i int) float64 { return math.Round(loss(i)*1e4) / 1e4 }), 1.7},
		"was float32":    {series(func(i int) float64 { return float64(float32(loss(i))) }), 3.2},
		"float64":        {series(loss), 7},
		"float32 to NaN": {series(func(i int) float64 { return diverging(i, float64(float32(loss(i)))) }), 3.4},
		"decimal to NaN": {series(func(i int) float64 { return diverging(i, math.Round(loss(i)*1e4)/1e4) }), 2},
		"NaN":            {series(func(int) float64 { return math.NaN() }), 0.1},
		"any bits":       {series(func(int) float64 { return math.Float64frombits(r.Uint64()) }), 8.5},
		"signs":          {series(func(i int) float64 { return math.Copysign(float64(i%3), float64(i%2)-0.5) }), 2},
	}
}

// diverging is a series that is not a number now and then.
func diverging(i int, v float64) float64 {
	if i%100 == 99 {
		return math.NaN()
	}
	return v
}

func TestBlockRoundTripAndSize(t *testing.T) {
	for name, kind := range valueKinds() {
		for _, n := range []int{0, 1, 2, 31, 33, smallBlock, len(kind.values)} {
			points := make([]point, n)
			for i := range points {
				points[i] = point{step: int64(i), ms: 1_700_000_000_000 + int64(i)*1000, value: kind.values[i]}
			}
			b := new(blockEncoder).append(nil, points)
			got, err := decodeBlock([]point{{step: -1}}, b)
			if err != nil || len(got) != n+1 || got[0].step != -1 {
				t.Errorf("%s: %d points came back as %d, error %v", name, n, len(got)-1, err)
				continue
			}
			for i, p := range got[1:] {
				if p.step != points[i].step || p.ms != points[i].ms || math.Float64bits(p.value) != math.Float64bits(points[i].value) {
					t.Errorf("%s: point %d of %d: %+v came back as %+v", name, i, n, points[i], p)
					break
				}
			}
			if n == fullBlock {
				if size := float64(len(b)) / float64(n); size > kind.bytes {
					t.Errorf("%s takes %.2f bytes a point, want at most %.2f", name, size, kind.bytes)
				}
			}
		}
	}
}

func TestDecodeBlockRefusesTooManyPoints(t *testing.T) {
	// A counter takes a few bytes, however many points it claims to have.
	points := make([]point, maxBlock+1)
	for i := range points {
		points[i].step = int64(i)
	}
	if _, err := decodeBlock(nil, new(blockEncoder).append(nil, points[:maxBlock])); err != nil {
		t.Errorf("%d points: %v", maxBlock, err)
	}
	if got, err := decodeBlock(nil, new(blockEncoder).append(nil, points)); err == nil {
		t.Errorf("%d points were decoded, want an error", len(got))
	}
}

func FuzzDecodeBlock(f *testing.F) {
	for _, kind := range valueKinds() {
		points := make([]point, 40)
		for i := range points {
			points[i] = point{step: int64(i * i), ms: int64(i) * 17, value: kind.values[i]}
		}
		f.Add(new(blockEncoder).append(nil, points))
	}
	f.Add([]byte{})
	f.Add([]byte{blockVersion, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		points, err := decodeBlock(nil, b)
		if err != nil {
			return
		}
		got, err := decodeBlock(nil, new(blockEncoder).append(nil, points))
		if err != nil || len(got) != len(points) {
			t.Fatalf("%d points came back as %d, error %v", len(points), len(got), err)
		}
		for i, p := range points {
			if g := got[i]; g.step != p.step || g.ms != p.ms || math.Float64bits(g.value) != math.Float64bits(p.value) {
				t.Fatalf("point %d: %+v came back as %+v", i, p, g)
			}
		}
	})
}

func FuzzDecodeSeries(f *testing.F) {
	s := &series{name: "loss"}
	if err := s.add(&blockEncoder{}, make([]point, 300), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(s.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSeries(b)
		if err != nil {
			return
		}
		blocks, err := splitBlocks(s.tail)
		if err != nil {
			return
		}
		points, err := decodeBlocks(blocks)
		if err != nil {
			return
		}
		// What can be read can be appended to.
		total := 0
		err = s.add(&blockEncoder{}, make([]point, 10), func(_ uint32, block []byte) error {
			n, err := blockLen(block)
			total += n
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if blocks, err = splitBlocks(s.tail); err != nil {
			t.Fatal(err)
		}
		tail, err := decodeBlocks(blocks)
		if err != nil {
			t.Fatal(err)
		}
		if total += len(tail); total != len(points)+10 {
			t.Fatalf("%d points and 10 more make %d", len(points), total)
		}
	})
}
