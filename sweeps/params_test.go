package sweeps

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"
)

func TestParamsJSON(t *testing.T) {
	for _, c := range []struct {
		params Params
		want   string
	}{
		{Params{}, `{}`},
		{Params{"b": int64(1), "a": 2.0, "C": math.Copysign(0, -1)}, `{"C":0,"a":2,"b":1}`},
		{Params{"x": 1e-5, "y": 1e300, "z": 0.1}, `{"x":0.00001,"y":1e+300,"z":0.1}`},
		{Params{"big": int64(math.MaxInt64), "f": 1e18, "g": 1e19}, `{"big":9223372036854775807,"f":1000000000000000000,"g":10000000000000000000}`},
		{Params{"s": "a<b>&\"\n\u00e4", "n": nil, "t": true}, `{"n":null,"s":"a<b>&\"\nä","t":true}`},
		{Params{"g": map[string]any{"y": []any{int64(1), 2.0, "x", nil}, "x": map[string]any{}}}, `{"g":{"x":{},"y":[1,2,"x",null]}}`},
		{Params{"nan": math.NaN(), "inf": math.Inf(-1)}, `{"inf":null,"nan":null}`},
	} {
		got := string(c.params.JSON())
		if got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		back, err := ParamsFromJSON([]byte(got))
		if err != nil {
			t.Errorf("%s: %v", got, err)
		}
		if again := string(back.JSON()); again != got {
			t.Errorf("%s became %s on the way back", got, again)
		}
	}
}

func TestParamsFromJSON(t *testing.T) {
	got, err := ParamsFromJSON([]byte(`{"i": 3, "f": 3.5, "w": 3.0, "e": 1e2, "l": [1, 2.5], "m": {"k": -4}, "big": 12345678901234567890}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Params{
		"i": int64(3), "f": 3.5, "w": int64(3), "e": int64(100), "l": []any{int64(1), 2.5},
		"m": map[string]any{"k": int64(-4)}, "big": 12345678901234567890.0,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v", got)
	}
	for _, bad := range []string{``, `null`, `[1]`, `{"a":}`, `{"a":1} x`, `{"a":1}{}`, `{"a":1e999}`} {
		if p, err := ParamsFromJSON([]byte(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q gives %v and the error %v", bad, p, err)
		}
	}
}

func TestParamsGet(t *testing.T) {
	p := Params{
		"a":     int64(1),
		"a.b":   int64(2),
		"g":     map[string]any{"x": int64(3), "y.z": int64(4), "h": map[string]any{"k": nil}},
		"g.x":   int64(5),
		"o.p":   map[string]any{"q": int64(6)},
		"plain": "s",
	}
	for path, want := range map[string]any{
		"a": int64(1), "a.b": int64(2), "g.x": int64(5), "g.y.z": int64(4), "g.h.k": nil, "o.p.q": int64(6), "plain": "s",
	} {
		if got, ok := p.Get(path); !ok || got != want {
			t.Errorf("Get(%q) = %v, %t; want %v", path, got, ok, want)
		}
	}
	for _, path := range []string{"", ".", "b", "a.c", "g.h.k.l", "plain.x", "g.", ".a"} {
		if got, ok := p.Get(path); ok {
			t.Errorf("Get(%q) = %v", path, got)
		}
	}
}

func TestParamsLeaves(t *testing.T) {
	p := Params{"b": map[string]any{"y": int64(1), "x": "s"}, "a": []any{int64(1)}, "c": map[string]any{}}
	text := ""
	for _, l := range p.Leaves() {
		text += l.Path + "=" + FormatValue(l.Value) + " "
	}
	if want := "a=[1] b.x=s b.y=1 c={} "; text != want {
		t.Errorf("got %q, want %q", text, want)
	}
}

// TestFloatJSON compares with encoding/json, whose form of a float is ours.
func TestFloatJSON(t *testing.T) {
	for _, f := range []float64{0.5, -0.1, 1e-5, 1e-6, 9.99e-7, 1e-9, -2.5e-12, 1e-100, 5e-324, 1.5e19, 1e20, 1e21, -1.25e22, 1e300, math.MaxFloat64, math.Pi} {
		want, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(appendFloatJSON(nil, f)); got != string(want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
