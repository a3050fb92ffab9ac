package results

import (
	"reflect"
	"slices"

	"swath/sweeps"
)

// Fields are the names that the rows of a sweep have. The zero Fields knows only the
// columns that every row has; add what the sweep's file tells, then observe the rows.
// A Fields must not be changed while it is being read.
type Fields struct {
	params  names
	metrics names
	best    names // the metrics whose goal is known
	stats   map[string]*paramStat
	rows    int
	reused  bool // some rows are results of other sweeps
}

// paramStat is what the rows told of one parameter.
type paramStat struct {
	first  any
	seen   int
	varies bool
	kind   kind
}

// names is a set that keeps the order in which names were added.
type names struct {
	list []string
	has  map[string]bool
}

func (n *names) add(name string) {
	if n.has[name] {
		return
	}
	if n.has == nil {
		n.has = make(map[string]bool)
	}
	n.has[name] = true
	n.list = append(n.list, name)
}

// FieldsOf returns the fields that the rows have.
func FieldsOf(rows []Row) Fields {
	var f Fields
	for i := range rows {
		f.observe(&rows[i])
	}
	return f
}

// AddParam adds parameters that the sweep's file names, in the order in which columns
// should show them. A nested one is given as group.name.
func (f *Fields) AddParam(names ...string) {
	for _, n := range names {
		f.params.add(n)
	}
}

// AddMetric adds metrics that are known to come.
func (f *Fields) AddMetric(names ...string) {
	for _, n := range names {
		f.metrics.add(n)
	}
}

// AddObjective adds the sweep's objective: a metric that has a best value.
func (f *Fields) AddObjective(o sweeps.Objective) {
	if o.Name != "" {
		f.metrics.add(o.Name)
		f.best.add(o.Name)
	}
}

// Observe adds the names that the row has, and remembers which parameters vary.
func (f *Fields) Observe(r Row) { f.observe(&r) }

func (f *Fields) observe(r *Row) {
	f.rows++
	f.reused = f.reused || r.ReusedFrom != ""
	var fresh []string // maps have no order; new names are added sorted
	eachParam("", r.Params, func(name string, v any) {
		s := f.stats[name]
		if s == nil {
			if f.stats == nil {
				f.stats = make(map[string]*paramStat)
			}
			s = &paramStat{first: v, kind: valueOf(v).kind}
			f.stats[name] = s
			if !f.params.has[name] {
				fresh = append(fresh, name)
			}
		}
		s.see(v)
	})
	slices.Sort(fresh)
	f.AddParam(fresh...)
	f.metrics.addKeys(r.Metrics)
	f.best.addKeys(r.Best)
}

func (n *names) addKeys(m map[string]float64) {
	var fresh []string
	for name := range m {
		if !n.has[name] {
			fresh = append(fresh, name)
		}
	}
	slices.Sort(fresh)
	for _, name := range fresh {
		n.add(name)
	}
}

func (s *paramStat) see(v any) {
	s.seen++
	if !s.varies && !reflect.DeepEqual(s.first, v) {
		s.varies = true
	}
	switch k := valueOf(v).kind; {
	case k == missing || k == s.kind:
	case s.kind == missing:
		s.kind = k
	case s.kind.number() && k.number():
		s.kind = float
	default:
		s.kind = unknown
	}
}

// Params are the names of the parameters; a nested one is group.name.
func (f *Fields) Params() []string { return slices.Clone(f.params.list) }

// Metrics are the names of the metrics.
func (f *Fields) Metrics() []string { return slices.Clone(f.metrics.list) }

// Varying are the parameters that tell the observed rows apart: those whose value is
// not the same in all. Where there is one row only, all are.
func (f *Fields) Varying() []string {
	if f.rows == 1 {
		return f.Params()
	}
	var varying []string
	for _, name := range f.params.list {
		if s := f.stats[name]; s != nil && (s.varies || s.seen < f.rows) {
			varying = append(varying, name)
		}
	}
	return varying
}

// eachParam visits the parameters, those inside groups under dotted names.
func eachParam(prefix string, params map[string]any, visit func(name string, v any)) {
	for name, v := range params {
		if group, ok := v.(map[string]any); ok && len(group) > 0 {
			eachParam(prefix+name+".", group, visit)
			continue
		}
		visit(prefix+name, v)
	}
}

// param finds a parameter by its dotted name: as it stands, or through groups.
func param(params map[string]any, name string) any {
	if v, ok := params[name]; ok {
		return v
	}
	for i := range len(name) {
		if name[i] != '.' {
			continue
		}
		if group, ok := params[name[:i]].(map[string]any); ok {
			if v := param(group, name[i+1:]); v != nil {
				return v
			}
		}
	}
	return nil
}
