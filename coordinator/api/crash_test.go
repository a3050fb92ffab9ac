package api_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"swath/coordinator"
	"swath/coordinator/api"
	"swath/coordinator/boltstore"
	"swath/coordinator/dispatch"
	"swath/proto/wire"
	"swath/sweeps"
)

var (
	crashRounds = flag.Int("crash.rounds", 5, "crash test: how many times to kill the coordinator")
	crashSeed   = flag.Uint64("crash.seed", 0, "crash test: seed of the instants and the load; 0 draws one")
)

// crashHome is the environment variable that makes the test binary a coordinator on a home.
const crashHome = "TEST_CRASH_HOME"

// TestCrashCoordinator is no test: it is the coordinator that TestCrash kills, in a process
// of its own.
func TestCrashCoordinator(t *testing.T) {
	home := os.Getenv(crashHome)
	if home == "" {
		t.Skip("this is the process that TestCrash starts")
	}
	stores, err := boltstore.Open(home, boltstore.Options{LockTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	c := coordinator.New(stores.State, stores.Metrics, stores.Logs, coordinator.Config{Dispatch: dispatch.DefaultConfig(), Log: log})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	go func() { ended <- c.Run(context.Background()) }()
	go func() { ended <- api.NewServer(c, log).Serve(listener) }()
	fmt.Printf("serving at %s\n", listener.Addr())
	t.Fatal(<-ended)
}

// victim is the process.
type victim struct {
	cmd *exec.Cmd
	out *bufio.Reader
	err bytes.Buffer
}

func startVictim(t *testing.T, home string) *victim {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{cmd: exec.Command(self, "-test.run=^TestCrashCoordinator$", "-test.timeout=0")}
	v.cmd.Env = append(os.Environ(), crashHome+"="+home)
	v.cmd.Stderr = &v.err
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.out = bufio.NewReader(out)
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.kill)
	return v
}

// addr waits until the process listens; not ok if it was killed before.
func (v *victim) addr() (addr string, ok bool) {
	line, err := v.out.ReadString('\n')
	if err != nil {
		return "", false
	}
	_, err = fmt.Sscanf(line, "serving at %s", &addr)
	return addr, err == nil
}

// kill ends the process as a crash would, and waits until it is gone.
func (v *victim) kill() {
	if v.cmd.ProcessState != nil {
		return
	}
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait() // it says that it was killed
}

// TestCrash kills the coordinator at random instants under load, and looks at its files
// afterwards: what it acknowledged is there, all of it, and nothing that was never said.
// The workers and the users live on and go on with the next coordinator, and at the end
// every trial has finished, in its first attempt.
func TestCrash(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("crash.seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	// A home takes so many crashes; then a new one begins, since all of it is checked each
	// time.
	const perHome = 25
	var total tally
	for done := 0; done < *crashRounds && !t.Failed(); done += perHome {
		w := newWorld(t, rng, filepath.Join(t.TempDir(), "home"))
		for range min(perHome, *crashRounds-done) {
			w.crash()
			w.verify()
			if t.Failed() {
				break
			}
		}
		w.finish()
		total.add(w.book.tally())
	}
	t.Logf("%d crashes: %v", *crashRounds, total)
}

// world is a home, what was acknowledged of it, and those who use it.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	home  string
	book  *book
	users []*crashUser
	hands []*crashWorker
}

func newWorld(t *testing.T, rng *rand.Rand, home string) *world {
	w := &world{t: t, rng: rng, home: home, book: newBook()}
	for i := range 2 {
		w.users = append(w.users, &crashUser{book: w.book, name: fmt.Sprintf("u%d", i), rng: rand.New(rand.NewPCG(rng.Uint64(), 2))})
	}
	for i := range 3 {
		id := sweeps.WorkerID(fmt.Sprintf("w%d", i))
		w.hands = append(w.hands, &crashWorker{book: w.book, id: id, held: map[sweeps.AttemptRef]*crashAttempt{}})
	}
	return w
}

// crash runs a coordinator under load for a moment that is drawn, and kills it. The moment
// may be so short that it is still opening its files.
func (w *world) crash() {
	v := startVictim(w.t, w.home)
	life := time.Duration(20+w.rng.IntN(600)) * time.Millisecond
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		if addr, ok := v.addr(); ok {
			w.load(ctx, addr, false)
		}
	})
	time.Sleep(life)
	v.kill()
	cancel()
	wg.Wait()
	if v.err.Len() > 0 {
		w.t.Errorf("the coordinator complained: %s", &v.err)
	}
}

// load lets users and workers use the coordinator until ctx is done or it is gone.
func (w *world) load(ctx context.Context, addr string, last bool) {
	var wg sync.WaitGroup
	for _, u := range w.users {
		wg.Go(func() { u.use(ctx, addr, last) })
	}
	for _, h := range w.hands {
		wg.Go(func() { h.work(ctx, addr) })
	}
	wg.Wait()
}

// verify looks at the files of the coordinator that was killed.
func (w *world) verify() {
	stores, err := boltstore.Open(w.home, boltstore.Options{LockTimeout: patience})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		if err := stores.Close(); err != nil {
			w.t.Error(err)
		}
	}()
	if err := stores.Check(); err != nil {
		w.t.Errorf("bbolt check: %v", err)
	}
	for _, problem := range w.book.compare(stores) {
		w.t.Error(problem)
	}
}

// finish lets a coordinator that is left alone finish everything.
func (w *world) finish() {
	if w.t.Failed() {
		return
	}
	v := startVictim(w.t, w.home)
	addr, ok := v.addr()
	if !ok {
		w.t.Fatalf("the last coordinator did not start: %s", &v.err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { w.load(ctx, addr, true) })
	client, err := wire.Dial(addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = client.Close() }() // nothing is in flight any more
	until(w.t, "all trials to finish", func() bool {
		list, err := client.Sweeps(ctx)
		if err != nil || len(list) < w.book.submitted() {
			return false
		}
		return !slices.ContainsFunc(list, func(s *wire.SweepStatus) bool { return s.State != sweeps.SweepFinished })
	})
	// The workers hear of it a moment after the store does.
	until(w.t, "all ends to be acknowledged", func() bool { return int(w.book.tally().ends) == w.book.started() })
	cancel()
	wg.Wait()
	v.kill()
	w.verify()
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	for ref, r := range w.book.attempts {
		if ref.Attempt != 1 {
			w.t.Errorf("trial %s was started again, as attempt %d: nobody lost it", ref.TrialKey, ref.Attempt)
		}
		if !r.ended {
			w.t.Errorf("the end of %s was never acknowledged", ref)
		}
	}
}
