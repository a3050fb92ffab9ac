package trainer

import (
	"encoding/json"
	"strings"
	"testing"
)

var testParams = []Param{
	{Name: "learning_rate", Default: 1e-4, Open: OpenMin},
	{Name: "dropout", Default: 0.1, Max: 1, Open: OpenMax},
	{Name: "epochs", Default: 10, Min: 1},
	{Name: "optimizer", Default: "adam", Choices: []string{"adam", "sgd"}},
	{Name: "augment", Default: false},
}

func TestDecode(t *testing.T) {
	v, err := Decode("vit", testParams, map[string]any{"epochs": 3.0, "dropout": 0, "optimizer": "sgd", "augment": true})
	if err != nil {
		t.Fatal(err)
	}
	if v.Int("epochs") != 3 || v.Float("dropout") != 0 || v.String("optimizer") != "sgd" || !v.Bool("augment") {
		t.Errorf("decoded %v", v)
	}
	if v.Float("learning_rate") != 1e-4 || v.Given("learning_rate") || !v.Given("epochs") {
		t.Errorf("defaults are wrong: %v", v)
	}
	for _, n := range []any{7, int32(7), int64(7), uint64(7), float32(7), 7.0, json.Number("7")} {
		if v, err := Decode("vit", testParams, map[string]any{"epochs": n}); err != nil || v.Int("epochs") != 7 {
			t.Errorf("%T is read as %v (%v)", n, v, err)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
		want  string
	}{
		{"lerning_rate", 1, `lerning_rate: vit has no such parameter; did you mean "learning_rate"?`},
		{"rate", 1, `rate: vit has no such parameter; did you mean "learning_rate"?`},
		{"lr", 1, `lr: vit has no such parameter; did you mean "learning_rate"?`},
		{"xyzzy", 1, "xyzzy: vit has no such parameter; it has learning_rate, dropout"},
		{"learning_rate", 0, "learning_rate: 0 is out of range: want more than 0"},
		{"learning_rate", "fast", `learning_rate: want a number, not "fast"`},
		{"learning_rate", nil, "learning_rate: want a number, not nothing (null)"},
		{"dropout", 1, "dropout: 1 is out of range: want at least 0 and less than 1"},
		{"dropout", -0.5, "dropout: -0.5 is out of range"},
		{"epochs", 1.5, "epochs: want an integer, not 1.5"},
		{"epochs", 0, "epochs: 0 is out of range: want at least 1"},
		{"epochs", true, "epochs: want an integer, not true"},
		{"optimizer", "adan", `optimizer: "adan" is none of adam, sgd; did you mean "adam"?`},
		{"optimizer", 3, "optimizer: want text, not 3"},
		{"augment", "yes", `augment: want true or false, not "yes"`},
	} {
		_, err := Decode("vit", testParams, map[string]any{c.name: c.value})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s = %v gives %v, want %s", c.name, c.value, err, c.want)
		}
	}
	_, err := Decode("vit", testParams, map[string]any{"epochs": 0, "dropout": 2})
	if err == nil || strings.Count(err.Error(), "out of range") != 2 {
		t.Errorf("two mistakes give %v", err)
	}
}
