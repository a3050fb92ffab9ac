package results

import (
	"math"
	"testing"
)

func TestShortFloat(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 1: "1", 0.5: "0.5", 0.1234567: "0.12346", 1234.5678: "1234.6", 12345.678: "12346",
		99999.4: "99999", 99999.6: "100000", 123456.7: "123457", 1e14: "100000000000000", 1e15: "1e+15",
		0.0001: "0.0001", 0.00001: "1e-5", 1.23456789e-7: "1.2346e-7", -0.25: "-0.25", 1e-300: "1e-300",
		math.Inf(1): "Infinity", math.Inf(-1): "-Infinity",
	} {
		if got := shortFloat(f); got != want {
			t.Errorf("shortFloat(%v) = %s, want %s", f, got, want)
		}
	}
	if got := shortFloat(math.NaN()); got != "NaN" {
		t.Errorf("NaN prints as %s", got)
	}
}

func TestDecimals(t *testing.T) {
	for _, c := range []struct {
		column []float64
		want   int
	}{
		{[]float64{0.5, 0.123456}, 4},
		{[]float64{1.5, 0.9, math.NaN()}, 4},
		{[]float64{31.25, 2}, 3},
		{[]float64{-1234.5}, 1},
		{[]float64{20000.5, 30000}, 0},
		{[]float64{1, 2, math.Inf(1)}, 0},
		{[]float64{0.05}, 5},
		{[]float64{1, 0.00001}, -1},
		{[]float64{1e-6}, -1},
		{[]float64{1e20}, -1},
		{nil, 0},
	} {
		var values []value
		for _, f := range c.column {
			values = append(values, floatValue(f))
		}
		if got := decimals(values); got != c.want {
			t.Errorf("decimals(%v) = %d, want %d", c.column, got, c.want)
		}
	}
}

func TestHumanSeconds(t *testing.T) {
	for s, want := range map[float64]string{
		0: "0s", 0.12: "0.12s", 12.34: "12.3s", 59.94: "59.9s", 59.97: "1m00s", 83.4: "1m23s",
		3599.6: "1h00m", 3723: "1h02m", 86399: "1d00h", 97200: "1d03h",
	} {
		if got := humanSeconds(s); got != want {
			t.Errorf("humanSeconds(%v) = %s, want %s", s, got, want)
		}
	}
}

func TestWidth(t *testing.T) {
	for s, want := range map[string]int{
		"": 0, "abc": 3, "é": 1, "e\u0301": 1, "木": 2, "학습": 4, "🚀": 2, "ｆ": 2, "±σ": 2, "\u200d": 0,
	} {
		if got := width(s); got != want {
			t.Errorf("width(%q) = %d, want %d", s, got, want)
		}
	}
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{
		{"abcdef", 6, "abcdef"}, {"abcdef", 5, "abcd…"}, {"木木木", 5, "木木…"}, {"木木木", 4, "木…"}, {"abc", 1, "…"}, {"abc", 0, ""},
	} {
		if got := cut(c.s, c.n); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.s, c.n, got, c.want)
		}
	}
	if got, want := printable("a\tb\nc\x1b[1;31md\x1b\xff\u202e"), "a b cd\ufffd\ufffd\ufffd"; got != want {
		t.Errorf("printable gives %q, want %q", got, want)
	}
}

func TestSuggest(t *testing.T) {
	names := []string{"learning_rate", "test_accuracy", "test_loss", "heads", "lr"}
	for name, want := range map[string]string{
		"learing_rate": "learning_rate", "laerning_rate": "learning_rate", "Heads": "heads", "head": "heads",
		"accuracy": "test_accuracy", "rl": "lr", "zebra": "", "test_los": "test_loss",
	} {
		if got := suggest(name, names); got != want {
			t.Errorf("suggest(%q) = %q, want %q", name, got, want)
		}
	}
}
