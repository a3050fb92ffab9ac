//go:build unix

package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	file := fakeSweep(t, "bowl", "method: grid\nparameters: {x: {values: [0.9, 0.5, 0.1]}, depth: {value: 0.5}}")
	o := swath(t, "run", file, "--home", home, "--slots", "2").want(t, 0)

	for _, line := range []string{"bowl: 3 trials: 3 finished", "best trial: 1 (", "  x = 0.5", "  depth = 0.5"} {
		if !strings.Contains(o.out, line) {
			t.Errorf("standard output lacks %q:\n%s", line, o.out)
		}
	}
	// The table begins with the best.
	_, table, _ := strings.Cut(o.out, "\nindex")
	if _, rows, _ := strings.Cut(table, "\n"); !strings.HasPrefix(strings.TrimSpace(rows), "1 ") {
		t.Errorf("the best trial is not the first:\n%s", o.out)
	}
	for _, line := range []string{
		"bowl: 3 trials, grid over x (0.9, 0.5, 0.1); minimize loss\n", " bowl: 3/3 trials",
		"swath results bowl --where 'x == 0.9' --sort loss\n", "swath series bowl --metric loss\n",
	} {
		if !strings.Contains(o.err, line) {
			t.Errorf("standard error lacks %q:\n%s", line, o.err)
		}
	}
	// The home answers when nothing runs.
	rows := parseRows(t, swath(t, "results", "bowl", "--home", home, "--format", "jsonl").want(t, 0))
	if len(rows) != 3 || rows[0].Index != 1 || rows[0].Metrics["loss"] != 0.0 || rows[0].Params["x"] != 0.5 {
		t.Errorf("results are %+v", rows)
	}
	o = swath(t, "series", "bowl", "--metric", "loss", "--trial", "1", "--home", home, "--format", "csv").want(t, 0)
	if n := strings.Count(o.out, ",1,loss,"); n != 10 {
		t.Errorf("series has %d points of trial 1, want 10:\n%s", n, o.out)
	}
}

// A name that is a column and a parameter means the column, which is said, once.
func TestResultsSayWhatElseANameIs(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	file := fakeSweep(t, "shadow", "method: grid\nparameters: {class: {values: [a, b]}}")
	swath(t, "run", file, "--home", home).want(t, 0)
	hint := "note: class is a column that every row has; the parameter of that name is params.class\n"
	for flags, times := range map[string]int{
		`--where class=="ok" --sort class --columns index,class`: 1,
		`--columns index,class`:                                  1,
		`--where params.class=="a" --columns index,params.class`: 0,
		`--format csv`: 0,
	} {
		o := swath(t, append([]string{"results", "shadow", "--home", home}, strings.Fields(flags)...)...).want(t, 0)
		if strings.Count(o.err, hint) != times || strings.Contains(o.out, "note:") {
			t.Errorf("results %s says\n%sand %d times\n%s", flags, o.err, times, hint)
		}
	}
}

