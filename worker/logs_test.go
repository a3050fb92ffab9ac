//go:build unix

package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"swath/proto/wire"
)

const (
	chattyLimit = 64 << 10
	chattyLines = 4000
)

// chatty is a trial that prints and complains far more than is kept, waits for its gate,
// and prints a little more.
func chatty(g gate, index int64) wire.Start {
	return shell(index, fmt.Sprintf(`
pad=$(printf '%%0200d' 0)
i=0
while [ $i -lt %d ]; do i=$((i+1)); echo "$pad loss=$i"; echo "$pad $i" >&2; done
while [ ! -e %s ]; do sleep 0.01; done
echo last words loss=%d`, chattyLines, g.path, chattyLines+1))
}

// diskUse is how much space a file takes.
func diskUse(t *testing.T, path string) int64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func checkChatty(t *testing.T, c *coordinator, m wire.Start) {
	t.Helper()
	if out := c.ended(m.Ref); !out.OK() {
		t.Errorf("outcome is %+v", out)
	}
	got := c.values(m.Ref, "loss")
	if len(got) != chattyLines+1 {
		t.Errorf("%d points, not %d", len(got), chattyLines+1)
	}
	for i, v := range got {
		if v != float64(i+1) {
			t.Fatalf("point %d is %g", i, v)
		}
	}
	limit := logLimit(chattyLimit)
	for stream, last := range map[string]string{
		wire.Stdout: fmt.Sprintf(" loss=%d\nlast words loss=%d\n", chattyLines, chattyLines+1),
		wire.Stderr: fmt.Sprintf(" %d\n", chattyLines),
	} {
		text := c.log(m.Ref, stream)
		if want := chattyLimit + len(limit.note()); len(text) != want {
			t.Errorf("%s has %d bytes, not %d", stream, len(text), want)
		}
		if !strings.HasPrefix(text, strings.Repeat("0", 199)) || !strings.HasSuffix(text, last) || !strings.Contains(text, limit.note()) {
			t.Errorf("%s is %.250q … %.300q", stream, text, text[max(0, len(text)-300):])
		}
		if strings.Contains(text, "\x00") {
			t.Errorf("%s holds what was freed", stream)
		}
	}
}

func awaitTrim(t *testing.T, dir string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("files can be freed in part on Linux alone")
	}
	const slack = 3 * chattyLimit / 2
	for _, stream := range []string{wire.Stdout, wire.Stderr} {
		path := filepath.Join(dir, stream)
		eventually(t, stream+" to be freed", func() bool {
			st, err := os.Stat(path)
			return err == nil && st.Size() > 200*chattyLines && diskUse(t, path) < slack
		})
	}
}

func TestChattyTrialsDoNotFillTheDisk(t *testing.T) {
	c, g := newCoordinator(t), newGate(t)
	r := run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) { cfg.LogLimit = chattyLimit }))
	m := chatty(g, 0)
	c.start(m)
	c.until("the points", func() bool { return len(c.points[m.Ref]) == chattyLines })
	awaitTrim(t, attemptPath(r.Agent, m))
	c.disconnect(false) // the next session must not read what was freed
	g.open()
	checkChatty(t, c, m)
	c.check()
}

func TestPointsOfFreedOutputAreNotNumberedAnew(t *testing.T) {
	c, g := newCoordinator(t), newGate(t)
	home := t.TempDir()
	first := startFar(t, home, c.listen())
	m := chatty(g, 0)
	c.start(m)
	c.until("the points", func() bool { return len(c.points[m.Ref]) == chattyLines })
	dirs, err := filepath.Glob(filepath.Join(home, "worker", "0", "attempts", "s1-*"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("attempts are %v, %v", dirs, err)
	}
	awaitTrim(t, dirs[0])
	first.signal(syscall.SIGKILL)
	g.open()
	run(t, newAgent(t, c, home, func(cfg *Config) { cfg.Binary, cfg.LogLimit = self(t), chattyLimit }))
	checkChatty(t, c, m)
	c.check()
}

func TestOutputAtTheLimitIsWhole(t *testing.T) {
	c := newCoordinator(t)
	run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) { cfg.LogLimit = 1000 }))
	for i, n := range []int{499, 500, 501, 999, 1000} {
		m := shell(int64(i), fmt.Sprintf("printf '%%0%dd' 7", n))
		c.start(m)
		c.ended(m.Ref)
		if text := c.log(m.Ref, wire.Stdout); len(text) != n || strings.Trim(text, "0") != "7" {
			t.Errorf("of %d bytes, %d arrived", n, len(text))
		}
	}
	m := shell(9, "printf '%01001d' 7")
	c.start(m)
	c.ended(m.Ref)
	if text, want := c.log(m.Ref, wire.Stdout), strings.Repeat("0", 500)+logLimit(1000).note()+strings.Repeat("0", 499)+"7"; text != want {
		t.Errorf("of 1001 bytes: %q", text)
	}
	c.check()
}
