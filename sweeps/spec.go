package sweeps

import (
	"fmt"
	"time"
)

// Method says how points are chosen from the space.
type Method string

// The methods of this version.
const (
	// Grid visits every combination of values once, in W&B's order.
	Grid Method = "grid"
	// Random draws points independently, for ever unless run_cap bounds it.
	Random Method = "random"
)

// Methods lists all methods.
func Methods() []Method { return []Method{Grid, Random} }

// ParseMethod returns the method that s names.
func ParseMethod(s string) (Method, error) {
	if !contains(Methods(), Method(s)) {
		return "", fmt.Errorf("unknown method %q: want one of %v", s, Methods())
	}
	return Method(s), nil
}

// Spec is a decoded sweep file. [Parse] makes it; nobody changes it afterwards.
type Spec struct {
	// Name is the file's name key or, where there is none, the file's base name without
	// its extension; reduced to what CheckName allows.
	Name        string
	Description string
	Method      Method
	// Objective has no Name where the file has no metric; Goal is then Minimize.
	Objective Objective

	// Exactly one of Trainer, Program and a Command without Program is set.

	Trainer string   // the built-in trainer's name; empty for a command
	Program string   // W&B's ${program}
	Command []string // items before macros are replaced; nil for W&B's default

	// RunCap bounds the number of trials; 0 is no bound.
	RunCap int64
	// Repeat runs every point so often, with parameter seed = Seed, Seed+1, …; 0 where
	// the file does not say repeat, and then there is no such parameter.
	Repeat int
	// Seed seeds the random method, and is the first seed of Repeat.
	Seed uint64

	Resources Resources     // that one trial takes
	Requires  []Requirement // of the workers; all must be true
	Timeout   time.Duration // of one attempt; 0 is none
	Retries   int           // charged attempts beyond the first
	Priority  int           // sweeps of a higher one are served first
	Reuse     bool          // take over the results of equal trials of other sweeps
	TimeLimit time.Duration // of the whole sweep, from its submission; 0 is none
	Metrics   []MetricRule  // the file's metrics key; see MetricRules
	Keep      Keep          // the file's checkpoints key
	// Continue names the parameter, by its dotted name, along which trials go on from each
	// other: those of a grid that agree in everything else form a chain in its ascending
	// order, and each begins with the last checkpoint of the one before. Empty for none.
	Continue string
	Env      map[string]string

	Space *Space

	// Warnings are about what is accepted but hardly meant: a key given twice, a
	// macro that W&B would drop.
	Warnings []FileError

	file   string
	places places
}

// MetricRule says how to read a metric off a program's standard output.
type MetricRule struct {
	Name string
	// Pattern is a regular expression (RE2) that is matched against each line; its
	// group named value, or else its first group, is the number. Empty for the
	// convention name=value.
	Pattern string
	Goal    Goal // or empty
}

// MetricRules returns what to read off standard output: the objective by its
// convention, unless the file's metrics have a rule for it, then the file's metrics.
func (s *Spec) MetricRules() []MetricRule {
	var out []MetricRule
	if s.Objective.Name != "" {
		out = append(out, MetricRule{Name: s.Objective.Name, Goal: s.Objective.Goal})
	}
	for _, m := range s.Metrics {
		if m.Name == s.Objective.Name && len(out) > 0 {
			out[0].Pattern = m.Pattern
			continue
		}
		out = append(out, m)
	}
	return out
}

// place is a line and a column of the sweep file, from 1.
type place struct{ line, column int }

// places remembers where in the file the keys stand that may be complained about after
// the file was decoded.
type places struct {
	parameters, repeat place
	keys               map[string]place // of all top-level keys, and of metric.name
}

// ErrorAt makes an error about a part of the spec's file: about a parameter, by its dotted
// name, or else about a top-level key, such as trainer, or metric.name. What the file does not have is
// complained of where the parameters begin.
func (s *Spec) ErrorAt(part, format string, args ...any) *FileError {
	at := s.places.parameters
	if key, ok := s.places.keys[part]; ok {
		at = key
	}
	for _, p := range s.Space.params {
		if p.name() == part {
			at = p.at
		}
	}
	return s.errorAt(at, format, args...)
}

// errorAt makes an error about a place in the spec's file.
func (s *Spec) errorAt(at place, format string, args ...any) *FileError {
	return newFileError(s.file, at, format, args...)
}
