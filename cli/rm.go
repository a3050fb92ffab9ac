package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"swath/sweeps"
)

func (a *app) rmCommand() *cobra.Command {
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:     "rm SWEEP...",
		Aliases: []string{"remove"},
		Short:   "Remove sweeps that have ended, with all that was recorded of them",
		Long: `Rm removes sweeps with their trials, series, logs and checkpoints, for good. It asks before
it does, unless --yes is given. A sweep that has not ended is refused: cancel it first; and so
is one whose results others took over (reuse). What trials left in the artifact folders of
their workers stays. Freed space is used again; much of it is given back to the disk when a
coordinator begins on the home, and all of it by swath compact.`,
		Example: `  swath rm quickstart
  swath rm first-try second-try --yes`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("rm: say which sweeps, by name or id")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.remove(cmd.Context(), args, yes, asJSON) },
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each that was removed as a JSON object a line")
	return cmd
}

func (a *app) remove(ctx context.Context, names []string, yes, asJSON bool) error {
	cl, err := a.connect(ctx, toTidy)
	if err != nil {
		return err
	}
	defer cl.close()
	// All are looked at before any is removed.
	var ids []sweeps.SweepID
	var what []string
	for _, name := range names {
		st, err := cl.Sweep(ctx, name)
		if err != nil {
			return err
		}
		if !st.State.Terminal() {
			return fmt.Errorf("%w: sweep %q has not ended, it is %s: cancel it first", sweeps.ErrConflict, st.Name, st.State)
		}
		ids = append(ids, st.ID)
		what = append(what, fmt.Sprintf("%s (%s trials, of %s)", st.Name, ofTotal(st), st.Created.Local().Format("2006-01-02 15:04")))
	}
	if !yes {
		if err := a.confirm("remove " + strings.Join(what, ", ") + " for good?"); err != nil {
			return err
		}
	}
	enc := json.NewEncoder(a.stdout)
	for _, id := range ids {
		st, err := cl.Remove(ctx, string(id))
		if err != nil {
			return err
		}
		if asJSON {
			if err := enc.Encode(toJSON(st)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(a.stdout, "%s is removed, with %d trials\n", st.Name, st.Dispatched)
	}
	return nil
}

// confirm asks, on a terminal; elsewhere nobody would answer.
func (a *app) confirm(question string) error {
	if f, is := a.stdin.(*os.File); !is || !term.IsTerminal(int(f.Fd())) {
		return errors.New("rm: there is no terminal to ask on: say --yes")
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was removed")
}
