package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"swath/proto/wire"
	"swath/results"
	"swath/sweeps"
)

// now is the clock of the command line.
func now() time.Time { return time.Now() }

// view shows a sweep's progress: live on a terminal, a line at intervals in a log, events
// for programs.
type view interface {
	// update shows how far the sweep is. An error says that nobody can be told any more.
	update(p *wire.Progress) error
	// refresh is called every second in which nothing changed.
	refresh(p *wire.Progress) error
	close() // no more updates
	report(last *wire.Progress, rows []results.Row) error
}

func (a *app) newView(f *sweepFile, asJSON bool) view {
	if asJSON {
		return &jsonView{out: json.NewEncoder(a.stdout), goals: goalsOf(f.spec), objective: f.spec.Objective}
	}
	r := reporter{a: a, f: f}
	if width, is := terminal(a.stderr); is {
		return &liveView{reporter: r, out: a.stderr, width: width, varying: varying(f.spec)}
	}
	return &logView{reporter: r, out: a.stderr}
}

// varying are the parameters that tell the trials apart.
func varying(spec *sweeps.Spec) []string {
	var names []string
	for _, p := range spec.Space.Parameters() {
		if p.Distribution != sweeps.Constant && p.Size != 1 {
			names = append(names, p.Name)
		}
	}
	if spec.Repeat > 1 {
		names = append(names, "seed")
	}
	return names
}

// reporter prints the results at the end, for people.
type reporter struct {
	a *app
	f *sweepFile
}

func (r reporter) report(last *wire.Progress, rows []results.Row) error {
	width, _ := terminal(r.a.stdout)
	var params []string
	for _, p := range r.f.spec.Space.Parameters() {
		params = append(params, p.Name)
	}
	err := results.Report(r.a.stdout, last.Name, r.f.spec.Objective, rows, results.ReportOptions{Params: params, Limit: 20, MaxWidth: width})
	if err != nil {
		return err
	}
	name := last.Name
	r.a.note("")
	if last.Reused > 0 {
		r.a.note("%d reused: what equal trials of other sweeps came to, see the column reused_from", last.Reused)
	}
	if len(rows) > 20 {
		r.a.note("the %d best of %d trials; all of them:  swath results %s", 20, len(rows), name)
	}
	if last.Counts.Failed > 0 {
		r.a.note("%s failed:  swath results %s --where 'state == \"failed\"' --columns index,trial,error", trials(last.Counts.Failed), name)
		r.a.note("what one printed:  swath logs %s/%d", name, firstFailed(rows))
	}
	where, sort := r.question(rows)
	r.a.note("ask more:          swath results %s --where %s --sort %s", name, shellQuoted(where), shellQuoted(sort))
	if metric := metricName(r.f.spec, rows); metric != "" {
		r.a.note("the curves:        swath series %s --metric %s", name, shellQuoted(metric))
	}
	return nil
}

// question is an example of a filter and a sort key that can be asked of the rows.
func (r reporter) question(rows []results.Row) (where, sort string) {
	fields := fieldsOf(r.f.spec, rows)
	where, sort = `state == "finished"`, sortKey(r.f.spec.Objective)
	if v := varying(r.f.spec); len(v) > 0 && len(rows) > 0 {
		if x, ok := rows[0].Params.Get(v[0]); ok {
			better := v[0] + " == " + literal(x)
			if _, err := results.Compile(better, fields); err == nil {
				where = better
			}
		}
	}
	if _, err := results.ParseOrder(sort, fields); err != nil {
		sort = "index"
	}
	return where, sort
}

// plainWord is what a shell takes as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,-]+$`)

