package exec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// program is a command that was found.
type program struct {
	path string   // of the executable, absolute
	argv []string // the command as it is run
	note string   // what was replaced; empty where nothing was
}

// found are the programs that were found in a search path of late. The trials of a sweep ask
// for the same one, and to look through the path takes a good part of what a short trial
// costs. For so short a time nobody misses one that comes to lie before it.
var found sync.Map // lookup → sighting

type lookup struct{ name, dir, path string }

type sighting struct {
	file string
	at   time.Time
}

// search is lookProgram that remembers for a moment.
func search(name, dir, path string) (string, error) {
	key := lookup{name, dir, path}
	if v, ok := found.Load(key); ok && time.Since(v.(sighting).at) < time.Second {
		if file := v.(sighting).file; executable(file) == nil {
			return file, nil
		}
	}
	file, err := lookProgram(name, dir, path)
	if err != nil {
		return "", err
	}
	found.Clear() // a sweep's or two: it is not to grow
	found.Store(key, sighting{file, time.Now()})
	return file, nil
}

// find looks the command's program up in the search path of the trainer's environment,
// then in dir. /usr/bin/env, which W&B's commands begin with, is not run: it would do no
// more than this look-up, and a missing interpreter is to be known before anything
// starts. Where there is no python, python3 takes its place: ${interpreter} says python,
// and many systems have only the other.
func find(argv []string, dir, path string) (program, error) {
	p := program{argv: argv}
	if filepath.Base(argv[0]) == "env" && len(argv) > 1 && plainName(argv[1]) {
		p.argv = argv[1:]
	}
	var err error
	p.path, err = search(p.argv[0], dir, path)
	if err != nil && p.argv[0] == "python" {
		if python3, err3 := lookProgram("python3", dir, path); err3 == nil {
			p.note = "no python here; running python3 in its place"
			p.path, err = python3, nil
			p.argv = slices.Concat([]string{"python3"}, p.argv[1:])
		}
	}
	return p, err
}

// plainName reports whether env would take the argument for a program to be found in
// PATH, rather than an option, a variable or a path.
func plainName(arg string) bool {
	return arg != "" && !strings.HasPrefix(arg, "-") && !strings.ContainsAny(arg, "=/\\")
}

// lookProgram returns the absolute path of a program.
func lookProgram(name, dir, path string) (string, error) {
	if strings.Contains(name, "/") || runtime.GOOS == "windows" && strings.Contains(name, `\`) {
		file := name
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		switch err := executable(file); {
		case err == nil:
			return file, nil
		case errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("%w: program %q not found; looked for %s", ErrSpec, name, file)
		default:
			return "", fmt.Errorf("%w: program %q: %w", ErrSpec, name, err)
		}
	}
	if runtime.GOOS == "windows" { // knows the extensions
		if file, err := osexec.LookPath(name); err == nil {
			return file, nil
		}
	}
	for _, d := range filepath.SplitList(path) {
		if !filepath.IsAbs(d) {
			continue // relative to what, would depend on who asks
		}
		if file := filepath.Join(d, name); executable(file) == nil {
			return file, nil
		}
	}
	file := filepath.Join(dir, name)
	err := executable(file)
	switch {
	case err == nil:
		return file, nil
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w: program %q not found; looked in PATH and in %s", ErrSpec, name, dir)
	default:
		return "", fmt.Errorf("%w: program %q is not in PATH, and in %s: %w", ErrSpec, name, dir, err)
	}
}

// executable returns nil for a file that may be run.
func executable(file string) error {
	st, err := os.Stat(file)
	switch {
	case err != nil:
		return err
	case st.IsDir():
		return fmt.Errorf("%s is a folder", file)
	case runtime.GOOS != "windows" && st.Mode()&0o111 == 0:
		return fmt.Errorf("%s is not executable: chmod +x it, or name its interpreter in the command", file)
	}
	return nil
}
