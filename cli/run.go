package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"swath/coordinator/boltstore"
	"swath/proto/wire"
	"swath/sweeps"
	"swath/worker"
)

func (a *app) runCommand() *cobra.Command {
	var asJSON, noCheck bool
	cmd := &cobra.Command{
		Use:         "run FILE",
		Short:       "Run a whole sweep on this machine, and show what came out",
		Annotations: serving,
		Long: `Run starts a coordinator and a worker in this process, over the same wire as a cluster,
submits the sweep, shows its progress, and prints the results: a table sorted by the
objective, and the best trial's parameters.

Everything is recorded under --home. A run that was interrupted goes on where it stopped
when the same command is given again; a run of a sweep that has ended begins anew under the
next free name. Other terminals can follow (swath status, results, logs) while it runs.`,
		Example: `  swath run sweeps/library/quickstart.yaml
  swath run sweeps/library/vit-patch-size.yaml --data ~/datasets --slots 1`,
		Args: exactArgs(1, "one sweep file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("coordinator") {
				return errors.New("run starts a coordinator of its own: leave --coordinator out, or give the sweep to that one with `swath submit FILE`")
			}
			reuse, err := reuseOf(cmd.Flags())
			if err != nil {
				return err
			}
			return a.run(cmd.Context(), args[0], runOptions{cmd.Flags().Changed("name"), asJSON, !noCheck, reuse})
		},
	}
	addWorkerFlags(cmd.Flags())
	addDiskFlags(cmd.Flags())
	cmd.Flags().Duration("disk-wait", 5*time.Minute, "how long to wait for room when the disk is full and nothing goes on")
	cmd.Flags().String("name", "", "name of the sweep (default the file's)")
	addReuseFlags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print events as JSON lines on standard output, for programs")
	cmd.Flags().BoolVar(&noCheck, "no-check", false, "do not look for the program and the data before starting")
	return cmd
}

// runOptions are the flags of run.
type runOptions struct {
	named, asJSON, check bool
	reuse                *bool // nil: as the file says
}

func (a *app) run(ctx context.Context, file string, opt runOptions) error {
	f, err := a.load(file)
	if err != nil {
		return err
	}
	if err := f.checkReuse(opt.reuse); err != nil {
		return err
	}
	if opt.check {
		if err := f.check(); err != nil {
			return err
		}
		if err := f.checkData(a.cfg.Data); err != nil {
			return err
		}
	}
	m, err := a.thisMachine(ctx)
	if err != nil {
		return err
	}
	if err := f.runsOn(m, a.cfg.Slots); err != nil {
		return err
	}
	name := f.spec.Name
	if opt.named {
		name = a.cfg.Name
		a.cfg.Name = "" // it is the sweep's, not the worker's
		if err := sweeps.CheckName(name); err != nil {
			return err
		}
	}
	if homeInUse(a.cfg.Home) {
		return a.errHomeInUse()
	}
	defer surviveBrokenPipe()()
	target, err := chooseRun(a.cfg.Home, name, opt.named, f)
	if err != nil {
		return err
	}
	a.cfg.Lease = defaultLease
	log := a.logger(a.stderr, slog.LevelWarn)
	s, err := a.serve("127.0.0.1:0", log, func(sw *sweeps.Sweep) bool { return sw.ID != target.id })
	if err != nil {
		return err
	}
	ready := make(chan struct{})
	stopWorker, err := a.startWorker(s.addr, m, log, func(sweeps.WorkerID) { close(ready) })
	if err != nil {
		return errors.Join(err, s.stop())
	}
	end := func() error { return errors.Join(stopWorker(), s.stop()) }
	cl, err := dial(s.addr)
	if err != nil {
		return errors.Join(err, end())
	}
	defer cl.close()
	ctx, done := a.watchDisk(ctx, s, target.name)
	if err = a.noteOthers(ctx, cl, target.id, ready); err == nil {
		err = a.runSweep(ctx, cl, f, target, opt)
	}
	if full := done(); full != nil {
		err = full
	}
	return errors.Join(err, end())
}

// noteOthers says what still runs here of other sweeps, whose run was killed. It is known when
// the worker has said what it holds.
func (a *app) noteOthers(ctx context.Context, cl *client, id sweeps.SweepID, ready <-chan struct{}) error {
	running := func() (list []*wire.SweepStatus, err error) {
		all, err := cl.Sweeps(ctx)
		for _, sw := range all {
			if sw.ID != id && sw.Counts.Running > 0 {
				list = append(list, sw)
			}
		}
		return list, err
	}
	list, err := running()
	if len(list) == 0 {
		return err
	}
	select {
	case <-ready:
	case <-ctx.Done():
	case <-time.After(5 * time.Second): // whatever keeps the worker, it is no reason to wait longer
	}
	if list, err = running(); err != nil {
		return err
	}
	for _, sw := range list {
		a.note("%s was interrupted, and what ran of it goes on (trials: %d): in its slots, until it ends, or this run does; to go on with the sweep, give its command again",
			sw.Name, sw.Counts.Running)
	}
	return nil
}

