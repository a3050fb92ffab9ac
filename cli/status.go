package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"swath/proto/wire"
	"swath/sweeps"
)

func (a *app) statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status SWEEP",
		Short:   "Show how far a sweep is, and its running trials",
		Example: `  swath status quickstart`,
		Args:    exactArgs(1, "one sweep, by name or id"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.status(cmd.Context(), args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

func (a *app) status(ctx context.Context, sweep string, asJSON bool) error {
	cl, err := a.connect(ctx, toRead)
	if err != nil {
		return err
	}
	defer cl.close()
	st, err := cl.Sweep(ctx, sweep)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(a.stdout).Encode(toJSON(st))
	}
	workers, err := cl.Workers(ctx)
	if err != nil {
		return err
	}
	var why []string
	switch {
	case st.State.Terminal():
	case cl.offline:
		why = []string{"no coordinator runs on this home: `swath coordinator` and `swath worker`, or the `swath run` that began it, go on with it"}
	case st.Counts.Running == 0:
		if why, err = cl.Explain(ctx, string(st.ID)+"/next"); err != nil {
			return err
		}
	}
	a.printStatus(st, workers, why)
	return nil
}

// printStatus prints the sweep; why says what its next trial waits for, if nothing runs.
func (a *app) printStatus(st *wire.SweepStatus, workers []wire.WorkerStatus, why []string) {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	row := func(key, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", key, fmt.Sprintf(format, args...)) }
	row("sweep", "%s (%s)", st.Name, st.ID)
	state := string(st.State)
	if st.Reason != "" {
		state += ": " + st.Reason
	}
	row("state", "%s", state)
	row("trials", "%s ended: %d finished, %d failed, %d cancelled; %d running, %d waiting for another attempt",
		ofTotal(st), st.Counts.Finished, st.Counts.Failed, st.Counts.Cancelled, st.Underway(), st.Counts.Retrying)
	if st.Reused > 0 {
		row("reused", "%d of the finished took over the result of an equal trial of another sweep", st.Reused)
	}
	if st.Excluded > 0 {
		row("excluded", "%d points, by constraints", st.Excluded)
	}
	row("created", "%s", st.Created.Local().Format(time.DateTime))
	if !st.Ended.IsZero() {
		row("ended", "%s, after %s", st.Ended.Local().Format(time.DateTime), short(st.Ended.Sub(st.Created)))
	}
	slots := 0
	for _, x := range workers {
		if x.Connected {
			slots += x.Slots
		}
	}
	row("workers", "%d, with %d slots", len(workers), slots)
	for _, note := range st.Notes {
		row("note", "%s", note)
	}
	for _, sentence := range why {
		if !slices.Contains(st.Notes, sentence) {
			row("next trial", "%s", sentence)
		}
	}
	_ = w.Flush() // to standard output, as all prints here
	if len(st.Running) == 0 {
		return
	}
	fmt.Fprintln(a.stdout)
	w = tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "INDEX\tTRIAL\tATTEMPT\tWORKER\tSTEP\tFOR\tPARAMETERS")
	now := time.Now()
	for _, t := range st.Running {
		fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%s\t%s\t%s\n", t.Index, t.ID, t.Attempt, t.WorkerName, stepOf(t), short(t.Duration(now)), paramsLine(t.Params))
	}
	_ = w.Flush()
}

// stepOf is the last step that the trial reported.
func stepOf(t *sweeps.Trial) string {
	if len(t.Metrics) == 0 {
		return "-"
	}
	step := int64(0)
	for _, s := range t.Metrics {
		step = max(step, s.LastStep)
	}
	return fmt.Sprint(step)
}

// paramsLine prints parameters as name=value.
func paramsLine(p sweeps.Params) string {
	var parts []string
	for _, l := range p.Leaves() {
		parts = append(parts, printable(l.Path+"="+sweeps.FormatValue(l.Value)))
	}
	return strings.Join(parts, " ")
}

// short prints a duration as people say it: 0.4s, 12s, 3m05s, 2h10m.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
}
