package sweeps

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file turns YAML into values the way that W&B's service sees them: scalars are
// read by YAML 1.1, as the W&B client does (yes, no, on and off are booleans, 017 is
// 15, 1:30 is 90), except that 1e-5 without a dot is a number, as it is by the time
// that W&B's engine reads it. A date is kept as the string that it is written as.

// maxNodes bounds a document after its aliases are expanded, so that a few lines of
// nested aliases cannot eat the machine.
const maxNodes = 1_000_000

var (
	yaml11Bool  = regexp.MustCompile(`^(?:yes|Yes|YES|on|On|ON|(no|No|NO|off|Off|OFF))$`)
	sexagesimal = regexp.MustCompile(`^[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+$`)
	yamlLine    = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	// parserProblem are the messages for which the library gives the line from 0.
	parserProblem = regexp.MustCompile(`^did not find expected (<|node content|'-' indicator|key|',' or)`)
	bigInteger    = regexp.MustCompile(`^[-+]?[0-9_]+$`)
)

// decoder collects the mistakes of one file while it is read.
type decoder struct {
	file   string
	lines  []string // of the source, to find a column within a scalar
	errs   []*FileError
	warned []*FileError
	// meant are the keys that unknown ones were probably meant to be: that they are
	// missing as well is then not worth another message.
	meant map[string]bool
}

func (d *decoder) errorf(n *yaml.Node, format string, args ...any) {
	d.errorAt(placeOf(n), format, args...)
}

func (d *decoder) errorAt(at place, format string, args ...any) {
	d.errs = append(d.errs, newFileError(d.file, at, format, args...))
}

func (d *decoder) warnf(n *yaml.Node, format string, args ...any) {
	d.warned = append(d.warned, newFileError(d.file, placeOf(n), format, args...))
}

func placeOf(n *yaml.Node) place { return place{max(n.Line, 1), max(n.Column, 1)} }

// document parses the source into its root node; nil if that is impossible, and then
// the reason is among the errors.
func (d *decoder) document(source []byte) *yaml.Node {
	d.lines = strings.Split(strings.ReplaceAll(string(source), "\r\n", "\n"), "\n")
	dec := yaml.NewDecoder(bytes.NewReader(source))
	var doc yaml.Node
	err := decodeYAML(dec, &doc)
	if errors.Is(err, io.EOF) {
		d.errorAt(place{1, 1}, "the file is empty: a sweep has at least method, parameters, and trainer or program")
		return nil
	}
	if err != nil {
		d.syntax(err)
		return nil
	}
	var second yaml.Node
	if err := decodeYAML(dec, &second); err == nil {
		d.errorf(&second, "a second document begins here: a file holds one sweep; split the file")
	} else if !errors.Is(err, io.EOF) {
		d.syntax(err)
	}
	if len(doc.Content) == 0 {
		d.errorAt(place{1, 1}, "the file is empty: a sweep has at least method, parameters, and trainer or program")
		return nil
	}
	root := doc.Content[0]
	x := &expansion{sizes: map[*yaml.Node]int{}, open: map[*yaml.Node]bool{}}
	if n := x.of(root); x.loop != nil {
		d.errorf(x.loop, "the alias *%s stands inside the value that it names: write the value out", x.loop.Value)
		return nil
	} else if n > maxNodes {
		d.errorf(root, "the file has more than %d values, aliases expanded: write fewer, or give min and max", maxNodes)
		return nil
	}
	return resolve(root)
}

// decodeYAML guards against a panic of the YAML library: no input may take swath down.
func decodeYAML(dec *yaml.Decoder, n *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: cannot be read (%v)", r)
		}
	}()
	return dec.Decode(n)
}

func (d *decoder) syntax(err error) {
	text := err.Error()
	at := place{1, 1}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		text = text[len(m[0]):]
		if line, err := strconv.Atoi(m[1]); err == nil && line > 0 {
			if parserProblem.MatchString(text) {
				line++
			}
			at.line = min(line, len(d.lines))
			rest := strings.TrimLeft(d.lines[at.line-1], " \t")
			indent := strings.TrimSuffix(d.lines[at.line-1], rest)
			at.column = 1 + len(indent)
			if strings.Contains(indent, "\t") {
				text = "a tab in the indentation; indent with spaces"
			}
		}
	}
	d.errorAt(at, "not valid YAML: %s", text)
}

// expansion computes how many nodes a document has after its aliases are expanded.
type expansion struct {
	sizes map[*yaml.Node]int
	open  map[*yaml.Node]bool
	loop  *yaml.Node // an alias inside of what it names, if there is one
}

