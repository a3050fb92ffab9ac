package trainer

import (
	"errors"
	"fmt"
	"maps"

	"swath/trainer/checkpoint"
)

// History passes reports of metrics on and remembers them for checkpoints. A trial's
// metrics are read from its latest attempt alone, so an attempt that goes on from a
// checkpoint has to begin with what the earlier ones reported until then: where the worker
// has not put that into its report, it says it again.
type History struct {
	// To records the metrics, as report.Session's Report does.
	To func(step int64, metrics map[string]float64) error
	// Told says that what a checkpoint remembers stands in the report already.
	Told bool

	reports []checkpoint.Report
}

// Report records metrics at a step.
func (h *History) Report(step int64, metrics map[string]float64) error {
	if err := h.To(step, metrics); err != nil {
		return err
	}
	h.reports = append(h.reports, checkpoint.Report{Step: step, Metrics: maps.Clone(metrics)})
	return nil
}

// Reports returns all that was reported, for a checkpoint.
func (h *History) Reports() []checkpoint.Report { return h.reports }

// Replay reports what a checkpoint remembers, before anything else is reported.
func (h *History) Replay(reports []checkpoint.Report) error {
	if len(h.reports) > 0 {
		return errors.New("replaying reports after others")
	}
	if h.Told {
		h.reports = append(h.reports, reports...)
		return nil
	}
	for _, r := range reports {
		if err := h.Report(r.Step, r.Metrics); err != nil {
			return fmt.Errorf("reporting step %d again: %w", r.Step, err)
		}
	}
	return nil
}
