package results

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swath/sweeps"
)

func TestFilter(t *testing.T) {
	for _, c := range []struct {
		expr string
		want []int64
	}{
		// Comparisons, integers with floats and the other way round.
		{`patch_size <= 8`, []int64{0, 1, 3, 4}},
		{`patch_size < 8.5 and lr >= 0.01`, []int64{1, 3, 4}},
		{`lr == 1.0`, []int64{3}},
		{`lr == 10`, []int64{4}},
		{`lr != 1`, []int64{0, 1, 2, 4}},
		{`1e-5 <= lr and lr < 1e-2`, []int64{0, 2}},
		{`1e-3 <= lr <= 1`, []int64{0, 1, 3}},
		{`true`, []int64{0, 1, 2, 3, 4}},
		{`!true or false`, []int64{}},

		// The columns of every row.
		{`state == "finished"`, []int64{0, 1}},
		{`state in ["failed", "running"]`, []int64{2, 3, 4}},
		{`state not in ["failed", "running"]`, []int64{0, 1}},
		{`index in 1..3`, []int64{1, 2, 3}},
		{`attempts > 1 && worker != "beta"`, []int64{2}},
		{`duration_s > 83.4 and duration < 3600`, []int64{0}},
		{`duration_s == 83.402`, []int64{0}},
		{`trial endsWith "a3"`, []int64{3}},
		{`error contains "boom"`, []int64{2}},
		{`error == ""`, []int64{0, 1, 3}},
		{`class == "diverged"`, []int64{4}},
		{`ended > "2026-03-04T06"`, []int64{1, 4}},

		// Nested groups, dotted names, qualified names, names that are no identifiers.
		{`optimizer.name == "adam"`, []int64{0, 3, 4}},
		{`params.optimizer.name matches "^adam.w$"`, []int64{2}},
		{`params["optimizer.name"] == "sgd"`, []int64{1}},
		{`params["optimizer"]["name"] == "sgd"`, []int64{1}},
		{`optimizer?.name == "sgd"`, []int64{1}},
		{`optimizer.name startsWith "s"`, []int64{1}},
		{`metrics["val/loss"] < 1`, []int64{1}},
		{`best.test_accuracy > 0.5`, []int64{0, 1}},
		{`best_step.test_accuracy == 5`, []int64{1}},
		{`metrics.test_accuracy < params.lr * 100`, []int64{1}},

		// A missing value: every comparison is false, also those that negate.
		{`test_accuracy > 0`, []int64{0, 1}},
		{`test_accuracy != 0.6`, []int64{0}},
		{`not (test_accuracy == 0.6)`, []int64{0, 2, 3, 4}},
		{`pretrained`, []int64{0, 4}},
		{`not pretrained`, []int64{1}},
		{`pretrained == false`, []int64{1}},
		{`pretrained != false`, []int64{0, 4}},
		{`pretrained == nil`, []int64{2, 3}},
		{`nil != pretrained`, []int64{0, 1, 4}},
		{`pretrained or lr == 1`, []int64{0, 3, 4}},
		{`train_loss + 1 < 2`, []int64{1}},
		{`-train_loss < 0`, []int64{0, 1, 4}},
		{`abs(train_loss) < 1 or lr == 1`, []int64{1, 3}},
		{`train_loss in [0.75, 1.25]`, []int64{0, 1}},
		{`train_loss not in [0.75]`, []int64{0, 4}},
		{`64 not in layers`, []int64{}},
		{`32 not in layers`, []int64{1}},
		{`(train_loss ?? 0) == 0`, []int64{2, 3}},
		{`(pretrained ? 1 : 2) == 1`, []int64{0, 4}},
		{`layers[1] > 1`, []int64{0}},
		{`layers[-1] == 32`, []int64{0}},
		{`32 in layers`, []int64{0}},
		{`len(layers) == 1`, []int64{1}},
		{`layers == [64, 32]`, []int64{0}},

		// NaN and infinities.
		{`test_accuracy == test_accuracy`, []int64{0, 1}},
		{`test_accuracy <= 1 or test_accuracy > 1`, []int64{0, 1}},
		{`test_accuracy != 1`, []int64{0, 1}},
		{`test_accuracy not in [1]`, []int64{0, 1}},
		{`test_accuracy in 0..1`, []int64{}},
		{`isNaN(test_accuracy)`, []int64{4}},
		{`isInf(train_loss)`, []int64{4}},
		{`train_loss > 1e308`, []int64{4}},
		{`patch_size % 0 == 0`, []int64{}},
		{`patch_size / 0 > 1e300`, []int64{0, 1, 2, 3, 4}},

		// Arithmetic and functions.
		{`patch_size * patch_size == 64`, []int64{1, 4}},
		{`patch_size ** 2 == 64`, []int64{1, 4}},
		{`patch_size % 3 == 1`, []int64{0, 2, 3}},
		{`patch_size / 16 == 0.25`, []int64{0, 3}},
		{`max(lr, 1) == 1 and min(lr, 1) == lr`, []int64{0, 1, 2, 3}},
		{`round(lr) == 1`, []int64{3}},
		{`upper(optimizer.name) + "!" == "SGD!"`, []int64{1}},
		{`string(patch_size) == "16"`, []int64{2}},
		{`int("8") == patch_size and float("10") == lr`, []int64{4}},
		{`(optimizer.name contains "dam") and not (optimizer.name contains "|")`, []int64{0, 3, 4}},
		{`optimizer.name not contains "adam"`, []int64{1}},
	} {
		f, err := Compile(c.expr, sampleFields())
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		var got []Row
		for _, r := range sampleRows() {
			ok, err := f.Match(r)
			if err != nil {
				t.Errorf("%s: %v", c.expr, err)
			}
			if ok {
				got = append(got, r)
			}
		}
		if diff := cmp.Diff(c.want, indices(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.expr, diff)
		}
		if f.String() != c.expr {
			t.Errorf("String() = %q", f.String())
		}
	}
}

