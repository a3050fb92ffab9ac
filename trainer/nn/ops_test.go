package nn

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
)

func TestLinearGradient(t *testing.T) {
	r := NewRand(1)
	for i := range 16 {
		rows, in, out := 1+r.Intn(150), 1+r.Intn(40), 1+r.Intn(40)
		switch i {
		case 0:
			rows, in, out = 1, 1, 1
		case 1:
			rows, in, out = 65, 1, 33
		case 2:
			rows, in, out = 64, 17, 1
		}
		options := i % 8
		t.Run(fmt.Sprintf("%dx%dx%d/options=%d", rows, in, out, options), func(t *testing.T) {
			checkGradients(t, uint64(i), func(n *Net) *gorgonia.Node {
				var o []LinearOption
				if options&1 != 0 {
					o = append(o, GELU())
				}
				if options&2 != 0 {
					o = append(o, Dropout(0.3))
				}
				if options&4 != 0 {
					o = append(o, Residual(variable(n, "residual", rows, out)))
				}
				return n.Linear(variable(n, "x", rows, in), "layer", out, o...)
			})
		})
	}
}

func TestResidualStreamGradient(t *testing.T) {
	// x feeds a branch and the sum, twice over: Gorgonia adds up the gradients.
	checkGradients(t, 5, func(n *Net) *gorgonia.Node {
		x := variable(n, "x", 70, 12)
		for l := range 2 {
			h := n.LayerNorm(x, fmt.Sprint("norm", l))
			h = n.Linear(h, fmt.Sprint("up", l), 20, GELU(), Dropout(0.1))
			x = n.Linear(h, fmt.Sprint("down", l), 12, Dropout(0.1), Residual(x))
		}
		return x
	})
}

func TestLayerNormGradient(t *testing.T) {
	for i, s := range [][2]int{{1, 2}, {1, 64}, {130, 7}, {64, 48}, {65, 240}} {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			checkGradients(t, uint64(i), func(n *Net) *gorgonia.Node {
				return n.LayerNorm(variable(n, "x", s[0], s[1]), "norm")
			})
		})
	}
}

func TestLayerNormOfLargeMean(t *testing.T) {
	p := NewParams(1)
	y := run(t, p, nil, func(n *Net) *gorgonia.Node {
		x := n.weight("x", func(w []float32, r *Rand) {
			for i := range w {
				w[i] = 1000 + float32(i%2)
			}
		}, 1, 64)
		return n.LayerNorm(x, "norm")
	})
	for i, v := range y {
		if want := float64(2*(i%2) - 1); math.Abs(float64(v)-want) > 1e-3 {
			t.Fatalf("element %d is %v, want %v", i, v, want)
		}
	}
}

func TestAttentionGradient(t *testing.T) {
	for i, s := range []struct{ batch, tokens, heads, d int }{{1, 1, 1, 1}, {2, 5, 3, 4}, {1, 17, 2, 20}, {3, 65, 1, 7}, {2, 3, 4, 1}} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			checkGradients(t, uint64(i), func(n *Net) *gorgonia.Node {
				return n.Attention(variable(n, "qkv", s.batch*s.tokens, 3*s.heads*s.d), "attention", s.tokens, s.heads)
			})
		})
	}
}

// TestAttentionByDefinition compares with the formula written out in float64.
func TestAttentionByDefinition(t *testing.T) {
	const batch, tokens, heads, d, dim = 2, 9, 3, 4, 12
	p := NewParams(3)
	got := run(t, p, nil, func(n *Net) *gorgonia.Node {
		return n.Attention(variable(n, "qkv", batch*tokens, 3*dim), "attention", tokens, heads)
	})
	w, _ := p.Get("qkv", nil, batch*tokens, 3*dim)
	at := func(part, b, token, head, i int) float64 {
		return float64(w.Data()[(b*tokens+token)*3*dim+part*dim+head*d+i])
	}
	for b := range batch {
		for h := range heads {
			for query := range tokens {
				var e [tokens]float64
				sum := 0.0
				for key := range tokens {
					s := 0.0
					for i := range d {
						s += at(0, b, query, h, i) * at(1, b, key, h, i)
					}
					e[key] = math.Exp(s / math.Sqrt(d))
					sum += e[key]
				}
				for i := range d {
					want := 0.0
					for key := range tokens {
						want += e[key] / sum * at(2, b, key, h, i)
					}
					if v := got[(b*tokens+query)*dim+h*d+i]; math.Abs(float64(v)-want) > 1e-5 {
						t.Fatalf("image %d, head %d, token %d, element %d is %v, want %v", b, h, query, i, v, want)
					}
				}
			}
		}
	}
}

