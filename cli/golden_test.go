package cli_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"swath/cli"
)

// verbs are the contract's, in the order of its table; what came later is beside them.
var verbs = []string{
	"run", "plan", "coordinator", "worker", "submit", "ls", "status", "watch", "cancel", "rerun", "logs",
	"results", "series", "data", "data ls", "data fetch", "version",
}

// Every verb of the contract is there, with a help text that has an example, and the
// examples' flags exist.
func TestHelp(t *testing.T) {
	t.Parallel()
	examples := regexp.MustCompile(`(?s)Examples:\n(.*?)\n\n`)
	for _, verb := range verbs {
		args := append(strings.Fields(verb), "--help")
		o := swath(t, args...).want(t, 0)
		m := examples.FindStringSubmatch(o.out)
		if m == nil || !strings.Contains(m[1], "swath "+verb) {
			t.Errorf("the help of %s has no example of it:\n%s", verb, o.out)
			continue
		}
		if o.err != "" {
			t.Errorf("help on standard error: %s", o.err)
		}
		flags := regexp.MustCompile(`--[a-z-]+`)
		for _, flag := range flags.FindAllString(m[1], -1) {
			if !strings.Contains(o.out, "      "+flag+" ") && !strings.Contains(o.out, ", "+flag+" ") && !strings.Contains(m[1], "swath submit") {
				t.Errorf("an example of %s has %s, which it does not have", verb, flag)
			}
		}
		same := swath(t, append([]string{"help"}, strings.Fields(verb)...)...).want(t, 0)
		if same.out != o.out {
			t.Errorf("swath help %s and swath %s --help differ", verb, verb)
		}
	}
	root := swath(t).want(t, 0)
	for _, verb := range verbs {
		if name := strings.Fields(verb)[0]; !strings.Contains(root.out, "\n  "+name+" ") {
			t.Errorf("the help lacks %s", name)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if o := swath(t, "completion", shell).want(t, 0); len(o.out) < 500 {
			t.Errorf("completion for %s: %q", shell, o.out)
		}
	}
	if o := swath(t, "version").want(t, 0); !regexp.MustCompile(`^swath \S+ go\S+ \S+/\S+\n$`).MatchString(o.out) {
		t.Errorf("version printed %q", o.out)
	}
}

// What sweep files expand to: standard output, the summary on standard error, exit codes.
func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
	}{
		{"grid", []string{"testdata/plan/grid.yaml"}},
		{"grid-json", []string{"testdata/plan/grid.yaml", "--json"}},
		{"grid-limit", []string{"testdata/plan/grid.yaml", "--limit", "2"}},
		{"grid-none", []string{"testdata/plan/grid.yaml", "--limit", "0"}},
		{"command-json", []string{"testdata/plan/command.yaml", "--json"}},
		{"repeat-json", []string{"testdata/plan/repeat.yaml", "--json"}},
		{"random-json", []string{"testdata/plan/random.yaml", "--json", "--limit", "3"}},
		{"random-cap", []string{"testdata/plan/random-cap.yaml"}},
		{"huge", []string{"testdata/plan/huge.yaml", "--limit", "5"}},
		{"huge-json", []string{"testdata/plan/huge.yaml", "--json", "--limit", "2"}},
		{"run-cap", []string{"testdata/plan/run-cap.yaml"}},
		{"long", []string{"testdata/plan/long.yaml", "--limit", "1"}},
		{"warnings", []string{"testdata/plan/warnings.yaml"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := swath(t, append([]string{"plan"}, c.args...)...).want(t, 0)
			for line := range strings.Lines(o.out) {
				if strings.HasSuffix(c.name, "json") && !json.Valid([]byte(line)) {
					t.Errorf("no JSON: %s", line)
				}
			}
			golden(t, "plan-"+c.name, o.transcript())
		})
	}
}

