package sweeps

import (
	"math"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file decodes the parameters and constraints of a sweep file.

// distributions are those that a file may name, and otherDistributions W&B's others.
var (
	distributions      = []string{string(Uniform), string(IntUniform), string(LogUniform), string(Constant), string(Categorical)}
	otherDistributions = []string{
		"beta", "categorical_w_probabilities", "inv_log_uniform", "inv_log_uniform_values", "log_normal",
		"log_uniform", "normal", "q_beta", "q_log_normal", "q_log_uniform", "q_log_uniform_values",
		"q_normal", "q_uniform",
	}
	parameterKeys = []string{"value", "values", "min", "max", "distribution", "expr", "parameters"}
	// otherParameterKeys are W&B's for its other distributions.
	otherParameterKeys = []string{"probabilities", "q", "mu", "sigma", "a", "b"}
)

// ordinaryName is what W&B allows as a parameter's name without a warning.
var ordinaryName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// space decodes the parameters key.
func (d *decoder) space(s *Spec, n, at *yaml.Node) {
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		d.errorf(at, "parameters is empty: add what the sweep varies, such as parameters: {lr: {values: [0.1, 0.01]}}")
		return
	}
	d.group(s, n, nil)
	for _, p := range s.Space.params {
		if s.Method == Grid && (p.dist == Uniform || p.dist == LogUniform) {
			d.errorAt(p.at, "Parameter %s is a disallowed type with grid search. Grid search requires all parameters to be categorical, constant, int_uniform, or q_uniform. "+
				"Specification of probabilities for categorical parameters is disallowed in grid search; list values, or use method: random", p.name())
		}
		if s.Repeat > 0 && len(p.path) == 1 && p.path[0] == seedParameter {
			d.errorAt(p.at, "repeat gives each trial a parameter seed, and the file has one of its own: remove either")
		}
	}
}

// group decodes the parameters of a group, in the order of their names.
func (d *decoder) group(s *Spec, n *yaml.Node, path []string) {
	what := "parameters"
	if len(path) > 0 {
		what = "the parameters of " + strings.Join(path, ".")
	}
	entries, ok := d.entries(n, what)
	if !ok {
		return
	}
	sort.SliceStable(entries, func(i, j int) bool { return entries[i].key < entries[j].key })
	for _, e := range entries {
		if e.key == "" {
			d.errorf(e.at, "a parameter has no name")
			continue
		}
		if strings.ContainsRune(e.key, 0) {
			d.errorf(e.at, "a parameter's name cannot hold a zero byte")
			continue
		}
		if !ordinaryName.MatchString(e.key) {
			d.warnf(e.at, "%q is an unusual name for a parameter: letters, digits, _, . and - are what programs expect", e.key)
		}
		own := append(append([]string(nil), path...), e.key)
		d.parameter(s, e, own)
	}
}

// parameter decodes one parameter, or a nested group.
func (d *decoder) parameter(s *Spec, e entry, path []string) {
	name := strings.Join(path, ".")
	if e.value.Kind != yaml.MappingNode {
		d.errorf(e.value, "parameter %q must say how it is chosen, as in %s: {value: 1} or %s: {values: [1, 2]}, not be %s", name, name, name, describe(e.value))
		return
	}
	entries, ok := d.entries(e.value, "a parameter")
	if !ok {
		return
	}
	keys := map[string]entry{}
	good := true
	var other *entry
	for i, k := range entries {
		switch {
		case contains(parameterKeys, k.key):
			keys[k.key] = k
		case contains(otherParameterKeys, k.key):
			other = &entries[i]
		default:
			good = false
			d.unknownKey(k, "parameter "+strconv.Quote(name), parameterKeys)
		}
	}
	p := &param{path: path, at: placeOf(e.at)}
	dist, known := d.distribution(keys)
	if !known {
		return
	}
	if other != nil {
		good = false
		d.errorf(other.at, "%s of parameter %q is not supported yet; the distributions supported are %s", other.key, name, strings.Join(distributions, ", "))
	}
	if !good {
		return
	}

	var ways []string
	for _, k := range []string{"value", "values", "min", "max", "expr", "parameters"} {
		if _, ok := keys[k]; ok {
			ways = append(ways, k)
		}
	}
	switch way := strings.Join(ways, " and "); way {
	case "value":
		if d.fits(name, keys, dist, Constant, "value") {
			v, ok := d.value(keys["value"].value)
			if !ok {
				return
			}
			p.dist, p.values = Constant, []any{v}
		}
	case "values":
		if d.fits(name, keys, dist, Categorical, "values") {
			d.categorical(p, keys["values"].value)
		}
	case "expr":
		if _, ok := keys["distribution"]; ok {
			d.errorf(keys["distribution"].at, "parameter %q is computed, so it has no distribution: remove it", name)
			return
		}
		if x := d.expression(keys["expr"].value, "parameter "+strconv.Quote(name)); x != nil {
			p.dist, p.expr = Derived, x
		}
	case "parameters":
		if _, ok := keys["distribution"]; ok {
			d.errorf(keys["distribution"].at, "%q is a group of parameters, so it has no distribution: remove it", name)
			return
		}
		inner := keys["parameters"].value
		if inner.Kind == yaml.MappingNode && len(inner.Content) == 0 {
			d.errorf(inner, "group %q has no parameters", name)
			return
		}
		d.group(s, inner, path)
		return
	case "min and max":
		d.bounds(p, dist, keys["min"].value, keys["max"].value)
	case "min", "max":
		d.errorf(keys[way].at, "parameter %q has only a %s: give both min and max", name, way)
	case "":
		d.errorf(e.at, "parameter %q does not say how it is chosen: give it value, values, min and max, or expr", name)
	default:
		d.errorf(keys[ways[1]].at, "parameter %q has %s: keep one of value, values, min with max, expr, parameters", name, way)
	}
	if p.dist != "" {
		s.Space.params = append(s.Space.params, p)
	}
}

