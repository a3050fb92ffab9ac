//go:build unix

package keeper

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"swath/sweeps"
	"swath/worker/exec"
)

func init() {
	if place := os.Getenv(EnvPlace); place != "" {
		exec.Relax()
		os.Exit(serve(place))
	}
}

// serve is a keeper's life. What it has to say goes to standard error, which is a file in
// the place; standard output says once that it is ready.
func serve(place string) (code int) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("keeper", os.Getpid())
	k, err := open(place, log)
	if err != nil {
		log.Error("the keeper cannot start", "err", err)
		return 1
	}
	if d, err := time.ParseDuration(os.Getenv(envLinger)); err == nil {
		k.linger = d
	}
	if err := exec.Note(place); err != nil {
		log.Warn("should this keeper hang, nobody could end it", "err", err)
	}
	defer exec.Unnote(place)
	signals := make(chan os.Signal, 1)
	// To be told of a signal, unlike to ignore it, is not handed down to trainers.
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() {
		for range signals {
			k.onSignal()
		}
	}()
	// The thread that starts a process waits until that has loaded its program, and where the
	// processors are busy, for its turn on one; the others are to go on meanwhile.
	runtime.GOMAXPROCS(4 * runtime.NumCPU())
	debug.SetGCPercent(800) // of next to nothing
	fmt.Println(ready)
	// The goroutine that initialises a program is tied to a thread, and costs one to wake.
	ended := make(chan struct{})
	go func() { k.run(); close(ended) }()
	<-ended
	return 0
}

// keeper is the process's state.
type keeper struct {
	log             *slog.Logger
	listener        *net.UnixListener
	linger, abandon time.Duration
	running         sync.WaitGroup // a goroutine for each attempt until its end is noted
	starting        sync.WaitGroup // those that are being started

	mu       sync.Mutex
	kept     map[string]*kept
	alive    int       // how many of them run, or are being started
	waiting  []*kept   // those of them that wait for a slot, in the order of their turns
	agent    *line     // nil if none is connected
	lastSeen time.Time // the agent
	lastExit time.Time // of an attempt
	quit     bool      // nothing more is to come
}

// kept is an attempt; the keeper's mu guards it.
type kept struct {
	start   start
	proc    *exec.Process         // nil while it waits, or is being started
	line    *line                 // of the agent that asked for it
	greeted *greet                // by that agent
	halts   []func(*exec.Process) // asked for while it was being started
	outcome *sweeps.Outcome
	ended   time.Time
	dropped bool // nobody wants to know its end
}

// open listens in the place.
func open(place string, log *slog.Logger) (*keeper, error) {
	// A socket's path must be short, and its name alone is.
	if err := os.Chdir(place); err != nil {
		return nil, err
	}
	// Whoever may connect may run programs as this user. Nothing else runs yet that
	// could make a file meanwhile.
	before := syscall.Umask(0o077)
	defer syscall.Umask(before)
	// One that is there is of a keeper that died, or that serves nobody any more: agents
	// come here only after they found none.
	if err := os.Remove(socketName); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socketName, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // by then it may be a successor's
	now := time.Now()
	return &keeper{
		log: log, listener: l, linger: Linger, abandon: Abandon,
		kept: map[string]*kept{}, lastSeen: now, lastExit: now,
	}, nil
}

// run serves one agent after the other until there is nothing more to keep.
func (k *keeper) run() {
	for k.await() {
		conn, err := k.listener.Accept()
		switch {
		case err == nil:
			k.attend(conn)
		case !errors.Is(err, os.ErrDeadlineExceeded):
			k.log.Error("waiting for an agent", "err", err)
			time.Sleep(time.Second) // out of descriptors, most likely
		}
	}
	_ = k.listener.Close() // whoever is waiting sees that nobody answers
	k.running.Wait()
}

