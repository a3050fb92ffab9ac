package nn

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
)

func TestBatchNormGradient(t *testing.T) {
	for i, s := range [][]int{{2, 1}, {5, 3}, {3, 4, 4, 7}, {1, 5, 3, 17}, {70, 2, 2, 33}} {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			checkGradients(t, uint64(i), func(n *Net) *gorgonia.Node {
				return n.BatchNorm(variable(n, "x", s...), "norm", BatchNormSpec{Activation: LeakyReLU(0.95), Gamma: Normal(1)})
			})
		})
	}
}

// TestBatchNormByDefinition compares result and running statistics with the formulas in float64.
func TestBatchNormByDefinition(t *testing.T) {
	const rows, channels = 150, 3
	p := NewParams(2)
	build := func(n *Net) *gorgonia.Node {
		x := n.weight("x", func(w []float32, r *Rand) {
			for i := range w {
				w[i] = 1000*float32(i%channels) + float32(r.Normal())
			}
		}, rows, channels)
		return n.BatchNorm(x, "norm", BatchNormSpec{Activation: LeakyReLU(0.2)})
	}
	got := run(t, p, &Clock{}, build)
	x, _ := p.Get("x", nil, rows, channels)
	running, _ := p.Get("norm.mean", nil, channels)
	spread, _ := p.Get("norm.variance", nil, channels)
	for c := range channels {
		mean, variance := 0.0, 0.0
		for r := range rows {
			mean += float64(x.Data()[r*channels+c]) / rows
		}
		for r := range rows {
			variance += math.Pow(float64(x.Data()[r*channels+c])-mean, 2) / rows
		}
		for r := range rows {
			want := (float64(x.Data()[r*channels+c]) - mean) / math.Sqrt(variance+1e-5)
			if want < 0 {
				want *= 0.2
			}
			if v := got[r*channels+c]; math.Abs(float64(v)-want) > 2e-4 {
				t.Fatalf("row %d, channel %d is %v, want %v", r, c, v, want)
			}
		}
		if want := 0.1 * mean; math.Abs(float64(running.Data()[c])-want) > 1e-3 {
			t.Errorf("the running mean of channel %d is %v, want %v", c, running.Data()[c], want)
		}
		if want := 0.9 + 0.1*variance*rows/(rows-1); math.Abs(float64(spread.Data()[c])-want) > 1e-3 {
			t.Errorf("the running variance of channel %d is %v, want %v", c, spread.Data()[c], want)
		}
	}
	// Evaluation normalises by what has been gathered, and gathers nothing.
	before := slices.Clone(running.Data())
	got = run(t, p, nil, build)
	want := (float64(x.Data()[1]) - float64(running.Data()[1])) / math.Sqrt(float64(spread.Data()[1])+1e-5)
	if math.Abs(float64(got[1])-want) > 1e-3*math.Abs(want) {
		t.Errorf("evaluation gives %v, want %v", got[1], want)
	}
	if fmt.Sprint(before) != fmt.Sprint(running.Data()) {
		t.Error("evaluation changes the running statistics")
	}
}

func TestAdaINGradient(t *testing.T) {
	for i, s := range [][]int{{1, 2, 1, 1}, {1, 3, 3, 5}, {3, 4, 5, 2}, {2, 12, 9, 17}} {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			checkGradients(t, uint64(i), func(n *Net) *gorgonia.Node {
				return n.AdaIN(variable(n, "x", s...), variable(n, "style", s[0], 2*s[3]), "adain")
			})
		})
	}
}

// TestAdaINSetsMomentsOfImages checks equation 1 of StyleGAN: whatever comes in, each
// channel of each image goes out with its style's mean and standard deviation.
func TestAdaINSetsMomentsOfImages(t *testing.T) {
	const batch, size, channels = 2, 9, 3
	p := NewParams(4)
	y := run(t, p, nil, func(n *Net) *gorgonia.Node {
		return n.AdaIN(variable(n, "x", batch, size, size, channels), variable(n, "style", batch, 2*channels), "adain")
	})
	style, _ := p.Get("style", nil, batch, 2*channels)
	for b := range batch {
		for c := range channels {
			mean, square := 0.0, 0.0
			for i := range size * size {
				v := float64(y[(b*size*size+i)*channels+c])
				mean += v / (size * size)
				square += v * v / (size * size)
			}
			scale, shift := 1+float64(style.Data()[2*b*channels+c]), float64(style.Data()[(2*b+1)*channels+c])
			if math.Abs(mean-shift) > 1e-5 || math.Abs(math.Sqrt(square-mean*mean)-math.Abs(scale)) > 1e-5 {
				t.Errorf("image %d, channel %d has mean %v, want %v, and deviation %v, want |%v|", b, c, mean, shift, math.Sqrt(square-mean*mean), scale)
			}
		}
	}
}

func TestNoiseGradient(t *testing.T) {
	for i, s := range [][]int{{1, 1, 1, 1}, {2, 3, 5, 7}, {5, 4, 4, 20}} {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			checkGradients(t, uint64(i), func(n *Net) *gorgonia.Node {
				return n.Noise(variable(n, "x", s...), "noise", LeakyReLU(0.995))
			})
		})
	}
}

