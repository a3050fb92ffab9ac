package worker

import (
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"swath/worker/exec"
	"swath/worker/keeper"
)

// launcher starts the processes of attempts: through the worker's keeper, so that they
// outlive the agent, or where there can be none, as the agent's own children.
type launcher struct {
	place  string
	binary string // the keeper's program; empty for no keeper
	log    *slog.Logger

	mu     sync.Mutex
	client *keeper.Client // nil until a keeper was found or started
	alone  bool           // no keeper can be started here
	queues atomic.Bool    // the keeper takes attempts that wait
}

// find looks for a keeper that an earlier agent started, and returns what it keeps, by key.
func (l *launcher) find() map[string]keeper.Attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	client, list, err := keeper.Connect(l.place)
	if err != nil {
		if !errors.Is(err, keeper.ErrNone) {
			l.log.Error("the keeper of an earlier worker does not answer: what it runs is given up", "err", err)
		}
		return nil
	}
	l.log.Info("keeper of an earlier worker found", "attempts", len(list))
	l.client = client
	l.queues.Store(client.Queues())
	attempts := map[string]keeper.Attempt{}
	for _, a := range list {
		attempts[a.Key] = a
	}
	return attempts
}

// key names an attempt to the keeper.
func (at *attempt) key() string { return filepath.Base(at.dir) }

// start starts the attempt's process, or where slots is not 0 and so many run already, has
// the keeper do that the moment that one ends.
func (l *launcher) start(at *attempt, cmd exec.Command, slots int) (process, error) {
	for {
		client := l.keeper()
		if client == nil {
			p, err := cmd.Start(exec.BaseEnv())
			if err != nil {
				return nil, err
			}
			return child{p}, nil
		}
		record, err := at.render()
		if err != nil {
			return nil, err
		}
		p, err := client.Start(at.key(), keeper.Record{File: attemptFile, Content: record}, cmd, keeper.Turn{Slots: slots, Priority: at.priority})
		if errors.Is(err, keeper.ErrGone) {
			<-client.Gone() // it died this moment, and what it ran is being ended
			continue
		}
		if err != nil {
			return nil, err
		}
		return p, nil
	}
}

// keeper returns the connection to the keeper, which it starts if need be; nil for none.
func (l *launcher) keeper() *keeper.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != nil {
		select {
		case <-l.client.Gone():
			l.log.Error("the keeper died, and with it the trainers that it ran; another is started")
			l.client = nil
			l.queues.Store(false)
		default:
			return l.client
		}
	}
	if l.alone || l.binary == "" {
		return nil
	}
	client, err := keeper.Spawn(l.place, l.binary)
	if err != nil {
		l.alone = true
		l.log.Warn("no keeper: should this worker be killed, its trainers are lost", "err", err)
		return nil
	}
	l.client = client
	l.queues.Store(client.Queues())
	return client
}

// child is a process that the agent started itself: it has begun.
type child struct{ *exec.Process }

func (child) Begun() error { return nil }

// recall has the keeper give an attempt back that waits in it.
func (l *launcher) recall(at *attempt) {
	if client := l.current(); client != nil {
		client.Recall(at.key())
	}
}

// forget lets the keeper forget the attempt.
func (l *launcher) forget(at *attempt) {
	if client := l.current(); client != nil {
		client.Forget(at.key())
	}
}

// drop ends what the keeper keeps of an attempt that this agent does not know.
func (l *launcher) drop(key string) {
	if client := l.current(); client != nil {
		client.Drop(key)
	}
}

func (l *launcher) current() *keeper.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.client
}

// quit ends the keeper, when nothing runs any more.
func (l *launcher) quit() {
	client := l.current()
	if client == nil {
		return
	}
	if err := client.Quit(); err != nil {
		l.log.Warn("shutting down", "err", err)
	}
}
