//go:build unix

package worker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"swath/proto/wire"
	"swath/sweeps"
)

// coordinator is a fake one that keeps the promises of worker.proto, and breaks
// connections and withholds answers when it is told to.
type coordinator struct {
	t *testing.T

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced whenever something below changes
	down      bool          // refuses connections
	refuse    error         // refuses sessions
	conn      *conn
	sessions  int
	hellos    []wire.Hello
	offers    []wire.Offer
	starts    map[sweeps.AttemptRef]wire.Start // what should run; sent on Hello to those who lack it
	stops     map[sweeps.AttemptRef]bool
	started   map[sweeps.AttemptRef]int
	points    map[sweeps.AttemptRef][]sweeps.Point
	logs      map[sweeps.AttemptRef]map[string]string
	exits     map[sweeps.AttemptRef]sweeps.Outcome
	reports   map[sweeps.AttemptRef]wire.Exited // the last one of each end
	returned  map[sweeps.AttemptRef]int
	beats     int
	drains    int
	violation []string // of the protocol, by the agent

	keepEnds  bool                         // answers no Exited
	breakOn   func(wire.WorkerMessage) int // see these; called for each message
	heartbeat time.Duration
}

// What breakOn says of a message.
const (
	pass    = iota
	lose    // the connection breaks before the message is taken
	lateAck // it is taken, and the connection breaks before the answer
	mute    // it is neither taken nor answered
)

func newCoordinator(t *testing.T) *coordinator {
	return &coordinator{
		t: t, changed: make(chan struct{}),
		starts: map[sweeps.AttemptRef]wire.Start{}, stops: map[sweeps.AttemptRef]bool{},
		started: map[sweeps.AttemptRef]int{}, points: map[sweeps.AttemptRef][]sweeps.Point{},
		logs: map[sweeps.AttemptRef]map[string]string{}, exits: map[sweeps.AttemptRef]sweeps.Outcome{}, reports: map[sweeps.AttemptRef]wire.Exited{},
		returned: map[sweeps.AttemptRef]int{}, heartbeat: time.Second,
	}
}

// conn is the worker's end of a connection.
type conn struct {
	c       *coordinator
	ctx     context.Context
	broken  chan struct{}
	once    sync.Once
	replies chan wire.CoordinatorMessage
	hello   bool
}

var errBroken = errors.New("connection reset by test")

func (c *coordinator) dial(ctx context.Context) (Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return (*conn)(nil), errors.New("connection refused by test") // as a careless Dial does
	}
	c.sessions++
	if c.refuse != nil {
		close(c.changed)
		c.changed = make(chan struct{})
		return (*conn)(nil), c.refuse
	}
	c.conn = &conn{c: c, ctx: ctx, broken: make(chan struct{}), replies: make(chan wire.CoordinatorMessage, 10000)}
	return c.conn, nil
}

func (s *conn) breakOff() { s.once.Do(func() { close(s.broken) }) }

func (s *conn) Recv() (wire.CoordinatorMessage, error) {
	select {
	case <-s.broken:
		return nil, errBroken
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	case m := <-s.replies:
		return m, nil
	}
}

func (s *conn) CloseSend() error { return nil }

func (s *conn) Send(m wire.WorkerMessage) error {
	select {
	case <-s.broken:
		return errBroken
	case <-s.ctx.Done():
		return s.ctx.Err()
	default:
	}
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	verdict := pass
	if c.breakOn != nil {
		verdict = c.breakOn(m)
	}
	if verdict == lose {
		s.breakOff()
		return nil // as with gRPC, the sender learns of it later
	}
	if verdict == mute {
		return nil
	}
	answers := c.take(s, m)
	close(c.changed)
	c.changed = make(chan struct{})
	if verdict == lateAck {
		s.breakOff()
		return nil
	}
	for _, a := range answers {
		s.replies <- a
	}
	return nil
}

