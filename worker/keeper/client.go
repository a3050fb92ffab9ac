package keeper

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"swath/sweeps"
	"swath/worker/exec"
)

// The times of a keeper that nobody tells to end; see the package's rules.
const (
	Linger  = 10 * time.Second
	Abandon = 24 * time.Hour
)

// EnvPlace is the environment variable that makes a program which links this package the
// keeper of the place that it names, instead of what it is otherwise.
const EnvPlace = "SWATH_KEEPER_PLACE"

// envLinger shortens Linger, for tests.
const envLinger = "SWATH_KEEPER_LINGER"

// ready is what a keeper prints when agents may connect.
const ready = "ready"

// patience is how long a keeper may take to start, to answer, and to end.
var patience = 10 * time.Second // shorter in tests

// ErrNone says that no keeper serves the place.
var ErrNone = errors.New("no keeper")

// ErrBack says that an attempt was given back before it was started.
var ErrBack = errors.New("given back before it was started")

var errForeign = errors.New("it speaks another protocol: another version of the program started it")

// Client is the agent's side of a keeper. Its methods may be called by any goroutine.
type Client struct {
	line   *line
	gone   chan struct{} // closed when the connection has ended
	queues bool
	reaped chan struct{} // closed when the keeper has been waited for; nil if it is no child

	mu      sync.Mutex
	procs   map[string]*Process // that have not ended
	forgets []string            // to be told with the next message
	leaving bool                // the end of the connection is the agent's doing
	over    bool                // it has ended; guards against processes nobody would end
}

// Connect connects to the keeper that serves the place, and returns what it keeps. An
// error that wraps ErrNone says that there is none.
func Connect(place string) (*Client, []Attempt, error) {
	conn, err := dial(place)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			return nil, nil, fmt.Errorf("%w: %w", ErrNone, err)
		}
		return nil, nil, fmt.Errorf("connect to the keeper in %s: %w", place, err)
	}
	c := &Client{line: newLine(conn), gone: make(chan struct{}), procs: map[string]*Process{}}
	dec := gob.NewDecoder(bufio.NewReaderSize(conn, room))
	w, err := c.greet(dec)
	if err != nil {
		_ = conn.Close() // nothing came of it
		if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, errForeign) {
			return nil, nil, fmt.Errorf("%w: it was about to end: %w", ErrNone, err)
		}
		return nil, nil, fmt.Errorf("connect to the keeper in %s: %w", place, err)
	}
	c.queues = w.Queues
	for i := range w.Attempts { // before their ends can come
		if a := &w.Attempts[i]; a.Outcome == nil {
			a.process = newProcess(c, a.Key, a.Dir)
			a.process.pid, a.process.note, a.process.began = a.PID, a.Note, a.Began
			close(a.process.answered)
			c.procs[a.Key] = a.process
		}
	}
	go c.listen(dec)
	return c, w.Attempts, nil
}

// dial connects to the socket, whose path may be longer than the system allows.
func dial(place string) (net.Conn, error) {
	path := filepath.Join(place, socketName)
	const longest = 100 // of 104 to 108
	if len(path) > longest {
		dir, err := os.Open(place)
		if err != nil {
			return nil, err
		}
		defer func() { _ = dir.Close() }() // it was opened for its number
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
		path = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), socketName)
	}
	return net.DialTimeout("unix", path, patience)
}

func (c *Client) greet(dec *gob.Decoder) (welcome, error) {
	if err := c.line.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return welcome{}, err
	}
	if err := c.line.send(request{Greet: &greet{protocol, exec.BaseEnv(), true}}); err != nil {
		return welcome{}, err
	}
	var m reply
	if err := dec.Decode(&m); err != nil {
		return welcome{}, err
	}
	if m.Welcome == nil || m.Welcome.Protocol != protocol {
		return welcome{}, errForeign
	}
	return *m.Welcome, c.line.conn.SetDeadline(time.Time{})
}

