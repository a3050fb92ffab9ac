package worker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
	"swath/worker/exec"
	"swath/worker/gpu"
)

// Config says what an agent is and what it has.
type Config struct {
	// Home is the directory under which agents keep their own, and the artifacts.
	Home string
	// Name is what people see; where it is empty, the host's name, with -n behind it for
	// the n-th further agent on the same home.
	Name string
	// Slots is how many trials may run at a time, at least 1.
	Slots int
	// Prefetch is how many trials the worker takes beyond its slots, to start them the
	// moment a slot falls free; 0 for as many as there are slots, and more of trials that end
	// within moments, negative for none.
	Prefetch int
	// Resources are what the machine offers. CPUs of 0 means all that there are.
	Resources sweeps.Resources
	// GPUs are the devices that it offers, and Labels what sweeps may ask for.
	GPUs   gpu.Set
	Labels map[string]string
	// WorkDir is the working directory of trials whose sweep was submitted from a
	// directory that does not exist here; empty for the agent's own.
	WorkDir string
	// DataDir holds the data sets; handed to the trainers, empty for none.
	DataDir string
	// Binary is the swath program, which runs the built-in trainers and the keeper. Where
	// it is empty there are neither, and trainers die with a killed agent's attempts.
	Binary string
	// NoSpawn starts nothing: every attempt ends at once, well, without a process or a
	// file. It is for measuring all the rest.
	NoSpawn bool
	// LogLimit is how many bytes are kept of a trainer's standard output, and of its
	// standard error: the first and the last half; 0 for 64 MiB, negative for no limit.
	LogLimit int64
	// Room says why no further trial should begin here: that the disk of the home is as
	// good as full, say. Empty if there is room. Nil for always.
	Room func() string
	// Full reports whether nothing can be written to that disk any more. What fails then
	// is taken for the disk's fault. Nil for never.
	Full func() bool
	// Grace is how long a trainer has between SIGTERM and SIGKILL; 0 for 10 seconds.
	Grace time.Duration
	// Version of the program, for the coordinator's messages.
	Version string
	// Dial opens a session that lasts until ctx is done.
	Dial func(ctx context.Context) (Session, error)
	// Transfer moves checkpoints; nil to leave them where they are.
	Transfer Transfer
	// CheckpointEvery is how often a trial's checkpoint is brought to the coordinator, at
	// most; 0 for 10 seconds.
	CheckpointEvery time.Duration
	// Log may be nil for none.
	Log *slog.Logger
	// GiveUp is how long an agent that holds nothing, and was never accepted, tries on while the
	// coordinator refuses it because another one is this worker; 0 for ever.
	GiveUp time.Duration
	// OnReady is called once, when the coordinator has accepted the worker for the first
	// time. It may be nil.
	OnReady func(id sweeps.WorkerID)
}

// Agent is a worker. [New] makes it, [Agent.Run] is its life.
type Agent struct {
	cfg      Config
	burst    int // how many trials that end within moments may wait
	times    times
	log      *slog.Logger
	home     *home
	gpus     *gpus
	specs    specs
	launcher launcher
	spares   spares
	cache    cache
	saving   chan struct{} // an attempt ended whose checkpoint is to be brought

	lastMoved atomic.Int64 // when an upload last went on, in nanoseconds since 1970

	logLimit logLimit
	ready    atomic.Bool
	draining chan struct{} // closed, under mu, when the agent begins to shut down
	closing  chan struct{} // closed when it stops to wait for acknowledgements
	removed  chan struct{} // an attempt was forgotten
	gaveUp   chan error    // why connecting is tried no more
	crew     *crew

	mu       sync.Mutex
	attempts map[sweeps.AttemptRef]*attempt // those held
	queue    []*attempt                     // those of them that wait for a slot, in the order of their turns
	busy     int                            // slots in use
	lined    int                            // how many wait in the keeper
	sent     chan struct{}                  // the last one's that may go there; nil before
	beside   map[*sweeps.Spec]int           // how many of both are of which sweep
	used     sweeps.Resources               // by those
	full     string                         // why nothing is started; empty if it is
	lastFull time.Time                      // when the disk was last seen to be full
}

// times are the agent's constants of time; tests have shorter ones.
type times struct {
	poll                   time.Duration // how often a reporter looks at the files
	heartbeat              time.Duration // where Welcome names none
	handshake              time.Duration // for Welcome to arrive
	patience               time.Duration // for anything that was sent to be acknowledged
	backoffMin, backoffMax time.Duration // between connections
	farewell               time.Duration // for the last acknowledgements at shutdown
	settle                 time.Duration // after which what lasts is written down
	tidy                   time.Duration // between two looks at how long the output is
	gpus                   time.Duration // between two looks at who uses the GPUs
	look                   time.Duration // between two looks for checkpoints
	room                   time.Duration // between two looks at how much room there is
}

