package exec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"swath/sweeps"
	"swath/trainer/report"
)

// DefaultGrace is the time between SIGTERM and SIGKILL.
const DefaultGrace = 10 * time.Second

// Spec says what to run. Nothing in it is changed after it was handed to [Prepare].
type Spec struct {
	// Argv is the program and its arguments. A program without a slash is looked for in
	// PATH, then in Dir; one with a slash is relative to Dir.
	Argv []string
	// Dir is the working directory; empty for the attempt directory.
	Dir string
	// Env holds NAME=value pairs that are added last, over the worker's own environment
	// and the protocol's variables.
	Env []string

	// AttemptDir is made where it does not exist. It must belong to this attempt alone.
	AttemptDir string
	// CheckpointDir and ArtifactDir are made where they do not exist; empty for folders
	// of the attempt directory.
	CheckpointDir, ArtifactDir string
	// Made says that the three are there.
	Made    bool
	DataDir string // handed down; empty for none

	Params  sweeps.Params
	Sweep   string // name or id, handed down
	Trial   sweeps.TrialID
	Attempt int
	CPUs    int // cores that the trial may use, handed down; 0 for no limit

	// Rules say what to read off standard output. They are checked before the start; a
	// [Tail] does the reading.
	Rules []sweeps.MetricRule

	Grace   time.Duration // between SIGTERM and SIGKILL; 0 for DefaultGrace
	Timeout time.Duration // of the attempt; 0 for none
}

// The files of an attempt directory.
func file(dir, name string) string { return filepath.Join(dir, name) }

// ParamsFile is the path of the parameters' JSON file in an attempt directory. It is
// known before the attempt starts, so that a command line can name it.
func ParamsFile(attemptDir string) string { return file(attemptDir, "params.json") }

// ReportFile is the path of the report file in an attempt directory.
func ReportFile(attemptDir string) string { return file(attemptDir, "report.jsonl") }

// CheckpointDir is the path of the checkpoint folder in an attempt directory, where the
// spec names none.
func CheckpointDir(attemptDir string) string { return file(attemptDir, "checkpoint") }

// ErrSpec is wrapped by the errors of [Prepare] and [Start] for an attempt that cannot start anywhere:
// the program does not exist, a pattern does not compile.
var ErrSpec = errors.New("cannot start")

// StartOutcome is the outcome of an attempt that an error kept from starting. What the
// trial is to blame for is of class spec; what the machine is (a full disk, no more
// processes) counts as a lost attempt, which is not charged to the trial.
func StartOutcome(err error) sweeps.Outcome {
	class := sweeps.ClassLost
	if errors.Is(err, ErrSpec) {
		class = sweeps.ClassSpec
	}
	return sweeps.Outcome{Class: class, ExitCode: -1, Message: err.Error()}
}

