package results

import (
	"math"
	"slices"
	"strings"

	"swath/sweeps"
)

// SeedParam is the parameter that tells the repeats of a trial apart.
const SeedParam = "seed"

// Digest is what is worth saying about a sweep as a whole.
type Digest struct {
	Total  int
	Counts sweeps.Counts
	// Best is the row with the best finite value of the objective: of the trials that
	// finished, or while none has, of all. Ties go to the lower index. Nil where no row
	// has a value.
	Best *Row
	// Groups are the trials that differ in nothing but their seed, best mean first;
	// nil unless there is one of at least two trials.
	Groups []Group
}

// Group is a set of trials that are repeats of each other.
type Group struct {
	// Params are those of the first trial, with dotted names and without the seed.
	Params map[string]any
	Trials int
	// N is how many of them finished with a best value of the objective that is a
	// finite number; Mean and SD (the sample's standard deviation) are over those.
	// SD is NaN for N below 2, Mean for N of 0.
	N        int
	Mean, SD float64
}

// Summarise returns the digest of a sweep's rows.
func Summarise(rows []Row, objective sweeps.Objective) Digest {
	d := Digest{Total: len(rows)}
	for i := range rows {
		r := &rows[i]
		d.Counts.Add(r.State, r.Attempts, 1)
		if v, ok := r.Best[objective.Name]; ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
			if d.Best == nil || better(objective, r, d.Best) {
				d.Best = r
			}
		}
	}
	d.Groups = groups(rows, objective)
	return d
}

// better reports whether a is the better answer: it finished and b did not, or else its value
// is better.
func better(o sweeps.Objective, a, b *Row) bool {
	if x, y := a.State == sweeps.TrialFinished, b.State == sweeps.TrialFinished; x != y {
		return x
	}
	x, y := a.Best[o.Name], b.Best[o.Name]
	if x == y {
		return a.Index < b.Index
	}
	return o.Goal.Better(x, y)
}

// groups puts rows of the same parameters but the seed together.
func groups(rows []Row, objective sweeps.Objective) []Group {
	type collected struct {
		Group
		values []float64
	}
	var all []*collected
	byKey := make(map[string]*collected)
	repeats := false
	for i := range rows {
		r := &rows[i]
		if _, ok := r.Params[SeedParam]; !ok {
			continue
		}
		params := make(map[string]any)
		eachParam("", r.Params, func(name string, v any) {
			if name != SeedParam {
				params[name] = v
			}
		})
		key := string(appendMap(nil, params, appendJSON))
		g := byKey[key]
		if g == nil {
			g = &collected{Group: Group{Params: params}}
			byKey[key] = g
			all = append(all, g)
		}
		g.Trials++
		repeats = repeats || g.Trials > 1
		v, ok := r.Best[objective.Name]
		if ok && r.State == sweeps.TrialFinished && !math.IsNaN(v) && !math.IsInf(v, 0) {
			g.values = append(g.values, v)
		}
	}
	if !repeats {
		return nil
	}
	out := make([]Group, len(all))
	for i, g := range all {
		out[i] = g.Group
		out[i].N = len(g.values)
		out[i].Mean, out[i].SD = meanSD(g.values)
	}
	slices.SortStableFunc(out, func(a, b Group) int {
		switch {
		case objective.Goal.Better(a.Mean, b.Mean):
			return -1
		case objective.Goal.Better(b.Mean, a.Mean):
			return 1
		default:
			return 0
		}
	})
	return out
}

// meanSD returns the mean and the sample's standard deviation. Two passes, because the
// values of good repeats are nearly the same.
func meanSD(values []float64) (mean, sd float64) {
	n := float64(len(values))
	if n == 0 {
		return math.NaN(), math.NaN()
	}
	for _, v := range values {
		mean += v / n
	}
	if n == 1 {
		return mean, math.NaN()
	}
	var squares float64
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(squares / (n - 1))
}

// Sentence says how many trials are in which state: "6 trials: 5 finished, 1 failed".
func (d Digest) Sentence() string {
	noun := " trials"
	if d.Total == 1 {
		noun = " trial"
	}
	var parts []string
	for _, c := range []struct {
		n    int64
		name string
	}{
		{d.Counts.Finished, "finished"},
		{d.Counts.Failed, "failed"},
		{d.Counts.Cancelled, "cancelled"},
		{d.Counts.Running, "running"},
		{d.Counts.Retrying, "waiting for another attempt"},
		{d.Counts.Unstarted, "not started yet"},
	} {
		if c.n > 0 {
			parts = append(parts, intValue(c.n).plain()+" "+c.name)
		}
	}
	s := intValue(int64(d.Total)).plain() + noun
	if len(parts) > 0 {
		s += ": " + strings.Join(parts, ", ")
	}
	return s
}
