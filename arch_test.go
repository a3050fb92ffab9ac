package main

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The architecture, as tests: who may import whom, who may look at the clock, that every
// package says what it is for. The arrows are drawn in ARCHITECTURE.md; an import that
// breaks one fails here with the reason for the arrow. Change both together.
//
// A pattern names a package by its folder, or with /... behind it the packages under it
// too, or a single file by its path. The imports of tests are checked as well.

// place is a package's place in the house: which packages of ours it may import.
type place struct {
	pkg   string
	may   []string
	tests []string // what its tests may import besides
	why   string
}

// inside are the places. The first that names the importer counts; a package without one
// is an error.
var inside = []place{
	{".", []string{"cli"}, nil,
		"main hands over at once, so that everything can be tested without a process"},
	{"cli", []string{"..."}, nil,
		"the command line joins everything"},

	{"sweeps/...", []string{"sweeps/..."}, nil,
		"the domain is the bottom of the house: what everything stands on stands on nothing"},
	{"results/...", []string{"results/...", "sweeps"}, nil,
		"the read side turns records into rows; it knows no store, no wire and no trainer"},

	{"coordinator/dispatch", []string{"sweeps"}, nil,
		"the dispatcher is a pure function of the domain, so that whole-cluster failures are ordinary tests"},
	{"coordinator/api", []string{"coordinator", "coordinator/dispatch", "proto/...", "results", "sweeps/..."}, []string{"coordinator/..."},
		"the services are thin: they decode, call the coordinator and encode"},
	{"coordinator", []string{"coordinator/dispatch", "sweeps/..."}, []string{"coordinator/..."},
		"the coordinator says in ports.go what it needs; stores and transports provide it, and cli joins them"},
	{"coordinator/...", []string{"coordinator", "coordinator/...", "sweeps/..."}, nil,
		"what serves the coordinator knows nothing of workers and trainers"},

	{"worker/exec", []string{"sweeps", "trainer/report"}, []string{"trainer/fake"},
		"one attempt is one process: it needs no coordinator and no connection"},
	{"worker/...", []string{"worker/...", "proto/wire", "sweeps", "trainer/report"}, []string{"trainer/fake"},
		"coordinator and worker meet on the wire only, and trainers are other processes"},

	{"trainer/report", nil, nil,
		"the trainer protocol is a leaf, so that a trainer in Go takes in nothing else of swath"},
	{"trainer/data/...", []string{"trainer/data/..."}, nil,
		"reading images needs nothing of training"},
	{"trainer/nn/...", []string{"trainer/nn/..."}, nil,
		"operations and kernels know no trainer"},
	{"trainer/...", []string{"trainer/..."}, nil,
		"a trainer is a process that speaks the trainer protocol, whoever started it"},

	{"bench/load", []string{"proto/wire", "sweeps"}, nil,
		"the load comes over the wire, so that the coordinator under it is another process"},

	{"proto/swath/v1", nil, nil,
		"generated code"},
	{"proto/wire", []string{"proto/swath/v1", "sweeps"}, nil,
		"the conversions know the two sides that they join, and nothing else"},
}