func TestFilterErrors(t *testing.T) {
	f := sampleFields()
	for expr, want := range map[string]string{
		`lrr > 1`:                      `filter "lrr > 1": column 1: unknown name "lrr"; did you mean lr? (known: ` + allNames + `)`,
		"lr > 1 and\n state2 == 'x'":   `filter "lr > 1 and\n state2 == 'x'": line 2, column 2: unknown name "state2"; did you mean state? (known: ` + allNames + `)`,
		`lr > 1 && accuracy > 1`:       `filter "lr > 1 && accuracy > 1": column 11: unknown name "accuracy"; did you mean test_accuracy? (known: ` + allNames + `)`,
		`val/loss < 1`:                 `filter "val/loss < 1": column 1: unknown name "val"; write metrics["val/loss"]`,
		`params.patchsize == 1`:        `filter "params.patchsize == 1": column 1: unknown parameter "patchsize"; did you mean params.patch_size? (known: lr, patch_size, epochs, layers, optimizer.beta, optimizer.name, pretrained)`,
		`metrics.val_loss < 1`:         `filter "metrics.val_loss < 1": column 1: unknown metric "val_loss"; did you mean metrics["val/loss"]? (known: test_accuracy, train_loss, val/loss)`,
		`best.train_loss < 1`:          `filter "best.train_loss < 1": column 1: train_loss has no best value, because the sweep names no goal for it (known: test_accuracy)`,
		`1 < optimizer`:                `filter "1 < optimizer": column 5: optimizer is a group of parameters: optimizer.beta, optimizer.name`,
		`params == 1`:                  `filter "params == 1": column 1: params needs a name: params.x or params["a-b"]`,
		`lr`:                           `filter "lr": column 1: the expression gives a number, want true or false: compare it with something`,
		`lr = 1`:                       `filter "lr = 1": column 4: unexpected token Operator("=") (equality is ==)`,
		`lr > 1 AND lr < 2`:            `filter "lr > 1 AND lr < 2": column 8: unexpected token Identifier("AND") (and, or, not, in are written small)`,
		`lr >`:                         `filter "lr >": column 4: unexpected token EOF (the expression ends too early)`,
		` `:                            `filter: the expression is empty; try one as in: state == "finished"`,
		`optimizer.name > 3`:           `filter "optimizer.name > 3": column 16: optimizer.name (a string) cannot be compared with a number`,
		`lr == "0.1"`:                  `filter "lr == \"0.1\"": column 4: lr (a number) cannot be compared with a string`,
		`state matches "("`:            "filter \"state matches \\\"(\\\"\": column 15: error parsing regexp: missing closing ): `(`",
		`state matches worker`:         `filter "state matches worker": column 15: the pattern of matches must be written as a string, as in: optimizer matches "^adam"`,
		`lr contains "a"`:              `filter "lr contains \"a\"": column 4: contains wants strings, not lr (a number) and a string`,
		`state in "abc"`:               `filter "state in \"abc\"": column 7: in wants a list on its right, as in [2, 4], not a string`,
		`lr and true`:                  `filter "lr and true": column 1: lr (a number) stands where true or false is wanted`,
		`nil < lr`:                     `filter "nil < lr": column 5: nil compares with == and != only`,
		`abbs(lr) > 1`:                 `filter "abbs(lr) > 1": column 1: there is no function abbs() in a filter; did you mean abs? (known: abs, ceil, float, floor, int, isInf, isNaN, len, lower, max, min, round, string, trim, upper)`,
		`abs(state) > 1`:               `filter "abs(state) > 1": column 5: abs() wants a number, not state (a string)`,
		`abs() > 1`:                    `filter "abs() > 1": column 1: abs() takes 1 to 1 arguments, not 0`,
		`any(layers, # > 1)`:           `filter "any(layers, # > 1)": column 1: there is no function any() in a filter (known: abs, ceil, float, floor, int, isInf, isNaN, len, lower, max, min, round, string, trim, upper)`,
		`let x = 1; x == lr`:           `filter "let x = 1; x == lr": column 5: this is not available in a filter; a filter compares parameters and metrics, as in: lr < 0.01 and state == "finished"`,
		`state - 1 == 1`:               `filter "state - 1 == 1": column 7: state (a string) and a number have no -`,
		`lr in [patch_size]`:           `filter "lr in [patch_size]": column 8: a list in a filter holds constants only, as in: heads in [2, 4]`,
		`lr in 1.."a"`:                 `filter "lr in 1..\"a\"": column 8: a range goes from number to number, not from a number to a string`,
		`state[0] == "f"`:              `filter "state[0] == \"f\"": column 6: state (a string) cannot be indexed with a number`,
		`-state == "f"`:                `filter "-state == \"f\"": column 1: state (a string) has no sign`,
		`lr | abs > 1`:                 `filter "lr | abs > 1": column 10: unexpected token Operator(">")`,
		`1..3 == lr`:                   `filter "1..3 == lr": column 2: the operator .. is not available in a filter`,
		`"unclosed`:                    `filter "\"unclosed": column 10: literal not terminated`,
		string(make([]byte, 20_000)):   `filter: the expression has 20000 bytes, at most 16384 are allowed`,
		nestedComparisons(20):          `filter: the expression is too complicated`,
		`state in [1, 2] and lr.x > 1`: `filter "state in [1, 2] and lr.x > 1": column 21: unknown name "lr.x" (known: ` + allNames + `)`,
	} {
		_, err := Compile(expr, f)
		wantInvalid(t, err, want)
	}
}

