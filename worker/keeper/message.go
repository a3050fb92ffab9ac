package keeper

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"swath/sweeps"
	"swath/worker/exec"
)

// protocol is the number of the language that agents and keepers speak. gob leaves out
// fields that one side does not know, so it changes only with the meaning of one.
//
//	1  the first
const protocol = 1

// socketName is the keeper's socket in the place.
const socketName = "keeper.sock"

// request is what the agent says: one of the fields, or Forget beside another.
type request struct {
	Greet  *greet
	Start  *start
	Stop   *stop
	Kill   string   // an attempt's key
	Recall string   // an attempt's key: give it back, if it waits
	Forget []string // keys; of what runs when it has ended
	Quit   bool     // end, if nothing runs
}

// greet is the agent's first request.
type greet struct {
	Protocol int
	Env      []string // what trainers inherit
	// Brief says that the agent understands an end of which it was not told the beginning.
	Brief bool
}

type start struct {
	Key             string
	Record          Record
	Command         exec.Command
	Slots, Priority int // the fields of its Turn
}

// Turn is when an attempt is started: at once, or where Slots is not 0 and so many run already,
// the moment that one of them ends. Those that wait for that go by their priority, the highest
// first, and of equal ones the first that came; keepers of earlier versions take them as they
// came. It is for keepers that say [Client.Queues].
type Turn struct{ Slots, Priority int }

// Record is what the agent wants its successor to know of an attempt, and the file of the
// attempt's directory in which it looks for that.
type Record struct {
	File    string
	Content []byte
}

type stop struct {
	Key     string
	Class   sweeps.Class
	Message string
}

// reply is what the keeper says: one of the fields.
type reply struct {
	Welcome *welcome
	Started *started
	Refused *refused
	Exited  *exited
	Back    string // the key of an attempt that was recalled, and is forgotten
}

type welcome struct {
	Protocol int
	Attempts []Attempt
	Queues   bool // attempts can wait here
}

// Attempt is one that the keeper keeps, as it tells an agent that connects.
type Attempt struct {
	Key    string
	Dir    string // the attempt directory
	Record []byte // the content of its record
	PID    int
	Note   string
	Began  time.Time // zero from a keeper that did not tell
	// Outcome is nil if it ran when Connect asked.
	Outcome *sweeps.Outcome
	Ended   time.Time

	process *Process // of one that ran; the client's
}

// Process is the process of an attempt that ran when Connect asked; nil of one that had
// ended.
func (a Attempt) Process() *Process { return a.process }

type started struct {
	Key   string
	PID   int
	Note  string
	Began time.Time
}

// refused answers a start of which nothing came.
type refused struct {
	Key     string
	Outcome sweeps.Outcome
}

type exited struct {
	Key     string
	Outcome sweeps.Outcome
	Ended   time.Time
	Silent  bool
	Started *started // if that was not said before
}

// refusal is the keeper's error as the agent has it: exec.StartOutcome makes of it the
// outcome that it was made of.
type refusal struct{ outcome sweeps.Outcome }

func (r refusal) Error() string { return r.outcome.Message }

func (r refusal) Is(target error) bool {
	return target == exec.ErrSpec && r.outcome.Class == sweeps.ClassSpec
}

// ErrGone says that the other side is.
var ErrGone = errors.New("the connection to the keeper has ended")

// line is a connection, as either side writes to it.
type line struct {
	conn net.Conn
	mu   sync.Mutex
	buf  *bufio.Writer
	enc  *gob.Encoder
	wait []any       // messages that are in no hurry, in order
	due  *time.Timer // sends them; nil if there are none
}

// soon is how long a message that is in no hurry waits for others to go with. Every write
// wakes the other process, and the coordinator in the end, and of short attempts there is much
// to tell. Where more attempts wait than run, there is enough to do until later.
var (
	soon  = 5 * time.Millisecond // other in tests
	later = 60 * time.Millisecond
)

// room is for what is said together: less would wake the other side before all is said.
const room = 64 << 10

func newLine(conn net.Conn) *line {
	l := &line{conn: conn, buf: bufio.NewWriterSize(conn, room)}
	l.enc = gob.NewEncoder(l.buf)
	return l
}

// send sends a message. It blocks as long as the other side does not read.
func (l *line) send(m any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sendLocked(m)
}

// sendSoon sends a message together with the next one that is sent, or within so long. Should
// that fail, the connection ends.
func (l *line) sendSoon(m any, within time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wait = append(l.wait, m)
	if l.due == nil {
		l.due = time.AfterFunc(within, l.flush)
	}
}

// replace puts another message in the place of one that waits, which is told by its pointer, and
// reports whether it still did.
func (l *line) replace(old, with any) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.wait, old)
	if i >= 0 {
		l.wait[i] = with
	}
	return i >= 0
}

func (l *line) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sendLocked() != nil {
		_ = l.conn.Close() // whoever reads from it sees to what was not told
	}
}

// sendLocked sends what waits, and the messages. The caller holds mu.
func (l *line) sendLocked(messages ...any) (err error) {
	if l.due != nil {
		l.due.Stop()
		l.due = nil
	}
	l.wait = append(l.wait, messages...)
	for _, m := range l.wait {
		if err == nil {
			err = l.enc.Encode(m)
		}
	}
	clear(l.wait)
	l.wait = l.wait[:0]
	if err == nil {
		err = l.buf.Flush()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return nil
}
