package sweeps

import (
	"errors"

	"go.yaml.in/yaml/v3"
)

// checkpoints decodes which checkpoints are kept.
func (d *decoder) checkpoints(n *yaml.Node, objective bool) (k Keep) {
	entries, ok := d.entries(n, "checkpoints")
	if !ok {
		return k
	}
	const most = 100
	for _, e := range entries {
		switch e.key {
		case "keep_last":
			last, _ := d.whole(e.value, "checkpoints.keep_last", 0, most)
			k.Last = int(last)
		case "keep_best":
			best, _ := d.whole(e.value, "checkpoints.keep_best", 0, most)
			k.Best = int(best)
			if best > 0 && !objective {
				d.errorf(e.at, "checkpoints.keep_best needs to know what is best: add metric: {name: loss, goal: minimize}")
			}
		default:
			d.unknownKey(e, "checkpoints", []string{"keep_last", "keep_best"})
		}
	}
	return k
}

// noReuse says why a sweep cannot have both: a trial that goes on needs the checkpoint of the
// one before, which a result that was taken over does not have.
const noReuse = "reuse and continue exclude each other: trials that go on from each other need checkpoints, and a result that is taken over has none"

// CheckReuse returns a [*FileError] if trials of the sweep may not take over results.
func (s *Spec) CheckReuse() error {
	if s.Continue != "" {
		return s.ErrorAt("continue", "%s", noReuse)
	}
	return nil
}

// continued decodes and checks the name of the parameter along which trials go on from each
// other.
func (d *decoder) continued(s *Spec, n *yaml.Node) string {
	name, ok := d.word(n, "continue")
	if !ok {
		return ""
	}
	if s.Method == Random {
		d.errorf(n, "continue is for grids: with method random no two trials agree in all but %s", name)
		return name
	}
	at := -1
	for i, p := range s.Space.params {
		if p.name() == name {
			at = i
		}
	}
	if at < 0 {
		d.errorf(n, "continue: there is no parameter %q%s", name, didYouMean(name, s.Space.names()))
		return name
	}
	p := s.Space.params[at]
	if p.dist != IntUniform && p.dist != Categorical {
		d.errorf(n, "continue: %s is no list of values: write %s: {values: [10, 20, 40]}", name, name)
		return name
	}
	if p.dist == Categorical && !ascending(p.distinct) {
		d.errorf(n, "continue: the values of %s must be numbers in ascending order, since each trial goes on from the one before", name)
	}
	for _, q := range s.Space.derived {
		for _, i := range q.expr.refers {
			if i == at {
				d.errorf(n, "continue: %s depends on %s, so that trials differ in more than %s: make it a parameter of its own", q.name(), name, name)
			}
		}
	}
	return name
}

// ascending reports whether the values are numbers, each larger than the one before.
func ascending(values []any) bool {
	before := 0.0
	for i, v := range values {
		var x float64
		switch v := v.(type) {
		case int64:
			x = float64(v)
		case float64:
			x = v
		default:
			return false
		}
		if i > 0 && x <= before {
			return false
		}
		before = x
	}
	return true
}

// Before returns the index of the trial that trial i goes on from: the one that agrees with
// it in all but the parameter that the file's continue names, and has the next lower value
// of that among those that no constraint excludes. It is false where there is none. It costs
// no more than computing the trials between.
func (p *Plan) Before(i int64) (int64, bool) { return p.neighbour(i, -1) }

// After returns the index of the trial that goes on from trial i. It is the inverse of Before.
func (p *Plan) After(i int64) (int64, bool) { return p.neighbour(i, 1) }

func (p *Plan) neighbour(i, by int64) (int64, bool) {
	if p.chain == nil || i < 0 || i >= p.size {
		return 0, false
	}
	step := p.chain.stride * p.repeat
	for digit := i/step%p.chain.size + by; digit >= 0 && digit < p.chain.size; digit += by {
		i += by * step
		if _, err := p.At(i); !errors.Is(err, ErrExcluded) {
			return i, true
		}
	}
	return 0, false
}

// chained finds the dimension that the file's continue names.
func (p *Plan) chained() {
	for i, d := range p.dims {
		if name := p.spec.Continue; name != "" && p.spec.Space.params[d.param].name() == name {
			p.chain = &p.dims[i]
		}
	}
}
