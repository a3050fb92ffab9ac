package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"swath/coordinator/boltstore"
	"swath/coordinator/disk"
	"swath/sweeps"
)

func (a *app) compactCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compact",
		Short: "Give back the space in the home's files that is no longer used",
		Long: `Compact writes the two files of the home anew, without the space in them that is free, and
prints their sizes before and after. No coordinator may run on the home meanwhile. It needs
room on the disk for a copy of the larger file; if it is killed, nothing is lost.`,
		Example: `  swath compact`,
		Args:    exactArgs(0, "no arguments"),
		RunE:    func(*cobra.Command, []string) error { return a.compact() },
	}
}

func (a *app) compact() error {
	if !boltstore.Exists(a.cfg.Home) {
		return fmt.Errorf("%w: nothing is stored in the home %s: name another with --home", sweeps.ErrNotFound, a.cfg.Home)
	}
	if homeInUse(a.cfg.Home) {
		return fmt.Errorf("%w: the home %s is in use by another swath: stop it first", sweeps.ErrConflict, a.cfg.Home)
	}
	var largest int64
	for _, name := range []string{"state.db", "metrics.db"} {
		if st, err := os.Stat(filepath.Join(a.cfg.Home, name)); err == nil {
			largest = max(largest, st.Size())
		}
	}
	if free, _, known := disk.Space(a.cfg.Home); known && free < largest {
		return fmt.Errorf("%w: there is no room for a copy: %s are free on the disk of %s, and the larger file has %s: free some space first",
			sweeps.ErrStorage, sweeps.FormatBytes(free), a.cfg.Home, sweeps.FormatBytes(largest))
	}
	done, err := boltstore.Compact(a.cfg.Home)
	for _, c := range done {
		fmt.Fprintf(a.stdout, "%s: %s before, %s after\n", c.File, sweeps.FormatBytes(c.Before), sweeps.FormatBytes(c.After))
	}
	if errors.Is(err, sweeps.ErrConflict) {
		return a.errHomeInUse()
	}
	return err
}
