package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"swath/proto/wire"
	"swath/sweeps"
	"swath/worker/bundle"
)

func (a *app) checkpointsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "checkpoints SWEEP",
		Short: "List the checkpoints that are kept of a sweep, and fetch one",
		Long: `Checkpoints lists what the coordinator keeps: the last checkpoint of every trial that has not
finished, from which its next attempt goes on, and what the sweep file's key checkpoints asks
for besides. Get takes one away: the trained model, for instance.`,
		Example: `  swath checkpoints quickstart
  swath checkpoints get quickstart/3 --out model`,
		Args: exactArgs(1, "one sweep, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.checkpoints(cmd.Context(), args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "a JSON object a line")
	cmd.AddCommand(a.checkpointsGetCommand())
	return cmd
}

func (a *app) checkpoints(ctx context.Context, sweep string, asJSON bool) error {
	cl, err := a.connect(ctx, toRead)
	if err != nil {
		return err
	}
	defer cl.close()
	list, err := cl.Checkpoints(ctx, sweep, "")
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(a.stdout)
		for _, k := range list {
			if err := enc.Encode(checkpointJSON(k)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		a.note("no checkpoints of %s are kept: those of trials that have finished are only if the sweep file says so, as in `checkpoints: {keep_last: 1}`", sweep)
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "INDEX\tTRIAL\tATTEMPT\tSTEP\tOBJECTIVE\tSIZE\tSAVED\tKEPT AS")
	for _, k := range list {
		value := "-"
		if !math.IsNaN(k.Value) {
			value = fmt.Sprintf("%.6g", k.Value)
		}
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%s\t%s\t%s\t%s\n", k.Index, k.Trial, k.Attempt, k.Step, value, bytesOf(k.Size), k.Saved.Local().Format(time.DateTime), keptAs(k))
	}
	return w.Flush()
}

func keptAs(k wire.ListedCheckpoint) string {
	switch {
	case k.Last && k.Best:
		return "last, best"
	case k.Best:
		return "best"
	}
	return "last"
}

// jsonCheckpoint is a checkpoint for programs.
type jsonCheckpoint struct {
	Index     int64     `json:"index"`
	Trial     string    `json:"trial"`
	Attempt   int       `json:"attempt"`
	Step      int64     `json:"step"`
	Objective *float64  `json:"objective,omitempty"`
	Bytes     int64     `json:"bytes"`
	SHA256    string    `json:"sha256"`
	Saved     time.Time `json:"saved"`
	Last      bool      `json:"last"`
	Best      bool      `json:"best"`
}

func checkpointJSON(k wire.ListedCheckpoint) jsonCheckpoint {
	j := jsonCheckpoint{
		Index: k.Index, Trial: string(k.Trial), Attempt: k.Attempt, Step: k.Step, Bytes: k.Size, SHA256: k.Digest,
		Saved: k.Saved.UTC(), Last: k.Last, Best: k.Best,
	}
	if v := k.Value; !math.IsNaN(v) && !math.IsInf(v, 0) {
		j.Objective = &v
	}
	return j
}

func (a *app) checkpointsGetCommand() *cobra.Command {
	var out string
	var best bool
	cmd := &cobra.Command{
		Use:   "get TRIAL --out DIR",
		Short: "Fetch the last checkpoint of a trial into a new folder",
		Long: `TRIAL is its id, the beginning of its id, or SWEEP/INDEX. What the trainer wrote is put into
the folder under the name that the trainer gave it.`,
		Example: `  swath checkpoints get quickstart/3 --out model
  swath checkpoints get 4f1c9b --best --out model`,
		Args: exactArgs(1, "one trial: its id, the beginning of its id, or SWEEP/INDEX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return errors.New("say where to put the checkpoint with --out DIR")
			}
			return a.getCheckpoint(cmd.Context(), args[0], out, best)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "folder to put it into; it must be empty or not be there")
	cmd.Flags().BoolVar(&best, "best", false, "the one with the best objective, where the sweep keeps it, and not the last")
	return cmd
}

func (a *app) getCheckpoint(ctx context.Context, trial, out string, best bool) error {
	cl, err := a.connect(ctx, toRead)
	if err != nil {
		return err
	}
	defer cl.close()
	list, err := cl.Checkpoints(ctx, "", trial)
	if err != nil {
		return err
	}
	var found *wire.ListedCheckpoint
	for i, k := range list {
		if found == nil && (best && k.Best || !best && k.Last) {
			found = &list[i]
		}
	}
	if found == nil {
		return fmt.Errorf("%w: no such checkpoint of trial %s is kept: `swath checkpoints SWEEP` lists those that are", sweeps.ErrNotFound, trial)
	}
	switch entries, err := os.ReadDir(out); {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("the folder %s is not empty: choose another with --out", out)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look into %s: %w", out, cause(err))
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("make the folder %s: %w", out, cause(err))
	}
	// Beside its place, so that nothing of it is there before it is verified.
	file := filepath.Join(out, ".swath-checkpoint")
	if err := fetchCheckpoint(ctx, cl, found, file); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	err = bundle.Unpack(f, out, "")
	if err = errors.Join(err, f.Close(), os.Remove(file)); err != nil {
		return err
	}
	a.note("checkpoint of step %d of trial %s is in %s", found.Step, found.Trial, out)
	return nil
}

// fetchCheckpoint reads a bundle and verifies it.
func fetchCheckpoint(ctx context.Context, cl *client, k *wire.ListedCheckpoint, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, cause(err))
	}
	err = cl.ReadCheckpoint(ctx, k.Digest, 0, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return bundle.Verify(file, k.Digest)
}
