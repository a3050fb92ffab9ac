package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// README.md, as a test: the commands that it shows work, the flags that it names exist, the
// sweep files and keys in it are understood, and nothing that there is goes unmentioned.
//
// A block fenced as "sh" is run, line by line, in order, in one home and in this folder. One
// fenced as "sh slow" takes minutes, a network or a second machine: of its lines only the
// verbs and flags are checked.

// block is a fenced block of README.md.
type block struct {
	info string // what stands behind the fence
	line int    // of the fence
	text string
}

func readmeBlocks(t *testing.T) (readme string, blocks []block) {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var open *block
	for i, line := range strings.Split(string(b), "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{info: info, line: i + 1}
		case fence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		t.Fatalf("README.md:%d: the block is never closed", open.line)
	}
	return string(b), blocks
}

// swathBinary builds the program into a folder of the test.
func swathBinary(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the program: not with -short")
	}
	binary := filepath.Join(t.TempDir(), "swath")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	cmd := exec.Command("go", "build", "-o", binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it ships, also when the test needs cgo
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// swath runs the program with a home of its own and returns what it printed on standard
// output and on standard error.
func swath(t *testing.T, binary, home, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = cleanEnv("SWATH_HOME=" + home)
	cmd.Stdin = strings.NewReader(stdin)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// cleanEnv is the environment without the user's settings of swath, and with these.
func cleanEnv(add ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "SWATH_") })
	return append(env, add...)
}

func TestReadme(t *testing.T) {
	readme, blocks := readmeBlocks(t)
	binary := swathBinary(t)
	t.Run("commands", func(t *testing.T) { testReadmeCommands(t, binary, blocks) })
	t.Run("flags", func(t *testing.T) { testReadmeFlags(t, binary, blocks) })
	t.Run("verbs", func(t *testing.T) { testReadmeVerbs(t, binary, readme) })
	t.Run("sweep files", func(t *testing.T) { testReadmeSweepFiles(t, binary, readme, blocks) })
}

// testReadmeCommands runs the quick commands.
func testReadmeCommands(t *testing.T, binary string, blocks []block) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh to run the commands with")
	}
	home := t.TempDir()
	ran := 0
	for _, b := range blocks {
		if b.info != "sh" {
			continue
		}
		for i, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
			if strings.Contains(line, "python") && !anyOnPath("python", "python3") {
				t.Logf("README.md:%d: not run, there is no Python: %s", b.line+1+i, line)
				continue
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			cmd := exec.CommandContext(ctx, shell, "-ec", line)
			cmd.Env = cleanEnv("SWATH_HOME="+home, "PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			cancel()
			if err != nil {
				t.Errorf("README.md:%d: %s: %v\n%s", b.line+1+i, line, err, out)
			}
			ran++
		}
	}
	if ran < 5 {
		t.Errorf("only %d commands of README.md were run", ran)
	}
}

func anyOnPath(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, err := exec.LookPath(name)
		return err == nil
	})
}

var flagOfLine = regexp.MustCompile(`(^|\s)(--[a-z][a-z0-9-]*)`)

// testReadmeFlags looks every verb and flag of every command up in the program's own help.
func testReadmeFlags(t *testing.T, binary string, blocks []block) {
	helps := map[string]string{}
	help := func(verb []string) string {
		key := strings.Join(verb, " ")
		if _, ok := helps[key]; !ok {
			out, stderr, err := swath(t, binary, t.TempDir(), "", append(verb, "--help")...)
			if err != nil {
				t.Errorf("swath %s --help: %v\n%s", key, err, stderr)
			}
			helps[key] = out
		}
		return helps[key]
	}
	checked := 0
	for _, b := range blocks {
		if b.info != "sh" && b.info != "sh slow" {
			continue
		}
		for i, line := range strings.Split(b.text, "\n") {
			line = strings.Replace(line, "go run . ", "swath ", 1)
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != "swath" {
				continue
			}
			verb := words[1:2]
			if verb[0] == "data" {
				verb = words[1:3]
			}
			text := help(verb)
			if !strings.Contains(text, "swath "+strings.Join(verb, " ")) {
				t.Errorf("README.md:%d: there is no verb %s", b.line+1+i, strings.Join(verb, " "))
			}
			for _, m := range flagOfLine.FindAllStringSubmatch(line, -1) {
				if !strings.Contains(text, m[2]+" ") {
					t.Errorf("README.md:%d: swath %s has no flag %s", b.line+1+i, strings.Join(verb, " "), m[2])
				}
			}
			checked++
		}
	}
	if checked < 10 {
		t.Errorf("only %d commands found in README.md", checked)
	}
}

// testReadmeVerbs wants every verb that the program has to be in README.md.
func testReadmeVerbs(t *testing.T, binary, readme string) {
	out, stderr, err := swath(t, binary, t.TempDir(), "", "--help")
	if err != nil {
		t.Fatalf("swath --help: %v\n%s", err, stderr)
	}
	_, list, ok := strings.Cut(out, "Available Commands:\n")
	if !ok {
		t.Fatalf("swath --help lists no commands:\n%s", out)
	}
	list, _, _ = strings.Cut(list, "\n\n")
	for _, line := range strings.Split(list, "\n") {
		if verb := strings.Fields(line)[0]; !strings.Contains(readme, "`swath "+verb) {
			t.Errorf("README.md does not tell of the verb %s", verb)
		}
	}
}

// testReadmeSweepFiles plans the sweep file that README.md shows, and one for each key in
// its table, and wants every key that there is to be in it.
func testReadmeSweepFiles(t *testing.T, binary, readme string, blocks []block) {
	plan := func(what, file string) {
		_, stderr, err := swath(t, binary, t.TempDir(), file, "plan", "-", "--limit", "1")
		if err != nil {
			t.Errorf("README.md: %s: %v\n%s\n%s", what, err, stderr, file)
		}
	}
	shown := 0
	for _, b := range blocks {
		if b.info == "yaml" {
			plan(fmt.Sprintf("the file in line %d", b.line), b.text)
			shown++
		}
	}
	if shown == 0 {
		t.Error("README.md shows no sweep file")
	}

	base := map[string]string{
		"method":     "method: grid",
		"command":    "command: [run]",
		"parameters": "parameters: {heads: {values: [2, 4]}, embed_dim: {value: 48}, epochs: {values: [80, 160]}}",
		"metric":     "metric: {name: loss}",
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|.*\\| `([^`|]+)` \\|$")
	example := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(readme, -1) {
		example[m[1]] = m[2]
	}
	for key, text := range example {
		file := text + "\n"
		for other, line := range base {
			runs := []string{"trainer", "program", "command"}
			if other != key && (!slices.Contains(runs, other) || !slices.Contains(runs, key)) {
				file += line + "\n"
			}
		}
		plan("the example of "+key, file)
	}

	// The message about an unknown key lists those that there are.
	_, stderr, err := swath(t, binary, t.TempDir(), "zzzzzzzzzzzzzzzz: 1\n", "plan", "-")
	_, list, ok := strings.Cut(stderr, "the keys of a sweep file are ")
	if err == nil || !ok {
		t.Fatalf("an unknown key is not refused with a list of those that there are:\n%s", stderr)
	}
	list, _, _ = strings.Cut(list, "\n")
	for _, key := range strings.Split(list, ", ") {
		if example[key] == "" {
			t.Errorf("README.md has no row with an example for the key %s of a sweep file", key)
		}
		delete(example, key)
	}
	for key := range example {
		t.Errorf("README.md tells of a key %s, which sweep files do not have", key)
	}
}
