package nn

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"swath/trainer/nn/kernel"
)

// convCase is one geometry, with the size of the grid that is the input.
type convCase struct {
	batch, height, width, in, out, kernel, stride, pad int
}

// convCases are the layers of the trainers' models, edge cases, and random ones.
func convCases() []convCase {
	cases := []convCase{
		{3, 8, 8, 3, 5, 4, 2, 1},  // a DCGAN layer
		{2, 4, 4, 17, 1, 4, 1, 0}, // the discriminator's last: one place for the kernel
		{1, 1, 1, 1, 1, 1, 1, 0},
		{2, 1, 1, 7, 3, 4, 1, 0}, // the generator's first, where transposed
		{2, 5, 3, 3, 4, 3, 1, 1},
		{2, 3, 4, 6, 2, 1, 1, 0}, // one pixel: a linear layer
		{1, 7, 6, 2, 33, 3, 2, 1},
		{130, 2, 2, 2, 3, 2, 2, 0}, // several row blocks
		{2, 6, 4, 16, 18, 4, 2, 1}, // by minimal filtering
	}
	r := NewRand(11)
	for len(cases) < 17 {
		c := convCase{1 + r.Intn(4), 1 + r.Intn(9), 1 + r.Intn(9), 1 + r.Intn(20), 1 + r.Intn(20), 1 + r.Intn(5), 1 + r.Intn(3), 0}
		c.pad = r.Intn(c.kernel)
		cases = append(cases, c)
	}
	return cases
}

func (c convCase) spec() ConvSpec {
	return ConvSpec{Out: c.out, Kernel: c.kernel, Stride: c.stride, Pad: c.pad}
}

// fits reports whether the kernel has a place in the input, or leaves pixels of the result.
func (c convCase) fits(transposed bool) bool {
	var err error
	if transposed {
		_, err = transposedWindow(c.batch, c.height, c.width, c.in, c.out, c.kernel, c.stride, c.pad)
	} else {
		_, err = convWindow(c.batch, c.height, c.width, c.in, c.out, c.kernel, c.stride, c.pad)
	}
	return err == nil
}

func TestConvGradient(t *testing.T) {
	// A slope near 1, because a step of a finite difference that crosses a kink is no error.
	activations := []Activation{{}, LeakyReLU(0.995), Tanh()}
	for i, c := range convCases() {
		for _, transposed := range []bool{false, true} {
			if !c.fits(transposed) {
				continue
			}
			t.Run(fmt.Sprintf("%+v/transposed=%v", c, transposed), func(t *testing.T) {
				checkGradients(t, uint64(i), func(n *Net) *gorgonia.Node {
					s := c.spec()
					s.Bias, s.Activation = i%2 == 0, activations[i%len(activations)]
					x := variable(n, "x", c.batch, c.height, c.width, c.in)
					if transposed {
						return n.ConvTranspose(x, "layer", s)
					}
					return n.Conv(x, "layer", s)
				})
			})
		}
	}
}