// The keys of a row and their order are a contract.
func TestJSONLinesOfResults(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	file := fakeSweep(t, "contract", "method: grid\nparameters: {exit_code: {values: [0, 3]}, x: {value: 0.25}}")
	swath(t, "run", file, "--home", home).want(t, 1)
	o := swath(t, "results", "contract", "--home", home, "--format", "jsonl", "--sort", "index").want(t, 0)
	want := []string{"trial", "index", "state", "params", "metrics", "best", "attempts", "worker", "duration_s"}
	lines := strings.Split(strings.TrimSpace(o.out), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines:\n%s", len(lines), o.out)
	}
	for _, line := range lines {
		var keys []string
		d := json.NewDecoder(strings.NewReader(line))
		for depth := 0; d.More() || depth > 0; {
			token, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			switch token {
			case json.Delim('{'):
				depth++
				continue
			case json.Delim('}'):
				depth--
				continue
			}
			if depth != 1 {
				continue
			}
			keys = append(keys, token.(string))
			var skip json.RawMessage
			if err := d.Decode(&skip); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(keys, want) {
			t.Errorf("keys %v, want %v", keys, want)
		}
	}
	rows := parseRows(t, o)
	if r := rows[1]; r.State != "failed" || r.Index != 1 || r.Attempts != 1 || r.Worker == "" || r.Metrics["loss"] == nil {
		t.Errorf("the failed trial is %+v", r)
	}
	o = swath(t, "results", "contract", "--home", home, "--format", "jsonl", "--columns", "index,class,error", "--where", `class == "exit"`).want(t, 0)
	if o.out != `{"index":1,"class":"exit","error":"exit code 3"}`+"\n" {
		t.Errorf("chosen columns: %s", o.out)
	}
}

// Each way to fail, and what becomes of the trial.
func TestRunWithFailures(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	file := fakeSweep(t, "failures", `method: grid
parameters:
  x: {value: 0.5}
  message: {value: goodbye}
  nested: {parameters: {how: {values: [fine, exit, crash, diverge]}}}
  exit_code: {expr: 'nested.how == "exit" ? 7 : 0'}
  crash_at: {expr: 'nested.how == "crash" ? 1 : 0'}
  diverge_at: {expr: 'nested.how == "diverge" ? 3 : 0'}
retries: 1`)
	o := swath(t, "run", file, "--home", home, "--slots", "4").want(t, 1).
		says(t, "2 finished, 2 failed", "2 trials failed:  swath results failures --where", "what one printed:  swath logs failures/")
	if strings.Contains(o.err, "swath: ") {
		t.Errorf("failed trials are told as an error of the command:\n%s", o.err)
	}
	o = swath(t, "results", "failures", "--home", home, "--format", "csv", "--columns", "nested.how,state,class,attempts", "--sort", "index").want(t, 0)
	want := `nested.how,state,class,attempts
fine,finished,ok,1
exit,failed,exit,2
crash,finished,ok,2
diverge,failed,diverged,1
`
	if o.out != want {
		t.Errorf("results:\n%swant:\n%s", o.out, want)
	}
	for _, args := range [][]string{{"failures/1"}, {"failures/1", "--attempt", "1"}} {
		o := swath(t, append([]string{"logs", "--home", home}, args...)...).want(t, 0)
		if o.out != "" || o.err != "goodbye\n" {
			t.Errorf("logs %v: standard output %q, error %q: want each where it was", args, o.out, o.err)
		}
	}
	swath(t, "logs", "failures/3", "--home", home).want(t, 0).says(t, "trial failures/3 printed nothing")
}

// A trial that would never end is ended, and one that ignores that is killed.
func TestTimeout(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	file := fakeSweep(t, "late", "method: grid\nparameters: {hang: {value: true}, ignore_term: {values: [false, true]}}\ntimeout: 500ms")
	swath(t, "run", file, "--home", home, "--slots", "2", "--grace", "500ms").want(t, 1).says(t, "2 failed", "stopped after its time limit of 500ms")
	o := swath(t, "results", "late", "--home", home, "--format", "csv", "--columns", "state,class", "--sort", "index").want(t, 0)
	if o.out != "state,class\nfailed,timeout\nfailed,timeout\n" {
		t.Errorf("results:\n%s", o.out)
	}
}

func TestRunJSONEvents(t *testing.T) {
	t.Parallel()
	file := fakeSweep(t, "events", "method: grid\nparameters: {x: {values: [0.1, 0.2, 0.3, 0.4]}, exit_code: {expr: 'x < 0.15 ? 2 : 0'}}")
	o := swath(t, "run", file, "--home", t.TempDir(), "--json").want(t, 1)
	type event struct {
		Event, Name, State, Class, Error string
		Total, Finished, Failed          int
		Trial                            *row
		Best                             *row
	}
	var events []event
	for line := range strings.Lines(o.out) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if e.Name != "events" || e.Total != 4 {
			t.Errorf("event %s", line)
		}
		events = append(events, e)
	}
	if first, last := events[0], events[len(events)-1]; first.Event != "sweep" || last.Event != "end" ||
		last.State != "finished" || last.Finished != 3 || last.Failed != 1 || last.Best == nil || last.Best.Index != 3 {
		t.Errorf("first %+v, last %+v", first, last)
	}
	var ended []int
	for _, e := range events {
		if e.Event != "trial" {
			continue
		}
		ended = append(ended, e.Trial.Index)
		if failed := e.Trial.State == "failed"; failed != (e.Error != "") || failed != (e.Class == "exit") {
			t.Errorf("trial %d: state %s, class %q, error %q", e.Trial.Index, e.Trial.State, e.Class, e.Error)
		}
	}
	slices.Sort(ended)
	if !slices.Equal(ended, []int{0, 1, 2, 3}) {
		t.Errorf("told of the ends of trials %v, want each once", ended)
	}
	if o.err != "" {
		t.Errorf("standard error: %s", o.err)
	}
}

