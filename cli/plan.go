package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"swath/results"
	"swath/sweeps"
)

func (a *app) planCommand() *cobra.Command {
	var asJSON bool
	var limit int64
	cmd := &cobra.Command{
		Use:   "plan FILE",
		Short: "Show what a sweep file expands to; run nothing",
		Long: `Plan lists the trials of a sweep file. Expansion is lazy: the first trials of a huge grid
come at once. A summary, with the number of points that constraints exclude, goes to
standard error. Where results are reused it tells how many there are already, on this home or at
the coordinator.`,
		Example: `  swath plan sweeps/library/vit-heads.yaml
  swath plan sweep.yaml --json --limit 5`,
		Args: exactArgs(1, "one sweep file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("limit") && limit < 0 {
				return fmt.Errorf("--limit %d: want 0 or more", limit)
			}
			reuse, err := reuseOf(cmd.Flags())
			if err != nil {
				return err
			}
			f, err := a.load(args[0])
			if err != nil {
				return err
			}
			if err := f.checkReuse(reuse); err != nil {
				return err
			}
			if !cmd.Flags().Changed("limit") {
				limit = math.MaxInt64
				if !asJSON {
					limit = 50
				} else if !f.count.Bounded {
					return fmt.Errorf("%s: the sweep has no end (method random without run_cap): say how many trials to list with --limit N", args[0])
				}
			}
			if err := a.plan(cmd.Context(), f, asJSON, limit); err != nil {
				return err
			}
			if reuse == nil && f.spec.Reuse || reuse != nil && *reuse {
				if err := a.planReuse(cmd.Context(), f); err != nil {
					return err
				}
			}
			if f.spec.Trainer != "" {
				return f.checkTrainer() // what run would say
			}
			return nil
		},
	}
	addReuseFlags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line and trial: index, id, params, argv")
	cmd.Flags().Int64Var(&limit, "limit", 0, "list at most so many trials (default 50, with --json all)")
	return cmd
}

// planned is a line of `plan --json`.
type planned struct {
	Index  int64           `json:"index"`
	ID     sweeps.TrialID  `json:"id"`
	Params json.RawMessage `json:"params"`
	Argv   []string        `json:"argv,omitempty"`
}

func (a *app) plan(ctx context.Context, f *sweepFile, asJSON bool, limit int64) error {
	a.note("%s", f.summary(f.spec.Name))
	out := bufio.NewWriter(a.stdout)
	var rows []results.Row
	listed := int64(0)
	for p, err := range f.trials(ctx, limit) {
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		listed++
		if !asJSON {
			rows = append(rows, results.Row{Trial: p.ID, Index: p.Index, Params: p.Params})
			continue
		}
		argv, err := f.argv(p)
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		line, err := json.Marshal(planned{p.Index, p.ID, p.Params.JSON(), argv})
		if err != nil {
			return fmt.Errorf("%s: trial %d: %w", f.file, p.Index, err)
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	if !asJSON && listed > 0 {
		if err := a.planTable(out, f, rows); err != nil {
			return err
		}
	}
	if more := f.count.Trials - listed; more > 0 && !asJSON {
		switch {
		case !f.count.Bounded:
			a.note("… and so on without end")
		default:
			a.note("… and %s more: --limit N lists them", thousands(more))
		}
	}
	return out.Flush()
}

func (a *app) planTable(out *bufio.Writer, f *sweepFile, rows []results.Row) error {
	fields := results.FieldsOf(rows)
	names := fields.Params()
	columns, err := results.ParseColumns(strings.Join(append([]string{"index", "trial"}, names...), ","), fields)
	if err != nil {
		return err
	}
	width, _ := terminal(a.stdout)
	return results.WriteRows(out, results.Format("table"), rows, results.Layout{Columns: columns, MaxWidth: width})
}

// trials yields the first trials of the plan, at most limit and at most its run cap. It ends
// with ctx: between two trials there may be any number of points that are excluded.
func (f *sweepFile) trials(ctx context.Context, limit int64) func(func(sweeps.Planned, error) bool) {
	if c := f.plan.RunCap(); c > 0 {
		limit = min(limit, c)
	}
	return func(yield func(sweeps.Planned, error) bool) {
		n := int64(0)
		for i := int64(0); i < f.plan.Size() && n < limit; i++ {
			p, err := f.plan.At(i)
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			if errors.Is(err, sweeps.ErrExcluded) {
				continue
			}
			if err != nil && ctx.Err() == nil {
				err = f.spec.ErrorAt("parameters", "%s", oneLine(err))
			}
			n++
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// summary says in one line what the sweep is.
func (f *sweepFile) summary(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", name)
	about := ""
	if !f.count.Exact {
		about = "about "
	}
	switch {
	case !f.count.Bounded:
		b.WriteString("trials without end")
	case f.count.Trials == 1:
		b.WriteString("1 trial")
	default:
		fmt.Fprintf(&b, "%s%s trials", about, thousands(f.count.Trials))
	}
	var over []string
	for _, p := range f.spec.Space.Parameters() {
		if p.Distribution == sweeps.Constant || p.Size == 1 {
			continue
		}
		over = append(over, fmt.Sprintf("%s (%s)", p.Name, brief(p.Text, p.Size)))
	}
	fmt.Fprintf(&b, ", %s", f.spec.Method)
	if len(over) > 0 {
		fmt.Fprintf(&b, " over %s", strings.Join(over, ", "))
	}
	if f.spec.Repeat > 1 {
		fmt.Fprintf(&b, ", each with %d seeds", f.spec.Repeat)
	}
	if f.count.Excluded > 0 {
		points := "points"
		if f.count.Excluded == 1 {
			points = "point"
		}
		fmt.Fprintf(&b, "; %s%s %s excluded by constraints", about, thousands(f.count.Excluded), points)
	}
	if o := f.spec.Objective; o.Name != "" {
		fmt.Fprintf(&b, "; %s %s", o.Goal, o.Name)
	}
	return b.String()
}

// brief is a list of so many values, with the first ones only where it is long.
func brief(list string, size int64) string {
	const enough = 80
	if len(list) <= enough {
		return list
	}
	end := strings.LastIndex(list[:enough], ", ")
	if end < 0 {
		return fmt.Sprintf("%s values", thousands(size))
	}
	return fmt.Sprintf("%s, … of %s values", list[:end], thousands(size))
}

// thousands prints 1234567 as 1,234,567.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
