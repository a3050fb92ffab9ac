package report

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Rule says how to find a metric in what a program prints.
type Rule struct {
	// Name is the metric's name. It may be empty where the pattern finds the name.
	Name string
	// Pattern is a regular expression (RE2 syntax), matched as often as it occurs on a
	// line. Empty for the convention name=value.
	//
	// With a Name, the group named value, or else the first group, is the value; the
	// pattern replaces the convention for that metric. Without a Name, the groups named
	// name and value, or else the first two in this order, are the name and the value. A
	// group named step is the step.
	Pattern string
}

// Scanner finds metrics in the lines that a program prints. It is for one goroutine.
//
// # The convention
//
// A metric is found wherever its name, an equals sign and a number follow each other on
// a line, with spaces or tabs around the sign or without: "epoch=3 loss=0.31 acc = 9e-1".
//
//   - The name must not be part of a longer one: loss is not found in val_loss=1,
//     train/loss=1, train.loss=1 or --loss=1.
//   - The number is decimal, with or without a sign, a fraction and an exponent, or nan,
//     inf or infinity in any case. A unit may follow (0.3s, 85%), or punctuation; what
//     looks like a version, a time, a date or a hexadecimal number is no value.
//   - A colon is not an equals sign.
//
// # The step
//
// The step of a line's metrics is the integer in step=N on the same line, else in
// epoch=N (in any case of letters), else the metric's previous step plus one, from 1.
//
// # Lines
//
// A carriage return ends a line like a line feed does, as progress bars need it; escape
// sequences of terminals are ignored.
type Scanner struct {
	names    []string // found by convention
	patterns []pattern
	steps    steps
}

// pattern is a compiled rule; groups are indices of submatches, 0 for none.
type pattern struct {
	re                *regexp.Regexp
	metric            string
	name, value, step int
}

// NewScanner returns a scanner for the rules. The error names the rule that cannot work,
// and why.
func NewScanner(rules []Rule) (*Scanner, error) {
	s := &Scanner{}
	named := map[string]bool{}
	for _, r := range rules {
		if r.Pattern == "" {
			if r.Name == "" {
				return nil, errors.New("a metric needs a name or a pattern")
			}
			if !named[r.Name] {
				s.names = append(s.names, r.Name)
			}
			named[r.Name] = true
			continue
		}
		p, err := compile(r)
		if err != nil {
			what := fmt.Sprintf("metric %q", r.Name)
			if r.Name == "" {
				what = "metrics"
			}
			return nil, fmt.Errorf("%s: pattern %q: %w", what, r.Pattern, err)
		}
		s.patterns = append(s.patterns, p)
	}
	// Where one name ends another ("loss" and "val loss"), the longer one is meant.
	slices.SortStableFunc(s.names, func(a, b string) int { return len(b) - len(a) })
	return s, nil
}

func compile(r Rule) (pattern, error) {
	re, err := regexp.Compile(r.Pattern)
	if err != nil {
		return pattern{}, err
	}
	p := pattern{
		re: re, metric: r.Name,
		name:  max(re.SubexpIndex("name"), 0),
		value: max(re.SubexpIndex("value"), 0),
		step:  max(re.SubexpIndex("step"), 0),
	}
	var unnamed []int
	for i, name := range re.SubexpNames() {
		if i > 0 && name == "" {
			unnamed = append(unnamed, i)
		}
	}
	if r.Name == "" && p.name == 0 {
		if len(unnamed) == 0 {
			return pattern{}, errors.New("it has no group for the name: give the metric a name, or write (?P<name>…)")
		}
		p.name, unnamed = unnamed[0], unnamed[1:]
	}
	if p.value == 0 {
		if len(unnamed) == 0 {
			return pattern{}, errors.New("it has no group for the value: put the number in parentheses, or write (?P<value>…)")
		}
		p.value = unnamed[0]
	}
	return p, nil
}

// Idle reports whether no line could hold a metric, so that reading is no use.
func (s *Scanner) Idle() bool { return len(s.names) == 0 && len(s.patterns) == 0 }

// Line returns the metrics on a line, without times, in the order of the rules' kinds:
// by convention from left to right, then pattern by pattern. The line may hold carriage
// returns, and need not be text.
func (s *Scanner) Line(line []byte) []Point {
	if s.Idle() {
		return nil
	}
	var points []Point
	for part := range bytes.FieldsFuncSeq(line, func(r rune) bool { return r == '\r' || r == '\n' }) {
		if len(s.patterns) == 0 && bytes.IndexByte(part, '=') < 0 {
			continue // most of what programs print
		}
		points = s.scan(string(PlainText(part)), points)
	}
	return points
}

