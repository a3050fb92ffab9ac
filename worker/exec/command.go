package exec

import (
	"runtime"
	"slices"
	"strings"
	"time"
)

// Command is an attempt that is ready to be started: its directories and parameters are
// on disk, its program was found. It is plain data, so that another process can start it
// in the agent's place (package worker/keeper).
type Command struct {
	Path string   // of the executable, absolute
	Argv []string // with the program's name
	Dir  string   // the working directory
	Env  []string // all of it; of two entries with one name the later counts

	AttemptDir string
	Grace      time.Duration // between SIGTERM and SIGKILL
	Timeout    time.Duration // of the attempt; 0 for none
	// Note tells people what is done differently from what the spec says; empty mostly.
	Note string
}

// Prepare makes the attempt's directories, writes its parameters and finds its program.
// The error tells why it cannot be started, and [StartOutcome] what that means for the
// trial.
func Prepare(spec Spec) (Command, error) {
	spec, err := spec.normalize()
	if err != nil {
		return Command{}, err
	}
	if err := spec.prepare(); err != nil {
		return Command{}, err
	}
	env := spec.environ()
	prog, err := find(spec.Argv, spec.Dir, lookupEnv(env, "PATH"))
	if err != nil {
		return Command{}, err
	}
	return Command{
		Path: prog.path, Argv: prog.argv, Dir: spec.Dir, Env: env,
		AttemptDir: spec.AttemptDir, Grace: spec.Grace, Timeout: spec.Timeout, Note: prog.note,
	}, nil
}

// uniqueEnv returns the environment with the last entry of each name alone: programs do
// not agree on which of two counts.
func uniqueEnv(env []string) []string {
	seen := make(map[string]bool, len(env))
	out := make([]string, 0, len(env))
	for _, kv := range slices.Backward(env) {
		name, _, _ := strings.Cut(kv, "=")
		if runtime.GOOS == "windows" {
			name = strings.ToUpper(name)
		}
		if name == "" || seen[name] {
			continue // the nameless are how Windows remembers directories of drives
		}
		seen[name] = true
		out = append(out, kv)
	}
	slices.Reverse(out)
	return out
}