// await sets how long to wait for an agent. It returns false if the keeper may end, and
// ends what nobody came for.
func (k *keeper) await() bool {
	k.mu.Lock()
	now := time.Now()
	until := k.lastSeen.Add(k.abandon)
	abandoned := k.alive > 0 && !until.After(now)
	if abandoned {
		until = now.Add(k.linger) // it takes the grace, and poke tells
	}
	if k.alive == 0 {
		until = k.lastSeen
		if k.lastExit.After(until) {
			until = k.lastExit
		}
		until = until.Add(k.linger)
		if k.quit || !until.After(now) {
			k.mu.Unlock()
			return false
		}
	}
	if err := k.listener.SetDeadline(until); err != nil {
		k.log.Error("waiting for an agent", "err", err)
	}
	k.mu.Unlock()
	if abandoned {
		k.stopAll(sweeps.ClassLost, fmt.Sprintf("no worker came back for %s", k.abandon))
	}
	return true
}

// poke has await look again. The caller holds mu.
func (k *keeper) poke() {
	if k.agent == nil {
		_ = k.listener.SetDeadline(time.Now()) // it may be closed
	}
}

// onSignal is what a signal comes to: an agent that is there was told, too, and will say what
// is to be stopped, or does not want it so. The trainers may have been told as well.
func (k *keeper) onSignal() {
	k.mu.Lock()
	deserted := k.agent == nil
	k.quit = k.quit || deserted
	k.mu.Unlock()
	if deserted {
		k.stopAll(sweeps.ClassPreempted, "the machine was shut down")
	} else {
		k.each((*exec.Process).Warn)
	}
}

func (k *keeper) stopAll(class sweeps.Class, message string) {
	k.each(func(p *exec.Process) { p.Stop(class, message) })
}

// each calls f with every attempt's process.
func (k *keeper) each(f func(*exec.Process)) {
	k.mu.Lock()
	all := slices.Collect(maps.Values(k.kept))
	k.mu.Unlock()
	for _, a := range all {
		k.mu.Lock()
		proc := a.proc
		k.mu.Unlock()
		if proc != nil {
			f(proc)
		}
	}
}

// attend serves an agent until its connection ends.
func (k *keeper) attend(conn net.Conn) {
	defer func() { _ = conn.Close() }() // the agent is gone, or about to be
	dec := gob.NewDecoder(bufio.NewReaderSize(conn, room))
	agent := newLine(conn)
	var first request
	if err := dec.Decode(&first); err != nil || first.Greet == nil {
		return // it died at once, or is none
	}
	defer k.deserted()
	if err := k.greet(agent); err != nil {
		return
	}
	for {
		var m request
		if err := dec.Decode(&m); err != nil {
			break
		}
		k.forget(m.Forget)
		switch {
		case m.Start != nil:
			k.begin(&kept{start: *m.Start, line: agent, greeted: first.Greet})
		case m.Stop != nil:
			k.stop(m.Stop.Key, m.Stop.Class, m.Stop.Message)
		case m.Kill != "":
			k.kill(m.Kill)
		case m.Recall != "":
			if k.unqueue(m.Recall) != nil {
				_ = agent.send(reply{Back: m.Recall}) // an agent that is gone wants nothing back
			}
		}
		if m.Quit {
			k.endSoon()
		}
	}
}

// greet tells the agent what there is. From then on it is told of what changes.
func (k *keeper) greet(agent *line) error {
	agent.mu.Lock() // what changes comes after this
	defer agent.mu.Unlock()
	k.mu.Lock()
	k.agent = agent
	w := welcome{Protocol: protocol, Queues: true}
	for _, key := range slices.Sorted(maps.Keys(k.kept)) {
		a := k.kept[key]
		w.Attempts = append(w.Attempts, Attempt{
			Key: key, Dir: a.start.Command.AttemptDir, Record: a.start.Record.Content, PID: a.proc.Pid(), Note: a.proc.Note(), Began: a.proc.Started(), Outcome: a.outcome, Ended: a.ended,
		})
	}
	k.mu.Unlock()
	return agent.sendLocked(reply{Welcome: &w})
}

