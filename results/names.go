package results

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The namespaces that reach a field whatever a bare name means.
const (
	nsParams   = "params"
	nsMetrics  = "metrics"
	nsBest     = "best"
	nsBestStep = "best_step"
)

var namespaces = []string{nsParams, nsMetrics, nsBest, nsBestStep}

// style says how a table shows a column.
type style uint8

const (
	styleParam    style = iota // numbers as the user chose them
	styleMetric                // numbers of a column with the same decimals
	styleDuration              // seconds, as people say them
	styleID                    // text that is no use when cut
)

// field is a resolved name.
type field struct {
	name  string // the shortest way to say it in full: lr, metrics.lr
	kind  kind   // what it is in every row that has it; may be unknown
	style style
	get   func(*Row) value
	// note is said when the field turns out to be of the wrong kind, because
	// another field of the same name may have been meant.
	note string
	// hint tells, of a column that every row has, which other field has that name too.
	hint string
}

// fixed are the columns that every row has.
var fixed = []field{
	{name: "trial", kind: text, style: styleID, get: func(r *Row) value { return textValue(string(r.Trial)) }},
	{name: "index", kind: integer, get: func(r *Row) value { return intValue(r.Index) }},
	{name: "state", kind: text, style: styleID, get: func(r *Row) value { return textValue(string(r.State)) }},
	{name: "attempts", kind: integer, get: func(r *Row) value { return intValue(int64(r.Attempts)) }},
	{name: "worker", kind: text, get: func(r *Row) value { return textValue(r.Worker) }},
	{name: "duration_s", kind: float, get: func(r *Row) value { return floatValue(seconds(r.Duration)) }},
	{name: "duration", kind: float, style: styleDuration, get: func(r *Row) value { return floatValue(seconds(r.Duration)) }},
	{name: "error", kind: text, get: func(r *Row) value { return textValue(r.Error) }},
	{name: "class", kind: text, get: func(r *Row) value { return textValue(string(r.Class)) }},
	{name: "started", kind: text, style: styleID, get: func(r *Row) value { return timeValue(r.Started) }},
	{name: "ended", kind: text, style: styleID, get: func(r *Row) value { return timeValue(r.Ended) }},
	{name: "reused_from", kind: text, style: styleID, get: func(r *Row) value { return textValue(r.ReusedFrom) }},
}

// timeValue is a time as a string of fixed width, so that strings order as times do.
func timeValue(t time.Time) value {
	if t.IsZero() {
		return value{}
	}
	return textValue(t.UTC().Format("2006-01-02T15:04:05.000Z"))
}

