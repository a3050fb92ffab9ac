package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"swath/results"
	"swath/sweeps"
)

// resultsFlags are the flags of results.
type resultsFlags struct {
	where, sort, columns, format string
	limit                        int
}

func (a *app) resultsCommand() *cobra.Command {
	var fl resultsFlags
	cmd := &cobra.Command{
		Use:   "results SWEEP",
		Short: "Ask about the trials of a sweep",
		Long: `Results shows the trials of a sweep that were started: parameters, last and best values
of the metrics, state.

--where takes an expression over parameters and metrics by name, and over state, index,
attempts, worker, trial, duration_s and error; params.x, metrics.x and best.x say which is
meant. A trial that lacks a value does not match a comparison with it.`,
		Example: `  swath results vit-patch-size --where 'patch_size <= 8' --sort -test_accuracy
  swath results quickstart --format csv --columns index,heads,test_accuracy
  swath results quickstart --where 'state == "failed"' --columns trial,error`,
		Args: exactArgs(1, "one sweep, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.results(cmd.Context(), args[0], fl) },
	}
	f := cmd.Flags()
	f.StringVar(&fl.where, "where", "", "expression that a trial must satisfy")
	f.StringVar(&fl.sort, "sort", "", "column to sort by, with - in front for the largest first (default by the objective, best first)")
	f.IntVar(&fl.limit, "limit", 0, "show at most so many (default all)")
	f.StringVar(&fl.columns, "columns", "", "columns to show, separated by commas")
	f.StringVar(&fl.format, "format", "table", "table, csv, json, jsonl or markdown")
	return cmd
}

func (a *app) results(ctx context.Context, sweep string, fl resultsFlags) error {
	format, err := results.ParseFormat(fl.format)
	if err != nil {
		return err
	}
	if fl.limit < 0 {
		return fmt.Errorf("--limit %d: want 0 or more", fl.limit)
	}
	cl, err := a.connect(ctx, toRead)
	if err != nil {
		return err
	}
	defer cl.close()
	found, err := a.ask(ctx, cl, sweep, fl)
	if err != nil {
		return err
	}
	columns, err := results.ColumnsFor(format, fl.columns, found.fields, found.objective)
	if err != nil {
		return fmt.Errorf("--columns: %w", err)
	}
	for _, c := range columns {
		found.hints = append(found.hints, c.Hint())
	}
	a.hint(found.hints)
	width, _ := terminal(a.stdout)
	empty := fmt.Sprintf("no trial of %s was started yet", found.sweep)
	if fl.where != "" {
		empty = fmt.Sprintf("no trial of %s matches --where '%s'", found.sweep, fl.where)
	}
	return results.WriteRows(a.stdout, format, found.rows, results.Layout{Columns: columns, MaxWidth: width, Empty: empty})
}

// answer is what a query found.
type answer struct {
	sweep     string // its name
	objective sweeps.Objective
	fields    results.Fields // of all the sweep's rows
	rows      []results.Row  // those that were asked for
	hints     []string       // about names in the question that may mean something else
}

// hint tells each hint once.
func (a *app) hint(hints []string) {
	slices.Sort(hints)
	for _, h := range slices.Compact(hints) {
		if h != "" {
			a.note("note: %s", h)
		}
	}
}

// ask asks about the trials of a sweep.
func (a *app) ask(ctx context.Context, cl *client, sweep string, fl resultsFlags) (*answer, error) {
	st, err := cl.Sweep(ctx, sweep)
	if err != nil {
		return nil, err
	}
	f, err := parsed(st)
	if err != nil {
		return nil, err
	}
	rows, err := a.rows(ctx, cl, string(st.ID), f)
	if err != nil {
		return nil, err
	}
	found := &answer{sweep: st.Name, objective: f.spec.Objective, fields: fieldsOf(f.spec, rows)}
	return found, found.query(fl, rows)
}

// fieldsOf are the names that a query may use.
func fieldsOf(spec *sweeps.Spec, rows []results.Row) results.Fields {
	var fields results.Fields
	for _, p := range spec.Space.Parameters() {
		fields.AddParam(p.Name)
	}
	fields.AddObjective(spec.Objective)
	for _, m := range spec.MetricRules() {
		if !strings.Contains(m.Name, "(") && m.Name != "" {
			fields.AddMetric(m.Name)
		}
	}
	for _, r := range rows {
		fields.Observe(r)
	}
	return fields
}

// query chooses of the rows those that were asked for.
func (found *answer) query(fl resultsFlags, rows []results.Row) (err error) {
	q := results.Query{Limit: fl.limit, Order: results.ObjectiveOrder(found.objective)}
	if fl.where != "" {
		if q.Where, err = results.Compile(fl.where, found.fields); err != nil {
			return fmt.Errorf("--where: %w", err)
		}
		found.hints = append(found.hints, q.Where.Hints()...)
	}
	if fl.sort != "" {
		if q.Order, err = results.ParseOrder(fl.sort, found.fields); err != nil {
			return fmt.Errorf("--sort: %w", err)
		}
		found.hints = append(found.hints, q.Order.Hints()...)
	}
	found.rows, err = q.Run(func(yield func(results.Row) bool) {
		for _, r := range rows {
			if !yield(r) {
				return
			}
		}
	})
	return err
}
