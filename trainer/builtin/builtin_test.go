package builtin

import (
	"slices"
	"testing"
)

func TestRegistry(t *testing.T) {
	names := Names()
	if !slices.Contains(names, "vit") {
		t.Errorf("the built-in trainers are %v, want vit among them", names)
	}
	for _, name := range names {
		tr, ok := Lookup(name)
		if !ok || tr.Name != name || tr.Summary == "" || tr.Validate == nil || tr.Run == nil || len(tr.Params) == 0 || len(tr.Metrics) == 0 {
			t.Errorf("trainer %s is incomplete: %+v", name, tr)
		}
		if err := tr.Validate(map[string]any{}); err != nil {
			t.Errorf("the defaults of %s are not valid: %v", name, err)
		}
		defaults := map[string]any{}
		for _, p := range tr.Params {
			if _, twice := defaults[p.Name]; twice || p.Help == "" {
				t.Errorf("parameter %s of %s is listed twice or without help", p.Name, name)
			}
			defaults[p.Name] = p.Default
		}
		for i, m := range tr.Metrics {
			if m.Help == "" || slices.ContainsFunc(tr.Metrics[:i], func(other Metric) bool { return other.Name == m.Name }) {
				t.Errorf("metric %s of %s is listed twice or without help", m.Name, name)
			}
		}
		if err := tr.Validate(defaults); err != nil {
			t.Errorf("the defaults of %s, spelled out, are not valid: %v", name, err)
		}
	}
	if _, ok := Lookup("no such trainer"); ok {
		t.Error("an unknown trainer is found")
	}
}