func (s *Scanner) scan(line string, points []Point) []Point {
	step, stepKnown, looked := int64(0), false, false
	lineStep := func() (int64, bool) {
		if !looked {
			step, stepKnown = stepOnLine(line)
			looked = true
		}
		return step, stepKnown
	}
	if len(s.names) > 0 {
		eachAssignment(line, func(left string, v float64) {
			for _, name := range s.names {
				if endsWithName(left, name) {
					n, known := lineStep()
					points = append(points, Point{Metric: name, Step: s.steps.take(name, n, known), Value: v})
					return
				}
			}
		})
	}
	for _, p := range s.patterns {
		for _, m := range p.re.FindAllStringSubmatchIndex(line, -1) {
			v, ok := parseNumber(strings.TrimSpace(group(line, m, p.value)))
			if !ok {
				continue
			}
			name := p.metric
			if p.name > 0 {
				found := strings.TrimSpace(group(line, m, p.name))
				if name != "" && found != name || found == "" || len(found) > maxName {
					continue
				}
				name = found
			}
			n, known := lineStep()
			if own, ok := parseNumber(strings.TrimSpace(group(line, m, p.step))); ok && p.step > 0 {
				if i, ok := integral(own); ok {
					n, known = i, true
				}
			}
			points = append(points, Point{Metric: name, Step: s.steps.take(name, n, known), Value: v})
		}
	}
	return points
}

func group(line string, match []int, i int) string {
	if match[2*i] < 0 {
		return "" // a group that took no part
	}
	return line[match[2*i]:match[2*i+1]]
}

// stepOnLine returns the integer in step=N, or else in epoch=N.
func stepOnLine(line string) (step int64, known bool) {
	isStep := false
	eachAssignment(line, func(left string, v float64) {
		n, ok := integral(v)
		if !ok || isStep {
			return
		}
		switch {
		case endsWithFold(left, "step"):
			step, known, isStep = n, true, true
		case !known && endsWithFold(left, "epoch"):
			step, known = n, true
		}
	})
	return step, known
}

// eachAssignment calls f for every equals sign of the line with a number behind it: with
// what stands before the sign, spaces trimmed, and the number.
func eachAssignment(line string, f func(left string, v float64)) {
	for from := 0; ; {
		i := strings.IndexByte(line[from:], '=')
		if i < 0 {
			return
		}
		i += from
		from = i + 1
		right := strings.TrimLeft(line[from:], " \t")
		v, n := scanNumber(right)
		if n > 0 && endsNumber(right[n:]) {
			f(strings.TrimRight(line[:i], " \t"), v)
		}
	}
}

// endsNumber reports whether a number may end where rest begins: at a unit of letters, at
// punctuation or at the end, but not inside a word, a version, a time or a date.
func endsNumber(rest string) bool {
	rest = strings.TrimLeftFunc(rest, func(r rune) bool {
		return r < 0x80 && isLetter(byte(r)) || r == '%' || r == 'µ'
	})
	if rest == "" {
		return true
	}
	if isDigit(rest[0]) || rest[0] == '_' {
		return false
	}
	joins := rest[0] == '.' || rest[0] == ':' || rest[0] == '-'
	return !joins || len(rest) < 2 || !isDigit(rest[1])
}

// endsWithName reports whether s ends with the name, and not with a longer one.
func endsWithName(s, name string) bool {
	return strings.HasSuffix(s, name) && !endsInName(s[:len(s)-len(name)])
}

func endsWithFold(s, name string) bool {
	n := len(s) - len(name)
	return n >= 0 && strings.EqualFold(s[n:], name) && !endsInName(s[:n])
}

// endsInName reports whether the last rune of s can stand inside a metric's name.
func endsInName(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-./", r)
}

// PlainText returns the line without the escape sequences of terminals: colours, cursor
// movements, titles and links. It returns the line itself where there are none.
func PlainText(line []byte) []byte {
	const esc, bell = 0x1b, 0x07
	i := bytes.IndexByte(line, esc)
	if i < 0 {
		return line
	}
	out := append(make([]byte, 0, len(line)), line[:i]...)
	for i < len(line) {
		if line[i] != esc {
			out = append(out, line[i])
			i++
			continue
		}
		i++
		if i == len(line) {
			break
		}
		switch line[i] {
		case '[': // CSI: parameters, intermediates, one final byte
			for i++; i < len(line) && line[i] >= 0x20 && line[i] <= 0x3f; i++ {
			}
			i++
		case ']': // OSC: up to a bell or ESC \
			for i++; i < len(line) && line[i] != bell && line[i] != esc; i++ {
			}
			if i+1 < len(line) && line[i] == esc && line[i+1] == '\\' {
				i++
			}
			i++
		default: // two bytes, or more with intermediates as in ESC ( B
			for ; i < len(line) && line[i] >= 0x20 && line[i] <= 0x2f; i++ {
			}
			i++
		}
	}
	return out
}
