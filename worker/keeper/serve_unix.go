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
	"slices"
	"sync"
	"syscall"
	"time"

	"swath/sweeps"
	"swath/worker/exec"
)

func init() {
	if place := os.Getenv(EnvPlace); place != "" {
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
	// It starts, waits and tells; a second thread would only be woken to find nothing to do.
	runtime.GOMAXPROCS(1)
	fmt.Println(ready)
	k.run()
	return 0
}

// keeper is the process's state.
type keeper struct {
	log             *slog.Logger
	listener        *net.UnixListener
	linger, abandon time.Duration
	running         sync.WaitGroup // a goroutine for each attempt until its end is noted

	mu       sync.Mutex
	kept     map[string]*kept
	alive    int       // how many of them run
	agent    *line     // nil if none is connected
	lastSeen time.Time // the agent
	lastExit time.Time // of an attempt
	quit     bool      // nothing more is to come
}

// kept is an attempt; the keeper's mu guards it.
type kept struct {
	start   start
	proc    *exec.Process // nil while it is being started
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

// onSignal is what a signal comes to: an agent that is there was told, too, or does not
// want it so.
func (k *keeper) onSignal() {
	k.mu.Lock()
	deserted := k.agent == nil
	k.quit = k.quit || deserted
	k.mu.Unlock()
	if deserted {
		k.stopAll(sweeps.ClassPreempted, "the machine was shut down")
	}
}

func (k *keeper) stopAll(class sweeps.Class, message string) {
	k.mu.Lock()
	all := slices.Collect(maps.Values(k.kept))
	k.mu.Unlock()
	for _, a := range all {
		k.mu.Lock()
		proc := a.proc
		k.mu.Unlock()
		if proc != nil {
			proc.Stop(class, message)
		}
	}
}

// attend serves an agent until its connection ends.
func (k *keeper) attend(conn net.Conn) {
	defer func() { _ = conn.Close() }() // the agent is gone, or about to be
	dec := gob.NewDecoder(bufio.NewReader(conn))
	agent := newLine(conn)
	var first request
	if err := dec.Decode(&first); err != nil || first.Greet == nil {
		return // it died at once, or is none
	}
	if err := k.greet(agent); err != nil {
		return
	}
	var starting sync.WaitGroup
	for {
		var m request
		if err := dec.Decode(&m); err != nil {
			break
		}
		k.forget(m.Forget)
		switch {
		case m.Start != nil:
			k.begin(agent, *m.Start, first.Greet.Env, &starting)
		case m.Stop != nil:
			if p := k.process(m.Stop.Key); p != nil {
				p.Stop(m.Stop.Class, m.Stop.Message)
			}
		case m.Kill != "":
			if p := k.process(m.Kill); p != nil {
				p.Kill()
			}
		}
		if m.Quit {
			k.endSoon()
		}
	}
	starting.Wait()
	k.deserted()
}

// greet tells the agent what there is. From then on it is told of what changes.
func (k *keeper) greet(agent *line) error {
	agent.mu.Lock() // what changes comes after this
	defer agent.mu.Unlock()
	k.mu.Lock()
	k.agent = agent
	w := welcome{Protocol: protocol}
	for _, key := range slices.Sorted(maps.Keys(k.kept)) {
		a := k.kept[key]
		w.Attempts = append(w.Attempts, Attempt{
			Key: key, Dir: a.start.Command.AttemptDir, Record: a.start.Record.Content, PID: a.proc.Pid(), Note: a.proc.Note(), Outcome: a.outcome, Ended: a.ended,
		})
	}
	k.mu.Unlock()
	return agent.sendLocked(reply{Welcome: &w})
}

// deserted takes note that the agent has gone, and writes down what it may not know.
func (k *keeper) deserted() {
	k.mu.Lock()
	k.agent, k.lastSeen = nil, time.Now()
	all := slices.Collect(maps.Values(k.kept))
	ended := map[*kept]bool{} // the others write down their end when it comes
	for _, a := range all {
		ended[a] = a.outcome != nil
	}
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
	if err := exec.SaveEnd(a.start.Command.AttemptDir, *a.outcome); err != nil && !errors.Is(err, os.ErrNotExist) {
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

func (k *keeper) process(key string) *exec.Process {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a := k.kept[key]; a != nil {
		return a.proc
	}
	return nil
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

// begin starts an attempt, beside others that are being started, and sees to its end.
func (k *keeper) begin(agent *line, m start, env []string, starting *sync.WaitGroup) {
	a := &kept{start: m}
	k.mu.Lock()
	if k.kept[m.Key] != nil {
		k.mu.Unlock()
		return // no agent asks twice
	}
	k.kept[m.Key] = a
	k.alive++
	k.mu.Unlock()
	starting.Add(1)
	k.running.Go(func() {
		proc, err := m.Command.Start(env)
		if err != nil {
			k.mu.Lock()
			delete(k.kept, m.Key)
			k.left()
			k.mu.Unlock()
			// An agent that is gone does not miss the answer.
			_ = agent.send(reply{Refused: &refused{m.Key, exec.StartOutcome(err)}})
			starting.Done()
			return
		}
		k.mu.Lock()
		a.proc = proc
		k.mu.Unlock()
		_ = agent.sendSoon(reply{Started: &started{m.Key, proc.Pid(), proc.Note()}})
		starting.Done()
		k.end(a)
	})
}

// left takes note that an attempt runs no more. The caller holds mu.
func (k *keeper) left() {
	k.alive--
	k.lastExit = time.Now()
	k.dismiss()
	k.poke()
}

// end waits for the attempt's end, and tells the agent, or else the disk.
func (k *keeper) end(a *kept) {
	outcome, ended := a.proc.Wait()
	k.mu.Lock()
	a.outcome, a.ended = &outcome, ended
	k.left()
	agent := k.agent
	if a.dropped {
		delete(k.kept, a.start.Key)
	}
	dropped := a.dropped
	k.mu.Unlock()
	if dropped || agent != nil && agent.send(reply{Exited: &exited{a.start.Key, outcome, ended}}) == nil {
		return // should the agent die before it reads this, deserted writes it down
	}
	k.save(a)
}