func TestRunOfAShellScriptThatOnlyPrints(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	swath(t, "run", "../examples/shell/sweep.yaml", "--home", home, "--slots", "4").want(t, 0).says(t, "8 finished", "best trial:")
	o := swath(t, "series", "shell-descent", "--metric", "loss", "--home", home, "--trial", "0", "--format", "csv").want(t, 0)
	if n := strings.Count(o.out, ",0,loss,"); n != 10 {
		t.Errorf("%d points of trial 0, want 10:\n%s", n, o.out)
	}
}

// Metrics by a pattern, several on a line, exponents, NaN, steps by name and counted.
func TestMetricsThatArePrinted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := `echo "epoch=5 loss=1e-3 acc=.5 other=9"
echo "loss=nan"
echo "Accuracy is 12.5 % now"
echo "step=9, loss=-2.5E+2"
`
	if err := os.WriteFile(filepath.Join(dir, "p.sh"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "s.yaml")
	text := "name: printed\nmethod: grid\nmetric: {name: loss}\nmetrics: [acc, {name: percent, pattern: 'Accuracy is ([0-9.]+)'}]\ncommand: [sh, p.sh]\nparameters: {x: {value: 1}}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	swath(t, "run", file, "--home", home).want(t, 0)
	o := swath(t, "series", "printed", "--home", home, "--format", "csv").want(t, 0)
	var got []string
	for _, line := range strings.Split(strings.TrimSpace(o.out), "\n")[1:] {
		f := strings.Split(line, ",")
		got = append(got, strings.Join(f[2:5], " "))
	}
	want := []string{"acc 5 0.5", "loss 5 0.001", "loss 6 NaN", "loss 9 -250", "percent 1 12.5"}
	if !slices.Equal(got, want) {
		t.Errorf("points %q, want %q", got, want)
	}
	if r := parseRows(t, swath(t, "results", "printed", "--home", home, "--format", "jsonl").want(t, 0)); r[0].Best["loss"] != -250.0 {
		t.Errorf("best %v", r[0].Best)
	}
}

