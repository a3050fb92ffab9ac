package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"swath/proto/wire"
	"swath/sweeps"
)

func (a *app) submitCommand() *cobra.Command {
	var noCheck bool
	cmd := &cobra.Command{
		Use:   "submit FILE",
		Short: "Submit a sweep to a coordinator, and print its name",
		Example: `  swath submit sweep.yaml --coordinator 127.0.0.1:7420
  swath watch $(swath submit sweep.yaml --name second-try)`,
		Args: exactArgs(1, "one sweep file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if cmd.Flags().Changed("name") {
				name = a.cfg.Name
				if err := sweeps.CheckName(name); err != nil {
					return err
				}
			}
			reuse, err := reuseOf(cmd.Flags())
			if err != nil {
				return err
			}
			return a.submit(cmd.Context(), args[0], name, reuse, !noCheck)
		},
	}
	cmd.Flags().String("name", "", "name of the sweep (default the file's)")
	addReuseFlags(cmd.Flags())
	cmd.Flags().BoolVar(&noCheck, "no-check", false, "do not look for the program on this machine")
	return cmd
}

func (a *app) submit(ctx context.Context, file, name string, reuse *bool, check bool) error {
	f, err := a.load(file)
	if err != nil {
		return err
	}
	if err := f.checkReuse(reuse); err != nil {
		return err
	}
	if check {
		if err := f.check(); err != nil {
			return err
		}
	}
	cl, err := a.connect(ctx, toChange)
	if err != nil {
		return err
	}
	defer cl.close()
	st, err := cl.Submit(ctx, wire.Submission{ID: newSweepID(), Source: f.source, File: f.file, Name: name, WorkDir: f.workDir, Reuse: reuse, Program: f.programDigest()})
	if err != nil {
		if errors.Is(err, sweeps.ErrExists) {
			return fmt.Errorf("%w: %s: %s", sweeps.ErrExists, f.describe(), oneLine(err))
		}
		return err
	}
	a.note("%s", f.summary(st.Name))
	fmt.Fprintln(a.stdout, st.Name)
	return nil
}