// usedBy tells who alone may import a package: packages of others, and some of ours.
var usedBy = []struct {
	target string
	users  []string
	why    string
}{
	{"google.golang.org/protobuf/...", []string{"proto/...", "coordinator/api"},
		"the domain does not know its encoding: proto/wire is the one place that converts"},
	{"google.golang.org/grpc/...", []string{"proto/...", "coordinator/api", "cli"},
		"the transport is behind proto/wire and coordinator/api; cli starts the server and dials the listener in memory"},
	{"swath/proto/swath/v1", []string{"proto/wire", "coordinator/api"},
		"generated messages do not travel through the program: proto/wire turns them into domain types"},
	{"swath/proto/wire", []string{"coordinator/api", "worker/...", "bench/load", "cli"},
		"only what speaks to the other side needs the wire"},
	{"go.etcd.io/bbolt/...", []string{"coordinator/boltstore"},
		"the store is behind coordinator's interfaces, so that another can take its place"},
	{"github.com/spf13/viper", []string{"cli/config.go"},
		"one file turns flags, environment and settings file into a plain Config; nothing below knows where a value came from"},
	{"github.com/spf13/...", []string{"cli"},
		"flags are the command line's business"},
	{"golang.org/x/term", []string{"cli"},
		"terminals are the command line's business"},
	{"gorgonia.org/...", []string{"trainer/..."},
		"the tensor library is heavy: it is behind one folder and one process boundary"},
	{"gonum.org/...", []string{"trainer/..."},
		"arithmetic belongs to the trainers"},
	{"github.com/chewxy/...", []string{"trainer/..."},
		"Gorgonia's types belong to the trainers"},
	{"github.com/expr-lang/expr/...", []string{"sweeps", "results"},
		"one expression language, for the points of a space and for the rows of a result"},
	{"go.yaml.in/yaml/v3", []string{"sweeps"},
		"one reader of sweep files"},
	{"github.com/google/go-cmp/...", []string{"coordinator/storetest"},
		"a help for tests (it panics by design) that the program must not contain"},
	{"swath/trainer/vit", []string{"trainer/builtin", "trainer/bench"},
		"the registry is the only way to a built-in trainer, but for the benchmark that measures it"},
	{"swath/trainer/dcgan", []string{"trainer/builtin", "trainer/bench"},
		"the registry is the only way to a built-in trainer, but for the benchmark that measures it"},
	{"swath/cli", []string{"."},
		"nothing may depend on the command line"},
}

// pure are the packages that compute from their arguments alone.
var pure = map[string]string{
	"sweeps":               "a trial is a function of (spec, index), today and on every machine",
	"coordinator/dispatch": "time arrives as an argument, so that the simulation owns it",
	"results":              "what a table shows is a function of the records",
}

// impure are what a pure package may not import, or may not call of what it imports.
var impure = map[string]string{
	"os": "", "os/exec": "", "os/signal": "", "net": "", "net/http": "", "log": "", "log/slog": "", "syscall": "",
	"math/rand": "", "math/rand/v2": "", "crypto/rand": "",
	"time": "Now Since Until Sleep After AfterFunc Tick NewTimer NewTicker Local",
}

const module = "swath"

// source is one Go file of the repository.
type source struct {
	file string // its path from the root, with slashes
	pkg  string // its folder
	ast  *ast.File
}

func (s source) test() bool { return strings.HasSuffix(s.file, "_test.go") }

// sources parses every Go file of the module, whatever system it is for.
func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	walk(t, func(file string) {
		if path.Ext(file) != ".go" {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash(file), nil, parser.ParseComments)
		if err != nil {
			t.Errorf("parse %s: %v", file, err)
			return
		}
		list = append(list, source{file, path.Dir(file), f})
	})
	if len(list) < 50 {
		t.Fatalf("found %d Go files; the test looks in the wrong place", len(list))
	}
	return list
}

// walk calls fn with every file of this module.
func walk(t *testing.T, fn func(file string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(p, "go.mod"))
			nested := p != "." && err == nil
			if nested || (p != "." && strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci") {
				return fs.SkipDir
			}
			return nil
		}
		if d.Type().IsRegular() {
			fn(filepath.ToSlash(p))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s source) imports(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, spec := range s.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Errorf("%s: import %s: %v", s.file, spec.Path.Value, err)
		}
		list = append(list, p)
	}
	return list
}

// matches reports whether the pattern means the package or file.
func matches(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if root, tree := strings.CutSuffix(pattern, "/..."); tree {
		return name == root || strings.HasPrefix(name, root+"/")
	}
	return name == pattern
}

func anyMatches(patterns []string, names ...string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return matches(p, n) })
	})
}

