package exec

import (
	"runtime"
	"strings"
	"time"

	"swath/trainer/report"
)

// Command is an attempt that is ready to be started: its directories and parameters are
// on disk, its program was found. It is plain data, so that another process can start it
// in the agent's place (package worker/keeper).
type Command struct {
	Path string   // of the executable, absolute
	Argv []string // with the program's name
	Dir  string   // the working directory
	// Env is added to what the trainer inherits; of entries with one name the last counts.
	Env []string

	AttemptDir string
	Made       bool          // what is there of the streams is empty
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
	prog, err := find(spec.Argv, spec.Dir, searchPath(env))
	if err != nil {
		return Command{}, err
	}
	return Command{
		Path: prog.path, Argv: prog.argv, Dir: spec.Dir, Env: env,
		AttemptDir: spec.AttemptDir, Made: spec.Made, Grace: spec.Grace, Timeout: spec.Timeout, Note: prog.note,
	}, nil
}

// joinEnv returns the inherited environment with what is added to it, and the last entry
// of each name alone: programs do not agree on which of two counts.
func joinEnv(base, added []string) []string {
	out := make([]string, 0, len(base)+len(added))
	foreign := make([]string, 0, len(added)) // what may be inherited, too: see BaseEnv
	for i, kv := range added {
		if !defines(added[i+1:], kv) {
			out = append(out, kv)
			if !strings.HasPrefix(kv, report.EnvPrefix) {
				foreign = append(foreign, kv)
			}
		}
	}
	for _, kv := range base {
		if !defines(foreign, kv) {
			out = append(out, kv)
		}
	}
	return out
}

// defines reports whether one of the entries is of the name that kv is of.
func defines(env []string, kv string) bool {
	n := strings.IndexByte(kv[min(1, len(kv)):], '=') + 2 // Windows has names that begin with =
	if n < 2 {
		return false
	}
	for _, other := range env {
		if len(other) >= n && (other[:n] == kv[:n] || runtime.GOOS == "windows" && strings.EqualFold(other[:n], kv[:n])) {
			return true
		}
	}
	return false
}