// deserted takes note that the agent has gone, and writes down what it may not know.
func (k *keeper) deserted() {
	k.mu.Lock()
	k.agent, k.lastSeen = nil, time.Now()
	for _, a := range k.waiting { // they die with the agent, as those do that wait there
		delete(k.kept, a.start.Key)
	}
	k.waiting = nil
	ended := map[*kept]bool{} // the others write down their end when it comes
	for _, a := range k.kept {
		ended[a] = a.outcome != nil
	}
	k.mu.Unlock()
	k.starting.Wait() // some may come to nothing, and the next agent is not told of those
	k.mu.Lock()
	all := slices.Collect(maps.Values(k.kept))
	k.mu.Unlock()
	for _, a := range all {
		k.saveRecord(a)
		if ended[a] {
			k.save(a)
		}
	}
}

// saveRecord writes the attempt's record, if the agent did not come to do it.
func (k *keeper) saveRecord(a *kept) {
	path := filepath.Join(a.start.Command.AttemptDir, a.start.Record.File)
	if _, err := os.Stat(path); err == nil {
		return
	}
	tmp := path + ".kept"
	err := os.WriteFile(tmp, a.start.Record.Content, 0o644)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		k.log.Error("an attempt is known to this keeper only", "attempt", a.start.Key, "err", err)
	}
}

// save writes down how the attempt ended. An attempt whose directory is gone was
// reported; the agent only did not come to say so.
func (k *keeper) save(a *kept) {
	if err := exec.SaveEnd(a.start.Command.AttemptDir, exec.End{Outcome: *a.outcome, Began: a.proc.Started(), Ended: a.ended}); err != nil && !errors.Is(err, os.ErrNotExist) {
		k.log.Error("the end of an attempt is known to this keeper only", "attempt", a.start.Key, "err", err)
	}
}

// endSoon ends the keeper when nothing runs.
func (k *keeper) endSoon() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.quit = true
	k.dismiss()
}

// dismiss ends the agent's connection if the keeper is to end and may. The caller holds
// mu.
func (k *keeper) dismiss() {
	if k.quit && k.alive == 0 && k.agent != nil {
		_ = k.agent.conn.Close() // attend sees it
	}
}

// stop asks the attempt to end. One that waits never runs.
func (k *keeper) stop(key string, class sweeps.Class, message string) {
	k.halt(key, func(p *exec.Process) { p.Stop(class, message) },
		sweeps.Outcome{Class: class, ExitCode: -1, Message: message})
}

// kill ends the attempt at once.
func (k *keeper) kill(key string) {
	k.halt(key, (*exec.Process).Kill,
		sweeps.Outcome{Class: sweeps.ClassPreempted, ExitCode: -1, Message: "killed before it ran"})
}

// halt ends the process of an attempt, once there is one, and refuses one that waits.
func (k *keeper) halt(key string, end func(*exec.Process), refusal sweeps.Outcome) {
	if a := k.unqueue(key); a != nil {
		_ = a.line.send(reply{Refused: &refused{key, refusal}}) // an agent that is gone does not miss it
		return
	}
	k.mu.Lock()
	a := k.kept[key]
	if a == nil {
		k.mu.Unlock()
		return
	}
	if a.proc == nil {
		a.halts = append(a.halts, end) // it is being started
	}
	proc := a.proc
	k.mu.Unlock()
	if proc != nil {
		end(proc)
	}
}

// unqueue forgets an attempt that waits, and returns it; nil if it does not.
func (k *keeper) unqueue(key string) *kept {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.waiting, func(a *kept) bool { return a.start.Key == key })
	if i < 0 {
		return nil
	}
	a := k.waiting[i]
	k.waiting = slices.Delete(k.waiting, i, i+1)
	delete(k.kept, key)
	return a
}

func (k *keeper) forget(keys []string) {
	if len(keys) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range keys {
		a := k.kept[key]
		switch {
		case a == nil:
		case a.outcome != nil:
			delete(k.kept, key)
		default:
			a.dropped = true
		}
	}
}