func TestArrowsInside(t *testing.T) {
	for _, s := range sources(t) {
		i := slices.IndexFunc(inside, func(p place) bool { return matches(p.pkg, s.pkg) })
		if i < 0 {
			t.Errorf("package %s has no place in the house yet: give it one in arch_test.go and in ARCHITECTURE.md", s.pkg)
			continue
		}
		rule := inside[i]
		for _, imported := range s.imports(t) {
			ours, ok := strings.CutPrefix(imported, module+"/")
			if !ok || ours == s.pkg || anyMatches(rule.may, ours) || (s.test() && anyMatches(rule.tests, ours)) {
				continue
			}
			t.Errorf("%s imports %s, but may import only %v: %s", s.file, imported, rule.may, rule.why)
		}
	}
}

func TestArrowsOutside(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		for _, imported := range s.imports(t) {
			for _, rule := range usedBy {
				if !matches(rule.target, imported) {
					continue
				}
				used[rule.target] = true
				testHelp := s.test() && strings.Contains(rule.target, "/go-cmp/")
				if !anyMatches(rule.users, s.pkg, s.file) && !testHelp && s.pkg != strings.TrimPrefix(imported, module+"/") {
					t.Errorf("%s imports %s, which is for %v alone: %s", s.file, imported, rule.users, rule.why)
				}
				break // the first rule that names the target counts
			}
		}
	}
	for _, rule := range usedBy {
		if !used[rule.target] && !strings.HasPrefix(rule.target, module+"/") {
			t.Errorf("nobody imports %s any more: remove its rule", rule.target)
		}
	}
}

// TestReportIsALeaf keeps the trainer protocol free of everything but the standard library.
func TestReportIsALeaf(t *testing.T) {
	for _, s := range sources(t) {
		if s.pkg != "trainer/report" || s.test() {
			continue
		}
		for _, imported := range s.imports(t) {
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") || first == module {
				t.Errorf("%s imports %s: the trainer protocol is made of the standard library alone", s.file, imported)
			}
		}
	}
}

func TestPurity(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		why, ok := pure[s.pkg]
		if !ok || s.test() {
			continue
		}
		seen[s.pkg] = true
		for _, imported := range s.imports(t) {
			if calls, ok := impure[imported]; ok && calls == "" {
				t.Errorf("%s imports %s, but package %s is pure: %s", s.file, imported, s.pkg, why)
			}
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine, but package %s is pure: %s", s.file, s.pkg, why)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && slices.Contains(strings.Fields(impure[x.Name]), n.Sel.Name) {
					t.Errorf("%s uses %s.%s, but package %s is pure: %s", s.file, x.Name, n.Sel.Name, s.pkg, why)
				}
			}
			return true
		})
	}
	for _, pkg := range slices.Sorted(maps.Keys(pure)) {
		if !seen[pkg] {
			t.Errorf("package %s does not exist: correct the list of pure packages", pkg)
		}
	}
}

// TestPackageDocs wants a comment on every package that says more than its name.
func TestPackageDocs(t *testing.T) {
	docs := map[string]string{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		docs[s.pkg] += strings.TrimSpace(s.ast.Doc.Text())
	}
	for _, pkg := range slices.Sorted(maps.Keys(docs)) {
		if n := len(docs[pkg]); n < 80 {
			t.Errorf("package %s has a doc comment of %d characters; say what it is for, its vocabulary and its rules", pkg, n)
		}
	}
}

// TestNoMachinePaths finds paths of the machine that somebody worked on: they mean
// nothing to anybody else.
func TestNoMachinePaths(t *testing.T) {
	local := regexp.MustCompile(`(?m)(^|[^\w.-])/(work|root|home/[a-z]\w*|Users/[A-Za-z]\w*)/`)
	walk(t, func(file string) {
		if file == ".git" {
			return // of a work tree: it says where the repository is
		}
		b, err := os.ReadFile(filepath.FromSlash(file))
		if errors.Is(err, fs.ErrNotExist) {
			return // a test's temporary file
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(b[:min(len(b), 8<<10)], 0) >= 0 {
			return // not a text
		}
		if at := local.FindIndex(b); at != nil {
			line := 1 + bytes.Count(b[:at[1]], []byte("\n"))
			t.Errorf("%s:%d: %q is a path of somebody's machine", file, line, bytes.TrimSpace(b[at[0]:at[1]]))
		}
	})
}
