package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"swath/cli"
	"swath/trainer/fake"
	"swath/trainer/report"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// asProgram is the environment variable that makes the test binary the swath program. Its
// name does not begin with SWATH_, because trials do not inherit those.
const asProgram = "TEST_SWATH_PROGRAM"

// TestMain makes the test binary three things: the tests; swath itself, so that processes
// can be started and killed; and, where a worker started it as a trial's command, the fake
// trainer.
func TestMain(m *testing.M) {
	switch {
	case report.Attempted() && len(os.Args) > 1 && os.Args[1] == "fake":
		os.Exit(runFake())
	case os.Getenv(asProgram) != "", report.Attempted():
		os.Exit(cli.Main())
	}
	// A user's settings must not decide, and whatever a test forgets to say must not reach
	// the user's own sweeps.
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "SWATH_") {
			if err := os.Unsetenv(name); err != nil {
				panic(err)
			}
		}
	}
	for _, name := range []string{"SWATH_HOME", "SWATH_DATA"} {
		if err := os.Setenv(name, filepath.Join(os.TempDir(), "swath-test-nobody-uses-this")); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func runFake() int {
	session, err := report.FromEnv()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return session.Finish(fake.Run(context.Background(), session))
}

// patience is how long a test waits for what must happen. Nothing waits for it in vain; with
// the race detector, on busy processors, a training takes minutes.
const patience = 4 * time.Minute

// outcome is what a command line came to.
type outcome struct {
	args     []string
	code     int
	out, err string
}

// swath runs a command line in this process.
func swath(t *testing.T, args ...string) outcome {
	t.Helper()
	return swathWith(t, nil, args...)
}

func swathWith(t *testing.T, stdin io.Reader, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	var out, err bytes.Buffer
	code := cli.Run(ctx, args, stdin, &out, &err)
	if ctx.Err() != nil {
		t.Fatalf("swath %s hung\n%s%s", strings.Join(args, " "), &out, &err)
	}
	return outcome{args, code, out.String(), err.String()}
}

// want fails the test unless the command line ended with the exit code.
func (o outcome) want(t *testing.T, code int) outcome {
	t.Helper()
	if o.code != code {
		t.Fatalf("swath %s: exit code %d, want %d\n%s%s", strings.Join(o.args, " "), o.code, code, o.out, o.err)
	}
	return o
}

// says fails the test unless standard output and error together hold all the texts.
func (o outcome) says(t *testing.T, texts ...string) outcome {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(o.out+o.err, text) {
			t.Errorf("swath %s: nothing about %q in\n%s%s", strings.Join(o.args, " "), text, o.out, o.err)
		}
	}
	return o
}

// transcript is the outcome as golden files have it.
func (o outcome) transcript() string {
	var b strings.Builder
	fmt.Fprintf(&b, "$ swath %s\n", strings.Join(o.args, " "))
	section := func(name, text string) {
		if text == "" {
			return
		}
		fmt.Fprintf(&b, "--- %s\n%s", name, text)
		if !strings.HasSuffix(text, "\n") {
			b.WriteString("(no newline)\n")
		}
	}
	section("stdout", o.out)
	section("stderr", o.err)
	fmt.Fprintf(&b, "--- exit code %d\n", o.code)
	return b.String()
}

// golden compares text with a file in testdata/golden, or rewrites that under -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run go test -update and look at the file", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run go test -update and look at the change\n--- got\n%s--- want\n%s", path, got, want)
	}
}

