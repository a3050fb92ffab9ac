// Package trainer is what the built-in trainers share: how they describe and check
// their parameters and data sets, the loop over epochs, and how a run ends.
//
// Vocabulary. A [Trainer] is a named program that trains one trial in this process;
// a [Param] is one of its hyperparameters, with a default and the values it allows, and a
// [Metric] is something that it reports; [Values] are a trial's parameters, checked against those. [Loop] runs epochs, from a
// [Position] on; [History] is what a training has reported, which goes into its
// checkpoints (package checkpoint) and is said again when a later attempt goes on.
//
// Rules. Checking parameters is pure and fast: it opens no file, so that the command line
// does it for the trials of a sweep, the first 10,000 of a larger one, before it submits it. A trainer
// does it again when it runs, so that what was not checked ends there as what no retry would mend. A trainer takes all it needs from
// its arguments, reports through a report.Session, keeps nothing at package level,
// and returns promptly with the context's error once the context is done.
package trainer

import (
	"context"

	"swath/trainer/data"
	"swath/trainer/report"
)

// Trainer is a built-in training program.
type Trainer struct {
	Name    string
	Summary string // one line
	Params  []Param
	Metrics []Metric // that it reports

	// Validate checks the parameters of one trial without touching a file. The error
	// lists everything that is wrong, each with what to do about it.
	Validate func(params map[string]any) error

	// CheckData checks, of parameters that Validate takes, what a data set that was found must have
	// for them. It opens no file either. Nil: any set will do.
	CheckData func(params map[string]any, set data.Set) error

	// Continues says whether a trial of these parameters may go on from the last checkpoint
	// of one that has a lower value of one of them, and is otherwise the same, and comes to
	// the same results as if it had begun anew. The error says why not. Nil: none may.
	Continues func(param string, params map[string]any) error

	// Run trains the session's trial. The error wraps report.ErrDiverged if the loss became
	// NaN or infinite, report.ErrSpec if the parameters cannot work, and is the
	// context's if that ended the run.
	Run func(ctx context.Context, session *report.Session) error
}