var defaultTimes = times{
	poll:       exec.PollInterval,
	heartbeat:  5 * time.Second,
	handshake:  15 * time.Second,
	patience:   time.Minute,
	backoffMin: 100 * time.Millisecond,
	backoffMax: 3 * time.Second,
	farewell:   3 * time.Second,
	settle:     200 * time.Millisecond,
	tidy:       time.Second,
	gpus:       10 * time.Second,
	look:       100 * time.Millisecond,
	room:       time.Second,
}

// maxBurst is how many trials that end within moments wait on a worker, at most.
const maxBurst = 512

// New takes a place in the home and returns the agent that lives there. The place is
// free again when Run returns, or the process ends. An error wraps sweeps.ErrInvalid,
// or sweeps.ErrStorage where the home cannot be written to.
func New(cfg Config) (*Agent, error) {
	switch {
	case cfg.Home == "":
		return nil, fmt.Errorf("%w: a worker needs a home: give it with --home DIR", sweeps.ErrInvalid)
	case cfg.Slots < 1:
		return nil, fmt.Errorf("%w: a worker needs at least one slot, not %d: give them with --slots N", sweeps.ErrInvalid, cfg.Slots)
	case cfg.Dial == nil:
		return nil, fmt.Errorf("%w: a worker needs a coordinator to connect to", sweeps.ErrInvalid)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	burst := 0
	switch {
	case cfg.Prefetch == 0:
		cfg.Prefetch, burst = cfg.Slots, maxBurst
	case cfg.Prefetch < 0:
		cfg.Prefetch = 0
	}
	if cfg.LogLimit == 0 {
		cfg.LogLimit = defaultLogLimit
	}
	if cfg.CheckpointEvery == 0 {
		cfg.CheckpointEvery = 10 * time.Second
	}
	if cfg.Resources.CPUs <= 0 {
		cfg.Resources.CPUs = float64(runtime.NumCPU())
	}
	if cfg.WorkDir == "" {
		dir, err := os.Getwd()
		if err != nil {
			return nil, fmt.Errorf("%w: find the working directory for trials: %w", sweeps.ErrInvalid, err)
		}
		cfg.WorkDir = dir
	}
	h, err := claimHome(cfg.Home)
	if err != nil {
		return nil, err
	}
	if cfg.Name == "" {
		cfg.Name = hostname(h.n)
	}
	a := &Agent{
		cfg:      cfg,
		burst:    burst,
		times:    defaultTimes,
		log:      cfg.Log.With("worker", cfg.Name),
		home:     h,
		gpus:     newGPUs(cfg.GPUs),
		draining: make(chan struct{}),
		closing:  make(chan struct{}),
		removed:  make(chan struct{}, 1),
		gaveUp:   make(chan error, 1),
		logLimit: logLimit(cfg.LogLimit),
		launcher: launcher{place: h.dir, binary: cfg.Binary, log: cfg.Log.With("worker", cfg.Name)},
		attempts: map[sweeps.AttemptRef]*attempt{},
		beside:   map[*sweeps.Spec]int{},
		cache:    cache{dir: filepath.Join(h.dir, "checkpoints"), most: 2 * (cfg.Slots + cfg.Prefetch)},
		saving:   make(chan struct{}, 1),
		crew:     newCrew(),
	}
	if err := a.cache.open(); err != nil {
		h.release()
		return nil, homeError(cfg.Home, err)
	}
	return a, nil
}

func hostname(n int) string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "worker"
	}
	if n > 0 {
		name = fmt.Sprintf("%s-%d", name, n)
	}
	return name
}

// ID is the worker's identity, the same whenever an agent runs in this place.
func (a *Agent) ID() sweeps.WorkerID { return a.home.id }

// Name is what people see.
func (a *Agent) Name() string { return a.cfg.Name }

