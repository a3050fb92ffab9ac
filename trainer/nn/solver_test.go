package nn

import (
	"math"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// fixed is a weight with a gradient that a test sets.
type fixed struct{ w, g *tensor.Dense }

func (f fixed) Value() gorgonia.Value         { return f.w }
func (f fixed) Grad() (gorgonia.Value, error) { return f.g, nil }

func newFixed(w ...float32) fixed {
	return fixed{
		w: tensor.New(tensor.WithShape(len(w)), tensor.WithBacking(w)),
		g: tensor.New(tensor.WithShape(len(w)), tensor.WithBacking(make([]float32, len(w)))),
	}
}

// TestSolversFollowTheirEquations compares three steps with the equations written out in float64.
func TestSolversFollowTheirEquations(t *testing.T) {
	adam := NewAdam(0.1)
	adamw := NewAdam(0.1)
	adamw.WeightDecay = 0.2
	for name, c := range map[string]struct {
		solver gorgonia.Solver
		step   func(t int, w, g float64, state *[2]float64) float64
	}{
		"adam": {adam, func(t int, w, g float64, s *[2]float64) float64 {
			s[0], s[1] = 0.9*s[0]+0.1*g, 0.999*s[1]+0.001*g*g
			return w - 0.1*s[0]/(1-math.Pow(0.9, float64(t)))/(math.Sqrt(s[1]/(1-math.Pow(0.999, float64(t))))+1e-8)
		}},
		"adamw": {adamw, func(t int, w, g float64, s *[2]float64) float64 {
			s[0], s[1] = 0.9*s[0]+0.1*g, 0.999*s[1]+0.001*g*g
			return w*(1-0.1*0.2) - 0.1*s[0]/(1-math.Pow(0.9, float64(t)))/(math.Sqrt(s[1]/(1-math.Pow(0.999, float64(t))))+1e-8)
		}},
		"sgd": {&SGD{LearningRate: 0.1, Momentum: 0.9, WeightDecay: 0.2}, func(_ int, w, g float64, s *[2]float64) float64 {
			s[0] = 0.9*s[0] + g + 0.2*w
			return w - 0.1*s[0]
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixed(1, -2, 0.5)
			want, states := []float64{1, -2, 0.5}, make([][2]float64, 3)
			for step := 1; step <= 3; step++ {
				for i := range want {
					g := float64(i+1) * math.Sin(float64(step))
					f.g.Data().([]float32)[i] = float32(g)
					want[i] = c.step(step, want[i], g, &states[i])
				}
				if err := c.solver.Step([]gorgonia.ValueGrad{f}); err != nil {
					t.Fatal(err)
				}
				for i, w := range f.w.Data().([]float32) {
					if math.Abs(float64(w)-want[i]) > 1e-5 {
						t.Errorf("step %d: weight %d is %v, want %v", step, i, w, want[i])
					}
				}
			}
			err := c.solver.Step([]gorgonia.ValueGrad{f, f})
			if err == nil || !strings.Contains(err.Error(), "2 weights, but there were 1 in the first step") {
				t.Errorf("another number of weights gives %v", err)
			}
		})
	}
}

// TestSolversGoOn compares an optimiser that was restored after two steps with one that
// was not interrupted, bit for bit.
func TestSolversGoOn(t *testing.T) {
	for name, fresh := range map[string]func() Optimizer{
		"adam": func() Optimizer { return NewAdam(0.1) },
		"sgd":  func() Optimizer { return &SGD{LearningRate: 0.1, Momentum: 0.9} },
	} {
		t.Run(name, func(t *testing.T) {
			n := NewNet(NewParams(1), NewWorkspace(), nil)
			labels := n.Labels("labels", 2)
			x := n.Input("x", 2, 3)
			Normal(1)(x.Value().Data().([]float32), NewRand(1))
			weights, err := n.Differentiate(n.CrossEntropy(n.Linear(x, "layer", 4), labels, "loss"))
			if err != nil {
				t.Fatal(err)
			}
			m, err := n.Machine()
			if err != nil {
				t.Fatal(err)
			}
			steps := func(o Optimizer, rates ...float64) {
				for _, rate := range rates {
					o.SetLearningRate(rate)
					if err := Run(m); err != nil {
						t.Fatal(err)
					}
					if err := o.Step(ValueGrads(weights)); err != nil {
						t.Fatal(err)
					}
				}
			}
			clones := func() (all [][]float32) {
				for _, w := range weights {
					all = append(all, append([]float32(nil), w.Data()...))
				}
				return all
			}
			whole := fresh()
			steps(whole, 0.1, 0.2)
			state, err := whole.State(weights)
			if err != nil {
				t.Fatal(err)
			}
			for i := range state.Vectors {
				state.Vectors[i].Data = append([]float32(nil), state.Vectors[i].Data...)
			}
			at := clones()
			steps(whole, 0.05, 0.1)
			want := clones()
			for i, w := range weights {
				copy(w.Data(), at[i])
			}
			second := fresh()
			if err := second.SetState(weights, state); err != nil {
				t.Fatal(err)
			}
			steps(second, 0.05, 0.1)
			for i, w := range weights {
				for j, v := range w.Data() {
					if v != want[i][j] {
						t.Fatalf("element %d of %s is %v after going on, %v without interruption", j, w.Name(), v, want[i][j])
					}
				}
			}
			if state.Vectors[0].Name != "layer.weight/"+name+map[string]string{"adam": ".m", "sgd": ".u"}[name] {
				t.Errorf("the first vector is called %s", state.Vectors[0].Name)
			}

			state.Vectors[1].Name = "other"
			if err := second.SetState(weights, state); err == nil || !strings.Contains(err.Error(), "the state has other of ") {
				t.Errorf("a state of other weights gives %v", err)
			}
			state.Vectors = state.Vectors[1:]
			if err := second.SetState(weights, state); err == nil || !strings.Contains(err.Error(), "vectors, want ") {
				t.Errorf("an incomplete state gives %v", err)
			}
			if _, err := second.State(weights[1:]); err == nil || !strings.Contains(err.Error(), "but there were 2 in the first step") {
				t.Errorf("the state of fewer weights gives %v", err)
			}
		})
	}
}

func TestGradientBeforeARun(t *testing.T) {
	n := NewNet(NewParams(1), NewWorkspace(), nil)
	labels := n.Labels("labels", 2)
	weights, err := n.Differentiate(n.CrossEntropy(n.Linear(n.Input("x", 2, 3), "layer", 4), labels, "loss"))
	if err != nil {
		t.Fatal(err)
	}
	if err := NewAdam(1).Step(ValueGrads(weights)); err == nil || !strings.Contains(err.Error(), "weight layer.weight has no gradient") {
		t.Errorf("updating before a run gives %v", err)
	}
}

func TestInitialWeightsDependOnSeedAndNameOnly(t *testing.T) {
	a, b := NewParams(1), NewParams(1)
	make3 := func(p *Params, names ...string) {
		for _, name := range names {
			if _, err := p.Get(name, Normal(1), 2, 3); err != nil {
				t.Fatal(err)
			}
		}
	}
	make3(a, "x", "y")
	make3(b, "y", "x")
	ax, _ := a.Get("x", nil, 2, 3)
	bx, _ := b.Get("x", nil, 2, 3)
	ay, _ := a.Get("y", nil, 2, 3)
	for i := range ax.Data() {
		if ax.Data()[i] != bx.Data()[i] {
			t.Error("a weight depends on the order in which weights are made")
		}
		if ax.Data()[i] == ay.Data()[i] {
			t.Error("weights of different names are equal")
		}
	}
	if a.Count() != 12 || len(a.All()) != 2 || a.All()[0].Name != "x" {
		t.Errorf("the set has %d elements in %d weights", a.Count(), len(a.All()))
	}
}

func TestInitStatistics(t *testing.T) {
	for name, c := range map[string]struct {
		init       Init
		std, limit float64
	}{
		"normal":    {Normal(0.5), 0.5, 5},
		"truncated": {TruncatedNormal(0.5), 0.5 * 0.8796, 1}, // the standard deviation of a normal cut at 2σ
		"xavier":    {XavierUniform(20, 30), math.Sqrt(6.0 / 50 / 3), math.Sqrt(6.0 / 50)},
	} {
		w := make([]float32, 20000)
		c.init(w, NewRand(1))
		mean, square := 0.0, 0.0
		for _, v := range w {
			mean += float64(v) / float64(len(w))
			square += float64(v) * float64(v) / float64(len(w))
			if math.Abs(float64(v)) > c.limit {
				t.Fatalf("%s draws %v, beyond %v", name, v, c.limit)
			}
		}
		if math.Abs(mean) > 0.04*c.std || math.Abs(math.Sqrt(square)-c.std) > 0.03*c.std {
			t.Errorf("%s has mean %v and standard deviation %v, want 0 and %v", name, mean, math.Sqrt(square), c.std)
		}
	}
}
