package worker

import (
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

// prepare makes the attempt's directory and works out what to run. It takes nothing of
// the machine: the attempt may have to wait for that.
func (at *attempt) prepare() (exec.Command, error) {
	a, m := at.agent, at.start
	spec, err := a.specs.get(m.Source, m.File)
	if err != nil {
		return exec.Command{}, fmt.Errorf("%w: the sweep file is not understood here; is worker %s older than the coordinator? %w", exec.ErrSpec, a.cfg.Name, err)
	}
	at.spare = a.spares.take(at.dir)
	made := at.spare != nil
	if !made {
		// Whatever is there is not this attempt's: those that are held are not begun again.
		if err := os.RemoveAll(at.dir); err != nil {
			return exec.Command{}, fmt.Errorf("clear the attempt's directory: %w", err)
		}
	}
	run := exec.Spec{
		Dir:        at.workDir(),
		AttemptDir: at.dir,
		Made:       made,
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
		return exec.Command{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Env)) {
		run.Env = append(run.Env, name+"="+spec.Env[name])
	}
	return exec.Prepare(run)
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
		if isDir(dir) {
			return dir
		}
		at.log.Info("the sweep's directory does not exist here; the worker's own takes its place", "dir", dir, "instead", at.agent.cfg.WorkDir)
	}
	return at.agent.cfg.WorkDir
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// cpus is how many cores a trial may use: what it asked for, or else its share.
func cpus(need sweeps.Resources, cfg Config) int {
	n := need.CPUs
	if n <= 0 {
		n = cfg.Resources.CPUs / float64(cfg.Slots)
	}
	return max(1, int(math.Floor(n+1e-9)))
}

// specs keeps the sweep files that were parsed, by name and content: the trials of a
// sweep share one. The zero value is ready for use.
type specs struct {
	mu   sync.Mutex
	n    int
	done map[string]map[string]*sweeps.Spec
}

// maxSpecs bounds the cache; a worker rarely sees more sweeps at a time.
const maxSpecs = 64

func (c *specs) get(source []byte, file string) (*sweeps.Spec, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if spec := c.done[file][string(source)]; spec != nil {
		return spec, nil
	}
	spec, err := sweeps.Parse(source, file)
	if err != nil {
		return nil, err
	}
	if c.done == nil || c.n >= maxSpecs {
		c.done, c.n = map[string]map[string]*sweeps.Spec{}, 0
	}
	if c.done[file] == nil {
		c.done[file] = map[string]*sweeps.Spec{}
	}
	c.done[file][string(source)] = spec
	c.n++
	return spec, nil
}
