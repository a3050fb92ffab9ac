package trainer

import (
	"slices"
	"strings"
	"testing"
)

var testTrainer = Trainer{Name: "vit", Params: testParams, Metrics: []Metric{
	{Name: "test_accuracy", Help: "after each epoch"},
	{Name: "loss", Help: "if epochs is above 1", Names: If("loss", func(v Values) bool { return v.Int("epochs") > 1 })},
	{Name: "layer_K", Help: "for each epoch", Names: func(v Values) []string { return []string{"layer_1", "layer_2", "layer_3"}[:v.Int("epochs")] }},
}}

func TestReports(t *testing.T) {
	for epochs, want := range map[int][]string{1: {"test_accuracy", "layer_1"}, 3: {"test_accuracy", "loss", "layer_1", "layer_2", "layer_3"}} {
		if got, err := testTrainer.Reports(map[string]any{"epochs": epochs}); err != nil || !slices.Equal(got, want) {
			t.Errorf("a trial of %d epochs reports %v, want %v (%v)", epochs, got, want, err)
		}
	}
	if _, err := testTrainer.Reports(map[string]any{"epoch": 1}); err == nil {
		t.Error("wrong parameters are no error")
	}
}

func TestCheckMetric(t *testing.T) {
	reported := []string{"test_accuracy", "layer_1"}
	for _, c := range []struct {
		name string
		all  bool
		want string // "" for a metric that may be reported
	}{
		{"test_accuracy", true, ""},
		{"layer_1", true, ""},
		{"test_acuracy", true, `vit has no metric "test_acuracy"; did you mean "test_accuracy"?`},
		{"test_acuracy", false, `vit has no metric "test_acuracy"; did you mean "test_accuracy"?`},
		{"accuracy", true, `did you mean "test_accuracy"?`},
		{"speed", true, `vit has no metric "speed"; it has test_accuracy, layer_1`},
		{"loss", true, "no trial reports loss (loss: if epochs is above 1)"},
		{"loss", false, ""},
		{"layer_7", true, "no trial reports layer_7 (layer_K: for each epoch)"},
		{"layer_7", false, ""},
		{"layer_", true, `vit has no metric "layer_"`},
		{"layer_K", true, "no trial reports layer_K"},
	} {
		err := testTrainer.CheckMetric(c.name, reported, c.all)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s (of all trials: %v) gives %v, want %q", c.name, c.all, err, c.want)
		}
	}
}
