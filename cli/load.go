package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"swath/sweeps"
)

// sweepFile is a sweep file that was read, and that can be run.
type sweepFile struct {
	file    string
	source  []byte
	spec    *sweeps.Spec
	plan    *sweeps.Plan
	count   sweeps.Count
	workDir string // what the program is relative to
}

// load reads and parses a sweep file; its warnings are told.
func (a *app) load(file string) (*sweepFile, error) {
	source, err := a.readFile(file)
	if err != nil {
		return nil, err
	}
	spec, err := sweeps.Parse(source, file)
	if err != nil {
		return nil, err
	}
	for _, w := range spec.Warnings {
		a.note("%s:%d:%d: warning: %s", w.File, w.Line, w.Column, w.Message)
	}
	plan, err := spec.Plan()
	if err != nil {
		return nil, err
	}
	cwd, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("working directory: %w", err)
	}
	f := &sweepFile{file: file, source: source, spec: spec, plan: plan, count: plan.Count(), workDir: cwd}
	f.chooseWorkDir()
	return f, nil
}

// chooseWorkDir takes the current directory, as W&B's agent does, unless the program is
// not there and is beside the sweep file.
func (f *sweepFile) chooseWorkDir() {
	if f.file == "-" {
		return
	}
	dir, err := filepath.Abs(filepath.Dir(f.file))
	if err != nil {
		return
	}
	for _, name := range f.programFiles() {
		if isFile(filepath.Join(f.workDir, name)) {
			return
		}
		if isFile(filepath.Join(dir, name)) {
			f.workDir = dir
			return
		}
	}
}

// programFiles are the items of the command that may be files.
func (f *sweepFile) programFiles() []string {
	var names []string
	if f.spec.Program != "" {
		names = append(names, f.spec.Program)
	}
	for _, item := range f.spec.Command {
		if !strings.Contains(item, "${") && !strings.HasPrefix(item, "-") {
			names = append(names, item)
		}
	}
	return names
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// check looks, before anything is recorded, for what would make every trial fail: a
// trainer or a program that is not there, parameters that the trainer refuses.
func (f *sweepFile) check() error {
	if f.spec.Trainer == "" {
		return f.checkProgram()
	}
	return f.checkTrainer()
}

// checkProgram looks for the program on this machine.
func (f *sweepFile) checkProgram() error {
	if p := f.spec.Program; p != "" && !isFile(filepath.Join(f.workDir, p)) && !(filepath.IsAbs(p) && isFile(p)) {
		return f.spec.ErrorAt("program", "program %s: no such file in %s or beside the sweep file: run swath where the program is, or pass --no-check if only the workers have it", p, f.workDir)
	}
	planned, err := f.first()
	if err != nil {
		return err
	}
	argv, err := f.argv(planned)
	if err != nil {
		return err
	}
	name := argv[0]
	if strings.ContainsRune(name, filepath.Separator) {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(f.workDir, path)
		}
		if !isFile(path) {
			return f.spec.ErrorAt("command", "program %s: no such file: correct the command, or pass --no-check if only the workers have it", path)
		}
		return nil
	}
	if _, err := exec.LookPath(name); err != nil && name != "python" && !isFile(filepath.Join(f.workDir, name)) {
		return f.spec.ErrorAt("command", "program %q is not on the PATH: install it or correct the command, or pass --no-check if only the workers have it", name)
	}
	return nil
}

// argv is the command line of a trial, as it would be on this machine; none for a
// built-in trainer.
func (f *sweepFile) argv(p sweeps.Planned) ([]string, error) {
	argv, err := f.spec.Argv(p.Params, sweeps.ArgvEnv{LookupEnv: os.LookupEnv, ParamsFile: "params.json"})
	if err != nil {
		return nil, f.spec.ErrorAt("command", "%s, in trial %d", oneLine(err), p.Index)
	}
	return argv, nil
}

// first is the first trial that no constraint excludes.
func (f *sweepFile) first() (sweeps.Planned, error) {
	for i := int64(0); i < f.plan.Size(); i++ {
		p, err := f.plan.At(i)
		if errors.Is(err, sweeps.ErrExcluded) {
			continue
		}
		return p, err
	}
	return sweeps.Planned{}, f.spec.ErrorAt("constraints", "the sweep has no trial: loosen the constraints")
}
