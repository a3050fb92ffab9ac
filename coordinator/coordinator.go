package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// Config is what a coordinator needs to be told.
type Config struct {
	Dispatch dispatch.Config
	// Heartbeat is how often a worker that has nothing to say gives a sign of life; a
	// fraction of the lease.
	Heartbeat time.Duration
	// Pace bounds how long events wait for others to be committed with; see DefaultPace. Zero
	// commits whatever waits at once.
	Pace time.Duration
	Log  *slog.Logger
	// Home names the coordinator's records: workers that hold attempts of another home are
	// refused. Empty to refuse nobody.
	Home string
	// Rests reports whether the coordinator should leave a sweep that has not ended
	// alone: hand out nothing of it. What workers run of it goes on. Nil for none.
	Rests func(*sweeps.Sweep) bool
	// Checkpoints keeps the checkpoints' files; nil to keep none. Quota bounds them.
	Checkpoints CheckpointStore
	Quota       Quota
	// Room says why nothing new should begin: that the disk is as good as full, say. Empty
	// if there is room. Nil for always.
	Room func() string
	// Now is the clock; time.Now unless a test says otherwise.
	Now func() time.Time
}

// Coordinator dispatches sweeps and answers questions about them. Its methods are safe
// for concurrent use.
type Coordinator struct {
	cfg     Config
	store   Store
	metrics MetricStore
	logs    LogStore
	specs   specCache
	fence   fence
	watch   watchers
	links   links
	ingest  ingest
	reruns  sync.Mutex
	trouble trouble
	bases   bases
	lookups []dispatch.Lookup // not yet answered; the loop's own
	// looked is when the loop last asked whether there is room, and full the answer; both
	// are the loop's own.
	looked time.Time
	full   string

	checkpoints checkpoints
	dropMu      sync.Mutex
	dropped     []string // digests that nobody names any more; guarded by dropMu
	dropping    chan struct{}

	requests chan request
	running  chan struct{} // closed when Run begins
	done     chan struct{} // closed when Run has returned
	once     sync.Once
}

// request is one thing for the loop to do: an event, or a question about its memory.
type request struct {
	event dispatch.Event
	ask   func(*dispatch.State)
	reply chan error // nil if nobody waits; buffered otherwise
}

// maxBatch bounds the events of one commit, and with them the time that the first of
// them waits for it.
const maxBatch = 4096

// New returns a coordinator over the stores. It answers queries at once, and takes sweeps
// and workers while Run runs.
func New(store Store, metrics MetricStore, logs LogStore, cfg Config) *Coordinator {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = cfg.Dispatch.Lease / 5
	}
	c := &Coordinator{
		cfg: cfg, store: store, metrics: metrics, logs: logs,
		requests: make(chan request, maxBatch),
		running:  make(chan struct{}),
		done:     make(chan struct{}),
	}
	c.checkpoints.files, c.checkpoints.quota = cfg.Checkpoints, cfg.Quota
	c.dropping = make(chan struct{}, 1)
	c.ingest.requests = make(chan pointsRequest, 256)
	return c
}

// Run loads the state and works until ctx is done. It returns nil then, and an error if
// the store cannot be read. It may be called once.
func (c *Coordinator) Run(ctx context.Context) error {
	state, err := c.load()
	if err != nil {
		return err
	}
	if err := c.checkpoints.load(c.store); err != nil {
		return err
	}
	close(c.running)
	var wg sync.WaitGroup
	wg.Go(func() { c.ingestLoop(ctx) })
	wg.Go(func() { c.purgeAll(ctx); c.collect(ctx) })
	defer func() {
		c.once.Do(func() { close(c.done) })
		c.links.closeAll("the coordinator is shutting down")
		wg.Wait()
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	batch := make([]request, 0, maxBatch)
	var next time.Time // when another turn is due, unless many events wait
	for {
		batch = c.answers(batch[:0])
		if len(batch) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
				batch = append(batch, request{event: dispatch.Tick{}})
			case r := <-c.requests:
				batch = append(batch, r)
			}
			if batch = c.gather(batch); len(batch) < crowd && pause(ctx, time.Until(next)) {
				batch = c.gather(batch)
			}
		} else if batch = c.gather(batch); ctx.Err() != nil {
			return nil
		}
		begun := time.Now()
		if changes, err := c.turn(ctx, state, batch); err != nil {
			// The commit failed. Wait a little, then begin again from the store.
			if state, err = c.reload(ctx); err != nil {
				return nil
			}
			c.recall(changes)
		}
		next = begun.Add(min(rest*time.Since(begun), c.cfg.Pace))
		timer.Reset(c.sleep(state))
	}
}

