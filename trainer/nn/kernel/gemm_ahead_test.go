//go:build amd64

package kernel

import (
	"testing"
	"unsafe"
)

// TestAheadCoversItsRegions: the pieces together touch every cache line of the regions, where calls and rounds suffice, and
// start inside them.
func TestAheadCoversItsRegions(t *testing.T) {
	const rounds = 16
	x := getScratch(4096)
	defer x.put()
	for _, c := range []struct {
		calls   int
		regions []region
	}{
		{10, []region{{x.x, 32, 32, 40}}},
		{60, []region{{x.x, 32, 20, 40}, {x.x[2048:], 64, 64, 16}}},
		{1000, []region{{x.x, 16, 16, 3}}},
		{3, nil},
	} {
		a := aheadOf(c.calls, c.regions...)
		touched := map[int]bool{}
		for range c.calls {
			p, stride := a.piece(rounds, &x.x[4095])
			if stride == 0 {
				continue
			}
			at := int(uintptr(unsafe.Pointer(p))-uintptr(unsafe.Pointer(&x.x[0]))) / 4
			for i := range rounds {
				touched[(4*at+i*stride)/64] = true
			}
		}
		for _, r := range c.regions {
			first := int(uintptr(unsafe.Pointer(&r.x[0]))-uintptr(unsafe.Pointer(&x.x[0]))) / 4
			for i := range r.rows {
				for j := range r.row {
					if line := (first + i*r.ld + j) / 16; !touched[line] {
						t.Fatalf("%d calls, row %d, element %d: cache line %d is not fetched", c.calls, i, j, line)
					}
				}
			}
		}
		if p, stride := a.piece(rounds, &x.x[4095]); stride != 0 || p != &x.x[4095] {
			t.Errorf("%d calls: something is left", c.calls)
		}
	}
}