func TestClassAttentionGradient(t *testing.T) {
	for i, s := range []struct{ batch, tokens, heads, d int }{{1, 1, 1, 1}, {2, 5, 3, 4}, {1, 17, 2, 20}, {3, 65, 1, 7}, {2, 3, 4, 1}} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			checkGradients(t, uint64(i), func(n *Net) *gorgonia.Node {
				return n.ClassAttention(variable(n, "qkv", s.batch*s.tokens, 3*s.heads*s.d), "attention", s.tokens, s.heads)
			})
		})
	}
}

// TestClassAttentionIsThatOfTheFirstToken compares with the rows of class tokens of the whole attention.
func TestClassAttentionIsThatOfTheFirstToken(t *testing.T) {
	const batch, tokens, heads, dim = 3, 7, 2, 10
	p := NewParams(3)
	qkv := func(n *Net) *gorgonia.Node { return variable(n, "qkv", batch*tokens, 3*dim) }
	whole := run(t, p, nil, func(n *Net) *gorgonia.Node { return n.Attention(qkv(n), "attention", tokens, heads) })
	class := run(t, p, nil, func(n *Net) *gorgonia.Node { return n.ClassAttention(qkv(n), "attention", tokens, heads) })
	for i := range batch {
		for j := range dim {
			if got, want := class[i*dim+j], whole[i*tokens*dim+j]; math.Abs(float64(got-want)) > 1e-6 {
				t.Errorf("element %d of image %d is %v, want %v", j, i, got, want)
			}
		}
	}
}

// TestCarriedGradients checks residuals of every kind: carried by a normalisation that is
// on the way, also twice; not carried, as the normalisation of the same x is elsewhere.
func TestCarriedGradients(t *testing.T) {
	const images, tokens, dim = 13, 5, 6
	for name, build := range map[string]func(n *Net, x *gorgonia.Node) *gorgonia.Node{
		"carried": func(n *Net, x *gorgonia.Node) *gorgonia.Node {
			return n.Linear(n.LayerNorm(x, "norm"), "down", dim, Residual(x))
		},
		"class": func(n *Net, x *gorgonia.Node) *gorgonia.Node {
			h := n.Linear(n.LayerNorm(x, "norm"), "qkv", 3*dim)
			return n.Linear(n.ClassAttention(h, "attention", tokens, 2), "down", dim, ClassResidual(x, tokens))
		},
		"class, with queries of its own": func(n *Net, x *gorgonia.Node) *gorgonia.Node {
			h := n.Linear(n.LayerNorm(x, "norm"), "qkv", 3*dim, ClassColumns(dim, tokens))
			return n.Linear(n.ClassAttention(h, "attention", tokens, 2), "down", dim, ClassResidual(x, tokens))
		},
		"twice": func(n *Net, x *gorgonia.Node) *gorgonia.Node {
			h := n.LayerNorm(x, "norm")
			return n.Linear(n.Linear(h, "one", dim, Residual(x)), "two", dim, Residual(x))
		},
		"not carried": func(n *Net, x *gorgonia.Node) *gorgonia.Node {
			return n.Linear(x, "down", dim, Residual(n.LayerNorm(x, "norm")))
		},
		"normalised elsewhere": func(n *Net, x *gorgonia.Node) *gorgonia.Node {
			h := n.LayerNorm(x, "norm")
			return n.Linear(n.Linear(x, "one", dim, Residual(x)), "two", dim, Residual(h))
		},
		"class not carried": func(n *Net, x *gorgonia.Node) *gorgonia.Node {
			return n.Linear(n.ClassToken(x, "class", tokens), "down", dim, ClassResidual(x, tokens))
		},
	} {
		t.Run(name, func(t *testing.T) {
			checkGradients(t, 4, func(n *Net) *gorgonia.Node { return build(n, variable(n, "x", images*tokens, dim)) })
		})
	}
}

