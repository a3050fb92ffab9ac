package results

import (
	"time"

	"swath/sweeps"
)

// Row is one trial as a user sees it.
type Row struct {
	Trial  sweeps.TrialID
	Index  int64
	State  sweeps.TrialState
	Params sweeps.Params
	// Metrics are the last values of the trial's metrics.
	Metrics map[string]float64
	// Best and BestStep are the best values, and the steps they were reached at, of
	// the metrics whose goal is known: the objective, at least.
	Best     map[string]float64
	BestStep map[string]int64
	// Attempts is how many attempts the trial has had, the live one included.
	Attempts int
	// Worker is the name of the worker of the latest attempt, or its id where it
	// has no name.
	Worker string
	// Duration is how long the latest attempt ran, or has run until now.
	Duration time.Duration
	// Class and Error tell how the latest ended attempt ended. Both are empty before
	// the first end; Error is empty where it ended well.
	Class sweeps.Class
	Error string
	// Started and Ended are those of the latest attempt; zero where it has not.
	Started, Ended time.Time
	// ReusedFrom names the attempt of another sweep whose result this is, as
	// NAME/INDEX#ATTEMPT; empty for a trial that ran.
	ReusedFrom string
}

// FromTrial returns the row of a trial. Goals tell for which metrics a best value is
// wanted, and which way; now bounds the duration of a trial that still runs. The row
// shares the trial's parameters.
func FromTrial(t *sweeps.Trial, goals map[string]sweeps.Goal, now time.Time) Row {
	r := Row{
		Trial:    t.ID,
		Index:    t.Index,
		State:    t.State,
		Params:   t.Params,
		Attempts: t.Attempts(),
		Worker:   t.WorkerName,
		// The clocks of worker and coordinator may differ; nothing lasts less than
		// no time.
		Duration: max(0, t.Duration(now)),
		Class:    t.Outcome.Class,
		Error:    t.Outcome.Message,
		Started:  t.Started,
		Ended:    t.Ended,

		ReusedFrom: t.ReusedFrom.String(),
	}
	if r.Worker == "" {
		r.Worker = string(t.Worker)
	}
	if len(t.Metrics) == 0 {
		return r
	}
	r.Metrics = make(map[string]float64, len(t.Metrics))
	for name, s := range t.Metrics {
		if s.Count == 0 {
			continue
		}
		r.Metrics[name] = s.Last
		goal, ok := goals[name]
		if !ok {
			continue
		}
		if r.Best == nil {
			r.Best, r.BestStep = make(map[string]float64), make(map[string]int64)
		}
		r.Best[name], r.BestStep[name] = s.Best(goal)
	}
	return r
}

// Goals returns the goals that FromTrial wants for a sweep that has one objective. An
// objective without a name has none.
func Goals(o sweeps.Objective) map[string]sweeps.Goal {
	if o.Name == "" {
		return nil
	}
	return map[string]sweeps.Goal{o.Name: o.Goal}
}

// seconds is a duration as the rows print and compare it: in seconds, to the
// millisecond.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}