// TestConvByDefinition compares both layers with their definition, written out in
// float64: a convolution gathers, and a transposed one scatters.
func TestConvByDefinition(t *testing.T) {
	for i, c := range convCases() {
		for _, transposed := range []bool{false, true} {
			if !c.fits(transposed) {
				continue
			}
			p := NewParams(uint64(i))
			var shape []int
			got := run(t, p, nil, func(n *Net) *gorgonia.Node {
				x := variable(n, "x", c.batch, c.height, c.width, c.in)
				layer := n.Conv
				if transposed {
					layer = n.ConvTranspose
				}
				y := layer(x, "layer", c.spec())
				shape = y.Shape()
				return y
			})
			x, _ := p.Get("x", nil, c.batch, c.height, c.width, c.in)
			fineC, coarseC := c.in, c.out
			if transposed {
				fineC, coarseC = coarseC, fineC
			}
			w, err := p.Get("layer.weight", nil, c.kernel, c.kernel, fineC, coarseC)
			if err != nil {
				t.Fatal(err)
			}
			want := make([]float64, len(got))
			height, width := shape[1], shape[2]
			// Every pair of a coarse pixel and a tap touches one fine pixel.
			coarseH, coarseW, fineH, fineW := height, width, c.height, c.width
			if transposed {
				coarseH, coarseW, fineH, fineW = fineH, fineW, coarseH, coarseW
			}
			for b := range c.batch {
				for oy := range coarseH {
					for ox := range coarseW {
						for ky := range c.kernel {
							for kx := range c.kernel {
								iy, ix := oy*c.stride+ky-c.pad, ox*c.stride+kx-c.pad
								if iy < 0 || ix < 0 || iy >= fineH || ix >= fineW {
									continue
								}
								for ci := range c.in {
									for co := range c.out {
										coarse, fine := (b*coarseH+oy)*coarseW+ox, (b*fineH+iy)*fineW+ix
										tap := ky*c.kernel + kx
										if transposed {
											want[fine*c.out+co] += float64(x.Data()[coarse*c.in+ci]) * float64(w.Data()[(tap*c.out+co)*c.in+ci])
										} else {
											want[coarse*c.out+co] += float64(x.Data()[fine*c.in+ci]) * float64(w.Data()[(tap*c.in+ci)*c.out+co])
										}
									}
								}
							}
						}
					}
				}
			}
			for j, v := range got {
				if math.Abs(float64(v)-want[j]) > 1e-4*(1+math.Abs(want[j])) {
					t.Errorf("%+v transposed=%v: element %d is %v, want %v", c, transposed, j, v, want[j])
					break
				}
			}
		}
	}
}

// TestConvChunks checks that the columns of a large layer are made in several chunks
// and that their sums do not depend on the number of threads, bit for bit.
func TestConvChunks(t *testing.T) {
	before := kernel.Threads()
	defer kernel.SetThreads(before)
	build := func(n *Net) *gorgonia.Node {
		x := variable(n, "x", 19, 32, 32, 16)
		x = n.Conv(x, "conv", ConvSpec{Out: 24, Kernel: 4, Stride: 2, Pad: 1, Bias: true, Activation: LeakyReLU(0.2)})
		x = n.BatchNorm(x, "norm", BatchNormSpec{Activation: ReLU()})
		return n.ConvTranspose(x, "transposed", ConvSpec{Out: 5, Kernel: 4, Stride: 2, Pad: 1, Activation: Tanh()})
	}
	results := func(threads int) [][]float32 {
		kernel.SetThreads(threads)
		n := NewNet(NewParams(1), NewWorkspace(), &Clock{})
		y := build(n)
		targets := n.Input("targets", y.Shape()...)
		weights, err := n.Differentiate(n.BinaryCrossEntropy(y, targets, "loss"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := n.Machine()
		if err != nil {
			t.Fatal(err)
		}
		if err := Run(m); err != nil {
			t.Fatal(err)
		}
		out := [][]float32{slices.Clone(y.Value().Data().([]float32))}
		for _, w := range weights {
			g, err := w.Grad()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, slices.Clone(g.Data().([]float32)))
		}
		return out
	}
	w, err := convWindow(19, 32, 32, 16, 24, 4, 2, 1)
	if err != nil || w.chunk() >= w.batch {
		t.Fatalf("columns are made for %d of %d images at a time (%v): the test wants several chunks", w.chunk(), w.batch, err)
	}
	one := results(1)
	for _, threads := range []int{2, 5} {
		for i, r := range results(threads) {
			for j, v := range r {
				if math.Float32bits(v) != math.Float32bits(one[i][j]) {
					t.Fatalf("with %d threads, element %d of result %d is %v, but %v with one", threads, j, i, v, one[i][j])
				}
			}
		}
	}
}

// TestFrozenAndReused trains through a frozen layer: its weights get no gradient, the
// layer below does, and a net that reuses results computes the same.
func TestFrozenAndReused(t *testing.T) {
	params, space, clock := NewParams(3), NewWorkspace(), &Clock{}
	spec := ConvSpec{Out: 3, Kernel: 3, Stride: 1, Pad: 1}
	define := func(n *Net, reuse, frozen bool) (below, top *gorgonia.Node) {
		x := n.Input("x", 2, 4, 4, 2)
		Normal(1)(x.Value().Data().([]float32), NewRand(1))
		s := spec
		s.Reuse = reuse
		below = n.BatchNorm(n.Conv(x, "below", s), "norm", BatchNormSpec{Reuse: reuse})
		s = spec
		s.Frozen = frozen
		return below, n.BatchNorm(n.Conv(below, "top", s), "topnorm", BatchNormSpec{Frozen: frozen})
	}
	first := NewNet(params, space, clock)
	_, top := define(first, false, false)
	want := runNet(t, first, top)
	mean, _ := params.Get("norm.mean", nil, 3)
	running := slices.Clone(mean.Data())

	second := NewNet(params, space, clock)
	_, top = define(second, true, true)
	weights, err := second.Differentiate(second.BinaryCrossEntropy(top, second.Input("targets", 2, 4, 4, 3), "loss"))
	if err != nil {
		t.Fatal(err)
	}
	got := runNet(t, second, top)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("with reuse the result is %v, want %v", got[:4], want[:4])
	}
	if fmt.Sprint(mean.Data()) != fmt.Sprint(running) {
		t.Error("a reused batch norm moves the running statistics a second time")
	}
	var names []string
	for _, w := range weights {
		names = append(names, w.Name())
		g, err := w.Grad()
		if err != nil {
			t.Fatal(err)
		}
		if sumSquares(g.Data().([]float32)) == 0 {
			t.Errorf("the gradient of %s is zero", w.Name())
		}
	}
	if got := strings.Join(names, " "); got != "below.weight norm.gamma norm.beta" {
		t.Errorf("gradients are computed for %s", got)
	}
}