// DefaultPace is a Config.Pace for coordinators on a disk. A commit costs the processor and
// the disk far more than an event does, and so a coordinator that is told of many things one
// by one does well to commit them together: it waits for more as long as its commits take
// more than one part of its time in so many (rest). Prefetched trials hide the wait.
const (
	DefaultPace = 20 * time.Millisecond
	rest        = 10
)

// crowd is how many events are worth a commit at once, whatever the pace.
const crowd = 32

// pause waits, and reports whether it did.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return false
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return true
}

// gather adds the requests that wait already.
func (c *Coordinator) gather(batch []request) []request {
	for len(batch) < maxBatch {
		select {
		case r := <-c.requests:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// turn is one turn of the loop. An error says that the commit of the changes failed: the
// state is then ahead of the store, and of no use.
func (c *Coordinator) turn(ctx context.Context, state *dispatch.State, batch []request) (dispatch.Changes, error) {
	now := c.cfg.Now()
	c.look(state, now)
	answers := make([]error, len(batch))
	for i, r := range batch {
		if r.event != nil {
			answers[i] = c.step(state, now, r.event)
		}
	}
	// Where requests always wait the loop never comes to its timer.
	if wake := state.NextWake(); !wake.IsZero() && !wake.After(now) {
		_ = state.Step(now, dispatch.Tick{}) // nobody asked
	}
	state.Assign(now)
	changes, effects := state.TakeChanges(), state.TakeEffects()
	var failed error
	if !changes.Empty() {
		failed = c.store.Commit(changes)
	}
	if failed != nil {
		c.cannotWrite(ctx, "commit failed: nothing of this batch is acknowledged", failed)
		for i := range answers {
			if batch[i].event != nil {
				answers[i] = failed
			}
		}
	} else {
		c.fence.update(changes.Trials)
		c.drop(c.checkpoints.update(changes))
		for i, r := range batch {
			if h, is := r.event.(dispatch.Hello); is && answers[i] == nil {
				c.links.greet(h)
			}
		}
		c.links.deliver(effects)
		c.asked(changes, effects)
	}
	for i, r := range batch {
		if r.ask != nil && failed == nil {
			r.ask(state)
		}
		if r.reply != nil {
			r.reply <- answers[i]
		}
	}
	c.trouble.note(state.Halted(), state.Idle())
	if failed == nil {
		c.watch.publish(changes)
	}
	return changes, failed
}

func (c *Coordinator) sleep(state *dispatch.State) time.Duration {
	idle := 10 * time.Second
	switch {
	case len(c.lookups) > 0: // the store could not be read
		return retryLookup
	case state.Halted() != "":
		idle = lookInterval
	}
	if state.Again() {
		return 0
	}
	wake := state.NextWake()
	if wake.IsZero() {
		return idle
	}
	return min(max(wake.Sub(c.cfg.Now()), time.Millisecond), idle)
}

// reload loads the state again after a failed commit, as often as it takes. The workers
// are disconnected: what they said since the last commit is forgotten, and they say it
// again.
func (c *Coordinator) reload(ctx context.Context) (*dispatch.State, error) {
	c.links.closeAll("the coordinator could not write to its disk")
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		state, err := c.load()
		if err == nil {
			err = c.checkpoints.load(c.store)
		}
		if err == nil {
			return state, nil
		}
		c.cfg.Log.Error("loading the state again failed", "err", err)
	}
}

// recall tells the watchers what of the changes is in the store although their commit
// failed: it may have been written before the error came.
func (c *Coordinator) recall(changes dispatch.Changes) {
	written := dispatch.Changes{Sweeps: changes.Sweeps}
	for _, t := range changes.Trials {
		if !t.State.Terminal() {
			continue
		}
		err := c.store.Trials(t.Sweep, t.Index, func(row *sweeps.Trial) bool {
			if row.Index == t.Index && row.Attempt == t.Attempt && row.State == t.State {
				written.Trials = append(written.Trials, row)
			}
			return false
		})
		if err != nil {
			c.cfg.Log.Error("what a failed commit wrote cannot be read: followers of the sweep may miss the end of a trial", "trial", t.ID, "err", err)
		}
	}
	c.watch.publish(written)
}

// load builds the dispatcher's state from the store.
func (c *Coordinator) load() (*dispatch.State, error) {
	list, err := c.store.Sweeps()
	if err != nil {
		return nil, fmt.Errorf("load the sweeps: %w", err)
	}
	now := c.cfg.Now()
	state := dispatch.New(c.cfg.Dispatch)
	c.fence.reset()
	c.bases, c.lookups = bases{}, nil
	for _, sw := range list {
		c.bases.add(sw)
	}
	aside, err := c.store.Aside()
	if err != nil {
		return nil, fmt.Errorf("load the workers that are set aside: %w", err)
	}
	state.SetAside(aside)
	for _, sw := range list {
		state.Name(sw.ID, sw.Name)
		if sw.State.Terminal() {
			continue
		}
		sub, trials, err := c.restored(sw)
		if err != nil {
			return nil, err
		}
		c.fence.update(trials)
		state.Restore(now, sub, trials)
	}
	return state, nil
}

// restored is what the dispatcher is told of a sweep that had not ended, and those of its rows
// that it has to know.
func (c *Coordinator) restored(sw *sweeps.Sweep) (dispatch.Submit, []*sweeps.Trial, error) {
	sub := dispatch.Submit{Sweep: sw}
	var trials []*sweeps.Trial
	if err := c.store.Live(sw.ID, func(t *sweeps.Trial) bool { trials = append(trials, t); return true }); err != nil {
		return sub, nil, fmt.Errorf("load the trials of sweep %q: %w", sw.Name, err)
	}
	l, err := c.specs.get(sw)
	if err != nil {
		c.cfg.Log.Error("a sweep file is not understood by this version: the sweep rests, and what runs of it goes on", "sweep", sw.Name, "err", err)
		sub.Plan, sub.Policy = unread(err, trials)
		return sub, trials, nil
	}
	sub.Plan, sub.Policy = l.plan, l.policy()
	sub.Policy.Rests = c.cfg.Rests != nil && c.cfg.Rests(sw)
	if !sub.Policy.Continues {
		return sub, trials, nil
	}
	err = c.store.Trials(sw.ID, 0, func(t *sweeps.Trial) bool {
		if t.State.Terminal() && !t.Continued {
			trials = append(trials, t)
		}
		return true
	})
	if err != nil {
		return sub, nil, fmt.Errorf("load the trials of sweep %q: %w", sw.Name, err)
	}
	return sub, trials, nil
}

// do posts an event and waits until its consequences are durable.
func (c *Coordinator) do(ctx context.Context, ev dispatch.Event) error {
	return c.request(ctx, request{event: ev, reply: make(chan error, 1)})
}

// post posts an event and does not wait.
func (c *Coordinator) post(ev dispatch.Event) {
	select {
	case c.requests <- request{event: ev}:
	case <-c.done:
	}
}

// ask runs fn in the loop.
func (c *Coordinator) ask(ctx context.Context, fn func(*dispatch.State)) error {
	return c.request(ctx, request{ask: fn, reply: make(chan error, 1)})
}

var errNotRunning = fmt.Errorf("%w: no coordinator runs on this home: start one with `swath coordinator`", sweeps.ErrUnavailable)

func (c *Coordinator) request(ctx context.Context, r request) error {
	select {
	case <-c.running:
	default:
		return errNotRunning
	}
	select {
	case c.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return fmt.Errorf("%w: the coordinator is shutting down", sweeps.ErrUnavailable)
	}
	select {
	case err := <-r.reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return fmt.Errorf("%w: the coordinator is shutting down", sweeps.ErrUnavailable)
	}
}

// Ready is closed when the loop has loaded its state and sweeps and workers are taken.
func (c *Coordinator) Ready() <-chan struct{} { return c.running }

// Running reports whether the loop runs: whether sweeps and workers are taken.
func (c *Coordinator) Running() bool {
	select {
	case <-c.done:
		return false
	default:
	}
	select {
	case <-c.running:
		return true
	default:
		return false
	}
}

// isNotFound reports whether err says that a thing does not exist.
func isNotFound(err error) bool { return errors.Is(err, sweeps.ErrNotFound) }
