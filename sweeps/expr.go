package sweeps

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
	"go.yaml.in/yaml/v3"
)

// kind is the type of a parameter's values, as far as it is the same at all points.
type kind int

const (
	kindAny kind = iota
	kindInt
	kindFloat // of whole and other numbers, too
	kindBool
	kindString
)

// kindOf returns the common kind of canonical values.
func kindOf(values []any) kind {
	k := kindAny
	for i, v := range values {
		var this kind
		switch v.(type) {
		case int64:
			this = kindInt
		case float64:
			this = kindFloat
		case bool:
			this = kindBool
		case string:
			this = kindString
		default:
			return kindAny
		}
		switch {
		case i == 0 || this == k:
			k = this
		case this == kindInt && k == kindFloat || this == kindFloat && k == kindInt:
			k = kindFloat
		default:
			return kindAny
		}
	}
	return k
}

// exprType is the kind as the checker of expressions knows it.
func (k kind) exprType() types.Type {
	switch k {
	case kindInt:
		return types.Int
	case kindFloat:
		return types.Float64
	case kindBool:
		return types.Bool
	case kindString:
		return types.String
	default:
		return types.Any
	}
}

// expression is a derived parameter's formula or a constraint.
type expression struct {
	source  string
	at      place
	inPlace bool   // source stands in one line from at.column+quote on
	quote   int    // 1 if a quotation mark comes first
	owner   string // what it is, for messages: `parameter "embed_dim"`, `constraint "a < b"`
	// refers are the parameters that it reads, by their index in Space.params.
	refers  []int
	program *vm.Program
	result  kind
}

// nondeterministic are the built-in functions that a trial must not depend on: the
// clock, the machine's time zone, and the order of Go's maps.
var nondeterministic = map[string]string{
	"now":      "the clock",
	"date":     "the machine's time zone",
	"timezone": "the machine's time zone",
	"keys":     "the order of a mapping, which has none",
	"values":   "the order of a mapping, which has none",
	"toPairs":  "the order of a mapping, which has none",
}

// expression reads an expression's node; nil if it is none.
func (d *decoder) expression(n *yaml.Node, owner string) *expression {
	n = resolve(n)
	if n.Kind != yaml.ScalarNode || isNull(n) {
		d.errorf(n, "%s must be an expression, such as \"a %% b == 0\", not %s; quote it if it has a colon or a comma in it", owner, describe(n))
		return nil
	}
	x := &expression{source: strings.TrimSpace(n.Value), at: placeOf(n), owner: owner}
	if x.source == "" {
		d.errorf(n, "%s is empty: write an expression, such as \"a %% b == 0\"", owner)
		return nil
	}
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		x.quote = 1
	}
	if x.at.line <= len(d.lines) {
		line := []rune(d.lines[x.at.line-1])
		if from := x.at.column - 1 + x.quote; from <= len(line) {
			x.inPlace = strings.HasPrefix(string(line[from:]), n.Value) && x.source == n.Value
		}
	}
	if i := lineComment(x.source); i >= 0 {
		d.errorAt(x.placeAt(utf8.RuneCountInString(x.source[:i])),
			"%s: // begins a comment in an expression; for the whole part of a quotient write int(a / b)", owner)
		return nil
	}
	return x
}

// lineComment returns where // stands outside of quotes, or -1.
func lineComment(s string) int {
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == '\\' && quote != '`' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == '/' && i+1 < len(s) && s[i+1] == '/':
			return i
		}
	}
	return -1
}

// placeAt is the place in the file of a column of the expression, from 0.
func (x *expression) placeAt(column int) place {
	if !x.inPlace {
		return x.at
	}
	return place{x.at.line, x.at.column + x.quote + column}
}

