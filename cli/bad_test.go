package cli_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Bad input: an error that tells what to do, on one line (a sweep file's mistakes have one
// each), the right exit code, and nothing left behind. The files are in testdata/bad.
func TestBadInput(t *testing.T) {
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(t.TempDir(), "home")
	file := func(name string) string { return filepath.Join("testdata", "bad", name) }
	cases := []struct {
		name string
		code int
		args []string
	}{
		{"unknown-verb", 2, []string{"rnu", "x.yaml"}},
		{"unknown-verb-result", 2, []string{"result", "x"}},
		{"unknown-verb-log", 2, []string{"log", "x/1"}},
		{"unknown-verb-help", 2, []string{"help", "rnu"}},
		{"unknown-flag", 2, []string{"run", "--slot", "2"}},
		{"flag-value", 2, []string{"worker", "--slots", "abc"}},
		{"no-file-given", 2, []string{"run"}},
		{"two-files-given", 2, []string{"plan", "a.yaml", "b.yaml"}},
		{"no-such-file", 2, []string{"run", "nosuch.yaml"}},
		{"folder", 2, []string{"run", "testdata"}},
		{"empty", 2, []string{"run", file("empty.yaml")}},
		{"binary", 2, []string{"run", file("binary.yaml")}},
		{"not-yaml", 2, []string{"run", file("not-yaml.yaml")}},
		{"unknown-keys", 2, []string{"run", file("unknown-keys.yaml")}},
		{"wrong-types", 2, []string{"run", file("wrong-types.yaml")}},
		{"aliases", 2, []string{"run", file("aliases.yaml")}},
		{"excludes-all", 2, []string{"run", file("excludes-all.yaml")}},
		{"heads", 2, []string{"run", file("heads.yaml")}},
		{"heads-plan", 2, []string{"plan", file("heads.yaml")}},
		{"heads-submit", 2, []string{"submit", file("heads.yaml")}},
		{"trainer-parameters", 2, []string{"run", file("trainer-parameters.yaml")}},
		{"trainer-unknown", 2, []string{"run", file("trainer-unknown.yaml")}},
		{"trainer-too-large", 2, []string{"run", file("too-large.yaml")}},
		{"data-parameters", 2, []string{"run", file("data-parameters.yaml")}},
		{"data-batch", 2, []string{"run", file("data-batch.yaml")}},
		{"data-class", 2, []string{"run", file("data-class.yaml")}},
		{"data-folder", 2, []string{"run", file("data-folder.yaml")}},
		{"metric", 2, []string{"run", file("metric.yaml")}},
		{"metric-plan", 2, []string{"plan", file("metric.yaml"), "--limit", "0"}},
		{"metric-submit", 2, []string{"submit", file("metric.yaml")}},
		{"metric-of-other-parameters", 2, []string{"run", file("metric-layer.yaml")}},
		{"missing-program", 2, []string{"run", file("missing-program.yaml")}},
		{"missing-command", 2, []string{"run", file("missing-command.yaml")}},
		{"missing-data", 2, []string{"run", file("missing-data.yaml")}},
		{"no-end", 2, []string{"plan", "--json", file("no-end.yaml")}},
		{"name-run", 2, []string{"run", file("fine.yaml"), "--name", "bad name"}},
		{"name-submit", 2, []string{"submit", file("fine.yaml"), "--name", ""}},
		{"slots", 2, []string{"run", file("fine.yaml"), "--slots", "0"}},
		{"grace", 2, []string{"run", file("fine.yaml"), "--grace", "-1s"}},
		{"run-with-coordinator", 2, []string{"run", file("fine.yaml"), "--coordinator", "127.0.0.1:1"}},
		{"listen", 2, []string{"coordinator", "--listen", "0.0.0.0:7420"}},
		{"listen-all", 2, []string{"coordinator", "--listen", ":7420"}},
		{"listen-name", 2, []string{"coordinator", "--listen", "example.org:7420"}},
		{"listen-ipv6", 2, []string{"coordinator", "--listen", "[::]:7420"}},
		{"listen-nonsense", 2, []string{"coordinator", "--listen", "7420"}},
		{"listen-port", 2, []string{"coordinator", "--listen", "127.0.0.1:99999"}},
		{"lease", 2, []string{"coordinator", "--lease", "10ms"}},
		{"coordinator-address", 2, []string{"ls", "--coordinator", "nowhere"}},
		{"unreachable-ls", 3, []string{"ls", "--coordinator", "127.0.0.1:1"}},
		{"unreachable-status", 3, []string{"status", "x", "--coordinator", "127.0.0.1:1"}},
		{"unreachable-watch", 3, []string{"watch", "x", "--coordinator", "127.0.0.1:1"}},
		{"unreachable-results", 3, []string{"results", "x", "--coordinator", "127.0.0.1:1"}},
		{"unreachable-series", 3, []string{"series", "x", "--coordinator", "127.0.0.1:1"}},
		{"unreachable-logs", 3, []string{"logs", "x/1", "--coordinator", "127.0.0.1:1"}},
		{"unreachable-cancel", 3, []string{"cancel", "x", "--coordinator", "127.0.0.1:1"}},
		{"unreachable-rerun", 3, []string{"rerun", "x", "--failed", "--coordinator", "127.0.0.1:1"}},
		{"unreachable-submit", 3, []string{"submit", file("fine.yaml"), "--coordinator", "127.0.0.1:1"}},
		{"unreachable-worker", 3, []string{"worker", "--coordinator", "127.0.0.1:1"}},
		{"settings-missing", 2, []string{"ls", "--config", "nosuch.yaml"}},
		{"settings-folder", 2, []string{"ls", "--config", "testdata"}},
		{"settings-garbage", 2, []string{"ls", "--config", file("settings-garbage.yaml")}},
		{"settings-text", 2, []string{"ls", "--config", file("not-yaml.yaml")}},
		{"settings-key", 2, []string{"ls", "--config", file("settings-key.yaml")}},
		{"settings-slots", 2, []string{"ls", "--config", file("settings-slots.yaml")}},
		{"settings-lease", 2, []string{"ls", "--config", file("settings-lease.yaml")}},
		{"disk-reserve", 2, []string{"coordinator", "--listen", "127.0.0.1:0", "--disk-reserve", "200%"}},
		{"disk-wait", 2, []string{"run", file("fine.yaml"), "--disk-wait", "soon"}},
		{"reuse-both", 2, []string{"run", file("fine.yaml"), "--reuse", "--no-reuse"}},
		{"rm-nothing", 2, []string{"rm"}},
		{"settings-home", 2, []string{"ls", "--data", "x", "--config", file("settings-list.yaml")}},
		{"format", 2, []string{"results", "x", "--format", "xml"}},
		{"limit", 2, []string{"results", "x", "--limit", "-1"}},
		{"plan-limit", 2, []string{"plan", file("fine.yaml"), "--limit", "-1"}},
		{"trainer", 2, []string{"trainer", "vitt"}},
		{"trainers", 2, []string{"trainer", "vit", "dcgan"}},
		{"data-verb", 2, []string{"data", "get"}},
		{"data-name", 2, []string{"data", "fetch", "imagenet"}},
		{"rerun-which", 2, []string{"rerun", "x"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := swath(t, append(c.args, "--home", home)...).want(t, c.code)
			o.args = c.args
			for line := range strings.Lines(o.err) {
				isFile := strings.Contains(line, ".yaml:")
				if !strings.HasPrefix(line, "swath: ") && !isFile && !strings.HasSuffix(c.name, "-plan") {
					t.Errorf("neither swath: nor a place in a file begins the line %q", line)
				}
			}
			if n := strings.Count(o.err, "swath: "); n > 1 {
				t.Errorf("%d complaints:\n%s", n, o.err)
			}
			golden(t, "bad-"+c.name, scrub(o.transcript(), home, "$HOME", cwd, "$PWD"))
		})
	}
	t.Cleanup(func() {
		if _, err := os.Stat(home); err == nil {
			t.Error("bad input made a home")
		}
	})
}

func TestHugeSweepFile(t *testing.T) {
	t.Parallel()
	huge := write(t, "huge.yaml", "method: grid\ncommand: [x]\nparameters: {a: {values: [1"+strings.Repeat(",1234567890", 1<<19)+"]}}\n")
	swath(t, "plan", huge, "--home", t.TempDir()).want(t, 2).says(t, "too large for a sweep file")
	swathWith(t, endless{}, "plan", "-", "--home", t.TempDir()).want(t, 2).says(t, "too large for a sweep file")
}

// endless is a file without end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '#'
	}
	return len(b), nil
}