// TestClassAttentionMap compares with the attention operation, whose values are set to pick
// out the probabilities: v of token t is 1 in element t.
func TestClassAttentionMap(t *testing.T) {
	const tokens, heads, d = 5, 2, 5
	const dim = heads * d
	p := NewParams(3)
	y := run(t, p, nil, func(n *Net) *gorgonia.Node {
		qkv := variable(n, "qkv", 2*tokens, 3*dim)
		w, _ := p.Get("qkv", nil, 2*tokens, 3*dim)
		for token := range 2 * tokens {
			v := w.Data()[token*3*dim+2*dim:][:dim]
			clear(v)
			for h := range heads {
				v[h*d+token%tokens] = 1
			}
		}
		return n.Attention(qkv, "attention", tokens, heads)
	})
	w, _ := p.Get("qkv", nil, 2*tokens, 3*dim)
	for image := range 2 {
		got := ClassAttentionMap(w.Data()[image*tokens*3*dim:(image+1)*tokens*3*dim], tokens, heads)
		row, sum := y[image*tokens*dim:], 0.0
		for token := range tokens {
			want := (row[token] + row[d+token]) / 2
			if math.Abs(float64(got[token]-want)) > 1e-6 {
				t.Errorf("image %d attends %v to token %d, want %v", image, got[token], token, want)
			}
			sum += float64(got[token])
		}
		if math.Abs(sum-1) > 1e-6 {
			t.Errorf("image %d attends %v in total, want 1", image, sum)
		}
	}
}

// TestNonFinite plants a bad number in several places and asks which tensor shows it first.
func TestNonFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, c := range map[string]struct {
		plant func(x []float32, p *Params)
		want  string
		loss  bool // whether the loss shows it
	}{
		"nothing": {func([]float32, *Params) {}, "", false},
		"input":   {func(x []float32, _ *Params) { x[3] = nan }, "input x has 1 NaN and 0 Inf among 12 elements, the first at 3", true},
		"weight": {func(_ []float32, p *Params) {
			w, _ := p.Get("b.bias", nil, 2)
			w.Data()[1] = inf
		}, "weight b.bias has 0 NaN and 1 Inf among 2 elements, the first at 1", true},
		"activation": {func(x []float32, p *Params) {
			w, _ := p.Get("a.weight", nil, 3, 5)
			w.Data()[0], x[0] = 1e30, 1e30
		}, "the result of linear a has 0 NaN and 1 Inf among 20 elements, the first at 0", true},
		"gradient": {func(x []float32, p *Params) {
			// 0 · 3e38 in all sums of the forward pass, but twice 3e38 in that of the gradient of a.weight.
			for i := range x {
				x[i] = 3e38
			}
			w, _ := p.Get("a.weight", nil, 3, 5)
			clear(w.Data())
			w, _ = p.Get("b.weight", nil, 5, 2)
			Ones(w.Data(), nil)
			for i := range w.Data() {
				w.Data()[i] = float32(100 * (i%2*2 - 1))
			}
		}, "the gradient dW of linear a has 0 NaN and 15 Inf among 15 elements, the first at 0", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewParams(1)
			n := NewNet(p, NewWorkspace(), nil)
			x, labels := n.Input("x", 4, 3), n.Labels("labels", 4)
			Normal(1)(x.Value().Data().([]float32), NewRand(1))
			loss := n.CrossEntropy(n.Linear(n.Linear(x, "a", 5), "b", 2), labels, "loss")
			weights, err := n.Differentiate(loss)
			if err != nil {
				t.Fatal(err)
			}
			m, err := n.Machine()
			if err != nil {
				t.Fatal(err)
			}
			c.plant(x.Value().Data().([]float32), p)
			if err := Run(m); err != nil {
				t.Fatal(err)
			}
			if got := n.NonFinite(); got != c.want {
				t.Errorf("the first is %q, want %q", got, c.want)
			}
			ok, err := FiniteGradients(weights)
			if err != nil {
				t.Fatal(err)
			}
			v, err := Scalar(loss)
			bad := math.IsNaN(v) || math.IsInf(v, 0)
			if err != nil || bad != c.loss {
				t.Errorf("the loss is %v (%v)", v, err)
			}
			if (ok && !bad) != (c.want == "") {
				t.Errorf("finite gradients: %v, loss %v, but %q", ok, v, c.want)
			}
		})
	}
}

func TestPatchEmbedGradient(t *testing.T) {
	for i, s := range []struct{ batch, channels, height, width, patch, dim int }{{1, 1, 1, 1, 1, 1}, {3, 3, 8, 8, 4, 10}, {2, 1, 6, 4, 2, 5}, {5, 3, 4, 4, 4, 17}} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			checkGradients(t, uint64(i), func(n *Net) *gorgonia.Node {
				images := n.Input("images", s.batch, s.channels, s.height, s.width)
				Normal(1)(images.Value().Data().([]float32), NewRand(9))
				return n.PatchEmbed(images, "embed", s.patch, s.dim)
			})
		})
	}
}