// Gone is closed when the keeper has died, or the connection to it has ended.
func (c *Client) Gone() <-chan struct{} { return c.gone }

// Start has the keeper start an attempt. The key names it; [Process.Begun] tells what came
// of it, and turn when to do it. An error that wraps [ErrGone] says that the keeper has died:
// another one may start the attempt.
func (c *Client) Start(key string, record Record, cmd exec.Command, turn Turn) (*Process, error) {
	p := newProcess(c, key, cmd.AttemptDir)
	c.mu.Lock()
	if c.over {
		defer c.mu.Unlock()
		if c.leaving {
			return nil, errors.New("start the trainer: the worker has let go of its keeper")
		}
		return nil, fmt.Errorf("start the trainer: %w", ErrGone)
	}
	c.procs[key] = p
	c.mu.Unlock()
	m := c.with(request{Start: &start{key, record, cmd, turn.Slots, turn.Priority}})
	if turn.Slots > 0 {
		c.line.sendSoon(m, soon) // others run meanwhile
		return p, nil
	}
	if c.line.send(m) != nil {
		_ = c.line.conn.Close() // then listen ends the attempt, whether it was begun or not
	}
	return p, nil
}

// Queues reports whether attempts can wait in the keeper. One that an earlier version of the
// program started may not know how.
func (c *Client) Queues() bool { return c.queues }

// Forget tells the keeper that the end of an attempt is known, at the next opportunity.
func (c *Client) Forget(key string) {
	c.mu.Lock()
	c.forgets = append(c.forgets, key)
	n := len(c.forgets)
	c.mu.Unlock()
	const many = 64
	if n >= many {
		_ = c.tell(request{}) // a keeper that is gone has forgotten
	}
}

// Drop ends what runs of an attempt that nobody wants to know of.
func (c *Client) Drop(key string) {
	_ = c.tell(request{Kill: key, Forget: []string{key}}) // a keeper that is gone keeps nothing
}

// Quit tells the keeper to end, as nothing runs, and waits until it has.
func (c *Client) Quit() error {
	err := c.tell(request{Quit: true})
	late := time.After(patience)
	for _, end := range []<-chan struct{}{c.gone, c.reaped} {
		if end == nil {
			continue
		}
		select {
		case <-end:
		case <-late:
			c.Leave()
			return errors.New("the keeper does not end: something it started still runs")
		}
	}
	c.Leave()
	if errors.Is(err, ErrGone) {
		return nil // it had ended before
	}
	return err
}

// Recall has the keeper give back an attempt, if it waits; then [Process.Begun] returns
// [ErrBack]. Otherwise nothing comes of it.
func (c *Client) Recall(key string) {
	_ = c.tell(request{Recall: key}) // a keeper that is gone has nothing that waits
}

// Leave lets go of the keeper, which goes on with what it keeps.
func (c *Client) Leave() {
	c.mu.Lock()
	c.leaving = true
	c.mu.Unlock()
	_ = c.line.conn.Close() // what was sent was sent
	<-c.gone
}

// tell sends a request, and what is to be forgotten with it.
func (c *Client) tell(m request) error { return c.line.send(c.with(m)) }

func (c *Client) with(m request) request {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.Forget = append(m.Forget, c.forgets...)
	c.forgets = nil
	return m
}

