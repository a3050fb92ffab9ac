package results

import (
	"errors"
	"strings"
	"testing"

	"swath/sweeps"
)

// FuzzFilter checks that no expression panics, and that whatever is wrong with one is
// told as a user's mistake in one line.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		`lr > 0.1 and state == "finished"`, `optimizer.name in ["adam", "sgd"]`, `not (1 < lr < 3)`,
		`params["a-b"] == nil ?? 1`, `layers[-1] ** 2 % 3 == 1 ? true : isNaN(test_accuracy)`,
		`index in 1..3`, `optimizer?.name matches "^a"`, `max(lr, 1, train_loss) / 0 > 1`, `any(layers, # > 1)`,
		`let x = 1; x`, `if true { false } else { true }`, `a.b.c["d"].e()`, `64 not in layers`, `-(-lr) < +1`,
		`{"a": 1}.a == 1`, `[1,[2,"x"]] == layers`, "lr//comment\n<1", `$env["lr"] > 1`, `::abs(lr) > 1`, `lr[:1]`, `b"x" == 1`, `""[0]`,
	} {
		f.Add(seed)
	}
	fields := sampleFields()
	rows := sampleRows()
	f.Fuzz(func(t *testing.T, source string) {
		filter, err := Compile(source, fields)
		if err != nil {
			check(t, err)
			return
		}
		for _, r := range rows {
			if _, err := filter.Match(r); err != nil {
				check(t, err)
			}
		}
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, sweeps.ErrInvalid) {
		t.Errorf("error %q is not sweeps.ErrInvalid", err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q has more than one line", err)
	}
}

// FuzzNames checks the names of columns and sort keys in the same way.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{`lr,-test_accuracy`, `params["a,b"],best.x`, `metrics['val/loss']`, `params[`, `-,,`, `best_step.`, `params[""]`} {
		f.Add(seed)
	}
	fields := sampleFields()
	f.Fuzz(func(t *testing.T, s string) {
		if o, err := ParseOrder(s, fields); err == nil {
			o.Sort(sampleRows())
		} else if !errors.Is(err, sweeps.ErrInvalid) {
			t.Errorf("sort %q: error %q is not sweeps.ErrInvalid", s, err)
		}
		if _, err := ParseColumns(s, fields); err != nil && !errors.Is(err, sweeps.ErrInvalid) {
			t.Errorf("columns %q: error %q is not sweeps.ErrInvalid", s, err)
		}
	})
}