// The environment is as strict as flags are.
func TestBadEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"SWATH_SLOTS": "abc", "SWATH_LEASE": "5", "SWATH_VERBOSE": "maybe", "SWATH_GRACE": "soon", "SWATH_COORDINATOR": "nowhere",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			swath(t, "ls", "--home", t.TempDir()).want(t, 2).says(t, value, "want ")
			swath(t, "version").want(t, 0)
		})
	}
}

// A home that is a file, below a file, damaged, or without permission.
func TestBadHome(t *testing.T) {
	t.Parallel()
	fine := filepath.Join("testdata", "bad", "fine.yaml")
	aFile := write(t, "file", "text")
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "state.db"), []byte("this is no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ home, says string }{
		{aFile, "is a file, not a directory"},
		{filepath.Join(aFile, "below"), "--home"},
		{damaged, "is damaged"},
		{filepath.Join(string(os.PathSeparator), "proc", "swath"), "make the home"},
	} {
		for _, args := range [][]string{{"run", fine}, {"coordinator", "--listen", "127.0.0.1:0"}} {
			o := swath(t, append(args, "--home", c.home)...).want(t, 2).says(t, c.says)
			if strings.Count(o.err, "\n") != 1 || o.out != "" {
				t.Errorf("want one line:\n%s%s", o.out, o.err)
			}
		}
	}
	swath(t, "results", "x", "--home", damaged).want(t, 2).says(t, "is damaged")
}

// Two coordinators cannot listen at one address; the second leaves no home behind.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // at the end of the test
	home := filepath.Join(t.TempDir(), "home")
	swath(t, "coordinator", "--listen", l.Addr().String(), "--home", home).want(t, 2).says(t, "address already in use", "--listen HOST:PORT")
	if _, err := os.Stat(home); err == nil {
		t.Error("a home was made")
	}
	// Something else answers there: no coordinator, and no hang.
	swath(t, "worker", "--coordinator", l.Addr().String(), "--home", home).want(t, 3).says(t, "cannot reach the coordinator")
}