// Programs that misbehave take nothing down with them.
func TestHostilePrograms(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := `case ${1#how=} in
binary) head -c 300000 /dev/urandom; echo; echo loss=1;;
floods) yes 'epoch=1 loss=0.5 and then some more words to read' | head -c 8000000;;
longline) printf 'loss=1'; head -c 1000000 /dev/zero | tr '\0' 9; echo; echo loss=2;;
lingers) echo loss=3; (trap '' TERM; echo $$ >> lingering; exec sleep 600) & while [ ! -e lingering ]; do sleep 0.01; done;;
closes) echo loss=4; exec >&- 2>&-;;
reads) cat; echo loss=5;;
quick) ;;
garbage) printf 'no json\n[1]\n{"loss":\n\377\376\n' >> "$SWATH_REPORT"; echo '{"loss": 6}' >> "$SWATH_REPORT";;
dies) kill -9 $$;;
cleans) echo loss=7; rm -rf "$(dirname "$SWATH_REPORT")";;
esac
`
	if err := os.WriteFile(filepath.Join(dir, "p.sh"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "s.yaml")
	text := "name: hostile\nmethod: grid\nmetric: {name: loss}\ncommand: [sh, p.sh, \"${args_no_hyphens}\"]\n" +
		"parameters: {how: {values: [binary, floods, longline, lingers, closes, reads, quick, garbage, dies, cleans]}}\ntimeout: 60s\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	swath(t, "run", file, "--home", home, "--slots", "4").want(t, 1).says(t, "9 finished, 1 failed")
	want := map[string]any{"binary": 1.0, "floods": 0.5, "longline": 2.0, "lingers": 3.0, "closes": 4.0, "reads": 5.0, "garbage": 6.0, "cleans": 7.0}
	for _, r := range parseRows(t, swath(t, "results", "hostile", "--home", home, "--format", "jsonl").want(t, 0)) {
		how := r.Params["how"].(string)
		if state := r.State; state != "finished" && how != "dies" || r.Metrics["loss"] != want[how] && how != "cleans" {
			t.Errorf("%s is %s with %v", how, state, r.Metrics)
		}
	}
	if _, err := exec.LookPath("pgrep"); err == nil {
		if b, err := exec.Command("pgrep", "-f", "^sleep 600$").CombinedOutput(); err == nil {
			pid, _ := os.ReadFile(filepath.Join(dir, "lingering"))
			if strings.Contains(string(b), strings.TrimSpace(string(pid))) {
				t.Errorf("the process that its trial left behind lives: %s", b)
			}
		}
	}
	o := swath(t, "logs", "hostile/1", "--home", home).want(t, 0)
	if len(o.out) != 8000000 {
		t.Errorf("logs printed %d bytes of 8000000", len(o.out))
	}
}

// Names, paths and values with whatever a user may type.
func TestUnusualNames(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a folder, with spaces")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"the program.sh": `for a; do printf '<%s>' "$a"; done; echo; echo "learning rate=3 val/loss=0.25"`,
		"größe.yaml": `name: "größe & more"
method: grid
metric: {name: "val/loss"}
program: the program.sh
command: [sh, "${program}", "${args}"]
parameters:
  "learning rate": {values: [0.1, "it's \"quoted\""]}
  größe: {value: "ü漢字 🎉"}
  lines: {value: "one\ntwo"}
  empty: {value: ""}
  list: {value: [1, {a: null}]}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, home := filepath.Join(dir, "größe.yaml"), filepath.Join(dir, "home")
	o := swath(t, "run", file, "--home", home).want(t, 0).says(t, ":1:7: warning: the sweep is called gr-e-more")
	// What is offered to ask next can be asked.
	for line := range strings.Lines(o.err) {
		if _, command, ok := strings.Cut(line, "  swath "); ok {
			cmd := exec.Command("sh", "-c", `exec "$0" `+strings.TrimSpace(command)+` --home "$1"`, self(t), home)
			cmd.Env = append(os.Environ(), asProgram+"=1")
			if b, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(b), "0.25") {
				t.Errorf("%s: %v\n%s", command, err, b)
			}
		}
	}
	swath(t, "logs", "gr-e-more/1", "--home", home).want(t, 0).
		says(t, `<--empty=><--größe=ü漢字 🎉><--learning rate=it's "quoted"><--lines=one`+"\ntwo><--list=[1, {'a': None}]>")
	swath(t, "results", "gr-e-more", "--home", home, "--where", `params["learning rate"] == 0.1`, "--format", "csv", "--columns", "index,größe").
		want(t, 0).says(t, "0,ü漢字 🎉")
}

func TestNameOfARun(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	file := fakeSweep(t, "named", "method: grid\nparameters: {x: {value: 0.5}}")
	swath(t, "run", file, "--home", home).want(t, 0).says(t, "named: 1 trial: 1 finished")
	swath(t, "run", file, "--home", home, "--name", "named").want(t, 2).says(t, `a sweep named "named" is there already`, "--name")
	swath(t, "run", file, "--home", home, "--name", "other").want(t, 0).says(t, "other: 1 trial: 1 finished")
	swath(t, "run", file, "--home", home).want(t, 0).says(t, "named-2: 1 trial: 1 finished")
	o := swath(t, "ls", "--home", home, "--json").want(t, 0)
	var names []string
	for line := range strings.Lines(o.out) {
		var s struct{ Name, ID, State string }
		if err := json.Unmarshal([]byte(line), &s); err != nil || s.ID == "" || s.State != "finished" {
			t.Errorf("%v: %q", err, line)
		}
		names = append(names, s.Name)
		// By its id a sweep is known as well as by its name.
		swath(t, "status", s.ID, "--home", home).want(t, 0).says(t, s.Name)
	}
	if want := []string{"named-2", "other", "named"}; !slices.Equal(names, want) {
		t.Errorf("ls has %v, want %v", names, want)
	}
}

func TestSubmitRerunAndNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "flaky.yaml")
	text := fmt.Sprintf("method: grid\nmetric: {name: loss}\ncommand: [sh, -c, 'echo loss=$SWATH_ATTEMPT; test -e %s/mended || test $0 = --x=0', \"${args}\"]\nparameters: {x: {values: [0, 1, 2]}}\n", dir)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, addr := coordinator(t, filepath.Join(dir, "home"))
	at := []string{"--coordinator", addr}
	run := func(code int, args ...string) outcome { return swath(t, append(args, at...)...).want(t, code) }

	run(0, "submit", file)
	run(2, "submit", file).says(t, "flaky.yaml", `a sweep named "flaky" is there already`, "--name")
	if o := run(0, "submit", file, "--name", "flaky-again"); o.out != "flaky-again\n" {
		t.Errorf("submit printed %q", o.out)
	}
	swathWith(t, strings.NewReader(strings.Replace(text, "method", "name: piped\nmethod", 1)), "submit", "-", "--coordinator", addr).want(t, 0)
	run(0, "status", "flaky").says(t, "0/3")
	run(0, "cancel", "flaky-again").says(t, "flaky-again is cancelled")
	run(0, "cancel", "piped")

	worker(t, addr, "--slots", "2")
	run(1, "watch", "flaky").says(t, "1 finished, 2 failed")
	run(2, "rerun", "flaky").says(t, "--failed")
	if err := os.WriteFile(filepath.Join(dir, "mended"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	run(0, "rerun", "flaky", "--failed").says(t, "2 trials of flaky run again")
	run(0, "watch", "flaky").says(t, "3 finished")
	if got := attempts(t, parseRows(t, run(0, "results", "flaky", "--format", "jsonl"))); !slices.Equal(got, []int{1, 2, 2}) {
		t.Errorf("attempts %v", got)
	}
	run(0, "rerun", "flaky", "--failed").says(t, "0 trials")
	run(2, "rerun", "nobody", "--failed").says(t, `no sweep "nobody"`)
}

// An objective that only some trials report is one, also where they come late in a large sweep.
func TestObjectiveOfSomeTrials(t *testing.T) {
	t.Parallel()
	const head = "method: grid\ntrainer: vit\nmetric: {name: %s, goal: maximize}\nparameters:\n  dataset: {value: shapes}\n"
	for name, c := range map[string]struct {
		metric, parameters string
		code               int
	}{
		"deep":          {"test_accuracy_layer_4", "  probe_layers: {value: true}\n  encoder_layers: {values: [2, 4]}\n", 0},
		"too deep":      {"test_accuracy_layer_5", "  probe_layers: {value: true}\n  encoder_layers: {values: [2, 4]}\n", 2},
		"large":         {"test_accuracy_layer_4", "  encoder_layers: {values: [2, 4]}\n  probe_layers: {value: true}\n  seed: {min: 1, max: 20000}\n", 0},
		"large, absurd": {"test_accuracy_layers", "  encoder_layers: {values: [2, 4]}\n  seed: {min: 1, max: 20000}\n", 2},
	} {
		file := write(t, "s.yaml", fmt.Sprintf(head, c.metric)+c.parameters)
		t.Run(name, func(t *testing.T) { swath(t, "plan", "--limit", "0", file, "--home", t.TempDir()).want(t, c.code) })
	}
}