func TestNoiseIsDrawnForEachStepAndPixel(t *testing.T) {
	const batch, size, channels = 4, 16, 2
	p := NewParams(1)
	draw := func(clock *Clock) []float32 {
		return run(t, p, clock, func(n *Net) *gorgonia.Node {
			x := n.Noise(n.Input("x", batch, size, size, channels), "noise", Activation{})
			w, _ := p.Get("noise.strength", nil, channels)
			copy(w.Data(), []float32{1, 2})
			return x
		})
	}
	first, second := draw(&Clock{Seed: 3, Step: 1}), draw(&Clock{Seed: 3, Step: 2})
	sum, square := 0.0, 0.0
	for i := 0; i < len(first); i += channels {
		if first[i+1] != 2*first[i] {
			t.Fatalf("pixel %d has noise %v and %v, want the second twice the first", i/channels, first[i], first[i+1])
		}
		if first[i] == second[i] {
			t.Fatalf("pixel %d has the same noise in two steps", i/channels)
		}
		sum += float64(first[i])
		square += float64(first[i]) * float64(first[i])
	}
	pixels := float64(batch * size * size)
	if math.Abs(sum/pixels) > 0.13 || math.Abs(square/pixels-1) > 0.18 { // 4 standard deviations
		t.Errorf("the noise has mean %v and mean square %v, want 0 and 1", sum/pixels, square/pixels)
	}
	if again := draw(&Clock{Seed: 3, Step: 1}); fmt.Sprint(again) != fmt.Sprint(first) {
		t.Error("the noise of a step is not reproducible")
	}
	fixed, image := draw(nil), size*size*channels
	if fmt.Sprint(fixed[:image]) != fmt.Sprint(fixed[image:2*image]) {
		t.Error("in evaluation, two images of a batch have different noise")
	}
}

func TestUpsampleGradient(t *testing.T) {
	for i, s := range [][]int{{1, 1, 1, 1}, {2, 1, 3, 5}, {3, 4, 4, 17}, {1, 5, 2, 3}} {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			checkGradients(t, uint64(i), func(n *Net) *gorgonia.Node { return n.Upsample(variable(n, "x", s...), "up") })
		})
	}
}

func TestUpsampleInterpolates(t *testing.T) {
	y := run(t, NewParams(1), nil, func(n *Net) *gorgonia.Node {
		x := n.Input("x", 1, 1, 3, 1)
		copy(x.Value().Data().([]float32), []float32{0, 4, 8})
		return n.Upsample(x, "up")
	})
	// PyTorch: interpolate([[0, 4, 8]], scale_factor=2, mode="bilinear").
	want := []float32{0, 1, 3, 5, 7, 8, 0, 1, 3, 5, 7, 8}
	if fmt.Sprint(y) != fmt.Sprint(want) {
		t.Errorf("interpolation gives %v, want %v", y, want)
	}
}

func TestConstantGradient(t *testing.T) {
	checkGradients(t, 1, func(n *Net) *gorgonia.Node { return n.Constant("input", 1, 1, 1) })
	checkGradients(t, 2, func(n *Net) *gorgonia.Node { return n.Constant("input", 5, 4, 7) })
}

func TestPixelNormGradient(t *testing.T) {
	for i, s := range [][2]int{{1, 2}, {7, 33}} {
		checkGradients(t, uint64(i), func(n *Net) *gorgonia.Node { return n.PixelNorm(variable(n, "z", s[0], s[1]), "norm") })
	}
	y := run(t, NewParams(1), nil, func(n *Net) *gorgonia.Node { return n.PixelNorm(variable(n, "z", 1, 50), "norm") })
	if s := sumSquares(y); math.Abs(s-50) > 1e-3 {
		t.Errorf("the mean square of a normalised row is %v, want 1", s/50)
	}
}

func TestActivationGradient(t *testing.T) {
	for i, a := range []Activation{{}, LeakyReLU(0.95), Tanh()} {
		checkGradients(t, uint64(i), func(n *Net) *gorgonia.Node { return n.Activate(variable(n, "x", 5, 7, 3), "act", a) })
	}
}

// TestActivationAtKinks pins values and derivatives where differences cannot tell.
func TestActivationAtKinks(t *testing.T) {
	negativeZero := float32(math.Copysign(0, -1))
	for _, c := range []struct {
		a    Activation
		x    []float32
		y    []float32
		grad []float32
	}{
		{LeakyReLU(0.2), []float32{-2, 0, negativeZero, 3}, []float32{-0.4, 0, 0, 3}, []float32{0.2, 0.2, 0.2, 1}},
		{ReLU(), []float32{-2, 0, negativeZero, 3}, []float32{0, 0, 0, 3}, []float32{0, 0, 0, 1}},
		{Activation{}, []float32{-2, 0, negativeZero, 3}, []float32{-2, 0, 0, 3}, []float32{1, 1, 1, 1}},
	} {
		y, grad := slices.Clone(c.x), []float32{1, 1, 1, 1}
		c.a.apply(y)
		c.a.grad(grad, grad, y)
		for i := range y {
			if y[i] != c.y[i] || grad[i] != c.grad[i] {
				t.Errorf("%+v at %v is %v with slope %v, want %v with slope %v", c.a, c.x[i], y[i], grad[i], c.y[i], c.grad[i])
			}
		}
		nan := []float32{float32(math.NaN())}
		if c.a.apply(nan); nan[0] == nan[0] {
			t.Errorf("%+v hides NaN", c.a)
		}
	}
}