// take applies a message and returns the answers.
func (c *coordinator) take(s *conn, m wire.WorkerMessage) []wire.CoordinatorMessage {
	_, first := m.(wire.Hello)
	if first == s.hello {
		c.violation = append(c.violation, "Hello is not the first message, or not the only one")
	}
	s.hello = true
	switch m := m.(type) {
	case wire.Hello:
		c.hellos = append(c.hellos, m)
		answers := []wire.CoordinatorMessage{wire.Welcome{Heartbeat: c.heartbeat, Lease: time.Minute}}
		held := map[sweeps.AttemptRef]bool{}
		for _, ref := range m.Attempts {
			held[ref] = true
			if _, live := c.starts[ref]; !live {
				answers = append(answers, wire.Forget{Ref: ref})
			}
		}
		for ref, start := range c.starts {
			if !held[ref] {
				answers = append(answers, start)
			}
			if c.stops[ref] {
				answers = append(answers, wire.Stop{Ref: ref})
			}
		}
		return answers
	case wire.Heartbeat:
		c.beats++
	case wire.Drain:
		c.drains++
	case wire.Started:
		c.started[m.Ref]++
	case wire.Returned:
		c.returned[m.Ref]++
		delete(c.starts, m.Ref)
	case wire.Offer:
		c.offers = append(c.offers, m)
	case wire.Points:
		have := int64(len(c.points[m.Ref]))
		if skip := have - m.First; skip >= 0 && skip < int64(len(m.Points)) {
			c.points[m.Ref] = append(c.points[m.Ref], m.Points[skip:]...)
		}
		return []wire.CoordinatorMessage{wire.PointsAck{Ref: m.Ref, Next: int64(len(c.points[m.Ref]))}}
	case wire.LogChunk:
		if c.logs[m.Ref] == nil {
			c.logs[m.Ref] = map[string]string{}
		}
		text := c.logs[m.Ref][m.Stream]
		if skip := int64(len(text)) - m.Offset; skip >= 0 && skip < int64(len(m.Data)) {
			c.logs[m.Ref][m.Stream] = text + string(m.Data[skip:])
		}
		return []wire.CoordinatorMessage{wire.LogAck{Ref: m.Ref, Stream: m.Stream, Next: int64(len(c.logs[m.Ref][m.Stream]))}}
	case wire.Exited:
		if c.keepEnds {
			return nil
		}
		if old, twice := c.exits[m.Ref]; twice && old != m.Outcome {
			c.violation = append(c.violation, "two different ends of "+m.Ref.String())
		}
		c.exits[m.Ref], c.reports[m.Ref] = m.Outcome, m
		delete(c.starts, m.Ref)
		return []wire.CoordinatorMessage{wire.Forget{Ref: m.Ref}}
	}
	return nil
}

// do changes the coordinator, and tells the connected worker, if it has been welcomed: until
// then it is not to hear of anything else.
func (c *coordinator) do(f func(), tell ...wire.CoordinatorMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f != nil {
		f()
	}
	if c.conn != nil && c.conn.hello {
		for _, m := range tell {
			c.conn.replies <- m
		}
	}
}

func (c *coordinator) start(m wire.Start) { c.do(func() { c.starts[m.Ref] = m }, m) }

func (c *coordinator) recall(ref sweeps.AttemptRef) { c.do(nil, wire.Recall{Ref: ref}) }

func (c *coordinator) stop(ref sweeps.AttemptRef) {
	c.do(func() { c.stops[ref] = true }, wire.Stop{Ref: ref})
}

// disconnect breaks the connection; down keeps the worker from coming back.
func (c *coordinator) disconnect(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
	if c.conn != nil {
		c.conn.breakOff()
	}
}

// until waits for a condition of the coordinator's fields.
func (c *coordinator) until(what string, cond func() bool) {
	c.t.Helper()
	deadline := time.After(patience)
	for {
		c.mu.Lock()
		ok, changed := cond(), c.changed
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			c.t.Fatalf("never came: %s", what)
		}
	}
}

// ended waits for the end of an attempt to be reported and returns it.
func (c *coordinator) ended(ref sweeps.AttemptRef) sweeps.Outcome {
	c.t.Helper()
	c.until("the end of "+ref.String(), func() bool { _, ok := c.exits[ref]; return ok })
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exits[ref]
}