// Between the trials of a sweep there may be any number of points that are excluded; the
// search for the next one can be interrupted.
func TestPlanCanBeInterrupted(t *testing.T) {
	t.Parallel()
	file := write(t, "sparse.yaml", "method: grid\ncommand: [x]\nparameters: {a: {min: 1, max: 1000000}, b: {min: 1, max: 1000000}}\nconstraints: [a == 1 || a == 999999]\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &interrupting{cancel: cancel}
	code := cli.Run(ctx, []string{"plan", file, "--json", "--limit", "2000000"}, strings.NewReader(""), out, io.Discard)
	if code != 130 || out.n > 1<<20 {
		t.Errorf("exit code %d after %d bytes", code, out.n)
	}
}

// interrupting is a reader of the output who has seen enough at once.
type interrupting struct {
	cancel context.CancelFunc
	n      int
}

func (w *interrupting) Write(b []byte) (int, error) {
	w.cancel()
	w.n += len(b)
	return len(b), nil
}

// The read side, over a sweep that has ended: every format, filters, orders, columns.
func TestReadSide(t *testing.T) {
	home := t.TempDir()
	file := fakeSweep(t, "reads", `method: grid
parameters:
  lr: {values: [0.25, 0.5, 1.5]}
  steps: {value: 4}
  exit_code: {expr: 'lr > 1 ? 3 : 0'}
  message: {value: "two\nlines, \"quoted\""}`)
	swath(t, "run", file, "--home", home, "--name", "reads", "--slots", "1").want(t, 1)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	durations := regexp.MustCompile(`"duration_s":[0-9.e-]+`)
	for _, c := range []struct {
		name string
		code int
		args []string
	}{
		{"results-jsonl", 0, []string{"results", "reads", "--format", "jsonl"}},
		{"results-columns", 0, []string{"results", "reads", "--columns", "index,lr,loss,best.loss,state,error,attempts"}},
		{"results-csv", 0, []string{"results", "reads", "--format", "csv", "--columns", "index,lr,message,loss,state"}},
		{"results-markdown", 0, []string{"results", "reads", "--format", "markdown", "--columns", "index,lr,message,loss"}},
		{"results-json", 0, []string{"results", "reads", "--format", "json", "--columns", "index,lr,loss"}},
		{"results-where", 0, []string{"results", "reads", "--where", "lr <= 0.5 && accuracy > 0.95", "--columns", "index,lr,accuracy"}},
		{"results-sort", 0, []string{"results", "reads", "--sort", "-lr", "--limit", "2", "--columns", "index,lr"}},
		{"results-none", 0, []string{"results", "reads", "--where", "lr > 7"}},
		{"results-bad-where", 2, []string{"results", "reads", "--where", "lr <"}},
		{"results-bad-name", 2, []string{"results", "reads", "--where", "learning_rate < 1"}},
		{"results-bad-sort", 2, []string{"results", "reads", "--sort", "nope"}},
		{"results-bad-column", 2, []string{"results", "reads", "--columns", "nope"}},
		{"results-no-sweep", 2, []string{"results", "nope"}},
		{"results-near-sweep", 2, []string{"results", "read"}},
		{"series-near-sweep", 2, []string{"series", "raeds", "--metric", "loss"}},
		{"status-near-sweep", 2, []string{"status", "readss"}},
		{"watch-near-sweep", 2, []string{"watch", "READS"}},
		{"logs-near-sweep", 2, []string{"logs", "reds/0"}},
		{"series-csv", 0, []string{"series", "reads", "--metric", "loss", "--format", "csv"}},
		{"series-trial", 0, []string{"series", "reads", "--metric", "accuracy", "--trial", "1", "--format", "jsonl"}},
		{"series-table", 0, []string{"series", "reads", "--metric", "loss", "--trial", "2"}},
		{"series-bad-metric", 2, []string{"series", "reads", "--metric", "nope"}},
		{"series-bad-trial", 2, []string{"series", "reads", "--metric", "loss", "--trial", "77"}},
		{"logs", 0, []string{"logs", "reads/0"}},
		{"logs-no-trial", 2, []string{"logs", "reads/9"}},
		{"logs-no-id", 2, []string{"logs", "ffffffffffff"}},
		{"logs-no-number", 2, []string{"logs", "reads/x"}},
		{"logs-no-attempt", 2, []string{"logs", "reads/0", "--attempt", "2"}},
		{"status", 0, []string{"status", "reads"}},
		{"status-json", 0, []string{"status", "reads", "--json"}},
		{"ls", 0, []string{"ls"}},
		{"ls-json", 0, []string{"ls", "--json"}},
		{"watch-ended", 1, []string{"watch", "reads", "--json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := swath(t, append(c.args, "--home", home)...).want(t, c.code)
			o.args = c.args
			text := scrub(o.transcript(), host, "HOST", self(t), "BINARY")
			text = durations.ReplaceAllString(text, `"duration_s":SECONDS`)
			golden(t, "read-"+c.name, regexp.MustCompile(`(^|[^.0-9a-f])[0-9a-f]{16}\b`).ReplaceAllString(text, "${1}TRIAL-ID--------"))
		})
	}
}

func TestListOfNoSweeps(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	if o := swath(t, "data", "ls", "--home", home, "--data", home).want(t, 0); !strings.Contains(o.out, "cifar10") || !strings.Contains(o.out, "shapes") {
		t.Errorf("data ls printed %s", o.out)
	}
	if o := swath(t, "trainer").want(t, 0); !strings.Contains(o.out, "vit  ") {
		t.Errorf("trainer printed %s", o.out)
	}
	swath(t, "trainer", "vit").want(t, 0).says(t, "patch_size", "heads", "PARAMETER", "DEFAULT")
}
