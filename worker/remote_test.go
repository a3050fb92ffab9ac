//go:build unix

package worker

import (
	"bufio"
	"context"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	osexec "os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"swath/proto/wire"
)

// asAgent makes the test binary, started again, an agent of its own, which can be killed.
// Its value is a remoteConfig.
const asAgent = "WORKER_TEST_AS_AGENT"

type remoteConfig struct{ Home, Socket, Binary string }

func TestMain(m *testing.M) {
	for _, message := range []any{
		wire.Hello{}, wire.Heartbeat{}, wire.Started{}, wire.Points{}, wire.LogChunk{}, wire.Exited{}, wire.Drain{}, wire.Returned{}, wire.Offer{},
		wire.Welcome{}, wire.Start{}, wire.Stop{}, wire.Recall{}, wire.Forget{}, wire.PointsAck{}, wire.LogAck{},
	} {
		gob.Register(message)
	}
	text := os.Getenv(asAgent)
	if text == "" {
		code := m.Run()
		if left := leaked(); code == 0 && left != "" {
			fmt.Fprintln(os.Stderr, "goroutines that outlived their test:\n"+left)
			code = 1
		}
		os.Exit(code)
	}
	if err := beAgent(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// leaked returns the goroutines of this package and those below it that do not end.
func leaked() string {
	var left []string
	for range 200 {
		left = nil
		buf := make([]byte, 1<<20)
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")[1:] { // this one comes first
			if strings.Contains(g, "swath/worker") {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return strings.Join(left, "\n\n")
}

func beAgent(text string) error {
	var cfg remoteConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	a, err := New(Config{
		Home: cfg.Home, Binary: cfg.Binary, Slots: 4, LogLimit: chattyLimit, Grace: 100 * time.Millisecond,
		Dial: func(ctx context.Context) (Session, error) { return dialFar(ctx, cfg.Socket) },
		Log:  slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	a.shorten()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return a.Run(ctx)
}

// far is a session over a socket.
type far struct {
	conn net.Conn
	enc  *gob.Encoder
	dec  *gob.Decoder
}

// envelope lets gob carry one of several types.
type envelope struct{ M any }

func newFar(conn net.Conn) *far {
	return &far{conn, gob.NewEncoder(conn), gob.NewDecoder(bufio.NewReader(conn))}
}

func dialFar(ctx context.Context, socket string) (Session, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return newFar(conn), nil
}

func (f *far) Send(m wire.WorkerMessage) error { return f.enc.Encode(envelope{m}) }

func (f *far) Recv() (wire.CoordinatorMessage, error) {
	var e envelope
	if err := f.dec.Decode(&e); err != nil {
		return nil, err
	}
	return e.M.(wire.CoordinatorMessage), nil
}

func (f *far) CloseSend() error { return nil }

// listen lets agents of other processes connect to the coordinator.
func (c *coordinator) listen() (socket string) {
	// The path must be short; the test's own directory has a long one.
	dir, err := os.MkdirTemp("", "far")
	if err != nil {
		c.t.Fatal(err)
	}
	socket = filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		c.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { c.serveFar(conn) })
		}
	})
	c.t.Cleanup(func() {
		_ = l.Close()
		c.disconnect(true)
		wg.Wait()
		_ = os.RemoveAll(dir)
	})
	return socket
}

func (c *coordinator) serveFar(conn net.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := c.dial(ctx)
	if err != nil {
		_ = conn.Close()
		return
	}
	f := newFar(conn)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() { _ = conn.Close() }()
		for {
			m, err := s.Recv()
			if err != nil || f.enc.Encode(envelope{m}) != nil {
				return
			}
		}
	})
	for {
		var e envelope
		if err := f.dec.Decode(&e); err != nil {
			break
		}
		if s.Send(e.M.(wire.WorkerMessage)) != nil {
			break
		}
	}
	cancel()
	wg.Wait()
}

// farAgent is an agent in a process of its own.
type farAgent struct {
	t    *testing.T
	home string
	cmd  *osexec.Cmd
	err  strings.Builder
}

func startFar(t *testing.T, home, socket string) *farAgent {
	t.Helper()
	f := &farAgent{t: t, home: home, cmd: osexec.Command(self(t))}
	text, err := json.Marshal(remoteConfig{home, socket, self(t)})
	if err != nil {
		t.Fatal(err)
	}
	f.cmd.Env = append(os.Environ(), asAgent+"="+string(text))
	f.cmd.Stderr = io.Writer(&f.err)
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.signal(syscall.SIGKILL) })
	return f
}

// signal sends it and waits for the end.
func (f *farAgent) signal(s syscall.Signal) {
	if f.cmd.ProcessState != nil {
		return
	}
	_ = f.cmd.Process.Signal(s)
	_ = f.cmd.Wait()
	if f.t.Failed() {
		f.t.Logf("the agent said:\n%s", f.err.String())
	}
}

// self is the test binary, which is its own keeper.
func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
