package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A second run takes over what the first came to, and shows where from; a program that
// changed is run again.
func TestReuse(t *testing.T) {
	t.Parallel()
	home, dir := t.TempDir(), t.TempDir()
	program := filepath.Join(dir, "train.sh")
	script := func(text string) {
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name, values string) string {
		path := filepath.Join(dir, name+".yaml")
		text := fmt.Sprintf("name: %s\nmethod: grid\nmetric: {name: loss, goal: minimize}\ncommand: [%q, \"${args}\"]\nreuse: true\nparameters: {x: {values: [%s]}}\n", name, program, values)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	script("echo loss=3 from $1")
	swath(t, "run", file("first", "1, 2"), "--home", home).want(t, 0)
	more := file("second", "1, 2, 3")
	swath(t, "plan", more, "--home", home).want(t, 0).says(t, "of the 3 trials 2 would take over a result")
	swath(t, "run", more, "--home", home).want(t, 0).says(t, "2 reused", "3 finished")
	swath(t, "plan", more, "--home", home).want(t, 0).says(t, "of the 3 trials 3 would")
	if o := swath(t, "plan", more, "--home", home, "--no-reuse").want(t, 0); strings.Contains(o.err, "take over") {
		t.Errorf("planned against the user's word:\n%s", o.err)
	}
	o := swath(t, "results", "second", "--home", home, "--format", "csv", "--sort", "index", "--columns", "index,loss,attempts,reused_from").want(t, 0)
	if want := "index,loss,attempts,reused_from\n0,3,0,first/0#1\n1,3,0,first/1#1\n2,3,1,\n"; o.out != want {
		t.Errorf("results:\n%swant:\n%s", o.out, want)
	}
	swath(t, "logs", "second/1", "--home", home).want(t, 0).says(t, "from --x=2")
	swath(t, "series", "second", "--home", home, "--metric", "loss", "--trial", "1").want(t, 0).says(t, "3")
	swath(t, "status", "second", "--home", home).want(t, 0).says(t, "2 of the finished took over the result")
	swath(t, "explain", "second/0", "--home", home).want(t, 0).says(t, "first/0")

	o = swath(t, "run", more, "--home", home, "--name", "third", "--no-reuse").want(t, 0)
	if strings.Contains(o.err, "reused") {
		t.Errorf("reused against the user's word:\n%s", o.err)
	}
	script("echo loss=2 from $1")
	swath(t, "plan", more, "--home", home).want(t, 0).says(t, "of the 3 trials 0 would")
	swath(t, "run", more, "--home", home, "--name", "fourth").want(t, 0)
	o = swath(t, "results", "fourth", "--home", home, "--format", "csv", "--columns", "loss").want(t, 0)
	if o.out != "loss\n2\n2\n2\n" {
		t.Errorf("the program changed, and the results are\n%s", o.out)
	}
	swath(t, "run", more, "--home", home, "--reuse", "--no-reuse").want(t, 2).says(t, "say one of them")

	// Where the file forbids it, its line is named, before anything is begun.
	chain := fakeSweep(t, "chain", "method: grid\ncontinue: steps\nparameters: {steps: {values: [1, 2]}}")
	for _, verb := range []string{"plan", "submit", "run"} {
		o := swath(t, verb, chain, "--home", home, "--reuse").want(t, 2)
		if want := "chain.yaml:5:1: reuse and continue exclude each other"; !strings.Contains(o.err, want) || strings.Contains(o.err, "swath:") {
			t.Errorf("%s says %q, want %q", verb, o.err, want)
		}
		if o.out != "" {
			t.Errorf("%s goes on: %q", verb, o.out)
		}
	}
}
