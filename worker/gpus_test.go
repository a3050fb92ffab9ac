package worker

import (
	"strings"
	"testing"
)

func TestGPUsAreTakenWholeAndInShares(t *testing.T) {
	g := newGPUs(3, "")
	var all [][]share
	for _, c := range []struct {
		need float64
		want string
		fits bool
	}{
		{0.5, "0", true},
		{1, "1", true},
		{0.4, "0", true},  // the fullest that has room
		{0.3, "2", true},  // 0 has only a tenth left
		{0.7, "2", true},  // exactly what is left
		{0.05, "0", true}, // ditto
		{1, "0", false},   // nothing has room: the emptiest
		{0, "", true},
	} {
		taken, fits := g.take(c.need)
		all = append(all, taken)
		if got := visible(g, taken); got != c.want || fits != c.fits {
			t.Errorf("%g GPUs: got devices %q, fits %t; want %q, %t", c.need, got, fits, c.want, c.fits)
		}
	}
	for _, taken := range all {
		g.give(taken)
	}
	if taken, fits := g.take(2.5); !fits || visible(g, taken) != "0,1,2" {
		t.Errorf("after all was given back, 2.5 GPUs: got %q, fits %t", visible(g, taken), fits)
	}
	if taken, fits := g.take(9); fits || len(taken) != 3 {
		t.Errorf("9 of 3 GPUs: got %d devices, fits %t", len(taken), fits)
	}
}

func TestGPUsKeepTheirNames(t *testing.T) {
	g := newGPUs(1.5, "GPU-a, 7")
	taken, fits := g.take(1.5)
	if !fits || visible(g, taken) != "GPU-a,7" {
		t.Errorf("got %q, fits %t", visible(g, taken), fits)
	}
	if env := newGPUs(0, "3").env(nil); env != nil {
		t.Errorf("a worker without GPUs sets %q", env)
	}
}

// visible returns what CUDA_VISIBLE_DEVICES is set to.
func visible(g *gpus, taken []share) string {
	for _, v := range g.env(taken) {
		if list, ok := strings.CutPrefix(v, "CUDA_VISIBLE_DEVICES="); ok {
			return list
		}
	}
	return "unset"
}