// values returns the recorded values of a metric, in order.
func (c *coordinator) values(ref sweeps.AttemptRef, metric string) []float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []float64
	for _, p := range c.points[ref] {
		if p.Metric == metric {
			list = append(list, p.Value)
		}
	}
	return list
}

func (c *coordinator) log(ref sweeps.AttemptRef, stream string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.logs[ref][stream]
}

// running is an agent in the middle of Run.
type running struct {
	*Agent
	t      testing.TB
	cancel context.CancelFunc
	over   chan error
}

// newAgent makes an agent of the coordinator with short times.
func newAgent(t testing.TB, c *coordinator, home string, change func(*Config)) *Agent {
	t.Helper()
	cfg := Config{
		Home: home, Slots: 4, WorkDir: t.TempDir(), Grace: 100 * time.Millisecond, Dial: c.dial,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	if change != nil {
		change(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a.shorten()
	return a
}

// shorten makes the agent's times short.
func (a *Agent) shorten() {
	a.times.poll = 5 * time.Millisecond
	a.times.backoffMin, a.times.backoffMax = time.Millisecond, 10*time.Millisecond
	a.times.tidy = 10 * time.Millisecond
}

// run starts the agent; it is stopped at the end of the test at the latest.
func run(t testing.TB, a *Agent) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Agent: a, t: t, cancel: cancel, over: make(chan error, 1)}
	go func() { r.over <- a.Run(ctx) }()
	t.Cleanup(r.stop)
	return r
}

// stop ends the agent in order.
func (r *running) stop() {
	r.cancel()
	if r.over == nil {
		return
	}
	if err := <-r.over; err != nil {
		r.t.Errorf("Run: %v", err)
	}
	r.over = nil
}

// shell is a Start of a trial that runs a shell script.
func shell(index int64, script string) wire.Start {
	var file strings.Builder
	file.WriteString("name: tests\nmethod: grid\nmetric: {name: loss, goal: minimize}\nparameters: {lr: {value: 0.1}}\n")
	file.WriteString("command:\n  - /bin/sh\n  - -c\n  - |\n")
	for line := range strings.Lines(script) {
		file.WriteString("    " + line)
	}
	file.WriteString("\n")
	return wire.Start{
		Ref:     sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s1", Index: index}, Attempt: 1},
		TrialID: "0123456789abcdef", Params: sweeps.Params{"lr": 0.1},
		SweepName: "tests", Source: []byte(file.String()), File: "tests.yaml",
	}
}

// check fails the test for what the agent did that it must not.
func (c *coordinator) check() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range c.violation {
		c.t.Error(v)
	}
}

// sleep is the pause between two looks.
// patience is how long a test waits for what must happen, so that a broken agent fails it
// rather than hang it.
const patience = time.Minute

func sleep() { time.Sleep(2 * time.Millisecond) }

// eventually waits until something is so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); sleep() {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}

// gone waits until a path does not exist.
func gone(t *testing.T, path string) {
	t.Helper()
	eventually(t, path+" to go", func() bool {
		_, err := os.Stat(path)
		return errors.Is(err, os.ErrNotExist)
	})
}

// awaitFile waits until a file has content and returns it.
func awaitFile(t *testing.T, path string) (content string) {
	t.Helper()
	eventually(t, path, func() bool {
		b, err := os.ReadFile(path)
		content = strings.TrimSpace(string(b))
		return err == nil && strings.HasSuffix(string(b), "\n")
	})
	return content
}

func attemptPath(a *Agent, m wire.Start) string {
	return filepath.Join(a.home.attempts(), attemptDir(m.Ref))
}

// environment returns what a script printed with env, by name.
func environment(text string) map[string]string {
	env := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			env[name] = value
		}
	}
	return env
}

// report is the last that was said of the end of an attempt that has ended.
func (c *coordinator) report(ref sweeps.AttemptRef) wire.Exited {
	c.ended(ref)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reports[ref]
}
