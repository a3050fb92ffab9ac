package cli

import (
	"context"

	"github.com/spf13/cobra"

	"swath/proto/wire"
	"swath/results"
)

func (a *app) seriesCommand() *cobra.Command {
	var metric, trial, format string
	cmd := &cobra.Command{
		Use:   "series SWEEP --metric NAME",
		Short: "Print the recorded points of a metric",
		Long: `Series prints the points of a metric of every trial of a sweep, or of one trial; without
--metric those of all metrics. Of a trial with several attempts it is the latest's.`,
		Example: `  swath series quickstart --metric test_accuracy --format csv
  swath series quickstart --metric train_loss --trial 3`,
		Args: exactArgs(1, "one sweep, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.series(cmd.Context(), args[0], metric, trial, format)
		},
	}
	cmd.Flags().StringVar(&metric, "metric", "", "name of the metric (default all)")
	cmd.Flags().StringVar(&trial, "trial", "", "one trial: its index, its id or the beginning of its id (default all)")
	cmd.Flags().StringVar(&format, "format", "table", "table, csv, json, jsonl or markdown")
	return cmd
}

func (a *app) series(ctx context.Context, sweep, metric, trial, formatName string) error {
	format, err := results.ParseFormat(formatName)
	if err != nil {
		return err
	}
	cl, err := a.connect(ctx, toRead)
	if err != nil {
		return err
	}
	defer cl.close()
	width, _ := terminal(a.stdout)
	layout := results.Layout{MaxWidth: width, Empty: "no points recorded yet"}
	w, err := results.NewSeriesWriter(a.stdout, format, layout)
	if err != nil {
		return err
	}
	var writeErr error
	err = cl.Series(ctx, sweep, metric, trial, func(piece wire.SeriesPiece) bool {
		for _, row := range results.Series(piece.Trial, piece.Index, piece.Points) {
			if writeErr = w.Write(row); writeErr != nil {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	if writeErr != nil {
		return writeErr
	}
	return w.Close()
}
