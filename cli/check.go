package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"swath/sweeps"
	"swath/trainer"
	"swath/trainer/builtin"
	"swath/trainer/data"
)

// maxChecked bounds the indices of a plan whose parameters are checked before the sweep is
// taken.
const maxChecked = 10_000

// checkTrainer looks whether the built-in trainer of the sweep takes the parameters of its
// trials, and whether one of them reports the objective. The errors are those of the first trial that it does not take,
// where they stand in the file.
func (f *sweepFile) checkTrainer() error {
	t, ok := builtin.Lookup(f.spec.Trainer)
	if !ok {
		return f.spec.ErrorAt("trainer", "trainer %q: there is no such trainer; built in are %s", f.spec.Trainer, strings.Join(builtin.Names(), ", "))
	}
	objective := metricCheck{trainer: t, name: f.spec.Objective.Name, seen: map[string]bool{}}
	var refused refusals
	for i := int64(0); i < min(f.plan.Size(), maxChecked); i++ {
		p, err := f.plan.At(i)
		if errors.Is(err, sweeps.ErrExcluded) {
			continue
		}
		if err == nil {
			err = t.Validate(p.Params)
		}
		if err == nil && f.spec.Continue != "" {
			if err := checkContinue(t, f.spec.Continue, p.Params); err != nil {
				return f.spec.ErrorAt("continue", "continue: %s (in trial %d)", oneLine(err), i)
			}
		}
		if err == nil {
			err = objective.add(p.Params)
		}
		refused.add(i, err)
	}
	var mistakes sweeps.FileErrors
	if err := objective.check(f.plan.Size() <= maxChecked && refused.bad == 0); err != nil {
		mistakes = append(mistakes, f.spec.ErrorAt("metric.name", "metric: %s", oneLine(err)))
	}
	return inFileOrder(append(mistakes, f.refused(refused)...))
}

// inFileOrder sorts mistakes by where they are; nil if there are none.
func inFileOrder(mistakes sweeps.FileErrors) error {
	if len(mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(mistakes, func(a, b *sweeps.FileError) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return mistakes
}

// refusals counts the trials that a trainer does not take, and keeps why it does not take the first.
type refusals struct {
	first    error
	index    int64 // of the first
	bad, all int64
}

func (r *refusals) add(index int64, err error) {
	r.all++
	if err == nil {
		return
	}
	if r.bad++; r.bad == 1 {
		r.first, r.index = err, index
	}
}

// refused tells of the first trial that is not taken, and how many are not.
func (f *sweepFile) refused(r refusals) sweeps.FileErrors {
	if r.first == nil {
		return nil
	}
	which := fmt.Sprintf("in trial %d", r.index)
	switch {
	case r.all == 1:
		which = "in the sweep's only trial"
	case r.bad == r.all:
		which = fmt.Sprintf("in trial %d; none of the %s trials%s can run", r.index, thousands(r.all), f.beginning())
	case r.bad > 1:
		which = fmt.Sprintf("in trial %d; %s of the %s trials%s cannot run", r.index, thousands(r.bad), thousands(r.all), f.beginning())
	}
	return f.atParameters(r.first, which)
}

// metricCheck looks for the objective among the metrics that trials report.
type metricCheck struct {
	trainer  trainer.Trainer
	name     string // empty: there is none
	found    bool
	reported []string
	seen     map[string]bool
}

// add takes up a trial, by its parameters.
func (c *metricCheck) add(params map[string]any) error {
	if c.name == "" || c.found {
		return nil
	}
	names, err := c.trainer.Reports(params)
	for _, n := range names {
		if !c.seen[n] {
			c.seen[n], c.reported = true, append(c.reported, n)
		}
	}
	c.found = c.seen[c.name]
	return err
}

// check is the error of an objective that no trial reports; all says whether all were added.
func (c *metricCheck) check(all bool) error {
	if c.name == "" || c.found || len(c.reported) == 0 {
		return nil
	}
	return c.trainer.CheckMetric(c.name, c.reported, all)
}

// checkContinue looks whether the trainer's trials may go on from each other.
func checkContinue(t trainer.Trainer, param string, params map[string]any) error {
	if t.Continues == nil {
		return fmt.Errorf("trials of trainer %s cannot go on from each other", t.Name)
	}
	return t.Continues(param, params)
}

// beginning says that only the first trials were checked.
func (f *sweepFile) beginning() string {
	if f.plan.Size() > maxChecked {
		return " at the beginning"
	}
	return ""
}

// atParameters says where in the file the parameters stand that a trainer complains of:
// its errors begin with a parameter's name and a colon.
func (f *sweepFile) atParameters(err error, which string) sweeps.FileErrors {
	list := []error{err}
	var several interface{ Unwrap() []error }
	if errors.As(err, &several) {
		list = several.Unwrap()
	}
	out := make(sweeps.FileErrors, len(list))
	for i, e := range list {
		text := oneLine(e)
		name, _, _ := strings.Cut(text, ":")
		out[i] = f.spec.ErrorAt(name, "%s (%s)", text, which)
	}
	return out
}

// checkData looks for the data sets of a built-in trainer's trials on this machine, and whether they have what the
// trials ask for.
func (f *sweepFile) checkData(dir string) error {
	t, ok := builtin.Lookup(f.spec.Trainer)
	if !ok {
		return nil
	}
	standard := ""
	for _, p := range t.Params {
		if p.Name == "dataset" {
			standard, _ = p.Default.(string)
		}
	}
	found := map[string]data.Set{}
	var refused refusals
	for i := int64(0); i < min(f.plan.Size(), maxChecked); i++ {
		p, err := f.plan.At(i)
		if err != nil {
			continue
		}
		name, ok := p.Params["dataset"].(string)
		if !ok {
			name = standard
		}
		if name == "" {
			continue
		}
		set, ok := found[name]
		if !ok {
			if set, err = data.Find(name, dir); err != nil {
				return f.spec.ErrorAt("dataset", "%s", oneLine(err))
			}
			found[name] = set
		}
		if t.CheckData != nil {
			refused.add(i, t.CheckData(p.Params, set))
		}
	}
	return inFileOrder(f.refused(refused))
}