// Run holds sessions with the coordinator and runs what it says, until ctx is done. Then
// it takes no more trials, stops the running ones in order (SIGTERM, and SIGKILL after
// the grace), reports them as preempted, so that they go elsewhere, and returns when
// that was acknowledged, or a few seconds later: what was not is reported by the next
// agent in this place. It must be called once. The only errors are those of reading
// the home at the beginning, and sweeps.ErrConflict after Config.GiveUp.
func (a *Agent) Run(ctx context.Context) error {
	defer a.home.release()
	if err := a.recover(); err != nil {
		return err
	}
	if !a.gpus.none() && a.gpus.set.Vendor != "" {
		a.lookAtGPUs(ctx) // before any is offered
	}
	connected, disconnect := context.WithCancel(context.WithoutCancel(ctx))
	defer disconnect()
	a.look() // before the first greeting
	a.crew.Go(func() { a.connect(connected) })
	a.crew.Go(a.watchRoom)
	a.crew.Go(a.tidy)
	a.crew.Go(func() { a.watchGPUs(ctx) })
	a.crew.Go(func() { a.bringCheckpoints(connected) })

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-a.gaveUp:
	}
	a.drain()
	disconnect()
	close(a.closing)
	a.crew.close()
	a.launcher.quit()
	a.spares.close()
	return failed
}

// drain stops everything and waits until its end is acknowledged, for a while.
func (a *Agent) drain() {
	a.mu.Lock()
	close(a.draining)
	a.mu.Unlock()
	held := a.held()
	a.log.Info("shutting down", "attempts", len(held))
	// Those that wait for a slot first: the slot of one that is stopped is not to be theirs.
	for _, running := range []bool{false, true} {
		for _, at := range held {
			if began, _ := at.progress(); began == running {
				at.stop(sweeps.ClassPreempted, "the worker was shut down")
			}
		}
	}
	for _, at := range held {
		select {
		case <-at.done: // package exec sees to it that this takes no longer than the grace
		case <-at.returned:
		}
	}
	late := time.After(a.times.farewell)
	for {
		n := len(a.held())
		if n == 0 {
			return
		}
		select {
		case <-a.removed:
		case <-late:
			if wait := a.times.farewell - a.moving(); wait > 0 {
				late = time.After(wait) // a checkpoint is on its way
				continue
			}
			a.log.Warn("the coordinator did not acknowledge all: a worker started again on this home will report them", "attempts", n)
			return
		}
	}
}

// held returns the attempts that the agent holds, in order.
func (a *Agent) held() []*attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*attempt, 0, len(a.attempts))
	for _, at := range a.attempts {
		list = append(list, at)
	}
	slices.SortFunc(list, func(x, y *attempt) int {
		p, q := x.start.Ref, y.start.Ref
		return cmp.Or(cmp.Compare(p.Sweep, q.Sweep), cmp.Compare(p.Index, q.Index), cmp.Compare(p.Attempt, q.Attempt))
	})
	return list
}

// find returns an attempt that is held, or nil.
func (a *Agent) find(ref sweeps.AttemptRef) *attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.attempts[ref]
}

// begin takes an attempt on and runs it when there is a slot for it. It returns nil for
// one that is held already.
func (a *Agent) begin(m wire.Start) *attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.attempts[m.Ref] != nil {
		return nil
	}
	at := newAttempt(a, m)
	if a.gpus.unavailable(m.GPUs) {
		// Others began to use the device while this was on its way. It goes back.
		at.giveBack()
		a.crew.Go(at.live)
		return at
	}
	a.attempts[m.Ref] = at
	if a.cfg.NoSpawn {
		at.dir, at.began, at.outcome = "", true, &sweeps.Outcome{Class: sweeps.ClassOK}
		at.started = time.Now()
		at.ended = at.started
		close(at.done)
		return at
	}
	select {
	case <-a.draining:
		// It was on its way when Drain was; it goes back at once.
		at.stop(sweeps.ClassPreempted, "the worker was shutting down")
	default:
	}
	a.enqueue(at)
	a.fill()
	if n := len(a.queue); n > max(a.cfg.Prefetch, a.burst) {
		at.log.Warn("more trials than slots and places to wait: the coordinator sent one too many, and it waits, too", "waiting", n, "slots", a.cfg.Slots, "prefetch", a.cfg.Prefetch)
	}
	a.crew.Go(at.live)
	return at
}

// enqueue has the attempt wait for a slot: before those of a lower priority, which came earlier.
// The caller holds mu.
func (a *Agent) enqueue(at *attempt) {
	i := slices.IndexFunc(a.queue, func(other *attempt) bool { return other.priority < at.priority })
	if i < 0 {
		i = len(a.queue)
	}
	a.queue = slices.Insert(a.queue, i, at)
}