const allNames = `lr, patch_size, epochs, layers, optimizer.beta, optimizer.name, pretrained, ` +
	`test_accuracy, train_loss, metrics["val/loss"], ` +
	`trial, index, state, attempts, worker, duration_s, duration, error, class, started, ended, reused_from`

// nestedComparisons doubles with every level when it is compiled.
func nestedComparisons(depth int) string {
	s := "lr"
	for range depth {
		s = "(1 < " + s + " < 3 ? 1 : 2)"
	}
	return s + " == 1"
}

// A name may be several things; the order is column, parameter, metric, and the
// qualified names reach all of them.
func TestAmbiguousNames(t *testing.T) {
	row := Row{
		Index: 1, State: sweeps.TrialFinished, Error: "none to speak of",
		Params:  sweeps.Params{"loss": "hinge", "state": "solid", "a-b": int64(1), "g.x": int64(5), "g": map[string]any{"y": int64(6), "z.w": int64(7)}},
		Metrics: map[string]float64{"loss": 0.25, "error": 0.5, "g.m": 8},
	}
	fields := FieldsOf([]Row{row})
	for _, expr := range []string{
		`loss == "hinge"`, `params.loss == "hinge"`, `metrics.loss == 0.25`,
		`state == "finished"`, `params.state == "solid"`,
		`error startsWith "none"`, `metrics.error == 0.5`,
		`params["a-b"] == 1`, `g.x == 5`, `g.y == 6`, `g.z.w == 7`, `params["g.x"] == 5`, `g.m == 8`,
	} {
		f, err := Compile(expr, fields)
		if err != nil {
			t.Error(err)
			continue
		}
		if ok, err := f.Match(row); !ok || err != nil {
			t.Errorf("%s: %v, %v", expr, ok, err)
		}
	}
	_, err := Compile(`error < 0.1`, fields)
	wantInvalid(t, err, `filter "error < 0.1": column 7: error (a string) cannot be compared with a number; the metric of that name is metrics.error`)
	_, err = Compile(`loss < 0.1`, fields)
	wantInvalid(t, err, `filter "loss < 0.1": column 6: loss (a string) cannot be compared with a number; the metric of that name is metrics.loss`)
}