func TestBinaryCrossEntropyGradient(t *testing.T) {
	for i, s := range [][]int{{1, 1, 1, 1}, {30, 1, 1, 1}, {7}} {
		checkGradients(t, uint64(i), func(n *Net) *gorgonia.Node {
			targets := n.Input("targets", s...)
			r := NewRand(4)
			for j := range targets.Value().Data().([]float32) {
				targets.Value().Data().([]float32)[j] = float32(r.Uniform())
			}
			return n.BinaryCrossEntropy(variable(n, "logits", s...), targets, "loss")
		})
	}
}

func TestBinaryCrossEntropyValue(t *testing.T) {
	n := NewNet(NewParams(1), NewWorkspace(), nil)
	logits, targets := n.Input("logits", 4), n.Input("targets", 4)
	copy(logits.Value().Data().([]float32), []float32{0, 1000, -1000, 2})
	copy(targets.Value().Data().([]float32), []float32{1, 1, 1, 0})
	loss := n.BinaryCrossEntropy(logits, targets, "loss")
	m, err := n.Machine()
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(m); err != nil {
		t.Fatal(err)
	}
	got, err := Scalar(loss)
	if want := (math.Log(2) + 0 + 1000 + 2 + math.Log1p(math.Exp(-2))) / 4; err != nil || math.Abs(got-want) > 1e-4 {
		t.Errorf("loss is %v (%v), want %v", got, err, want)
	}
}

// TestDeepGradient differentiates a small generator and discriminator in one graph.
func TestDeepGradient(t *testing.T) {
	checkGradients(t, 6, func(n *Net) *gorgonia.Node {
		style := n.Linear(n.PixelNorm(variable(n, "z", 3, 6), "z"), "style", 10)
		x := n.AdaIN(n.Noise(variable(n, "x", 3, 4, 4, 5), "noise", LeakyReLU(0.995)), style, "adain")
		x = n.Conv(n.Upsample(x, "up"), "conv", ConvSpec{Out: 4, Kernel: 3, Stride: 1, Pad: 1})
		x = n.BatchNorm(x, "norm", BatchNormSpec{Activation: LeakyReLU(0.995)})
		x = n.ConvTranspose(x, "image", ConvSpec{Out: 3, Kernel: 4, Stride: 2, Pad: 1, Activation: Tanh()})
		return n.Conv(x, "judge", ConvSpec{Out: 2, Kernel: 4, Stride: 2, Pad: 1, Activation: LeakyReLU(0.995)})
	})
}

func TestGANBuildingErrors(t *testing.T) {
	for _, c := range []struct {
		build func(n *Net) *gorgonia.Node
		want  string
	}{
		{func(n *Net) *gorgonia.Node {
			return n.BatchNorm(variable(n, "x", 2, 3), "b", BatchNormSpec{Activation: Tanh()})
		}, "only a ReLU or a leaky ReLU can follow"},
		{func(n *Net) *gorgonia.Node { return n.BatchNorm(variable(n, "x", 2), "b", BatchNormSpec{}) }, "want channels as the last of several dimensions"},
		{func(n *Net) *gorgonia.Node {
			return n.AdaIN(variable(n, "x", 1, 2, 2, 3), variable(n, "s", 1, 3), "a")
		}, "style has shape (1, 3), want (1, 6)"},
		{func(n *Net) *gorgonia.Node { return n.Noise(variable(n, "x", 2, 3), "n", Activation{}) }, "want batch × height × width × channels"},
		{func(n *Net) *gorgonia.Node { return n.Upsample(variable(n, "x", 2, 3), "u") }, "want batch × height × width × channels"},
		{func(n *Net) *gorgonia.Node {
			return n.BinaryCrossEntropy(variable(n, "x", 2, 3), n.Input("t", 2), "l")
		}, "2 targets for 6 logits"},
	} {
		n := NewNet(NewParams(1), NewWorkspace(), &Clock{})
		if node := c.build(n); node != nil || n.Err() == nil || !strings.Contains(n.Err().Error(), c.want) {
			t.Errorf("error %v, want %q", n.Err(), c.want)
		}
	}
	n := NewNet(NewParams(1), NewWorkspace(), nil)
	y := n.BatchNorm(variable(n, "x", 2, 3), "b", BatchNormSpec{})
	if _, err := n.Differentiate(n.BinaryCrossEntropy(y, n.Input("t", 2, 3), "loss")); err == nil || !strings.Contains(err.Error(), "the net is for evaluation") {
		t.Errorf("differentiating a batch norm in evaluation gives %v", err)
	}
}