// distribution returns the distribution that a parameter names, if any.
func (d *decoder) distribution(keys map[string]entry) (dist Distribution, ok bool) {
	e, given := keys["distribution"]
	if !given {
		return "", true
	}
	name, ok := d.text(e.value, "distribution")
	switch {
	case !ok:
		return "", false
	case contains(distributions, name):
		return Distribution(name), true
	case contains(otherDistributions, name):
		d.errorf(e.value, "distribution %s is not supported yet; supported are %s", name, strings.Join(distributions, ", "))
	default:
		hint := didYouMean(name, distributions)
		if hint == "" {
			hint = ": use one of " + strings.Join(distributions, ", ")
		}
		d.errorf(e.value, "unknown distribution %q%s", shorten(name), hint)
	}
	return "", false
}

// fits checks that the distribution given beside value or values is theirs.
func (d *decoder) fits(name string, keys map[string]entry, given, want Distribution, key string) bool {
	if given == "" || given == want {
		return true
	}
	d.errorf(keys["distribution"].value, "parameter %q has distribution %s, but %s goes with %s: remove the distribution, or replace %s by min and max",
		name, given, key, want, key)
	return false
}

// categorical decodes values.
func (d *decoder) categorical(p *param, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		d.errorf(n, "values of parameter %q must be a list, not %s; for one fixed value write value", p.name(), describe(n))
		return
	}
	if len(n.Content) == 0 {
		d.errorf(n, "values of parameter %q is empty: list at least one", p.name())
		return
	}
	at := map[string]int{}
	for _, c := range n.Content {
		v, ok := d.value(c)
		if !ok {
			return
		}
		p.values = append(p.values, v)
		key := string(appendJSON(nil, v))
		if i, dup := at[key]; dup {
			d.warnf(c, "parameter %q has the value %s twice", p.name(), shorten(FormatValue(v)))
			p.distinct[i] = v // the last of equal values counts, as in W&B
			continue
		}
		at[key] = len(p.distinct)
		p.distinct = append(p.distinct, v)
	}
	p.dist = Categorical
	p.kind = kindOf(p.values)
}

// number is a number as the file has it: W&B tells 1 from 1.0 in bounds.
type number struct {
	isInt bool
	i     int64 // if isInt
	f     float64
	text  string // as Python prints it
}

// number decodes a number.
func (d *decoder) number(n *yaml.Node, what string) (x number, ok bool) {
	n = resolve(n)
	if n.Kind != yaml.ScalarNode {
		d.errorf(n, "%s must be a number, not %s", what, describe(n))
		return x, false
	}
	v, err := scalar(n)
	if err != nil {
		d.errorf(n, "%s: %v", what, err)
		return x, false
	}
	switch v := v.(type) {
	case int64:
		x = number{isInt: n.ShortTag() != "!!float", i: v, f: float64(v), text: strconv.FormatInt(v, 10)}
		if !x.isInt {
			x.text += ".0"
		}
		return x, true
	case float64:
		return number{f: v, text: pyFloat(v)}, true
	}
	d.errorf(n, "%s must be a number, not %s", what, describe(n))
	return x, false
}