// listen takes what the keeper says until the connection ends. What then runs without a
// keeper is ended: nobody would learn how it ends.
func (c *Client) listen(dec *gob.Decoder) {
	defer close(c.gone)
	for {
		var m reply
		if err := dec.Decode(&m); err != nil {
			break
		}
		switch {
		case m.Started != nil:
			if p := c.find(m.Started.Key, false); p != nil {
				p.runs(*m.Started)
			}
		case m.Refused != nil:
			if p := c.find(m.Refused.Key, true); p != nil {
				p.end(m.Refused.Outcome, time.Now())
			}
		case m.Back != "":
			if p := c.find(m.Back, true); p != nil {
				p.back = true
				p.end(sweeps.Outcome{Class: sweeps.ClassPreempted, ExitCode: -1, Message: ErrBack.Error()}, time.Now())
			}
		case m.Exited != nil:
			if p := c.find(m.Exited.Key, true); p != nil {
				if s := m.Exited.Started; s != nil {
					p.runs(*s)
				}
				p.silent = m.Exited.Silent
				p.end(m.Exited.Outcome, m.Exited.Ended)
			}
		}
	}
	_ = c.line.conn.Close() // so that nobody waits to send
	c.mu.Lock()
	left, leaving := c.procs, c.leaving
	c.procs, c.over = map[string]*Process{}, true
	c.mu.Unlock()
	for _, p := range left {
		if leaving {
			p.end(sweeps.Outcome{Class: sweeps.ClassLost, ExitCode: -1, Message: "the worker let go of it"}, time.Now())
			continue
		}
		message := "the worker's keeper died, and the trainer's end cannot be known"
		if _, err := exec.KillOrphan(p.dir); err != nil {
			message += fmt.Sprintf("; it may still run: %v", err)
		}
		p.end(sweeps.Outcome{Class: sweeps.ClassLost, ExitCode: -1, Message: message}, time.Now())
	}
}

// find returns the process of a key; ended takes it out.
func (c *Client) find(key string, ended bool) *Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.procs[key]
	if ended {
		delete(c.procs, key)
	}
	return p
}

// Process is an attempt that the keeper runs, or ran.
type Process struct {
	client   *Client
	key, dir string
	answered chan struct{} // closed when pid, note and began are set
	pid      int
	note     string
	began    time.Time     // zero if the keeper does not tell
	silent   bool          // it wrote nothing; ditto
	back     bool          // it was given back; ditto
	done     chan struct{} // closed when what follows is set
	outcome  sweeps.Outcome
	ended    time.Time
}

func newProcess(c *Client, key, dir string) *Process {
	return &Process{client: c, key: key, dir: dir, answered: make(chan struct{}), done: make(chan struct{})}
}

func (p *Process) runs(s started) {
	p.pid, p.note, p.began = s.PID, s.Note, s.Began
	close(p.answered)
}

func (p *Process) end(outcome sweeps.Outcome, ended time.Time) {
	p.outcome, p.ended = outcome, ended
	close(p.done)
}

// Pid is the leader's process id, which is the group's, too.
func (p *Process) Pid() int { return p.pid }

// Started is when the process was started; zero if the keeper, of an earlier version, does not
// tell.
func (p *Process) Started() time.Time { return p.began }

// Note tells people what was done differently from what the command says; empty mostly.
func (p *Process) Note() string { return p.note }

// Begun waits until the attempt runs. The error tells why it was not started, as that of
// [exec.Command.Start] does, or wraps [ErrBack].
func (p *Process) Begun() error {
	select {
	case <-p.answered:
		return nil
	case <-p.done:
	}
	switch {
	case p.pid != 0: // both came
		return nil
	case p.back:
		return ErrBack
	}
	return refusal{p.outcome}
}

// Wait waits for the attempt's end and returns how it ended and when.
func (p *Process) Wait() (sweeps.Outcome, time.Time) {
	<-p.done
	return p.outcome, p.ended
}

// Done is closed when the attempt's end is known.
func (p *Process) Done() <-chan struct{} { return p.done }

// Silent reports of an attempt that has ended what [exec.Process.Silent] does.
func (p *Process) Silent() bool {
	<-p.done
	return p.silent
}

// Stop asks the attempt to end, as [exec.Process.Stop] does.
func (p *Process) Stop(class sweeps.Class, message string) {
	// A keeper that is gone has no attempts that run.
	_ = p.client.tell(request{Stop: &stop{p.key, class, message}})
}

// Kill sends SIGKILL to the attempt's group, as [exec.Process.Kill] does.
func (p *Process) Kill() { _ = p.client.tell(request{Kill: p.key}) }
