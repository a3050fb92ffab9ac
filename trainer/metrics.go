package trainer

import (
	"fmt"
	"slices"
	"strings"
)

// Metric is something that a trainer reports.
type Metric struct {
	Name string // where it ends in K, that is a number, from 1
	Help string // one line: meaning, when it is reported, with which parameters
	// Names returns what a trial of these parameters reports. Nil: the name, whatever they are.
	Names func(v Values) []string
}

// If is a [Metric.Names] of a metric that only some trials report.
func If(name string, reported func(v Values) bool) func(v Values) []string {
	return func(v Values) []string {
		if reported(v) {
			return []string{name}
		}
		return nil
	}
}

// Reports returns the names of the metrics that a trial of these parameters reports, which are valid ones.
func (t *Trainer) Reports(params map[string]any) ([]string, error) {
	v, err := Decode(t.Name, t.Params, params)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range t.Metrics {
		if m.Names == nil {
			names = append(names, m.Name)
		} else {
			names = append(names, m.Names(v)...)
		}
	}
	return names, nil
}

// metric returns the metric that a name is of, whatever the parameters; nil if there is none.
func (t *Trainer) metric(name string) *Metric {
	series := strings.TrimRight(name, "0123456789") + "K"
	i := slices.IndexFunc(t.Metrics, func(m Metric) bool { return m.Name == name || m.Name == series && series != name+"K" })
	if i < 0 {
		return nil
	}
	return &t.Metrics[i]
}

// CheckMetric reports a metric that is not among those that trials report. Where they are not all the trials, a metric that
// others may report is none.
func (t *Trainer) CheckMetric(name string, reported []string, all bool) error {
	if slices.Contains(reported, name) {
		return nil
	}
	m := t.metric(name)
	switch {
	case m == nil:
		return fmt.Errorf("%s has no metric %q%s", t.Name, name, hint(name, reported))
	case all:
		return fmt.Errorf("no trial reports %s (%s: %s)", name, m.Name, m.Help)
	}
	return nil
}