func fixedField(name string) (field, bool) {
	for _, f := range fixed {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// lookup resolves a name as a user types it for a column or a sort key: bare,
// qualified as params.x, or as params["x"].
func (f *Fields) lookup(name string) (field, error) {
	for _, ns := range namespaces {
		rest, ok := strings.CutPrefix(name, ns)
		if !ok {
			continue
		}
		if inner, ok := strings.CutPrefix(rest, "."); ok && inner != "" {
			return f.qualified(ns, inner)
		}
		if strings.HasPrefix(rest, "[") && strings.HasSuffix(rest, "]") {
			if inner, ok := unquote(rest[1 : len(rest)-1]); ok {
				return f.qualified(ns, inner)
			}
		}
	}
	return f.bare(name)
}

// unquote reads a name in double or single quotes.
func unquote(s string) (string, bool) {
	if len(s) >= 2 && s[0] == '\'' && s[len(s)-1] == '\'' {
		return s[1 : len(s)-1], true
	}
	inner, err := strconv.Unquote(s)
	return inner, err == nil
}

// bare resolves a name that stands alone.
func (f *Fields) bare(name string) (field, error) {
	if got, ok := fixedField(name); ok {
		switch {
		case f.params.has[name]:
			got.note = "; the parameter of that name is " + nsParams + "." + name
		case f.metrics.has[name]:
			got.note = "; the metric of that name is " + nsMetrics + "." + name
		}
		if got.note != "" {
			got.hint = name + " is a column that every row has" + got.note
		}
		return got, nil
	}
	if f.params.has[name] {
		got := f.paramField(name)
		if f.metrics.has[name] {
			got.note = "; the metric of that name is " + nsMetrics + "." + name
		}
		return got, nil
	}
	if f.metrics.has[name] {
		return metricField(name), nil
	}
	if slices.Contains(namespaces, name) {
		return field{}, invalidf("%s needs a name: %s.x or %s[%q]", name, name, name, "a-b")
	}
	if members := f.group(name); len(members) > 0 {
		return field{}, invalidf("%s is a group of parameters: %s", name, strings.Join(members, ", "))
	}
	return field{}, f.unknownName(name)
}

// qualified resolves a name inside a namespace.
func (f *Fields) qualified(ns, name string) (field, error) {
	if ns == nsParams {
		if f.params.has[name] {
			got := f.paramField(name)
			got.name = spell(ns, name)
			return got, nil
		}
		if members := f.group(name); len(members) > 0 {
			return field{}, invalidf("%s is a group of parameters: %s", name, strings.Join(members, ", "))
		}
		return field{}, invalidf("unknown parameter %q%s", name, known(name, ns, f.params.list))
	}
	// Before the first report of a sweep nobody can tell a metric from a slip, so
	// what is spelled out is believed.
	if len(f.metrics.list) > 0 && !f.metrics.has[name] {
		return field{}, invalidf("unknown metric %q%s", name, known(name, ns, f.metrics.list))
	}
	if ns == nsMetrics {
		got := metricField(name)
		got.name = spell(ns, name)
		return got, nil
	}
	if len(f.metrics.list) > 0 && !f.best.has[name] {
		return field{}, invalidf("%s has no best value, because the sweep names no goal for it (known: %s)", name, enumerate(f.best.list))
	}
	if ns == nsBestStep {
		return field{name: spell(ns, name), kind: integer, get: func(r *Row) value {
			if step, ok := r.BestStep[name]; ok {
				return intValue(step)
			}
			return value{}
		}}, nil
	}
	return bestField(name), nil
}

func (f *Fields) paramField(name string) field {
	got := field{name: name, kind: unknown}
	if s := f.stats[name]; s != nil && s.kind != missing {
		got.kind = s.kind
	}
	if strings.Contains(name, ".") {
		got.get = func(r *Row) value { return valueOf(param(r.Params, name)) }
	} else {
		got.get = func(r *Row) value { return valueOf(r.Params[name]) }
	}
	return got
}

func metricField(name string) field {
	return field{name: name, kind: float, style: styleMetric, get: func(r *Row) value {
		if v, ok := r.Metrics[name]; ok {
			return floatValue(v)
		}
		return value{}
	}}
}

func bestField(name string) field {
	return field{name: spell(nsBest, name), kind: float, style: styleMetric, get: func(r *Row) value {
		if v, ok := r.Best[name]; ok {
			return floatValue(v)
		}
		return value{}
	}}
}

// group returns the parameters inside a group.
func (f *Fields) group(name string) []string {
	var members []string
	for _, p := range f.params.list {
		if strings.HasPrefix(p, name+".") {
			members = append(members, p)
		}
	}
	return members
}

func (f *Fields) unknownName(name string) error {
	var all []string
	spelled := make(map[string]string)
	add := func(ns string, list []string) {
		for _, n := range list {
			if _, ok := spelled[n]; !ok {
				all = append(all, n)
				spelled[n] = n
				if !path.MatchString(n) {
					spelled[n] = spell(ns, n)
				}
			}
		}
	}
	add(nsParams, f.params.list)
	add(nsMetrics, f.metrics.list)
	for _, c := range fixed {
		add("", []string{c.name})
	}
	hint := ""
	if near := suggest(name, all); near != "" {
		hint = "; did you mean " + spelled[near] + "?"
	}
	if len(f.metrics.list) == 0 {
		hint += "; no metric has been reported yet, " + spell(nsMetrics, name) + " would wait for one"
	}
	for i, n := range all {
		all[i] = spelled[n]
	}
	return invalidf("unknown name %q%s (known: %s)", name, hint, enumerate(all))
}

// known ends a message about an unknown name in a namespace.
func known(name, ns string, list []string) string {
	if len(list) == 0 {
		return "; the sweep has none"
	}
	hint := ""
	if near := suggest(name, list); near != "" {
		hint = "; did you mean " + spell(ns, near) + "?"
	}
	return hint + " (known: " + enumerate(list) + ")"
}

// enumerate lists names, but no more than fit into a line that anybody reads.
func enumerate(list []string) string {
	const most = 24
	if len(list) > most {
		return strings.Join(list[:most], ", ") + ", ..."
	}
	return strings.Join(list, ", ")
}

var path = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*(\.[A-Za-z_$][A-Za-z0-9_$]*)*$`)

// spell writes a qualified name so that a filter reads it back.
func spell(ns, name string) string {
	if path.MatchString(name) {
		return ns + "." + name
	}
	return ns + "[" + strconv.Quote(name) + "]"
}
