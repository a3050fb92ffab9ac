package sweeps

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// golden compares got with testdata/NAME, or rewrites that file under -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run go test -update and look at the change\n--- got\n%s--- want\n%s", path, got, want)
	}
}

// globbed returns the sweep files in testdata whose names end so.
func globbed(t testing.TB, ending string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "*"+ending))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no *%s in testdata: %v", ending, err)
	}
	return paths
}

// parsePlan parses a sweep and makes its plan.
func parsePlan(source []byte, file string) (*Spec, *Plan, error) {
	s, err := Parse(source, file)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.Plan()
	return s, p, err
}

func TestBadFiles(t *testing.T) {
	for _, path := range globbed(t, ".bad.yaml") {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = parsePlan(source, filepath.Base(path))
			if err == nil {
				t.Fatal("no error")
			}
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("not ErrInvalid: %v", err)
			}
			var fe *FileError
			if !errors.As(err, &fe) || fe.Line < 1 || fe.Column < 1 {
				t.Errorf("no place in the file: %v", err)
			}
			golden(t, name+".golden", err.Error()+"\n")
		})
	}
}

// TestGoodFiles prints what each file is taken for, and the first trials of its plan.
func TestGoodFiles(t *testing.T) {
	for _, path := range globbed(t, ".good.yaml") {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s, p, err := parsePlan(source, filepath.Base(path))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".golden", printPlan(t, s, p))
		})
	}
}

func printPlan(t *testing.T, s *Spec, p *Plan) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "name %q, method %s, objective %s %q, trainer %q, program %q, command %q\n",
		s.Name, s.Method, s.Objective.Goal, s.Objective.Name, s.Trainer, s.Program, s.Command)
	fmt.Fprintf(&b, "run cap %d, repeat %d, seed %d, resources %v, timeout %v, retries %d, env %v\n",
		s.RunCap, s.Repeat, s.Seed, s.Resources, s.Timeout, s.Retries, s.Env)
	for _, m := range s.MetricRules() {
		fmt.Fprintf(&b, "metric %q, pattern %q, goal %q\n", m.Name, m.Pattern, m.Goal)
	}
	for _, w := range s.Warnings {
		fmt.Fprintf(&b, "warning %v\n", w)
	}
	for _, q := range s.Space.Parameters() {
		fmt.Fprintf(&b, "parameter %s: %s, size %d: %s\n", q.Name, q.Distribution, q.Size, q.Text)
	}
	fmt.Fprintf(&b, "constraints %q\n", s.Space.Constraints())
	fmt.Fprintf(&b, "size %d, %+v\n", p.Size(), p.Count())
	for i := range min(p.Size(), 12) {
		point, err := p.At(i)
		if err != nil {
			fmt.Fprintf(&b, "%d %s: %v\n", i, point.Params.JSON(), err)
			continue
		}
		argv, err := s.Argv(point.Params, ArgvEnv{ParamsFile: "/p.json"})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%d %s %s", i, point.ID, point.Params.JSON())
		if argv != nil {
			fmt.Fprintf(&b, " %q", argv)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
