package results

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"swath/sweeps"
)

// ReportOptions say how much a report shows.
type ReportOptions struct {
	// Params are the parameters in the order of the sweep's file, in which they are
	// shown; those left out follow, sorted.
	Params []string
	// Limit is how many rows the table has; 0 for all.
	Limit int
	// MaxWidth is the width that the tables may have; 0 for any.
	MaxWidth int
}

// Report prints the end of a sweep for people: the table sorted by the objective with
// the best first, what failed, the means over the seeds where the sweep has repeats,
// and the parameters of the best trial, which are last because that is where one looks.
func Report(w io.Writer, sweepName string, objective sweeps.Objective, rows []Row, opt ReportOptions) error {
	d := Summarise(rows, objective)
	var fields Fields
	fields.AddParam(opt.Params...)
	for i := range rows {
		fields.observe(&rows[i])
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s\n\n", printable(sweepName), d.Sentence())
	if err := reportTable(&b, fields, objective, rows, opt); err != nil {
		return err
	}
	reportFailures(&b, rows)
	if err := reportGroups(&b, fields, objective, d.Groups, opt.MaxWidth); err != nil {
		return err
	}
	reportBest(&b, fields, objective, d)
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("writing the report of sweep %s: %w", sweepName, err)
	}
	return nil
}

func reportTable(b *bytes.Buffer, fields Fields, objective sweeps.Objective, rows []Row, opt ReportOptions) error {
	sorted, err := Query{Order: ObjectiveOrder(objective), Limit: opt.Limit}.Run(slices.Values(rows))
	if err != nil {
		return err
	}
	err = WriteRows(b, Table, sorted, Layout{
		Columns:  DefaultColumns(fields, objective),
		MaxWidth: opt.MaxWidth,
		Empty:    "no trial was started",
	})
	if left := len(rows) - len(sorted); left > 0 {
		fmt.Fprintf(b, "... and %d more\n", left)
	}
	return err
}

// reportFailures says of the first failures what happened.
func reportFailures(b *bytes.Buffer, rows []Row) {
	const most = 5
	n := 0
	for i := range rows {
		r := &rows[i]
		if r.State != sweeps.TrialFailed {
			continue
		}
		if n++; n > most {
			continue
		}
		if n == 1 {
			b.WriteString("\nfailed:\n")
		}
		message := r.Error
		if message == "" {
			message = string(r.Class)
		}
		fmt.Fprintf(b, "  trial %d (%s): %s\n", r.Index, r.Trial, printable(message))
	}
	if n > most {
		fmt.Fprintf(b, "  ... and %d more\n", n-most)
	}
}

// reportGroups prints a table of the means over the seeds.
func reportGroups(b *bytes.Buffer, fields Fields, objective sweeps.Objective, groups []Group, maxWidth int) error {
	if len(groups) == 0 || objective.Name == "" {
		return nil
	}
	fmt.Fprintf(b, "\nbest %s over seeds (mean ± standard deviation):\n", printable(objective.Name))
	var columns []heading
	for _, name := range fields.Varying() {
		if name != SeedParam {
			columns = append(columns, heading{name: name})
		}
	}
	params := len(columns)
	columns = append(columns, heading{name: "seeds"}, heading{name: "mean ± sd", style: styleID, keep: true})
	values := make([]value, 0, 2*len(groups))
	for _, g := range groups {
		values = append(values, floatValue(g.Mean))
	}
	places := decimals(values)
	out, err := newWriter(b, Table, shape[Group]{
		headings: columns,
		cells: func(g *Group, cells []value) []value {
			for _, c := range columns[:params] {
				cells = append(cells, valueOf(g.Params[c.name]))
			}
			seeds := fmt.Sprint(g.N)
			if g.N < g.Trials {
				seeds = fmt.Sprintf("%d of %d", g.N, g.Trials)
			}
			return append(cells, textValue(seeds), textValue(meanText(g, places)))
		},
	}, Layout{MaxWidth: maxWidth})
	if err != nil {
		return err
	}
	return out.all(groups)
}

func meanText(g *Group, places int) string {
	switch {
	case g.N == 0:
		return nothing
	case g.N == 1:
		return fixedFloat(g.Mean, places)
	default:
		return fixedFloat(g.Mean, places) + " ± " + fixedFloat(g.SD, places)
	}
}

// reportBest prints the best trial and its parameters.
func reportBest(b *bytes.Buffer, fields Fields, objective sweeps.Objective, d Digest) {
	switch {
	case d.Total == 0 || objective.Name == "":
		return
	case d.Best == nil:
		fmt.Fprintf(b, "\nno trial reported %s\n", printable(objective.Name))
		return
	}
	r := d.Best
	fmt.Fprintf(b, "\nbest trial: %d (%s), %s %s at step %d", r.Index, r.Trial,
		printable(objective.Name), shortFloat(r.Best[objective.Name]), r.BestStep[objective.Name])
	if r.State != sweeps.TrialFinished {
		fmt.Fprintf(b, ", %s", r.State)
	}
	b.WriteString("\n")
	for _, name := range paramNames(fields, r.Params) {
		v := valueOf(param(r.Params, name))
		said := v.plain()
		if v.kind == missing {
			said = "null"
		}
		fmt.Fprintf(b, "  %s = %s\n", printable(name), printable(strings.TrimSpace(said)))
	}
}

// paramNames lists the parameters that a trial has, in the order of the fields.
func paramNames(fields Fields, params sweeps.Params) []string {
	has := make(map[string]bool)
	eachParam("", params, func(name string, _ any) { has[name] = true })
	var names []string
	for _, name := range fields.params.list {
		if has[name] {
			names = append(names, name)
		}
	}
	return names
}