// TestPatchEmbedOrder pins which pixel goes where, with the identity as the matrix.
func TestPatchEmbedOrder(t *testing.T) {
	p := NewParams(1)
	const size, patch = 4, 2
	y := run(t, p, nil, func(n *Net) *gorgonia.Node {
		images := n.Input("images", 1, 1, size, size)
		for i := range size * size {
			images.Value().Data().([]float32)[i] = float32(i)
		}
		out := n.PatchEmbed(images, "embed", patch, patch*patch)
		for _, w := range p.All() {
			clear(w.Data())
		}
		w, _ := p.Get("embed.weight", nil, patch*patch, patch*patch)
		for i := range patch * patch {
			w.Data()[i*patch*patch+i] = 1
		}
		class, _ := p.Get("embed.class", nil, patch*patch)
		Ones(class.Data(), nil)
		position, _ := p.Get("embed.position", nil, 5, patch*patch)
		position.Data()[4*4] = 100 // the first element of the last token
		return out
	})
	want := []float32{1, 1, 1, 1 /**/, 0, 1, 4, 5 /**/, 2, 3, 6, 7 /**/, 8, 9, 12, 13 /**/, 110, 11, 14, 15}
	if fmt.Sprint(y) != fmt.Sprint(want) {
		t.Errorf("tokens are\n%v, want\n%v", y, want)
	}
}

func TestClassTokenGradient(t *testing.T) {
	checkGradients(t, 1, func(n *Net) *gorgonia.Node { return n.ClassToken(variable(n, "x", 15, 4), "pick", 5) })
	checkGradients(t, 2, func(n *Net) *gorgonia.Node { return n.ClassToken(variable(n, "x", 3, 1), "pick", 1) })
}

func TestDropoutGradient(t *testing.T) {
	checkGradients(t, 1, func(n *Net) *gorgonia.Node { return n.DropOut(variable(n, "x", 67, 9), "drop", 0.4) })
}

func TestCrossEntropyGradient(t *testing.T) {
	for i, s := range [][2]int{{1, 1}, {1, 10}, {30, 10}, {7, 3}} {
		checkGradients(t, uint64(i), func(n *Net) *gorgonia.Node {
			labels := n.Labels("labels", s[0])
			r := NewRand(4)
			for j := range s[0] {
				labels.Value().Data().([]int32)[j] = int32(r.Intn(s[1]+1)) - 1 // with ignored rows
			}
			return n.CrossEntropy(variable(n, "logits", s[0], s[1]), labels, "loss")
		})
	}
}

func TestCrossEntropyValue(t *testing.T) {
	n := NewNet(NewParams(1), NewWorkspace(), nil)
	logits, labels := n.Input("logits", 3, 4), n.Labels("labels", 3)
	copy(logits.Value().Data().([]float32), []float32{0, 0, 0, 0 /**/, 1000, 0, 0, 0 /**/, 5, 6, 7, 8})
	copy(labels.Value().Data().([]int32), []int32{2, 1, -1})
	loss := n.CrossEntropy(logits, labels, "loss")
	m, err := n.Machine()
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(m); err != nil {
		t.Fatal(err)
	}
	got, err := Scalar(loss)
	if want := (math.Log(4) + 1000) / 2; err != nil || math.Abs(got-want) > 1e-3 {
		t.Errorf("loss is %v (%v), want %v", got, err, want)
	}
	if c := Correct([]float32{0, 2, 0, 1, 9, 1}, []int32{1, 0, -1}); c != 1 {
		t.Errorf("%d correct, want 1", c)
	}

	labels.Value().Data().([]int32)[0] = 4
	if err := Run(m); err == nil || !strings.Contains(err.Error(), "row 0 has label 4, beyond the 4 classes") {
		t.Errorf("a label beyond the classes gives %v", err)
	}
}