// scrub replaces what differs from run to run: the texts given, pairs of old and new, times
// and the ids of sweeps.
func scrub(text string, pairs ...string) string {
	text = strings.NewReplacer(append(pairs, os.TempDir(), "$TMPDIR")...).Replace(text)
	for _, s := range []struct {
		what *regexp.Regexp
		with string
	}{
		{regexp.MustCompile(`\b20\d\d-\d\d-\d\dT[0-9:.]+Z`), "TIMESTAMP"},
		{regexp.MustCompile(`\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d`), "DATE AND TIME"},
		{regexp.MustCompile(`\bs[0-9a-f]{12}\b`), "SWEEP-ID"},
		{regexp.MustCompile(`after [0-9.hms]+`), "after TIME"},
		{regexp.MustCompile(`built in are [a-z, ]+`), "built in are TRAINERS"},
		{regexp.MustCompile(`known are [a-z, -]+`), "known are SETTINGS"},
		{regexp.MustCompile(`127\.0\.0\.1:\d{2,5}`), "127.0.0.1:PORT"},
	} {
		text = s.what.ReplaceAllString(text, s.with)
	}
	return text
}

// write makes a file in a new folder and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// self is the test binary's path, for the command of a sweep file.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// fakeSweep writes a sweep file that runs the fake trainer; more is added to it.
func fakeSweep(t *testing.T, name, more string) string {
	t.Helper()
	return write(t, name+".yaml", fmt.Sprintf("name: %s\nmetric: {name: loss, goal: minimize}\ncommand: [%q, fake]\n%s\n", name, self(t), more))
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// process is a swath in a process of its own.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	args []string

	mu       sync.Mutex
	out, err bytes.Buffer

	copied sync.WaitGroup
	ended  chan struct{}
}

// start starts swath as a process. It is killed at the end of the test, if it lives then.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return launch(t, exec.Command(self(t), args...), args)
}

// launch starts a command line that is swath with these arguments, or a program that gives way to it.
func launch(t *testing.T, cmd *exec.Cmd, args []string) *process {
	t.Helper()
	p := &process{t: t, args: args, cmd: cmd, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.pipe(p.cmd.StdoutPipe, &p.out)
	p.pipe(p.cmd.StderrPipe, &p.err)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.copied.Wait()
		_ = p.cmd.Wait() // the exit code is in the state
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
	})
	return p
}

func (p *process) pipe(open func() (io.ReadCloser, error), into *bytes.Buffer) {
	r, err := open()
	if err != nil {
		p.t.Fatal(err)
	}
	p.copied.Go(func() {
		lines := bufio.NewReader(r)
		for {
			line, err := lines.ReadString('\n')
			p.mu.Lock()
			into.WriteString(line)
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
}

// stdout and stderr are what it has printed so far.
func (p *process) stdout() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (p *process) stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err.String()
}

// printed waits until standard output matches, and returns the first group.
func (p *process) printed(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if m := re.FindStringSubmatch(p.stdout()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-p.ended:
			if !re.MatchString(p.stdout()) {
				p.t.Fatalf("swath %s ended without printing %q:\n%s%s", strings.Join(p.args, " "), pattern, p.stdout(), p.stderr())
			}
		default:
		}
		if time.Now().After(end) {
			p.t.Fatalf("swath %s never printed %q:\n%s%s", strings.Join(p.args, " "), pattern, p.stdout(), p.stderr())
		}
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// kill kills it as a crash would, and waits until it is gone.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// wait waits for its end.
func (p *process) wait() outcome {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("swath %s never ended:\n%s%s", strings.Join(p.args, " "), p.stdout(), p.stderr())
	}
	return outcome{p.args, p.cmd.ProcessState.ExitCode(), p.stdout(), p.stderr()}
}

// stop ends it in order.
func (p *process) stop() outcome {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	return p.wait()
}

// coordinator starts one on a home and returns its address.
func coordinator(t *testing.T, home string, args ...string) (*process, string) {
	t.Helper()
	p := start(t, append([]string{"coordinator", "--home", home, "--listen", "127.0.0.1:0"}, args...)...)
	return p, p.printed(`coordinator ready at (\S+)`)
}

// worker starts one with a home of its own, and waits until it is accepted.
func worker(t *testing.T, addr string, args ...string) *process {
	t.Helper()
	p := start(t, append([]string{"worker", "--home", t.TempDir(), "--coordinator", addr, "--grace", "1s"}, args...)...)
	p.printed(`worker \S+ ready`)
	return p
}