// normalize returns the spec with absolute paths and defaults filled in.
func (s Spec) normalize() (Spec, error) {
	if len(s.Argv) == 0 || s.Argv[0] == "" {
		return s, fmt.Errorf("%w: the command is empty", ErrSpec)
	}
	if s.AttemptDir == "" {
		return s, fmt.Errorf("%w: no attempt directory", ErrSpec)
	}
	if _, err := report.NewScanner(scanRules(s.Rules)); err != nil {
		return s, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	if s.Grace <= 0 {
		s.Grace = DefaultGrace
	}
	var err error
	for _, p := range []struct {
		path      *string
		otherwise string
	}{
		{&s.AttemptDir, ""},
		{&s.Dir, s.AttemptDir},
		{&s.CheckpointDir, CheckpointDir(s.AttemptDir)},
		{&s.ArtifactDir, file(s.AttemptDir, "artifacts")},
	} {
		if *p.path == "" {
			*p.path = p.otherwise
		}
		// The trainer has another working directory than the worker.
		if *p.path, err = filepath.Abs(*p.path); err != nil {
			return s, fmt.Errorf("resolve %s: %w", *p.path, err)
		}
	}
	return s, nil
}

// prepare makes the attempt's directories and writes its parameters.
func (s Spec) prepare() error {
	if !s.Made {
		for _, dir := range []string{s.AttemptDir, s.CheckpointDir, s.ArtifactDir} {
			if err := makeDir(dir); err != nil {
				return fmt.Errorf("make the attempt's directory: %w", err)
			}
		}
	}
	if err := overwrite(ParamsFile(s.AttemptDir), append(s.Params.JSON(), '\n')); err != nil {
		return fmt.Errorf("write the attempt's parameters: %w", err)
	}
	if st, err := os.Stat(s.Dir); err != nil || !st.IsDir() {
		return fmt.Errorf("%w: the working directory %s does not exist here", ErrSpec, s.Dir)
	}
	return nil
}

// overwrite is os.WriteFile, but does not empty the file first: some file systems take
// that for a reason to write to the disk at once.
func overwrite(path string, data []byte) error {
	f, err := openPlain(path, os.O_CREATE|os.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if st, e := f.Stat(); err == nil && e == nil && st.Size() != int64(len(data)) {
		err = f.Truncate(int64(len(data)))
	}
	return errors.Join(err, f.Close())
}

// makeDir is os.MkdirAll for a directory whose parent is there, mostly.
func makeDir(dir string) error {
	if os.Mkdir(dir, 0o755) == nil {
		return nil
	}
	return os.MkdirAll(dir, 0o755)
}

// BaseEnv is this process's own environment as trainers inherit it: without swath's
// variables, but for the kernel set.
func BaseEnv() []string {
	all := os.Environ()
	env := make([]string, 0, len(all)+1)
	unbuffered := false
	for i, kv := range all {
		ours := strings.HasPrefix(kv, report.EnvPrefix) && !strings.HasPrefix(kv, report.EnvKernel+"=")
		// Two of a name are rare, but the system allows them.
		if ours || defines(all[i+1:], kv) {
			continue
		}
		unbuffered = unbuffered || strings.HasPrefix(kv, "PYTHONUNBUFFERED=")
		env = append(env, kv)
	}
	if !unbuffered {
		// Python buffers output to files by the block, and metrics that are printed
		// would be seen at the end only.
		env = append(env, "PYTHONUNBUFFERED=1")
	}
	return env
}

// environ returns what is added to the environment that the trainer inherits: the
// protocol's variables and the spec's.
func (s Spec) environ() []string {
	env := make([]string, 0, 16+len(s.Env))
	set := func(name, value string) { env = append(env, name+"="+value) }
	set(report.EnvParams, ParamsFile(s.AttemptDir))
	set(report.EnvReport, ReportFile(s.AttemptDir))
	set(report.EnvCheckpointDir, s.CheckpointDir)
	set(report.EnvArtifactDir, s.ArtifactDir)
	set(report.EnvSweep, s.Sweep)
	set(report.EnvTrial, string(s.Trial))
	set(report.EnvAttempt, strconv.Itoa(max(s.Attempt, 1)))
	if s.DataDir != "" {
		set(report.EnvData, s.DataDir)
	}
	if s.CPUs > 0 {
		set(report.EnvCPUs, strconv.Itoa(s.CPUs))
	}
	if seed, ok := s.Params["seed"].(int64); ok {
		set(report.EnvSeed, strconv.FormatInt(seed, 10))
	}
	return append(env, s.Env...)
}

// searchPath returns the PATH of the trainer: the last one added, or the worker's.
func searchPath(added []string) string {
	for _, kv := range slices.Backward(added) {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			return v
		}
	}
	return os.Getenv("PATH")
}

// scanRules says the sweep's rules in the words of package report.
func scanRules(rules []sweeps.MetricRule) []report.Rule {
	out := make([]report.Rule, len(rules))
	for i, r := range rules {
		out[i] = report.Rule{Name: r.Name, Pattern: r.Pattern}
	}
	return out
}
