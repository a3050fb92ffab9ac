package sweeps

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// mustPlan parses a sweep that is known to be good.
func mustPlan(t *testing.T, source string) (*Spec, *Plan) {
	t.Helper()
	s, p, err := parsePlan([]byte(source), "test.yaml")
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, source)
	}
	return s, p
}

// randomSpec writes a small sweep file: a few dimensions, derived parameters that
// refer to them and to each other, constraints, sometimes a division by zero.
func randomSpec(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("method: grid\ntrainer: fake\n")
	if r.IntN(3) == 0 {
		fmt.Fprintf(&b, "repeat: %d\n", 1+r.IntN(3))
	}
	b.WriteString("parameters:\n")
	var names []string
	for i := range 1 + r.IntN(5) {
		name := string(rune('a' + i))
		names = append(names, name)
		switch r.IntN(4) {
		case 0:
			fmt.Fprintf(&b, "  %s: {value: %d}\n", name, r.IntN(4))
		case 1:
			fmt.Fprintf(&b, "  %s: {min: %d, max: %d}\n", name, r.IntN(2), 2+r.IntN(3))
		default:
			fmt.Fprintf(&b, "  %s: {values: [", name)
			for range 1 + r.IntN(4) {
				fmt.Fprintf(&b, "%d, ", r.IntN(6))
			}
			b.WriteString("]}\n")
		}
	}
	some := func() string { return names[r.IntN(len(names))] }
	for i := range r.IntN(3) {
		name := string(rune('x' + i))
		fmt.Fprintf(&b, "  %s: {expr: %s %s %s}\n", name, some(), []string{"+", "*", "-", "%"}[r.IntN(4)], some())
		names = append(names, name)
	}
	b.WriteString("constraints:\n")
	for range r.IntN(4) {
		switch r.IntN(3) {
		case 0:
			fmt.Fprintf(&b, "  - %s %% %d != 0\n", some(), 2+r.IntN(2))
		case 1:
			fmt.Fprintf(&b, "  - %s <= %s\n", some(), some())
		default:
			fmt.Fprintf(&b, "  - %s %% %s == 0\n", some(), some())
		}
	}
	return b.String()
}

// TestPlanProperties checks plans of many small specs against their enumeration.
func TestPlanProperties(t *testing.T) {
	left, none, failing := 0, 0, 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		source := randomSpec(r)
		s, err := Parse([]byte(source), "test.yaml")
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, source)
		}
		p, err := s.plan()
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, source)
		}
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("seed %d: %s\n%s", seed, fmt.Sprintf(format, args...), source)
		}
		trials, excluded, failed := int64(0), int64(0), int64(0)
		points := make([]Planned, p.Size())
		ids := map[TrialID]int64{}
		for i := range p.Size() {
			point, err := p.At(i)
			switch {
			case errors.Is(err, ErrExcluded):
				excluded++
				if errors.Is(err, ErrInvalid) {
					fail("excluded point %d is invalid: %v", i, err)
				}
			case err != nil:
				failed++
				trials++
				if !errors.Is(err, ErrInvalid) {
					fail("point %d: neither excluded nor invalid: %v", i, err)
				}
			default:
				trials++
				if j, dup := ids[point.ID]; dup {
					fail("points %d and %d are the same: %s", j, i, point.Params.JSON())
				}
				ids[point.ID] = i
				back, err := ParamsFromJSON(point.Params.JSON())
				if err != nil || !reflect.DeepEqual(back, point.Params) {
					fail("point %d is %#v after JSON, before it %#v (%v)", i, back, point.Params, err)
				}
			}
			points[i] = point
		}
		if c := p.Count(); c != (Count{Trials: trials, Excluded: excluded, Exact: true, Bounded: true}) {
			fail("count %+v, enumerated %d trials and %d excluded", c, trials, excluded)
		}
		for _, i := range r.Perm(len(points)) {
			if point, _ := p.At(int64(i)); !reflect.DeepEqual(point, points[i]) {
				fail("point %d is %v the second time, %v the first time", i, point, points[i])
			}
		}
		_, err = s.Plan()
		switch {
		case trials == 0:
			none++
			if err == nil {
				fail("no trial is left, and Plan does not say so")
			}
		case failed > 0:
			failing++
			if err == nil {
				fail("%d points fail, and Plan does not say so", failed)
			}
		default:
			left++
			if err != nil {
				fail("%d trials are left, and Plan says %v", trials, err)
			}
		}
		if err != nil && !errors.Is(err, ErrInvalid) {
			fail("not ErrInvalid: %v", err)
		}
	}
	t.Logf("%d plans with trials, %d with none, %d with points that fail", left, none, failing)
	if left == 0 || none == 0 || failing == 0 {
		t.Error("the specs do not cover all cases")
	}
}