// Before any metric is reported a bare name cannot be told from a slip, but a
// qualified one is believed.
func TestFilterBeforeFirstMetric(t *testing.T) {
	row := Row{Params: sweeps.Params{"lr": 0.1}}
	fields := FieldsOf([]Row{row})
	f, err := Compile(`metrics.loss < 1 or best.loss < 1 or best_step.loss > 1`, fields)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := f.Match(row); ok || err != nil {
		t.Errorf("Match = %v, %v; want false", ok, err)
	}
	_, err = Compile(`loss < 1`, fields)
	wantInvalid(t, err, `filter "loss < 1": column 1: unknown name "loss"; no metric has been reported yet, metrics.loss would wait for one (known: lr, trial, index, state, attempts, worker, duration_s, duration, error, class, started, ended, reused_from)`)
}

// A parameter may have values of several types, as values: [auto, 0.5, null] does.
// Comparisons across them are false; only arithmetic on the wrong one is an error.
func TestMixedParameter(t *testing.T) {
	rows := []Row{
		{Index: 0, Params: sweeps.Params{"x": "auto"}},
		{Index: 1, Params: sweeps.Params{"x": 0.5}},
		{Index: 2, Params: sweeps.Params{"x": true}},
		{Index: 3, Params: sweeps.Params{"x": nil}},
		{Index: 4, Params: sweeps.Params{"x": []any{int64(1), "a"}}},
	}
	fields := FieldsOf(rows)
	for expr, want := range map[string][]int64{
		`x > 0`:            {1},
		`x == "auto"`:      {0},
		`x != "auto"`:      {1, 2, 4},
		`x in ["auto", 1]`: {0},
		`x contains "ut"`:  {0},
		`"a" in x`:         {4},
		`x == [1, "a"]`:    {4},
		`x >= "a"`:         {0},
		`x == true`:        {2},
		`x matches "a"`:    {0},
		`x in 0..1`:        {},
	} {
		f, err := Compile(expr, fields)
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := Query{Where: f}.Run(slices.Values(rows))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, indices(got)); diff != "" {
			t.Errorf("%s: %s", expr, diff)
		}
	}
	for expr, want := range map[string]string{
		`x * 2 > 1`:                           `filter "x * 2 > 1" on trial 0: a string and a number have no *`,
		`-x > 1`:                              `filter "-x > 1" on trial 0: a string has no sign`,
		`x or true`:                           `filter "x or true" on trial 0: a string stands where true or false is wanted`,
		`x`:                                   `filter "x" on trial 0: the expression gives a string, want true or false`,
		`abs(x) > 1`:                          `filter "abs(x) > 1" on trial 0: abs() wants a number, not a string`,
		`float(x) > 1 and not (x * 2 in [1])`: `filter "float(x) > 1 and not (x * 2 in [1])" on trial 0: float() cannot read "auto" as a number`,
	} {
		f, err := Compile(expr, fields)
		if err != nil {
			t.Error(err)
			continue
		}
		_, err = Query{Where: f}.Run(slices.Values(rows))
		wantInvalid(t, err, want)
	}
}

func TestExactNumbers(t *testing.T) {
	row := Row{Params: sweeps.Params{
		"big": int64(math.MaxInt64), "less": int64(math.MinInt64), "f": float64(1 << 53), "i": int64(1<<53 + 1),
	}}
	fields := FieldsOf([]Row{row})
	for expr, want := range map[string]bool{
		`i > f`:                          true,
		`f < i`:                          true,
		`i == f`:                         false,
		`big < 9223372036854775808.0`:    true,
		`less >= -9223372036854775808.0`: true,
		`less > -1e300 and big < 1e300`:  true,
		`big + 1 > big`:                  true,
		`less - 1 < 0`:                   true,
		`big * 2 > big`:                  true,
		`-less > 0`:                      true,
		`abs(less) > 0`:                  true,
		`less * -1 > 0`:                  true,
		`less % -1 == 0`:                 true,
		`7 % 4 == 3 and 7.5 % 4 == 3.5`:  true,
		`int(1e300) == 1e300`:            true,
		`int("12") == 12`:                true,
		`int(2.9) == 2`:                  true,
	} {
		f, err := Compile(expr, fields)
		if err != nil {
			t.Error(err)
			continue
		}
		if got, err := f.Match(row); got != want || err != nil {
			t.Errorf("%s = %v, %v", expr, got, err)
		}
	}
}