// link finds the parameters that the expression reads.
func (x *expression) link(s *Space) error {
	tree, err := guarded(func() (*parser.Tree, error) { return parser.Parse(x.source) })
	if err != nil {
		return err
	}
	l := linker{}
	ast.Walk(&tree.Node, l)
	for i, p := range s.params {
		for _, path := range l {
			if path[0] == "$env" {
				path = path[1:]
			}
			if n := min(len(path), len(p.path)); slices.Equal(path[:n], p.path[:n]) {
				x.refers = append(x.refers, i)
				break
			}
		}
	}
	return nil
}

// linker is an ast.Visitor that collects the paths of names that an expression reads:
// of a.b.c, the node of the last member and all three names. Where a member is not
// named but computed, the path ends before it and so stands for the whole group.
type linker map[ast.Node][]string

// Visit sees the parts of a node before the node.
func (l linker) Visit(n *ast.Node) {
	switch n := (*n).(type) {
	case *ast.IdentifierNode:
		l[n] = []string{n.Value}
	case *ast.MemberNode:
		base, ok := l[n.Node]
		name, named := n.Property.(*ast.StringNode)
		if ok && named {
			delete(l, n.Node)
			l[n] = append(slices.Clip(base), name.Value)
		}
	}
}

// compile checks the expression's types against the kinds of the parameters, and
// makes it ready to run.
func (x *expression) compile(s *Space, boolean bool) error {
	options := []expr.Option{expr.Env(s.environment())}
	for name := range nondeterministic {
		options = append(options, expr.DisableBuiltin(name))
	}
	options = append(options, checkedArithmetic()...)
	if boolean {
		options = append(options, expr.AsBool())
	}
	program, err := guarded(func() (*vm.Program, error) { return expr.Compile(x.source, options...) })
	if err != nil {
		return err
	}
	x.program = program
	if t := program.Node().Type(); t != nil {
		switch t.Kind() {
		case reflect.Int:
			x.result = kindInt
		case reflect.Float64:
			x.result = kindFloat
		case reflect.Bool:
			x.result = kindBool
		case reflect.String:
			x.result = kindString
		}
	}
	return nil
}

// guarded turns a panic of the expression library into an error: no sweep file may
// take swath down.
func guarded[T any](f func() (T, error)) (out T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot be compiled: %v", r)
		}
	}()
	return f()
}

// explain reports an error of parsing or compiling the expression.
func (d *decoder) explain(x *expression, s *Space, err error) {
	at, message := x.at, err.Error()
	var fe *file.Error
	if errors.As(err, &fe) {
		message = fe.Message
		if fe.Line == 1 {
			at = x.placeAt(fe.Column)
		}
	}
	switch {
	case strings.HasPrefix(message, "unknown name "):
		name := strings.TrimPrefix(message, "unknown name ")
		if why, ok := nondeterministic[name]; ok {
			message = fmt.Sprintf("%s() is not available: a trial must not depend on %s", name, why)
			break
		}
		message = fmt.Sprintf("unknown name %q", name)
		if odd := s.oddName(name); odd != "" {
			message += fmt.Sprintf(`; for the parameter %s write $env["%s"]`, odd, odd)
		} else if hint := didYouMean(name, s.names()); hint != "" {
			message += hint
		} else {
			message += fmt.Sprintf(": the parameters are %s", strings.Join(s.names(), ", "))
		}
	case strings.HasPrefix(message, "unknown field "):
		field := strings.TrimPrefix(message, "unknown field ")
		var fields []string
		for _, p := range s.params {
			fields = append(fields, p.path[1:]...)
		}
		message = fmt.Sprintf("unknown name %q in a group of parameters%s", field, didYouMean(field, fields))
	case strings.HasPrefix(message, "invalid operation: %") && strings.Contains(message, "float64"):
		message += ": % is for whole numbers; make them whole with int(...)"
	case message == "unexpected token EOF":
		message = "something is missing at the end of the expression"
	case strings.HasPrefix(message, "expected bool"):
		message = "a constraint must be true or false, as in a % b == 0; " + message
	}
	d.errorAt(at, "%s: %s", x.owner, message)
}

