package boltstore

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// columns are integers of the kinds that series have, and of kinds that they should
// not have.
func columns() map[string][]int64 {
	r := rand.New(rand.NewPCG(11, 12))
	make1000 := func(f func(i int64) int64) []int64 {
		v := make([]int64, 1000)
		for i := range v {
			v[i] = f(int64(i))
		}
		return v
	}
	return map[string][]int64{
		"none":     {},
		"one":      {-42},
		"two":      {5, 7},
		"extremes": {math.MinInt64, math.MaxInt64, 0, -1, math.MaxInt64, math.MinInt64, 1},
		"constant": make1000(func(int64) int64 { return 123456789 }),
		"counter":  make1000(func(i int64) int64 { return 10 * i }),
		"clock":    make1000(func(i int64) int64 { return 1_700_000_000_000 + 50*i + r.Int64N(7) }),
		"pauses":   make1000(func(i int64) int64 { return 50*i + i/100*3_600_000 }),
		"noise":    make1000(func(int64) int64 { return int64(r.NormFloat64() * 1000) }),
		"random":   make1000(func(int64) int64 { return int64(r.Uint64()) }),
		"halves":   make1000(func(i int64) int64 { return i % 2 * math.MinInt64 }),
	}
}

func TestColumnRoundTrip(t *testing.T) {
	var c column
	for name, v := range columns() {
		t.Run(name, func(t *testing.T) {
			// Something before and behind must not matter.
			b := append(c.append([]byte{0xaa}, v), 0xbb)
			d := &decoder{b: b[1:]}
			got := d.readInts(nil, len(v))
			if d.err != nil || !slices.Equal(got, v) {
				t.Fatalf("read %v, error %v", got, d.err)
			}
			if len(d.b) != 1 || d.b[0] != 0xbb {
				t.Errorf("left over: %x", d.b)
			}
			for cut := 1; cut < len(b)-1; cut += 1 + cut/50 {
				d := &decoder{b: b[1:cut]}
				if d.readInts(nil, len(v)); d.err == nil {
					t.Fatalf("no error for the first %d of %d bytes", cut-1, len(b)-2)
				}
			}
		})
	}
}

func TestColumnSize(t *testing.T) {
	var c column
	for name, most := range map[string]int{
		"constant": 10, "counter": 10,
		"clock":  1000 * 5 / 8, // noise of 0..6 twice over takes 3.5 bits
		"pauses": 1000 * 2 / 8, // 9 of 1000 stand out
		"random": 1000*8 + 300,
	} {
		if n := len(c.append(nil, columns()[name])); n > most {
			t.Errorf("%s takes %d bytes, want at most %d", name, n, most)
		}
	}
}

func FuzzColumn(f *testing.F) {
	var c column
	for _, v := range columns() {
		f.Add(c.append(nil, v), uint16(len(v)))
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint16) {
		d := &decoder{b: b}
		v := d.readInts(nil, int(n))
		if d.err != nil {
			return
		}
		if len(v) != int(n) {
			t.Fatalf("%d integers, want %d", len(v), n)
		}
		again := &decoder{b: new(column).append(nil, v)}
		if got := again.readInts(nil, int(n)); again.end() != nil || !slices.Equal(got, v) {
			t.Fatalf("%v came back as %v, error %v", v, got, again.err)
		}
	})
}