func TestMaskStatistics(t *testing.T) {
	n := NewNet(NewParams(1), NewWorkspace(), &Clock{Seed: 7})
	const rows, cols, p = 500, 203, 0.1
	m, err := n.newMask(1, p)
	if err != nil {
		t.Fatal(err)
	}
	one, got := make([]float32, cols), make([]float32, cols)
	Ones(one, nil)
	first := make([]float32, cols)
	dropped, sum := 0, 0.0
	perColumn := make([]int, cols)
	for r := range rows {
		m.row(got, one, r)
		if r == 0 {
			copy(first, got)
		}
		for j, v := range got {
			if v == 0 {
				dropped++
				perColumn[j]++
			}
			sum += float64(v)
		}
	}
	total := float64(rows * cols)
	if share := float64(dropped) / total; math.Abs(share-p) > 0.004 { // 4 standard deviations
		t.Errorf("a share of %v is dropped, want %v", share, p)
	}
	if mean := sum / total; math.Abs(mean-1) > 0.005 {
		t.Errorf("the mean of the masks is %v, want 1", mean)
	}
	for j, d := range perColumn {
		if math.Abs(float64(d)/rows-p) > 0.08 { // 6 standard deviations
			t.Errorf("column %d is dropped in %d of %d rows", j, d, rows)
		}
	}
	m.row(got, one, 0)
	if fmt.Sprint(got) != fmt.Sprint(first) {
		t.Error("the mask of a row is not reproducible")
	}
	m.clock.Step++
	m.row(got, one, 0)
	if fmt.Sprint(got) == fmt.Sprint(first) {
		t.Error("the mask does not change with the step")
	}
}

func TestDropoutIsOffInEvaluation(t *testing.T) {
	p := NewParams(1)
	y := run(t, p, nil, func(n *Net) *gorgonia.Node {
		x := variable(n, "x", 4, 3)
		return n.Linear(n.DropOut(x, "drop", 0.5), "layer", 3, Dropout(0.9))
	})
	want := run(t, p, nil, func(n *Net) *gorgonia.Node { return n.Linear(variable(n, "x", 4, 3), "layer", 3) })
	if fmt.Sprint(y) != fmt.Sprint(want) {
		t.Errorf("evaluation gives %v, want %v", y, want)
	}
}

func TestBuildingErrors(t *testing.T) {
	for _, c := range []struct {
		build func(n *Net) *gorgonia.Node
		want  string
	}{
		{func(n *Net) *gorgonia.Node { return n.Attention(variable(n, "x", 4, 10), "a", 2, 2) }, "10 columns are not q, k and v of 2 heads"},
		{func(n *Net) *gorgonia.Node { return n.Attention(variable(n, "x", 5, 6), "a", 2, 2) }, "5 rows are not a whole number of images of 2 tokens"},
		{func(n *Net) *gorgonia.Node { return n.PatchEmbed(n.Input("i", 1, 3, 8, 8), "e", 3, 4) }, "patches of 3×3 do not tile images of 8×8"},
		{func(n *Net) *gorgonia.Node {
			return n.Linear(variable(n, "x", 4, 3), "l", 2, Residual(variable(n, "r", 4, 3)))
		}, "residual has shape (4, 3), want (4, 2)"},
		{func(n *Net) *gorgonia.Node {
			return n.Linear(variable(n, "x", 4, 3), "l", 3, ClassResidual(variable(n, "r", 4, 3), 2))
		}, "residual has shape (4, 3), want (8, 3)"},
		{func(n *Net) *gorgonia.Node { return n.Linear(variable(n, "x", 4, 3), "l", 6, ClassColumns(2, 3)) }, "2 of 6 columns of 4 rows cannot be"},
		{func(n *Net) *gorgonia.Node {
			return n.Linear(variable(n, "x", 4, 3), "l", 6, ClassColumns(2, 2), GELU())
		}, "or not with activation"},
		{func(n *Net) *gorgonia.Node { return n.ClassAttention(variable(n, "x", 4, 10), "a", 2, 2) }, "10 columns are not q, k and v of 2 heads"},
		{func(n *Net) *gorgonia.Node { return n.Linear(variable(n, "x", 4, 3), "l", 2, Dropout(1)) }, "dropout 1 is not in [0, 1)"},
		{func(n *Net) *gorgonia.Node {
			n.Linear(variable(n, "x", 4, 3), "l", 2)
			return n.Linear(variable(n, "x", 4, 3), "l", 5)
		}, "weight l.weight has shape (3, 2), asked for as [3 5]"},
		{func(n *Net) *gorgonia.Node { return n.ClassToken(variable(n, "x", 4, 3), "c", 3) }, "4 rows are not a whole number"},
	} {
		n := NewNet(NewParams(1), NewWorkspace(), &Clock{})
		if node := c.build(n); node != nil || n.Err() == nil || !strings.Contains(n.Err().Error(), c.want) {
			t.Errorf("error %v, want %q", n.Err(), c.want)
		}
		if _, err := n.Machine(); err == nil {
			t.Errorf("a net with the error %q compiles", c.want)
		}
	}
}
