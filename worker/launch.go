package worker

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"swath/sweeps"
	"swath/worker/exec"
)

// prepare writes the attempt down and works out what to run. release gives back what
// the attempt takes of the machine; it is never nil.
func (at *attempt) prepare() (run exec.Spec, release func(), err error) {
	a, m := at.agent, at.start
	release = func() {}
	// Whatever is there is not this attempt's: attempts that are held are not begun again.
	if err := os.RemoveAll(at.dir); err != nil {
		return run, release, fmt.Errorf("clear the attempt's directory: %w", err)
	}
	if err := os.MkdirAll(at.dir, 0o755); err != nil {
		return run, release, fmt.Errorf("make the attempt's directory: %w", err)
	}
	if err := writeRecord(at.dir, m); err != nil {
		return run, release, fmt.Errorf("write the attempt down: %w", err)
	}
	spec, err := a.specs.get(m.Source, m.File)
	if err != nil {
		return run, release, fmt.Errorf("%w: the sweep file is not understood here; is worker %s older than the coordinator? %w", exec.ErrSpec, a.cfg.Name, err)
	}
	at.rules = spec.MetricRules()
	run = exec.Spec{
		Dir:        at.workDir(),
		AttemptDir: at.dir,
		DataDir:    a.cfg.DataDir,
		Params:     m.Params,
		Sweep:      m.SweepName,
		Trial:      m.TrialID,
		Attempt:    m.Ref.Attempt,
		CPUs:       cpus(spec.Resources, a.cfg),
		Rules:      at.rules,
		Grace:      a.cfg.Grace,
		Timeout:    spec.Timeout,
	}
	if run.Argv, err = at.argv(spec); err != nil {
		return run, release, err
	}
	taken, fits := a.gpus.take(spec.Resources.GPUs)
	release = func() { a.gpus.give(taken) }
	if !fits {
		at.log.Warn("no GPU has room for the attempt: it shares one that is in use", "gpus", spec.Resources.GPUs)
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Env)) {
		run.Env = append(run.Env, name+"="+spec.Env[name])
	}
	run.Env = append(run.Env, a.gpus.env(taken)...)
	return run, release, nil
}

// argv returns the attempt's command line.
func (at *attempt) argv(spec *sweeps.Spec) ([]string, error) {
	if spec.Trainer != "" {
		if at.agent.cfg.Binary == "" {
			return nil, fmt.Errorf("%w: this worker cannot run the built-in trainer %s: it does not know its own program", exec.ErrSpec, spec.Trainer)
		}
		return []string{at.agent.cfg.Binary, "trainer", spec.Trainer}, nil
	}
	params, err := filepath.Abs(exec.ParamsFile(at.dir))
	if err != nil {
		return nil, err
	}
	argv, err := spec.Argv(at.start.Params, sweeps.ArgvEnv{
		LookupEnv: os.LookupEnv, ParamsFile: params, Windows: runtime.GOOS == "windows",
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", exec.ErrSpec, err)
	}
	return argv, nil
}

// workDir returns the directory that the sweep was submitted from, where it exists here,
// and else the worker's own.
func (at *attempt) workDir() string {
	if dir := at.start.WorkDir; dir != "" {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			return dir
		}
		at.log.Info("the sweep's directory does not exist here; the worker's own takes its place", "dir", dir, "instead", at.agent.cfg.WorkDir)
	}
	return at.agent.cfg.WorkDir
}

// cpus is how many cores a trial may use: what it asked for, or else its share.
func cpus(need sweeps.Resources, cfg Config) int {
	n := need.CPUs
	if n <= 0 {
		n = cfg.Resources.CPUs / float64(cfg.Slots)
	}
	return max(1, int(math.Floor(n+slack)))
}

// specs keeps the sweep files that were parsed, by content: the trials of a sweep share
// one. The zero value is ready for use.
type specs struct {
	mu   sync.Mutex
	done map[[sha256.Size]byte]*sweeps.Spec
}

// maxSpecs bounds the cache; a worker rarely sees more sweeps at a time.
const maxSpecs = 64

func (c *specs) get(source []byte, file string) (*sweeps.Spec, error) {
	key := sha256.Sum256(append([]byte(file+"\x00"), source...))
	c.mu.Lock()
	defer c.mu.Unlock()
	if spec := c.done[key]; spec != nil {
		return spec, nil
	}
	spec, err := sweeps.Parse(source, file)
	if err != nil {
		return nil, err
	}
	if c.done == nil || len(c.done) >= maxSpecs {
		c.done = map[[sha256.Size]byte]*sweeps.Spec{}
	}
	c.done[key] = spec
	return spec, nil
}