// shellQuoted is a word as it is typed in a shell.
func shellQuoted(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// trials counts trials in words.
func trials(n int64) string {
	if n == 1 {
		return "1 trial"
	}
	return thousands(n) + " trials"
}

func firstFailed(rows []results.Row) int64 {
	for _, r := range rows {
		if r.State == sweeps.TrialFailed {
			return r.Index
		}
	}
	return 0
}

func literal(x any) string {
	if s, is := x.(string); is {
		return fmt.Sprintf("%q", s)
	}
	return sweeps.FormatValue(x)
}

func sortKey(o sweeps.Objective) string {
	switch {
	case o.Name == "":
		return "index"
	case o.Goal == sweeps.Maximize:
		return "-" + o.Name
	default:
		return o.Name
	}
}

// metricName is a metric that was recorded, the objective if it was; empty if none was.
func metricName(spec *sweeps.Spec, rows []results.Row) string {
	first := ""
	for _, r := range rows {
		if _, ok := r.Metrics[spec.Objective.Name]; ok {
			return spec.Objective.Name
		}
		if names := slices.Sorted(maps.Keys(r.Metrics)); first == "" && len(names) > 0 {
			first = names[0]
		}
	}
	return first
}

// headline is a sweep's progress in a line.
func headline(p *wire.Progress, at time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s trials", ofTotal(&p.SweepStatus))
	if n := p.Underway(); n > 0 {
		fmt.Fprintf(&b, ", %d running", n)
	}
	if p.Counts.Failed > 0 {
		fmt.Fprintf(&b, ", %d failed", p.Counts.Failed)
	}
	if p.Counts.Retrying > 0 {
		fmt.Fprintf(&b, ", %d to be tried again", p.Counts.Retrying)
	}
	if p.Counts.Cancelled > 0 {
		fmt.Fprintf(&b, ", %d cancelled", p.Counts.Cancelled)
	}
	if p.Slots == 0 && !p.State.Terminal() {
		b.WriteString(", waiting for a worker")
	}
	elapsed := at.Sub(p.Created)
	fmt.Fprintf(&b, ", %s", short(elapsed))
	if left, ok := remaining(p, elapsed); ok {
		fmt.Fprintf(&b, ", about %s left", short(left))
	}
	if p.State == sweeps.SweepPaused {
		fmt.Fprintf(&b, ", paused: %s", p.Reason)
	}
	return b.String()
}

// remaining extrapolates from the trials that ended.
func remaining(p *wire.Progress, elapsed time.Duration) (time.Duration, bool) {
	done := p.Counts.Finished + p.Counts.Failed
	if done < 1 || p.Total <= 0 || p.State != sweeps.SweepRunning {
		return 0, false
	}
	left := p.Total - p.Counts.Ended()
	// What runs is half done, on the average.
	d := time.Duration(float64(elapsed) / (float64(done) + float64(p.Underway())/2) * (float64(left) - float64(p.Underway())/2))
	return d.Round(time.Second), d >= time.Second
}

// trialLine is a running trial in a line: parameters, step, metric, speed, time.
func trialLine(t *sweeps.Trial, spec *sweeps.Spec, names []string, at time.Time) string {
	var parts []string
	for _, n := range names {
		if v, ok := t.Params.Get(n); ok {
			parts = append(parts, n+"="+sweeps.FormatValue(v))
		}
	}
	line := fmt.Sprintf("#%d %s", t.Index, strings.Join(parts, " "))
	if t.Attempts() > 1 {
		line += fmt.Sprintf(" (attempt %d)", t.Attempts())
	}
	if len(t.Metrics) > 0 {
		line += "  step " + stepOf(t)
		if s, ok := shownMetric(t, spec); ok {
			line += "  " + s
		}
		if speed, ok := t.Metrics["images_per_second"]; ok {
			line += fmt.Sprintf("  %.0f images/s", speed.Last)
		} else if d := t.Duration(at).Seconds(); d > 0 {
			line += fmt.Sprintf("  %.3g points/s", float64(pointsOf(t))/d)
		}
	}
	return line + "  " + short(t.Duration(at))
}

func pointsOf(t *sweeps.Trial) int64 {
	n := int64(0)
	for _, s := range t.Metrics {
		n = max(n, s.Count)
	}
	return n
}

// shownMetric is the objective's last value, or that of the first metric there is.
func shownMetric(t *sweeps.Trial, spec *sweeps.Spec) (string, bool) {
	name := spec.Objective.Name
	s, ok := t.Metrics[name]
	if !ok {
		for _, n := range slices.Sorted(maps.Keys(t.Metrics)) {
			name, s, ok = n, t.Metrics[n], true
			break
		}
	}
	return fmt.Sprintf("%s %.4g", name, s.Last), ok
}

// liveView redraws a few lines of the terminal.
type liveView struct {
	reporter
	out     io.Writer
	width   int
	varying []string
	drawn   int // lines
}

func (v *liveView) update(p *wire.Progress) error {
	at := now()
	lines := []string{fmt.Sprintf("%s %s", bar(p, 20), headline(p, at))}
	const most = 12
	for _, t := range p.Running {
		if t.Started.IsZero() {
			continue // it waits on its worker for a slot
		}
		if len(lines) > most {
			lines = append(lines, fmt.Sprintf("  … and %d more", p.Underway()-most))
			break
		}
		lines = append(lines, "  "+trialLine(t, v.f.spec, v.varying, at))
	}
	v.erase()
	for _, l := range lines {
		fmt.Fprintln(v.out, truncate(printable(l), v.width-1))
	}
	v.drawn = len(lines)
	return nil
}

// refresh lets the times go on.
func (v *liveView) refresh(p *wire.Progress) error { return v.update(p) }

// erase takes back what was drawn: up, and clear to the end of the screen.
func (v *liveView) erase() {
	if v.drawn > 0 {
		fmt.Fprintf(v.out, "\x1b[%dA\x1b[J", v.drawn)
		v.drawn = 0
	}
}

func (v *liveView) close() {}

func (v *liveView) report(last *wire.Progress, rows []results.Row) error {
	v.erase()
	return v.reporter.report(last, rows)
}

// bar is a progress bar of n cells.
func bar(p *wire.Progress, n int) string {
	if p.Total <= 0 {
		return "[" + strings.Repeat("·", n) + "]"
	}
	full := int(float64(n) * float64(p.Counts.Ended()) / float64(p.Total))
	full = min(max(full, 0), n)
	return "[" + strings.Repeat("█", full) + strings.Repeat("·", n-full) + "]"
}

// printable is a text without what would move a terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

func truncate(s string, width int) string {
	r := []rune(s)
	if width < 1 || len(r) <= width {
		return s
	}
	return string(r[:width-1]) + "…"
}

// logView prints a line when something happened, at most one in an interval.
type logView struct {
	reporter
	out     io.Writer
	printed time.Time
}

// logInterval is the time between two lines of a log.
const logInterval = 10 * time.Second

func (v *logView) update(p *wire.Progress) error {
	at := now()
	if at.Sub(v.printed) < logInterval && !p.State.Terminal() {
		return nil
	}
	v.printed = at
	// A log that cannot be written is no reason to stop: the results go elsewhere.
	fmt.Fprintf(v.out, "%s %s: %s\n", at.Format(time.TimeOnly), p.Name, headline(p, at))
	return nil
}

func (v *logView) refresh(p *wire.Progress) error { return v.update(p) }

func (v *logView) close() {}

// jsonView prints an event a line.
type jsonView struct {
	out       *json.Encoder
	goals     map[string]sweeps.Goal
	objective sweeps.Objective
	begun     bool
	printed   time.Time
	err       error
}

// event is a line for programs.
type event struct {
	Event string `json:"event"` // sweep, progress, trial, end
	sweepJSON
	Workers int          `json:"workers,omitempty"`
	Slots   int          `json:"slots,omitempty"`
	Trial   *results.Row `json:"trial,omitempty"`
	Class   sweeps.Class `json:"class,omitempty"` // of a trial: how it ended
	Error   string       `json:"error,omitempty"`
	Best    *results.Row `json:"best,omitempty"`
}

func (v *jsonView) emit(e event) {
	if err := v.out.Encode(e); err != nil && v.err == nil {
		v.err = err
	}
}

func (v *jsonView) update(p *wire.Progress) error {
	e := event{Event: "progress", sweepJSON: toJSON(&p.SweepStatus), Workers: p.Workers, Slots: p.Slots}
	if !v.begun {
		v.begun = true
		e.Event = "sweep"
		v.emit(e)
		e.Event = "progress"
	}
	for _, t := range p.Ended {
		row := results.FromTrial(t, v.goals, now())
		v.emit(event{Event: "trial", sweepJSON: e.sweepJSON, Trial: &row, Class: row.Class, Error: row.Error})
	}
	if at := now(); at.Sub(v.printed) >= time.Second {
		v.printed = at
		v.emit(e)
	}
	return v.err
}

// refresh shows at intervals that the sweep is still followed.
func (v *jsonView) refresh(p *wire.Progress) error {
	if at := now(); at.Sub(v.printed) >= logInterval {
		v.printed = at
		v.emit(event{Event: "progress", sweepJSON: toJSON(&p.SweepStatus), Workers: p.Workers, Slots: p.Slots})
	}
	return v.err
}

func (v *jsonView) close() {}

func (v *jsonView) report(last *wire.Progress, rows []results.Row) error {
	v.emit(event{Event: "end", sweepJSON: toJSON(&last.SweepStatus), Best: results.Summarise(rows, v.objective).Best})
	return v.err
}
