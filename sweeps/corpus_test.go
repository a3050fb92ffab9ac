package sweeps

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// corpus returns the folder with 120 published W&B sweep files and what W&B's own
// engine makes of them: the environment's SWATH_CORPUS, or a folder shared/corpus
// beside one of the directories above.
func corpus(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("SWATH_CORPUS"); dir != "" {
		return dir
	}
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for {
		candidate := filepath.Join(dir, "shared", "corpus")
		if _, err := os.Stat(filepath.Join(candidate, "wandb")); err == nil {
			return candidate
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Skip("no corpus of W&B sweep files: set SWATH_CORPUS to its folder")
		}
		dir = parent
	}
}

// corpusFiles returns the names of the sweep files, without extension, and their
// contents.
func corpusFiles(t *testing.T) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(corpus(t), "wandb", "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no sweep files in the corpus: %v", err)
	}
	out := map[string][]byte{}
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(path), ".yaml")] = source
	}
	return out
}

// expected reads what the engine answered for a file; false if it was not asked.
func expected(t *testing.T, folder, name string, into any) bool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(corpus(t), folder, name+".json"))
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s/%s: %v", folder, name, err)
	}
	return true
}

// parseRunnable parses a corpus file. Some are published without their program, which
// W&B then takes from its command line; they get one.
func parseRunnable(source []byte, file string) (*Spec, error) {
	s, err := Parse(source, file)
	if err != nil && strings.Contains(err.Error(), "nothing to run") {
		return Parse(append(slices.Clone(source), "\nprogram: train.py\n"...), file)
	}
	return s, err
}

func TestCorpusGrids(t *testing.T) {
	passed, refused := 0, 0
	for name, source := range corpusFiles(t) {
		var want struct {
			Count       int
			Assignments []json.RawMessage
		}
		if !expected(t, "expected", name, &want) {
			continue
		}
		s, err := parseRunnable(source, name+".yaml")
		if err != nil {
			if !strings.Contains(err.Error(), "not supported yet") {
				t.Errorf("%s: %v", name, err)
			}
			refused++
			continue
		}
		p, err := s.Plan()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.Size() != int64(want.Count) || p.Size() != int64(len(want.Assignments)) {
			t.Errorf("%s: %d points, want %d", name, p.Size(), want.Count)
			continue
		}
		for i, raw := range want.Assignments {
			point, err := p.At(int64(i))
			if err != nil {
				t.Fatalf("%s: point %d: %v", name, i, err)
			}
			wanted, err := ParamsFromJSON(raw)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := string(point.Params.JSON()), string(wanted.JSON()); got != want {
				t.Fatalf("%s: point %d is %s, want %s", name, i, got, want)
			}
		}
		passed++
	}
	t.Logf("%d grids expanded as W&B does, %d refused as not supported yet", passed, refused)
	if passed == 0 {
		t.Error("no grid of the corpus was expanded")
	}
}

// TestCorpusVerdicts counts what becomes of all files, so that a change of what is
// accepted shows.
func TestCorpusVerdicts(t *testing.T) {
	accepted, later, refused := 0, 0, 0
	for name, source := range corpusFiles(t) {
		s, err := parseRunnable(source, name+".yaml")
		switch {
		case err == nil:
			accepted++
			if _, err := s.Plan(); err != nil {
				t.Errorf("%s: accepted, but: %v", name, err)
			}
		case strings.Contains(err.Error(), "not supported yet"):
			later++
		default:
			refused++
			t.Logf("refused: %v", err)
		}
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: the error is not ErrInvalid: %v", name, err)
		}
	}
	t.Logf("%d accepted, %d not supported yet, %d refused", accepted, later, refused)
}

var wholeFloat = regexp.MustCompile(`(\b\d+)\.0\b`)

func TestCorpusCommands(t *testing.T) {
	compared := 0
	for name, source := range corpusFiles(t) {
		var want struct {
			RunConfig map[string]struct{ Value json.RawMessage } `json:"run_config"`
			Argv      []string                                   `json:"argv_after_service_json"`
			Forms     map[string]json.RawMessage
		}
		if !expected(t, "expected_command", name, &want) {
			continue
		}
		// The method may be one that is not supported; the command is read anyway.
		s := (&decoder{file: name + ".yaml"}).spec(source)
		if s.Program == "" && s.Command == nil {
			continue
		}
		raw := map[string]json.RawMessage{}
		for k, v := range want.RunConfig {
			raw[k] = v.Value
		}
		b, err := json.Marshal(raw)
		if err != nil {
			t.Fatal(err)
		}
		params, err := ParamsFromJSON(b)
		if err != nil {
			t.Fatal(err)
		}
		argv, err := s.Argv(params, ArgvEnv{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(argv, want.Argv) {
			t.Errorf("%s:\n got %q\nwant %q", name, argv, want.Argv)
		}
		compared++
		for form, raw := range want.Forms {
			var words []string
			if json.Unmarshal(raw, &words) != nil {
				continue // args_dict
			}
			f := &Spec{Program: "p", Command: []string{"x", "${" + form + "}"}}
			argv, err := f.Argv(params, ArgvEnv{})
			if err != nil {
				t.Errorf("%s: %s: %v", name, form, err)
				continue
			}
			// The forms were printed before whole floats became integers.
			got := strings.Join(argv[1:], " ")
			wanted := wholeFloat.ReplaceAllString(strings.Join(words, " "), "$1")
			if got != wanted {
				t.Errorf("%s: %s:\n got %q\nwant %q", name, form, got, wanted)
			}
		}
	}
	t.Logf("%d commands compared", compared)
	if compared == 0 {
		t.Error("no command of the corpus was compared")
	}
}

func TestCorpusQuantiles(t *testing.T) {
	compared := 0
	for name, source := range corpusFiles(t) {
		var want map[string]struct {
			Type string
			Ppf  map[string]json.RawMessage
		}
		if !expected(t, "expected_ppf", name, &want) {
			continue
		}
		s := (&decoder{file: name + ".yaml"}).spec(source)
		for _, p := range s.Space.params {
			w, ok := want[strings.Join(p.path, "/")]
			if !ok {
				t.Errorf("%s: the engine has no parameter %s", name, p.name())
				continue
			}
			for at, raw := range w.Ppf {
				x, err := strconv.ParseFloat(at, 64)
				if err != nil || x == 0 {
					continue
				}
				var wanted any
				if err := json.Unmarshal(raw, &wanted); err != nil {
					t.Fatal(err)
				}
				got := p.quantile(x)
				if !close12(got, wanted) {
					t.Errorf("%s: %s (%s) at %v: got %v, want %v", name, p.name(), w.Type, x, got, wanted)
				}
				compared++
			}
		}
	}
	t.Logf("%d quantiles compared", compared)
	if compared == 0 {
		t.Error("no quantile of the corpus was compared")
	}
}

// close12 compares numbers to 12 digits, and everything else exactly.
func close12(got, want any) bool {
	w, ok := want.(float64)
	if !ok {
		b, err := json.Marshal(want)
		if err != nil {
			return false
		}
		p, err := ParamsFromJSON([]byte(`{"x":` + string(b) + `}`))
		return err == nil && FormatValue(p["x"]) == FormatValue(got)
	}
	var g float64
	switch v := got.(type) {
	case int64:
		g = float64(v)
	case float64:
		g = v
	default:
		return false
	}
	return g == w || math.Abs(g-w) <= 1e-12*math.Abs(w)
}