// of returns the size of n, or maxNodes + 1 for whatever is larger.
func (e *expansion) of(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode {
		if e.open[n.Alias] {
			e.loop = n
			return 1
		}
		n = n.Alias
	}
	if size, ok := e.sizes[n]; ok {
		return size
	}
	e.open[n] = true
	size := 1
	for _, c := range n.Content {
		size = min(size+e.of(c), maxNodes+1)
	}
	delete(e.open, n)
	e.sizes[n] = size
	return size
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// entry is one key of a mapping, with its value.
type entry struct {
	key   string
	at    *yaml.Node // the key
	value *yaml.Node // never an alias
}

// entries returns the entries of a mapping in the file's order, merges (<<) resolved.
// A key given twice counts with its last value, as it does in W&B, and is warned of.
// If n is no mapping, that is an error about what, and ok is false.
func (d *decoder) entries(n *yaml.Node, what string) (out []entry, ok bool) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		d.errorf(n, "%s must be a mapping (key: value), not %s", what, describe(n))
		return nil, false
	}
	index := map[string]int{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := resolve(n.Content[i]), resolve(n.Content[i+1])
		if k.ShortTag() == "!!merge" {
			merges = append(merges, v)
			continue
		}
		key, ok := d.keyOf(k)
		if !ok {
			continue
		}
		e := entry{key: key, at: k, value: v}
		if j, dup := index[key]; dup {
			d.warnf(k, "%q is given twice, here and in line %d: the value here holds", key, out[j].at.Line)
			out[j] = e
			continue
		}
		index[key] = len(out)
		out = append(out, e)
	}
	for _, m := range merges {
		list := []*yaml.Node{m}
		if m.Kind == yaml.SequenceNode {
			list = m.Content
		}
		for _, x := range list {
			merged, ok := d.entries(x, "what << merges")
			if !ok {
				continue
			}
			for _, e := range merged {
				if _, dup := index[e.key]; !dup {
					index[e.key] = len(out)
					out = append(out, e)
				}
			}
		}
	}
	return out, true
}

// keyOf returns a mapping's key; one that is no string becomes one, as in JSON.
func (d *decoder) keyOf(k *yaml.Node) (string, bool) {
	if k.Kind != yaml.ScalarNode {
		d.errorf(k, "a key must be a name, not %s", describe(k))
		return "", false
	}
	v, ok := d.value(k)
	if !ok {
		return "", false
	}
	return FormatValue(v), true
}

// value returns a node as a canonical parameter value.
func (d *decoder) value(n *yaml.Node) (any, bool) {
	n = resolve(n)
	switch n.Kind {
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		good := true
		for _, c := range n.Content {
			v, ok := d.value(c)
			good = good && ok
			out = append(out, v)
		}
		return out, good
	case yaml.MappingNode:
		entries, good := d.entries(n, "the value")
		out := make(map[string]any, len(entries))
		for _, e := range entries {
			v, ok := d.value(e.value)
			good = good && ok
			out[e.key] = v
		}
		return out, good
	}
	v, err := scalar(n)
	if err != nil {
		d.errorf(n, "%v", err)
		return nil, false
	}
	return v, true
}

// scalar returns a scalar's canonical value.
func scalar(n *yaml.Node) (any, error) {
	switch tag := n.ShortTag(); tag {
	case "!!null":
		return nil, nil
	case "!!bool", "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, fmt.Errorf("%q is not a valid %s", n.Value, tag)
		}
		switch v := v.(type) {
		case bool, int, int64:
			return canonical(v)
		case float64:
			if tag == "!!int" || bigInteger.MatchString(n.Value) {
				break // a float64 would not be the number that was written
			}
			c, err := canonical(v)
			if err != nil {
				return nil, fmt.Errorf("%s is not a finite number; quote it if it is meant as a string", n.Value)
			}
			return c, nil
		}
		return nil, fmt.Errorf("%s is out of the range of 64-bit integers; quote it if it is meant as a string", n.Value)
	case "!!str", "!!timestamp", "!!merge":
		if n.Style == 0 {
			if m := yaml11Bool.FindStringSubmatch(n.Value); m != nil {
				return m[1] == "", nil
			}
			if sexagesimal.MatchString(n.Value) {
				return base60(n.Value)
			}
		}
		return canonical(n.Value)
	default:
		return nil, fmt.Errorf("YAML tag %s is not supported: write a plain value", tag)
	}
}

// base60 reads YAML 1.1's 1:30 as 90.
func base60(s string) (any, error) {
	digits := strings.ReplaceAll(strings.TrimLeft(s, "+-"), "_", "")
	n := int64(0)
	for _, part := range strings.Split(digits, ":") {
		k, err := strconv.ParseInt(part, 10, 64)
		if err != nil || n > (math.MaxInt64-k)/60 {
			return nil, fmt.Errorf("%s is out of the range of 64-bit integers; quote it if it is meant as a string", s)
		}
		n = n*60 + k
	}
	if s[0] == '-' {
		n = -n
	}
	return n, nil
}

// describe names what a node is, for messages.
func describe(n *yaml.Node) string {
	n = resolve(n)
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	v, err := scalar(n)
	if err != nil {
		return strconv.Quote(n.Value)
	}
	switch v := v.(type) {
	case nil:
		return "nothing"
	case bool:
		return fmt.Sprintf("the boolean %t", v)
	case string:
		return fmt.Sprintf("the string %q", shorten(v))
	default:
		return fmt.Sprintf("the number %s", n.Value)
	}
}

// shorten cuts a long text, and makes it one line.
func shorten(s string) string {
	s = strings.ReplaceAll(s, "\n", " ")
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}

// isNull reports whether a node is null or left empty.
func isNull(n *yaml.Node) bool {
	n = resolve(n)
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}