// hugeGrid has 10^12 points.
func hugeGrid(constraints string) string {
	var b strings.Builder
	b.WriteString("method: grid\ntrainer: fake\nparameters:\n")
	for i := range 12 {
		fmt.Fprintf(&b, "  p%02d: {min: 0, max: 9}\n", i)
	}
	b.WriteString("  sum: {expr: p00 + p11}\n")
	b.WriteString("constraints: [" + constraints + "]\n")
	return b.String()
}

func TestHugeGrid(t *testing.T) {
	_, p := mustPlan(t, hugeGrid(`sum % 2 == 0, p03 != p04, p05 > 0`))
	if p.Size() != 1_000_000_000_000 {
		t.Fatalf("size %d", p.Size())
	}
	want := Count{Trials: 1_000_000_000_000 / 2 / 10 * 9 / 10 * 9, Exact: true, Bounded: true}
	want.Excluded = p.Size() - want.Trials
	if c := p.Count(); c != want {
		t.Errorf("count %+v, want %+v", c, want)
	}
	point, err := p.At(123_456_789_013)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(point.Params.JSON()), `{"p00":1,"p01":2,"p02":3,"p03":4,"p04":5,"p05":6,"p06":7,"p07":8,"p08":9,"p09":0,"p10":1,"p11":3,"sum":4}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, i := range []int64{-1, p.Size(), math.MaxInt64, math.MinInt64} {
		if _, err := p.At(i); !errors.Is(err, ErrInvalid) {
			t.Errorf("At(%d): %v", i, err)
		}
	}
}

func TestCountEstimates(t *testing.T) {
	_, p := mustPlan(t, hugeGrid(`p00 + p01 + p02 + p03 + p04 + p05 + p06 >= 0, (p00 + p06) % 2 == 0`))
	c := p.Count()
	if c.Exact || !c.Bounded {
		t.Errorf("count %+v of 10^7 combinations is not an estimate", c)
	}
	if half := float64(p.Size()) / 2; math.Abs(float64(c.Trials)-half) > 0.02*half || c.Trials+c.Excluded != p.Size() {
		t.Errorf("count %+v, want about half of %d", c, p.Size())
	}
}

func TestRunCap(t *testing.T) {
	_, p := mustPlan(t, "method: grid\ntrainer: vit\nrun_cap: 2\nparameters: {a: {values: [1, 2, 3, 4]}}\nconstraints: [a != 1]\n")
	if want := (Count{Trials: 2, Excluded: 1, Exact: true, Bounded: true}); p.Count() != want || p.Size() != 4 || p.RunCap() != 2 {
		t.Errorf("count %+v, size %d, cap %d", p.Count(), p.Size(), p.RunCap())
	}
}

func TestRandomUnbounded(t *testing.T) {
	_, p := mustPlan(t, "method: random\ntrainer: vit\nparameters: {a: {min: 0.0, max: 1.0}, b: {value: 1}}\n")
	if p.Size() != math.MaxInt64 || p.Count().Bounded || p.RunCap() != 0 {
		t.Errorf("size %d, count %+v, cap %d", p.Size(), p.Count(), p.RunCap())
	}
	if _, err := p.At(math.MaxInt64 - 1); err != nil {
		t.Error(err)
	}
}

func TestRandomDrawsAreDistinctTrials(t *testing.T) {
	_, p := mustPlan(t, "method: random\ntrainer: vit\nrun_cap: 50\nrepeat: 2\nseed: 3\nparameters: {a: {values: [1, 2]}}\n")
	ids := map[TrialID]bool{}
	for i := range p.Size() {
		point, err := p.At(i)
		if err != nil {
			t.Fatal(err)
		}
		if ids[point.ID] {
			t.Errorf("trial %d has the id of an earlier one", i)
		}
		ids[point.ID] = true
		if seed := point.Params["seed"]; seed != 3+i%2 {
			t.Errorf("trial %d has seed %v", i, seed)
		}
		if i%2 == 1 {
			first, err := p.At(i - 1)
			if err != nil || first.Params["a"] != point.Params["a"] {
				t.Errorf("trial %d repeats %v as %v (%v)", i, first.Params, point.Params, err)
			}
		}
	}
}

// TestRandomIsKeyedByName: another parameter, or a constraint on it, does not change
// what is drawn for the first.
func TestRandomIsKeyedByName(t *testing.T) {
	_, one := mustPlan(t, "method: random\ntrainer: vit\nrun_cap: 20\nparameters: {b: {min: 0.0, max: 1.0}}\n")
	_, two := mustPlan(t, "method: random\ntrainer: vit\nrun_cap: 20\nparameters: {a: {min: 1, max: 9}, b: {min: 0.0, max: 1.0}, c: {values: [1]}}\n")
	_, other := mustPlan(t, "method: random\ntrainer: vit\nseed: 1\nrun_cap: 20\nparameters: {b: {min: 0.0, max: 1.0}}\n")
	for i := range int64(20) {
		x, err1 := one.At(i)
		y, err2 := two.At(i)
		z, err3 := other.At(i)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if x.Params["b"] != y.Params["b"] {
			t.Errorf("draw %d: %v alone, %v beside others", i, x.Params["b"], y.Params["b"])
		}
		if x.Params["b"] == z.Params["b"] {
			t.Errorf("draw %d is the same under another seed", i)
		}
	}
}

// TestRandomIsUniform checks the hash as a source of random numbers: each tenth of
// [0, 1) gets its share, also given the tenth of the draw before and of a neighbour.
func TestRandomIsUniform(t *testing.T) {
	const n = 20_000
	a, b := drawKey(0, []string{"a"}), drawKey(0, []string{"b"})
	var single, serial, across [100]int
	last := 0
	for i := range int64(n) {
		x, y := int(uniform01(a, i, 0)*10), int(uniform01(b, i, 0)*10)
		single[x]++
		serial[10*last+x]++
		across[10*y+x]++
		last = x
	}
	chi := func(bins []int) float64 {
		mean, sum := float64(n)/float64(len(bins)), 0.0
		for _, k := range bins {
			sum += (float64(k) - mean) * (float64(k) - mean) / mean
		}
		return sum
	}
	// The 99.9 % quantiles of χ² with 9 and 99 degrees of freedom are 27.9 and 148.2.
	if c := chi(single[:10]); c > 27.9 {
		t.Errorf("χ² of single draws is %.1f", c)
	}
	if c := chi(serial[:]); c > 148.2 {
		t.Errorf("χ² of successive draws is %.1f", c)
	}
	if c := chi(across[:]); c > 148.2 {
		t.Errorf("χ² across parameters is %.1f", c)
	}
}

// TestTrialIDs pins the encoding that ids hash: stores hold them. The wanted ids come
// from sha256sum over the lines that Plan.id documents.
func TestTrialIDs(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"method: grid\ntrainer: vit\nparameters: {b: {value: x}, a: {values: [1.0]}}\n", "56195f86d6f053dc"},
		{"method: grid\nprogram: train.py\nparameters: {b: {value: x}, a: {values: [1]}}\n", "119bd8c05e8ca9ee"},
		{"method: random\ntrainer: vit\nparameters: {b: {value: x}, a: {value: 1}}\n", "8a9043b425b1153f"},
	} {
		_, p := mustPlan(t, c.source)
		point, err := p.At(0)
		if err != nil {
			t.Fatal(err)
		}
		if string(point.ID) != c.want {
			t.Errorf("id %s, want %s, of\n%s", point.ID, c.want, c.source)
		}
	}
	// What does not change the trial does not change its id.
	_, p := mustPlan(t, "name: n\nmethod: grid\ntrainer: vit\nretries: 3\ntimeout: 5s\nparameters: {a: {min: 1, max: 2}, b: {value: x}}\n")
	if point, err := p.At(0); err != nil || string(point.ID) != "56195f86d6f053dc" {
		t.Errorf("id %s (%v)", point.ID, err)
	}
}

func TestPlanIsSafeForManyGoroutines(t *testing.T) {
	_, p := mustPlan(t, hugeGrid(`sum % 2 == 0`))
	want := make([]Planned, 64)
	for i := range want {
		want[i], _ = p.At(int64(i) * 7)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range want {
				if got, _ := p.At(int64(i) * 7); !reflect.DeepEqual(got, want[i]) {
					t.Errorf("index %d: %v, want %v", i*7, got, want[i])
				}
			}
			p.Count()
		})
	}
	wg.Wait()
}

func TestArgv(t *testing.T) {
	params := Params{"lr": 0.1, "amp": false}
	lookup := func(name string) (string, bool) { return "/home/" + name, name == "SET" }
	for _, c := range []struct {
		name string
		spec Spec
		env  ArgvEnv
		want []string
		err  string
	}{
		{"default", Spec{Program: "a.py"}, ArgvEnv{}, []string{"/usr/bin/env", "python", "a.py", "--amp=False", "--lr=0.1"}, ""},
		{"windows", Spec{Program: `b\a b.py`}, ArgvEnv{Windows: true}, []string{"python", `b\a b.py`, "--amp=False", "--lr=0.1"}, ""},
		{"trainer", Spec{Trainer: "vit"}, ArgvEnv{}, nil, ""},
		{"variables", Spec{Command: []string{"x", "${envvar:SET}/${envvar:UNSET}", "${envvar:SET}"}}, ArgvEnv{LookupEnv: lookup}, []string{"x", "/home/SET/UNSET", "/home/SET"}, ""},
		{"params file", Spec{Command: []string{"x", "${args_json_file}"}}, ArgvEnv{ParamsFile: "p.json"}, []string{"x", "p.json"}, ""},
		{"no params file", Spec{Name: "s", Command: []string{"x", "${args_json_file}"}}, ArgvEnv{}, nil, "no parameters file"},
		{"nothing left", Spec{Name: "s", Command: []string{"${env}", "${oops}"}}, ArgvEnv{Windows: true}, nil, "nothing is left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.spec.Argv(params, c.env)
			if c.err != "" {
				if err == nil || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want one with %q", err, c.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
}

func TestNameFromFile(t *testing.T) {
	for file, want := range map[string]string{
		"library/vit-patch-size.yaml": "vit-patch-size",
		`C:\sweeps\my sweep.yml`:      "my-sweep",
		"sweep":                       "sweep",
		"über/größe 2.v1.yaml":        "gr-e-2.v1",
		".yaml":                       "sweep",
		"":                            "sweep",
		"...":                         "sweep",
		"_a_.yaml":                    "a",
		strings.Repeat("x", 200):      strings.Repeat("x", 128),
	} {
		if got := nameFromFile(file); got != want {
			t.Errorf("%q gives %q, want %q", file, got, want)
		} else if err := CheckName(got); err != nil {
			t.Error(err)
		}
	}
}

func TestNearest(t *testing.T) {
	verbs := []string{"logs", "ls", "plan", "results", "resume", "rm", "run", "status", "submit"}
	for word, want := range map[string]string{
		"result": "results", "log": "logs", "resum": "resume", "res": "resume", "rnu": "run", "stats": "status", "Log": "logs", "l": "ls",
		"logs": "", "xyzzy": "", "": "", "r": "rm",
	} {
		if got := Nearest(word, verbs); got != want {
			t.Errorf("the nearest to %q is %q, want %q", word, got, want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	keys := []string{"method", "metric", "metrics", "parameters", "run_cap"}
	for word, want := range map[string]string{
		"metod": "method", "metirc": "metric", "Parameters": "parameters", "runcap": "run_cap", "xyz": "", "method": "",
	} {
		if got := closest(word, keys); got != want {
			t.Errorf("%q is taken for %q, want %q", word, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{".good.yaml", ".bad.yaml"} {
		for _, path := range globbed(f, pattern) {
			source, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(source)
		}
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		s, err := Parse(source, "fuzz.yaml")
		if err != nil {
			checkInvalid(t, err)
			return
		}
		if err := CheckName(s.Name); err != nil {
			t.Error(err)
		}
		p, err := s.Plan()
		if err != nil {
			checkInvalid(t, err)
			return
		}
		for i := range min(p.Size(), 20) {
			point, err := p.At(i)
			if errors.Is(err, ErrExcluded) {
				continue
			}
			if err != nil {
				if !errors.Is(err, ErrInvalid) {
					t.Errorf("point %d: neither excluded nor invalid: %v", i, err)
				}
				continue
			}
			b := point.Params.JSON()
			back, err := ParamsFromJSON(b)
			if err != nil {
				t.Fatalf("point %d: %s: %v", i, b, err)
			}
			if again := back.JSON(); string(again) != string(b) {
				t.Errorf("point %d: %s becomes %s", i, b, again)
			}
			if !reflect.DeepEqual(back, point.Params) {
				t.Errorf("point %d: %#v becomes %#v", i, point.Params, back)
			}
			if _, err := s.Argv(point.Params, ArgvEnv{ParamsFile: "p"}); err != nil && !errors.Is(err, ErrInvalid) {
				t.Errorf("point %d: argv: %v", i, err)
			}
		}
	})
}

// checkInvalid checks that an error is one of the file, line by line.
func checkInvalid(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("not ErrInvalid: %v", err)
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		if !strings.HasPrefix(line, "fuzz.yaml:") {
			t.Errorf("a line without a place: %q in %q", line, err)
		}
	}
}

// BenchmarkAt computes points of a grid with a derived parameter and a constraint.
func BenchmarkAt(b *testing.B) {
	_, p, err := parsePlan([]byte(hugeGrid(`sum % 2 == 0`)), "bench.yaml")
	if err != nil {
		b.Fatal(err)
	}
	i := int64(0)
	for b.Loop() {
		if _, err := p.At(i); err != nil && !errors.Is(err, ErrExcluded) {
			b.Fatal(err)
		}
		i++
	}
}