// oddName returns a parameter's name that begins with name but goes on with what an
// expression takes for an operator, such as batch-size; empty if there is none.
func (s *Space) oddName(name string) string {
	for _, p := range s.params {
		if rest, ok := strings.CutPrefix(p.path[0], name); ok && rest != "" && strings.ContainsAny(rest[:1], ".-") {
			return p.path[0]
		}
	}
	return ""
}

// environment is the type of what expressions see: a name for each parameter, a
// mapping for each group.
func (s *Space) environment() types.Map {
	root := types.Map{}
	for _, p := range s.params {
		group := root
		for _, name := range p.path[:len(p.path)-1] {
			sub, ok := group[name].(types.Map)
			if !ok {
				sub = types.Map{}
				group[name] = sub
			}
			group = sub
		}
		group[p.path[len(p.path)-1]] = p.kind.exprType()
	}
	return root
}

// checkedArithmetic makes an overflow of whole numbers an error, where Go's own
// arithmetic would silently wrap around.
func checkedArithmetic() []expr.Option {
	operations := []struct {
		operator, name string
		do             func(a, b int) (c int, inRange bool)
		real           func(a, b float64) float64
	}{
		{"+", "__add", func(a, b int) (int, bool) {
			c := a + b
			return c, (c > a) == (b > 0)
		}, func(a, b float64) float64 { return a + b }},
		{"-", "__sub", func(a, b int) (int, bool) {
			c := a - b
			return c, (c < a) == (b > 0)
		}, func(a, b float64) float64 { return a - b }},
		{"*", "__mul", func(a, b int) (int, bool) {
			if a == 0 || b == 0 {
				return 0, true
			}
			c := a * b
			return c, c/b == a && (a != -1 || b != c) && (b != -1 || a != c)
		}, func(a, b float64) float64 { return a * b }},
	}
	var options []expr.Option
	for _, op := range operations {
		options = append(options,
			expr.Function(op.name, func(args ...any) (any, error) {
				a, aok := args[0].(int)
				b, bok := args[1].(int)
				if !aok || !bok {
					// The checker takes min(1, 0.5) for an int.
					return op.real(asReal(args[0]), asReal(args[1])), nil
				}
				c, ok := op.do(a, b)
				if !ok {
					return nil, fmt.Errorf("%d %s %d is out of the range of 64-bit integers", a, op.operator, b)
				}
				return c, nil
			}, new(func(int, int) int)),
			expr.Operator(op.operator, op.name))
	}
	return options
}

// asReal converts a number that an expression computed; NaN if it is none.
func asReal(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case float64:
		return v
	default:
		return math.NaN()
	}
}

// toExpr turns a canonical value into what expressions compute with: int for int64,
// which expr's own integers are, and float64 wherever the kind is so.
func toExpr(v any, k kind) any {
	switch v := v.(type) {
	case int64:
		if k == kindFloat {
			return float64(v)
		}
		return int(v)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = toExpr(x, kindAny)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, x := range v {
			out[key] = toExpr(x, kindAny)
		}
		return out
	default:
		return v
	}
}

// fromExpr turns an expression's result into a canonical value.
func fromExpr(v any) (any, error) {
	switch v.(type) {
	case nil, bool, string, int, int64, float64:
		return canonical(v)
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32:
		return r.Int(), nil
	case reflect.Slice, reflect.Array:
		out := make([]any, r.Len())
		for i := range out {
			x, err := fromExpr(r.Index(i).Interface())
			if err != nil {
				return nil, err
			}
			out[i] = x
		}
		return out, nil
	case reflect.Map:
		out := map[string]any{}
		for it := r.MapRange(); it.Next(); {
			x, err := fromExpr(it.Value().Interface())
			if err != nil {
				return nil, err
			}
			out[fmt.Sprint(it.Key().Interface())] = x
		}
		return out, nil
	}
	return nil, fmt.Errorf("a %T cannot be a parameter's value", v)
}
