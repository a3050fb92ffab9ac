package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"swath/proto/wire"
	"swath/sweeps"
)

func (a *app) lsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the sweeps, the latest first",
		Example: `  swath ls`,
		Args:    exactArgs(0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.ls(cmd.Context(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line and sweep")
	return cmd
}

func (a *app) ls(ctx context.Context, asJSON bool) error {
	cl, err := a.connect(ctx, toRead)
	if errors.Is(err, sweeps.ErrUnavailable) && a.cfg.Coordinator == "" {
		a.note("no sweeps yet: run one with `swath run sweeps/library/quickstart.yaml`")
		return nil
	}
	if err != nil {
		return err
	}
	defer cl.close()
	list, err := cl.Sweeps(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return a.lsJSON(list)
	}
	if len(list) == 0 {
		a.note("no sweeps yet: run one with `swath run sweeps/library/quickstart.yaml`")
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tID\tSTATE\tTRIALS\tRUNNING\tFAILED\tCREATED")
	for _, s := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", s.Name, s.ID, s.State, ofTotal(s), s.Counts.Running, s.Counts.Failed,
			s.Created.Local().Format(time.DateTime))
	}
	return w.Flush()
}

// sweepJSON is a sweep for programs.
type sweepJSON struct {
	Name      string            `json:"name"`
	ID        sweeps.SweepID    `json:"id"`
	State     sweeps.SweepState `json:"state"`
	Total     int64             `json:"total"` // -1 if not known
	Finished  int64             `json:"finished"`
	Failed    int64             `json:"failed"`
	Cancelled int64             `json:"cancelled"`
	Reused    int64             `json:"reused"` // of the finished
	Running   int64             `json:"running"`
	Excluded  int64             `json:"excluded"`
	Reason    string            `json:"reason,omitempty"` // why it is paused, or was cancelled
	Created   time.Time         `json:"created"`
	Ended     *time.Time        `json:"ended,omitempty"`
}

func toJSON(s *wire.SweepStatus) sweepJSON {
	j := sweepJSON{
		Name: s.Name, ID: s.ID, State: s.State, Total: s.Total,
		Finished: s.Counts.Finished, Failed: s.Counts.Failed, Cancelled: s.Counts.Cancelled,
		Reused: s.Reused, Running: s.Underway(), Excluded: s.Excluded, Reason: s.Reason, Created: s.Created,
	}
	if !s.Ended.IsZero() {
		j.Ended = &s.Ended
	}
	return j
}

func (a *app) lsJSON(list []*wire.SweepStatus) error {
	enc := json.NewEncoder(a.stdout)
	for _, s := range list {
		if err := enc.Encode(toJSON(s)); err != nil {
			return err
		}
	}
	return nil
}

// ofTotal is how many trials have ended, of how many.
func ofTotal(s *wire.SweepStatus) string {
	if s.Total < 0 {
		return fmt.Sprintf("%d", s.Counts.Ended())
	}
	return fmt.Sprintf("%d/%d", s.Counts.Ended(), s.Total)
}