// bounds decodes min and max.
func (d *decoder) bounds(p *param, dist Distribution, minimum, maximum *yaml.Node) {
	name := p.name()
	lo, ok := d.number(minimum, "min of parameter "+strconv.Quote(name))
	hi, ok2 := d.number(maximum, "max of parameter "+strconv.Quote(name))
	if !ok || !ok2 {
		return
	}
	switch dist {
	case "":
		switch {
		case lo.isInt && hi.isInt:
			dist = IntUniform
		case !lo.isInt && !hi.isInt || len(p.path) > 1:
			dist = Uniform // W&B looks for ambiguity at the top level only
		default:
			d.errorf(minimum, "Parameter %s is ambiguous, please specify bounds as both floats (for a float_uniform distribution) or ints (for an int_uniform distribution).", name)
			return
		}
	case Constant:
		d.errorf(minimum, "parameter %q has distribution constant, but min and max: give it a value instead", name)
		return
	case Categorical:
		d.errorf(minimum, "parameter %q has distribution categorical, but min and max: give it values instead", name)
		return
	case IntUniform:
		for _, b := range []struct {
			number
			at *yaml.Node
		}{{lo, minimum}, {hi, maximum}} {
			if !b.isInt {
				d.errorf(b.at, "parameter %q has distribution int_uniform, so its bounds are whole numbers without a point, not %s", name, b.text)
				return
			}
		}
	}
	if lo.f > hi.f || lo.f == hi.f && (!lo.isInt || !hi.isInt || lo.i >= hi.i) {
		d.errorf(minimum, "%s: min %s is not less than max %s", name, lo.text, hi.text)
		return
	}
	if dist == LogUniform && lo.f <= 0 {
		d.errorf(minimum, "%s: min %s of log_uniform_values must be greater than 0", name, lo.text)
		return
	}
	p.dist, p.kind = dist, kindFloat
	p.lo, p.hi, p.ilo, p.ihi = lo.f, hi.f, lo.i, hi.i
	p.boundsInFile = lo.text + " to " + hi.text
	if dist == IntUniform {
		p.kind = kindInt
		if uint64(p.ihi)-uint64(p.ilo) >= math.MaxInt64 {
			d.errorf(minimum, "%s: %s to %s are more whole numbers than can be counted; narrow the bounds", name, lo.text, hi.text)
			p.dist = ""
		}
	}
}

// constraints decodes the constraints key.
func (d *decoder) constraints(s *Spec, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		d.errorf(n, "constraints must be a list of expressions, such as [\"a %% b == 0\"], not %s", describe(n))
		return
	}
	for _, item := range n.Content {
		item = resolve(item)
		owner := "a constraint"
		if item.Kind == yaml.ScalarNode && !isNull(item) {
			owner = "constraint " + strconv.Quote(shorten(strings.TrimSpace(item.Value)))
		}
		if x := d.expression(item, owner); x != nil {
			s.Space.constraints = append(s.Space.constraints, x)
		}
	}
}

// compile links, orders and compiles the expressions.
func (d *decoder) compile(s *Spec) {
	space := s.Space
	for _, p := range space.params {
		if p.dist == Constant {
			p.kind = kindOf(p.values)
		}
	}
	broken := map[*expression]bool{}
	link := func(x *expression) {
		if err := x.link(space); err != nil {
			broken[x] = true
			d.explain(x, space, err)
		}
	}
	for _, p := range space.params {
		if p.dist == Derived {
			link(p.expr)
		}
	}
	for _, c := range space.constraints {
		link(c)
	}
	if !d.order(space) {
		return
	}
	for _, p := range space.derived {
		if broken[p.expr] {
			continue
		}
		if err := p.expr.compile(space, false); err != nil {
			d.explain(p.expr, space, err)
			continue
		}
		p.kind = p.expr.result
	}
	for _, c := range space.constraints {
		if broken[c] {
			continue
		}
		if err := c.compile(space, true); err != nil {
			d.explain(c, space, err)
		}
	}
}

// order sorts the derived parameters so that each comes after those that it refers
// to. That some refer to each other in a circle is an error.
func (d *decoder) order(space *Space) bool {
	const (
		unseen = iota
		open
		done
	)
	state := make([]int, len(space.params))
	var trail []string
	good := true
	var visit func(i int)
	visit = func(i int) {
		p := space.params[i]
		if p.dist != Derived || state[i] == done || !good {
			return
		}
		trail = append(trail, p.name())
		if state[i] == open {
			good = false
			for trail[0] != p.name() {
				trail = trail[1:]
			}
			d.errorAt(p.expr.at, "parameter %q is computed from itself: %s; give one of them a value", p.name(), strings.Join(trail, " needs "))
			return
		}
		state[i] = open
		for _, j := range p.expr.refers {
			visit(j)
		}
		state[i] = done
		trail = trail[:max(len(trail)-1, 0)]
		space.derived = append(space.derived, p)
	}
	for i := range space.params {
		visit(i)
	}
	return good
}
