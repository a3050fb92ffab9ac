package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"swath/coordinator/disk"
	"swath/trainer/data"
	"swath/trainer/data/fetch"
)

func (a *app) dataCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "data",
		Short: "List data sets, and download them",
		Example: `  swath data ls
  swath data fetch cifar10`,
		Args: exactArgs(0, "a verb: ls or fetch"),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.dataLsCommand(), a.dataFetchCommand())
	return cmd
}

func (a *app) dataLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "List the data sets that trainers know, and whether they are there",
		Example: `  swath data ls --data ~/datasets`,
		Args:    exactArgs(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			list, err := data.List(a.cfg.Data)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tTHERE\tTRAIN\tTEST\tSIZE\tPATH\tDESCRIPTION")
			for _, e := range list {
				there := "no"
				if e.Present {
					there = "yes"
				}
				if e.Problem != "" {
					there = "broken: " + e.Problem
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Name, there, orDash(e.Train), orDash(e.Test), bytesOf(e.Bytes), pathOf(e.Path), e.Description)
			}
			return w.Flush()
		},
	}
}

func orDash(n int) string {
	if n == 0 {
		return "-"
	}
	return thousands(int64(n))
}

func pathOf(p string) string {
	if p == "" {
		return "-"
	}
	return p
}

func bytesOf(n int64) string {
	switch {
	case n == 0:
		return "-"
	case n < 1<<20:
		return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	}
}

func (a *app) dataFetchCommand() *cobra.Command {
	var url, sum string
	cmd := &cobra.Command{
		Use:   "fetch NAME",
		Short: "Download a public data set into the data folder",
		Long: `Fetch downloads a data set and verifies its checksum. A download that was interrupted goes
on where it stopped; a file that is there and right is not downloaded again.`,
		Example: `  swath data fetch cifar10
  swath data fetch cifar10 --url https://mirror.example/cifar-10-binary.tar.gz`,
		Args: exactArgs(1, "one data set"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.fetch(cmd.Context(), args[0], url, sum) },
	}
	cmd.Flags().StringVar(&url, "url", "", "download from here instead of the published source")
	cmd.Flags().StringVar(&sum, "sha256", "", "checksum that the file must have instead of the published one")
	return cmd
}

func (a *app) fetch(ctx context.Context, name, url, sum string) error {
	p := newDownload(a.stderr, name)
	r, err := fetch.Fetch(ctx, name, a.cfg.Data, fetch.Options{URL: url, SHA256: sum, Progress: p.update, Space: disk.Space})
	p.end()
	if err != nil {
		if ctx.Err() != nil {
			a.note("interrupted: the same command goes on where it stopped")
			return errInterrupted
		}
		return err
	}
	if r.Downloaded == 0 {
		a.note("%s is there already", name)
	}
	fmt.Fprintln(a.stdout, r.Path)
	return nil
}

// download shows the progress of a download: a bar on a terminal, lines in a log.
type download struct {
	out     io.Writer
	name    string
	live    bool
	began   time.Time
	printed time.Time
	start   int64
	drawn   bool
}

func newDownload(out io.Writer, name string) *download {
	_, live := terminal(out)
	return &download{out: out, name: name, live: live, began: now(), start: -1}
}

func (d *download) update(done, total int64) {
	if d.start < 0 {
		d.start = done
	}
	at := now()
	interval := logInterval
	if d.live {
		interval = 100 * time.Millisecond
	}
	if at.Sub(d.printed) < interval && done != total {
		return
	}
	d.printed = at
	line := fmt.Sprintf("%s: %s", d.name, bytesOf(done))
	if total > 0 {
		line = fmt.Sprintf("%s: %3.0f%% of %s", d.name, 100*float64(done)/float64(total), bytesOf(total))
	}
	if s := at.Sub(d.began).Seconds(); s > 0 {
		line += fmt.Sprintf(", %s/s", bytesOf(int64(float64(done-d.start)/s)))
	}
	if d.live {
		fmt.Fprintf(d.out, "\r\x1b[K%s", line)
		d.drawn = true
		return
	}
	fmt.Fprintln(d.out, line)
}

func (d *download) end() {
	if d.drawn {
		fmt.Fprintln(d.out)
	}
}
