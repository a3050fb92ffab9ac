package trainer

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Param is one hyperparameter of a trainer.
type Param struct {
	Name string
	// Default is an int, float64, bool or string, and so says the parameter's type; it is
	// what a trial that does not name the parameter trains with.
	Default any
	Help    string // one line: meaning, unit, what 0 stands for

	// Min and Max bound a number, both included unless Open says otherwise. An
	// unset Max (0 with Min ≥ 0) is no bound.
	Min, Max float64
	Open     Bounds

	// Choices are the values that a string may have; none means any.
	Choices []string
}

// Bounds says which ends of a range do not belong to it.
type Bounds int

// The open ends of a range.
const (
	Closed  Bounds = 0
	OpenMin Bounds = 1
	OpenMax Bounds = 2
)

// Values are the parameters of one trial, checked by [Decode].
type Values struct {
	values map[string]any // by the type of the default
	given  map[string]bool
}

// Int returns an integer parameter.
func (v Values) Int(name string) int { return v.values[name].(int) }

// Float returns a real parameter.
func (v Values) Float(name string) float64 { return v.values[name].(float64) }

// String returns a text parameter.
func (v Values) String(name string) string { return v.values[name].(string) }

// Bool returns a parameter that is true or false.
func (v Values) Bool(name string) bool { return v.values[name].(bool) }

// Given reports whether the trial named the parameter itself.
func (v Values) Given(name string) bool { return v.given[name] }

// Decode checks the parameters of one trial against those of a trainer and fills in
// the defaults. It accepts what JSON and YAML readers produce: any integer type,
// integral floats for integers, json.Number. The error names all that is wrong.
func Decode(trainer string, params []Param, given map[string]any) (Values, error) {
	v := Values{values: map[string]any{}, given: map[string]bool{}}
	known := make([]string, len(params))
	for i, p := range params {
		known[i] = p.Name
		v.values[p.Name] = p.Default
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		i := slices.Index(known, name)
		if i < 0 {
			errs = append(errs, fmt.Errorf("%s: %s has no such parameter%s", name, trainer, hint(name, known)))
			continue
		}
		value, err := params[i].convert(given[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		v.values[name], v.given[name] = value, true
	}
	return v, Join(errs...)
}

// DecodeJSON is [Decode] of a JSON object.
func DecodeJSON(trainer string, params []Param, object []byte) (Values, error) {
	given := map[string]any{}
	if err := json.Unmarshal(object, &given); err != nil {
		return Values{}, fmt.Errorf("reading the trial's parameters: %w", err)
	}
	return Decode(trainer, params, given)
}

// convert returns x as the type of the default, if it is that and in range.
func (p *Param) convert(x any) (any, error) {
	switch p.Default.(type) {
	case bool:
		if b, ok := x.(bool); ok {
			return b, nil
		}
		return nil, fmt.Errorf("want true or false, not %s", show(x))
	case string:
		s, ok := x.(string)
		if !ok {
			return nil, fmt.Errorf("want text, not %s", show(x))
		}
		if len(p.Choices) > 0 && !slices.Contains(p.Choices, s) {
			return nil, fmt.Errorf("%q is none of %s%s", s, strings.Join(p.Choices, ", "), hint(s, p.Choices))
		}
		return s, nil
	case int:
		f, ok := number(x)
		if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return nil, fmt.Errorf("want an integer, not %s", show(x))
		}
		return int(f), p.check(f)
	default:
		f, ok := number(x)
		if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("want a number, not %s", show(x))
		}
		return f, p.check(f)
	}
}

// check reports a number outside the parameter's range.
func (p *Param) check(f float64) error {
	low := f < p.Min || p.Open&OpenMin != 0 && f == p.Min
	bounded := p.Max > p.Min
	high := bounded && (f > p.Max || p.Open&OpenMax != 0 && f == p.Max)
	if !low && !high {
		return nil
	}
	from, to := "at least", "at most"
	if p.Open&OpenMin != 0 {
		from = "more than"
	}
	if p.Open&OpenMax != 0 {
		to = "less than"
	}
	if !bounded {
		return fmt.Errorf("%s is out of range: want %s %s", show(f), from, show(p.Min))
	}
	return fmt.Errorf("%s is out of range: want %s %s and %s %s", show(f), from, show(p.Min), to, show(p.Max))
}

// number returns x if it is a number of any type.
func number(x any) (float64, bool) {
	switch n := x.(type) {
	case int:
		return float64(n), true
	case int32:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	case float32:
		return float64(n), true
	case float64:
		return n, true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	}
	return 0, false
}

// show prints a parameter's value for a message.
func show(x any) string {
	switch x := x.(type) {
	case string:
		return strconv.Quote(x)
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	case nil:
		return "nothing (null)"
	}
	return fmt.Sprint(x)
}

// hint suggests the known names that an unknown one may stand for: the nearest one, else
// those of which it is a word (patch for patch_size), or the initials (lr for
// learning_rate). Where nothing comes near it lists all.
func hint(name string, known []string) string {
	name = strings.ToLower(name)
	best, distance := "", 1+max(2, len(name)/3)
	var partly []string
	for _, k := range known {
		if d := editDistance(name, k); d < distance && d < len(name) {
			best, distance = k, d
		}
		words, initials := strings.Split(k, "_"), ""
		for _, w := range words {
			initials += w[:min(1, len(w))]
		}
		if slices.Contains(words, name) || len(words) > 1 && initials == name {
			partly = append(partly, strconv.Quote(k))
		}
	}
	switch {
	case len(partly) > 0 && distance > 1:
		return fmt.Sprintf("; did you mean %s?", strings.Join(partly, " or "))
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; it has " + strings.Join(known, ", ")
}

// editDistance is Levenshtein's: the fewest insertions, deletions and replacements of bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// problems are several errors on one line, as a sweep file's reader or a log wants them.
type problems []error

func (p problems) Error() string {
	texts := make([]string, len(p))
	for i, err := range p {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (p problems) Unwrap() []error { return p }

// Join is errors.Join with the messages on one line. It returns nil if every error is nil.
func Join(errs ...error) error {
	var p problems
	for _, err := range errs {
		if err != nil {
			p = append(p, err)
		}
	}
	if len(p) == 0 {
		return nil
	}
	return p
}
