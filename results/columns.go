package results

import "swath/sweeps"

// Column is one thing to print of every row. Its name is what filters and sort keys
// call it too.
type Column struct {
	field field
	keep  bool // it is among the last to be left out of a table that is too wide
}

// Name is the column's heading.
func (c Column) Name() string { return c.field.name }

// Hint tells that a parameter or a metric has the column's name too, and how to reach it;
// empty if there is none.
func (c Column) Hint() string { return c.field.hint }

// ParseColumns reads names as --columns takes them, separated by commas.
func ParseColumns(s string, fields Fields) ([]Column, error) {
	var columns []Column
	for _, name := range splitNames(s) {
		f, err := fields.lookup(name)
		if err != nil {
			return nil, invalidf("columns: %w", err)
		}
		columns = append(columns, Column{field: f})
	}
	if len(columns) == 0 {
		return nil, invalidf("columns: no column is named")
	}
	return columns, nil
}

// DefaultColumns are those a person wants to see first: which trial, its state, the
// parameters that vary, the metrics with the objective and its best value before the
// others, and how long it took.
func DefaultColumns(fields Fields, objective sweeps.Objective) []Column {
	columns := fixedColumns("index", "trial", "state")
	for _, name := range fields.Varying() {
		columns = append(columns, fields.paramColumn(name))
	}
	if objective.Name != "" {
		columns = append(columns, fields.metricColumn(objective.Name), Column{field: bestField(objective.Name), keep: true})
	}
	for _, name := range fields.metrics.list {
		if name != objective.Name {
			columns = append(columns, fields.metricColumn(name))
		}
	}
	columns = append(columns, fixedColumns("duration")...)
	if fields.reused {
		columns = append(columns, fixedColumns("reused_from")...)
	}
	return columns
}

// AllColumns are all that there are, for export: every parameter, every metric, every
// best value.
func AllColumns(fields Fields) []Column {
	columns := fixedColumns("trial", "index", "state")
	for _, name := range fields.params.list {
		columns = append(columns, fields.paramColumn(name))
	}
	for _, name := range fields.metrics.list {
		columns = append(columns, fields.metricColumn(name))
	}
	for _, name := range fields.best.list {
		columns = append(columns, Column{field: bestField(name)})
	}
	columns = append(columns, fixedColumns("attempts", "worker", "duration_s", "class", "error")...)
	if fields.reused {
		columns = append(columns, fixedColumns("reused_from")...)
	}
	return columns
}

// ColumnsFor chooses the columns for a format: those that spec names, or where it is
// empty the default for the format. That is nil for json and jsonl, whose objects then
// have the full form of a row.
func ColumnsFor(format Format, spec string, fields Fields, objective sweeps.Objective) ([]Column, error) {
	switch {
	case spec != "":
		return ParseColumns(spec, fields)
	case format == JSON || format == JSONL:
		return nil, nil
	case format == CSV:
		return AllColumns(fields), nil
	default:
		return DefaultColumns(fields, objective), nil
	}
}

func fixedColumns(names ...string) []Column {
	columns := make([]Column, 0, len(names))
	for _, name := range names {
		if f, ok := fixedField(name); ok {
			columns = append(columns, Column{field: f})
		}
	}
	return columns
}

// paramColumn is named as a user has to name it: bare, unless that means another.
func (f *Fields) paramColumn(name string) Column {
	got := f.paramField(name)
	if _, hidden := fixedField(name); hidden {
		got.name = spell(nsParams, name)
	}
	return Column{field: got}
}

func (f *Fields) metricColumn(name string) Column {
	got := metricField(name)
	if _, hidden := fixedField(name); hidden || f.params.has[name] {
		got.name = spell(nsMetrics, name)
	}
	return Column{field: got}
}