// runNet runs a net once and returns a copy of a node's value.
func runNet(t *testing.T, n *Net, y *gorgonia.Node) []float32 {
	t.Helper()
	m, err := n.Machine()
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(m); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(y.Value().Data().([]float32))
}

func TestConvErrors(t *testing.T) {
	for _, c := range []struct {
		build func(n *Net) *gorgonia.Node
		want  string
	}{
		{func(n *Net) *gorgonia.Node { return n.Conv(variable(n, "x", 4, 3), "c", ConvSpec{}) }, "input has shape (4, 3), want batch × height × width × channels"},
		{func(n *Net) *gorgonia.Node {
			return n.Conv(variable(n, "x", 1, 2, 2, 1), "c", ConvSpec{Out: 1, Kernel: 4, Stride: 1})
		}, "a kernel of 4×4 does not fit images of 2×2"},
		{func(n *Net) *gorgonia.Node {
			return n.Conv(variable(n, "x", 1, 2, 2, 1), "c", ConvSpec{Out: 1, Kernel: 2, Stride: 0})
		}, "kernel 2, stride 0 and padding 0 do not go together"},
		{func(n *Net) *gorgonia.Node {
			return n.ConvTranspose(variable(n, "x", 1, 1, 1, 1), "c", ConvSpec{Out: 1, Kernel: 2, Stride: 1, Pad: 1})
		}, "have no pixels left"},
		{func(n *Net) *gorgonia.Node {
			return n.Conv(variable(n, "x", 1, 2, 2, 1), "c", ConvSpec{Kernel: 2, Stride: 2})
		}, "1 and 0 channels, want at least 1 each"},
		{func(n *Net) *gorgonia.Node { return n.Activate(variable(n, "x", 2), "a", LeakyReLU(-1)) }, "slope -1 of a leaky ReLU is not in [0, 1]"},
	} {
		n := NewNet(NewParams(1), NewWorkspace(), &Clock{})
		if node := c.build(n); node != nil || n.Err() == nil || !strings.Contains(n.Err().Error(), c.want) {
			t.Errorf("error %v, want %q", n.Err(), c.want)
		}
	}
}