// begin starts an attempt, or has it wait for a slot.
func (k *keeper) begin(a *kept) {
	k.mu.Lock()
	if k.kept[a.start.Key] != nil {
		k.mu.Unlock()
		return // no agent asks twice
	}
	k.kept[a.start.Key] = a
	if n := a.start.Slots; n > 0 && (len(k.waiting) > 0 || k.alive >= n) {
		i := slices.IndexFunc(k.waiting, func(other *kept) bool { return other.start.Priority < a.start.Priority })
		if i < 0 {
			i = len(k.waiting)
		}
		k.waiting = slices.Insert(k.waiting, i, a)
		k.mu.Unlock()
		return
	}
	k.alive++
	k.starting.Add(1)
	k.mu.Unlock()
	k.running.Go(func() { k.occupy(a) })
}

// occupy runs an attempt that counts as alive, and after it those whose turn it is in the
// same slot.
func (k *keeper) occupy(a *kept) {
	for a != nil {
		a = k.serveOne(a)
	}
}

// serveOne starts an attempt, sees to its end, tells the agent, or else the disk, and returns the
// one whose turn it is.
func (k *keeper) serveOne(a *kept) (next *kept) {
	proc, err := a.start.Command.Launch(a.greeted.Env)
	if err != nil {
		k.mu.Lock()
		delete(k.kept, a.start.Key)
		next = k.left()
		k.mu.Unlock()
		k.starting.Done()
		// An agent that is gone does not miss the answer.
		_ = a.line.send(reply{Refused: &refused{a.start.Key, exec.StartOutcome(err)}})
		return next
	}
	k.mu.Lock()
	a.proc = proc
	halts, hurry := a.halts, k.hurry()
	k.mu.Unlock()
	k.starting.Done()
	for _, end := range halts {
		end(proc)
	}
	begun := &reply{Started: &started{a.start.Key, proc.Pid(), proc.Note(), proc.Started()}}
	a.line.sendSoon(begun, hurry)
	proc.Attend()

	outcome, ended := proc.Wait()
	k.mu.Lock()
	a.outcome, a.ended = &outcome, ended
	next = k.left()
	agent, dropped, hurry := k.agent, a.dropped, k.hurry()
	if next == nil {
		hurry = 0
	}
	if dropped {
		delete(k.kept, a.start.Key)
	}
	k.mu.Unlock()
	if !dropped && !k.tell(agent, a, begun, hurry) {
		k.save(a)
	}
	return next
}

// left takes note that an attempt runs no more, and returns the one whose turn it is, nil
// for none. The caller holds mu.
func (k *keeper) left() (next *kept) {
	k.lastExit = time.Now()
	if len(k.waiting) > 0 && k.alive <= k.waiting[0].start.Slots {
		next = k.waiting[0]
		k.waiting = slices.Delete(k.waiting, 0, 1)
		k.starting.Add(1)
		return next
	}
	k.alive--
	k.dismiss()
	k.poke()
	return nil
}

// hurry is how soon the agent is to know of what leaves no slot empty. The caller holds mu.
func (k *keeper) hurry() time.Duration {
	if len(k.waiting) > k.alive {
		return later
	}
	return soon
}

// tell tells the agent, if there is one, how an attempt ended, and reports whether it did.
// Should the agent die before it reads that, deserted writes it down. As long as the slot is
// taken again there is no hurry. Where not even the beginning was told so far, the end does for
// both.
func (k *keeper) tell(agent *line, a *kept, begun *reply, hurry time.Duration) bool {
	if agent == nil {
		return false
	}
	end := &exited{Key: a.start.Key, Outcome: *a.outcome, Ended: a.ended, Silent: a.proc.Silent()}
	both := *end
	both.Started = begun.Started
	switch told := a.greeted.Brief && agent.replace(begun, &reply{Exited: &both}); {
	case hurry == 0 && told:
		agent.flush()
	case hurry == 0:
		return agent.send(&reply{Exited: end}) == nil
	case !told:
		agent.sendSoon(&reply{Exited: end}, hurry)
	}
	return true
}