// fill gives the slots that are free to those that wait, in order. What the first one
// needs of the machine must be free, too, unless nothing else runs: then nothing will be
// freer later. Where none is free, those that could start whichever of the others ends
// first wait in the keeper, which gives them its slot at once. Nothing more is begun while
// the disk has no room. The caller holds mu.
func (a *Agent) fill() {
	for a.full == "" && len(a.queue) > 0 {
		at := a.queue[0]
		switch {
		case a.busy+a.lined < a.cfg.Slots:
			if a.busy > 0 && !(a.cfg.Resources.Sub(a.used).Fits(at.needs) && a.gpus.vacant(at.start.GPUs)) {
				return
			}
			a.enter(at)
		case a.mayLine(at):
			at.lined = true
			a.lined++
		default:
			return
		}
		a.queue = slices.Delete(a.queue, 0, 1)
		a.beside[at.spec]++
		at.after, a.sent = a.sent, at.sent
		close(at.ready)
	}
}

// mayLine reports whether the attempt can wait in the keeper: whichever ends first has to
// leave as much as it needs. The caller holds mu.
func (a *Agent) mayLine(at *attempt) bool {
	if !a.launcher.queues.Load() || len(at.start.GPUs) > 0 {
		return false
	}
	for spec := range a.beside {
		if spec == nil || !spec.Resources.Fits(at.needs) {
			return false
		}
	}
	return true
}

// line returns how many slots there are if the attempt has to wait for one in the keeper,
// and 0 if it has one.
func (a *Agent) line(at *attempt) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at.lined {
		return a.cfg.Slots
	}
	return 0
}

// began gives an attempt that waited in the keeper the slot that it has there.
func (a *Agent) began(at *attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at.lined {
		at.lined = false
		a.lined--
		a.enter(at)
	}
}

// enter gives the attempt a slot. The caller holds mu.
func (a *Agent) enter(at *attempt) {
	at.slot = true
	a.busy++
	a.used = a.used.Add(at.needs)
	a.gpus.occupy(at.start.GPUs)
}

// leave takes the attempt's slot, or its place among those that wait, away.
func (a *Agent) leave(at *attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dequeue(at)
	a.vacate(at)
	a.fill()
}

// vacate takes the attempt's slot away, or its place in the keeper. The caller holds mu.
func (a *Agent) vacate(at *attempt) {
	switch {
	case at.slot:
		at.slot = false
		a.busy--
		a.used = a.used.Sub(at.needs)
		a.gpus.vacate(at.start.GPUs)
	case at.lined:
		at.lined = false
		a.lined--
	default:
		return
	}
	if a.beside[at.spec]--; a.beside[at.spec] <= 0 {
		delete(a.beside, at.spec)
	}
}

// dequeue takes the attempt out of those that wait, and reports whether it was one. The
// caller holds mu.
func (a *Agent) dequeue(at *attempt) bool {
	i := slices.Index(a.queue, at)
	if i < 0 {
		return false
	}
	a.queue = slices.Delete(a.queue, i, i+1)
	return true
}

// forget lets go of an attempt, and ends what still runs of it.
func (a *Agent) forget(ref sweeps.AttemptRef) {
	a.mu.Lock()
	at := a.attempts[ref]
	delete(a.attempts, ref)
	a.mu.Unlock()
	if at != nil {
		at.forget()
	}
	nudge(a.removed)
}

// recall lets go of an attempt that waits for a slot, if there is one; its reporter says so.
// Where it waits in the keeper, that has the last word.
func (a *Agent) recall(ref sweeps.AttemptRef) {
	a.mu.Lock()
	at := a.attempts[ref]
	if at == nil || !at.lined {
		defer a.mu.Unlock()
		if at != nil && a.dequeue(at) {
			a.letGo(at)
		}
		return
	}
	a.mu.Unlock()
	at.mu.Lock()
	at.wanted = true
	sent := at.proc != nil
	at.mu.Unlock()
	if sent {
		a.launcher.recall(at)
	}
}

// takeBack lets go of an attempt that the keeper gave back.
func (a *Agent) takeBack(at *attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.vacate(at)
	if a.attempts[at.start.Ref] == at { // else it was forgotten meanwhile
		a.letGo(at)
	}
}

// letGo lets go of an attempt that is to be given back. The caller holds mu.
func (a *Agent) letGo(at *attempt) {
	delete(a.attempts, at.start.Ref)
	at.giveBack()
	a.fill() // it may have been what kept others waiting
}

// nudge wakes whoever waits on a channel of capacity 1.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// errPlace wraps an error about the agent's own directory.
func (a *Agent) errPlace(err error) error {
	return fmt.Errorf("%w: look through the attempts that an earlier worker left in %s: %w", sweeps.ErrStorage, a.home.attempts(), err)
}