// runSweep submits the sweep, unless it goes on, and follows it to its end.
func (a *app) runSweep(ctx context.Context, cl *client, f *sweepFile, target runTarget, opt runOptions) error {
	if target.resumed {
		a.note("%s had not ended: going on with it (to begin anew, give it another name with --name)", target.name)
		if err := takeUp(ctx, cl, target.id); err != nil {
			return err
		}
	} else {
		_, err := cl.Submit(ctx, wire.Submission{ID: target.id, Source: f.source, File: f.file, Name: target.name, WorkDir: f.workDir, Reuse: opt.reuse, Program: f.programDigest()})
		if err != nil {
			return err
		}
	}
	if !opt.asJSON {
		a.note("%s", f.summary(target.name))
	}
	err := a.follow(ctx, cl, string(target.id), f, followOptions{asJSON: opt.asJSON, leavePaused: true})
	switch {
	case errors.Is(context.Cause(ctx), errDiskFull): // that was said
	case errors.Is(err, errInterrupted):
		a.note("\ninterrupted: what ran is recorded; the same command goes on with %s", target.name)
	case brokenPipe(err):
		a.note("nobody reads the output any more: stopping; the same command goes on with %s", target.name)
	}
	return err
}

// runsOn complains of a sweep whose trials this machine could never run.
func (f *sweepFile) runsOn(m machine, slots int) error {
	const otherwise = "or submit the sweep to a coordinator whose workers have it"
	w := m.worker(slots)
	for _, r := range f.spec.Requires {
		if !r.Met(w) {
			return fmt.Errorf("%w: %s: its trials require %s, which is not so of this machine: give it a label with --label NAME=VALUE, %s", sweeps.ErrInvalid, f.file, r, otherwise)
		}
	}
	asked, has := w.Lacks(f.spec.Resources)
	switch {
	case asked != "" && m.gpus.Note != "" && f.spec.Resources.WantsGPU():
		return fmt.Errorf("%w: %s: a trial asks for %s, and this machine has %s (%s): ask for less, %s", sweeps.ErrInvalid, f.file, asked, has, m.gpus.Note, otherwise)
	case asked != "":
		return fmt.Errorf("%w: %s: a trial asks for %s, and this machine has %s: ask for less, %s", sweeps.ErrInvalid, f.file, asked, has, otherwise)
	}
	return nil
}

// takeUp goes on with a sweep. If it was paused because its trials all failed alike, the
// user has done something about that, and those trials run again.
func takeUp(ctx context.Context, cl *client, id sweeps.SweepID) error {
	st, err := cl.Sweep(ctx, string(id))
	if err != nil || st.State != sweeps.SweepPaused {
		return err
	}
	if _, _, err := cl.Rerun(ctx, string(id), true, nil); err != nil {
		return err
	}
	_, err = cl.Resume(ctx, string(id))
	return err
}

// runTarget is the sweep that a run works on.
type runTarget struct {
	id      sweeps.SweepID
	name    string
	resumed bool
}

// chooseRun decides whether the run goes on with a sweep that was interrupted, or begins a
// new one, under a name that is free.
func chooseRun(home, name string, exact bool, f *sweepFile) (runTarget, error) {
	fresh := runTarget{id: newSweepID(), name: name}
	if !boltstore.Exists(home) {
		return fresh, nil
	}
	stores, err := boltstore.Open(home, boltstore.Options{ReadOnly: true})
	if err != nil {
		return fresh, err
	}
	defer func() { _ = stores.Close() }() // it was only read
	for n := 1; ; n++ {
		try := name
		if n > 1 {
			try = fmt.Sprintf("%s-%d", name, n)
		}
		sw, err := stores.State.Sweep(try)
		switch {
		case errors.Is(err, sweeps.ErrNotFound):
			fresh.name = try
			return fresh, nil
		case err != nil:
			return fresh, err
		case !sw.State.Terminal() && string(sw.Source) == string(f.source):
			return runTarget{sw.ID, try, true}, nil
		case exact:
			return fresh, fmt.Errorf("%w: a sweep named %q is there already: choose another name with --name", sweeps.ErrExists, try)
		}
	}
}

// newSweepID draws a sweep's id.
func newSweepID() sweeps.SweepID {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return sweeps.SweepID("s" + hex.EncodeToString(b[:]))
}

// startWorker runs a worker in this process until the function that it returns is called.
func (a *app) startWorker(addr string, m machine, log *slog.Logger, ready func(sweeps.WorkerID)) (stop func() error, err error) {
	cl, err := dial(addr)
	if err != nil {
		return nil, err
	}
	agent, err := a.newAgent(cl, m, log, 0, ready)
	if err != nil {
		cl.close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx) }()
	return func() error {
		cancel()
		err := <-ended
		cl.close()
		return err
	}, nil
}

// newAgent makes a worker that speaks to the coordinator through cl, and gives up after a while
// if another agent is this worker.
func (a *app) newAgent(cl *client, m machine, log *slog.Logger, giveUp time.Duration, ready func(sweeps.WorkerID)) (*worker.Agent, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's file, to run built-in trainers with: %w", err)
	}
	return worker.New(worker.Config{
		Home: a.cfg.Home, Name: a.cfg.Name, Slots: a.cfg.Slots, Resources: m.total, GPUs: m.gpus, Labels: m.labels,
		WorkDir: a.cfg.WorkDir, DataDir: a.cfg.Data, Binary: binary, Grace: a.cfg.Grace, Room: a.room(), Full: a.full,
		Dial:    func(ctx context.Context) (worker.Session, error) { return cl.Session(ctx) },
		Log:     log,
		OnReady: ready,
		GiveUp:  giveUp,

		Transfer: cl, CheckpointEvery: a.cfg.CheckpointEvery,
		Version: version(),
	})
}

// describe is the file's name as messages show it.
func (f *sweepFile) describe() string {
	if f.file == "-" {
		return "standard input"
	}
	return filepath.Base(f.file)
}
