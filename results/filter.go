package results

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// maxExpression bounds the length of an expression, and with it the depth of the
// parser's recursion.
const maxExpression = 16 << 10

// maxNodes bounds what an expression compiles to, and with it the time that a row
// takes. The middle of a < b < c is compiled twice, so nesting could double it.
const maxNodes = 10_000

// maxShown is how much of an expression an error repeats.
const maxShown = 500

// Filter is a compiled expression that a row matches or not. It may be used by several
// goroutines at a time.
//
// The language is that of expr-lang/expr, parsed by it: comparisons, and or not, in
// and not in, matches, contains, startsWith, endsWith, arithmetic, ??, ?:, lists,
// nil, and the functions that [Functions] lists. It is evaluated here and not by
// expr's virtual machine because a row need not have every value: where one is
// missing (or NaN) a comparison is false, "!=" and "not in" included, and arithmetic
// and functions give nothing. x == nil and x ?? y ask for it.
type Filter struct {
	source string
	test   func(*Row) value
	hints  []string
}

// String returns the expression as it was given.
func (f *Filter) String() string { return f.source }

// Match reports whether the row matches. An error means that the expression makes no
// sense for the row's values (a product of strings, say); missing values are none.
func (f *Filter) Match(r Row) (bool, error) { return f.match(&r) }

func (f *Filter) match(r *Row) (bool, error) {
	switch v := f.test(r); v.kind {
	case boolean:
		return v.truth(), nil
	case missing:
		return false, nil
	case fault:
		err, _ := v.ref.(error)
		return false, fmt.Errorf("filter %q on trial %d: %w", cut(f.source, maxShown), r.Index, err)
	default:
		return false, invalidf("filter %q on trial %d: the expression gives %s, want true or false", cut(f.source, maxShown), r.Index, v.kind)
	}
}

// Hints are those of the columns that the expression names; see [Column.Hint].
func (f *Filter) Hints() []string { return f.hints }

// Compile compiles an expression over the names of fields. Its errors name the column
// in the expression.
func Compile(source string, fields Fields) (*Filter, error) {
	if len(source) > maxExpression {
		return nil, invalidf("filter: the expression has %d bytes, at most %d are allowed", len(source), maxExpression)
	}
	c := &compiler{source: source, fields: &fields}
	if strings.TrimSpace(source) == "" {
		return nil, invalidf("filter: the expression is empty; try one as in: state == \"finished\"")
	}
	tree, err := parse(source)
	if err != nil {
		return nil, c.parseError(err)
	}
	n, err := c.compile(tree.Node)
	if err != nil {
		return nil, err
	}
	if n.kind != boolean && n.kind != unknown {
		return nil, c.errorAt(start(tree.Node), "the expression gives %s, want true or false: compare it with something", n.kind)
	}
	return &Filter{source: source, test: n.eval, hints: c.hints}, nil
}

// parse calls expr's parser. What it does with hostile input is not in our hands, so
// a panic of it becomes an error.
func parse(source string) (tree *parser.Tree, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot be parsed: %v", r)
		}
	}()
	tree, err = parser.Parse(source)
	if err == nil && tree.Node == nil {
		err = errors.New("cannot be parsed")
	}
	return tree, err
}

// compiler turns a syntax tree into closures.
type compiler struct {
	source string
	fields *Fields
	size   int // nodes compiled so far
	hints  []string
}

// parseError makes one line of a parser's error and adds what people mistake most.
func (c *compiler) parseError(err error) error {
	var e *file.Error
	if !errors.As(err, &e) {
		return invalidf("filter %q: %v", cut(c.source, maxShown), err)
	}
	hint := ""
	switch {
	case strings.Contains(e.Message, `Operator("=")`):
		hint = " (equality is ==)"
	case strings.Contains(e.Message, `Identifier("AND")`), strings.Contains(e.Message, `Identifier("OR")`),
		strings.Contains(e.Message, `Identifier("NOT")`), strings.Contains(e.Message, `Identifier("IN")`):
		hint = " (and, or, not, in are written small)"
	case strings.Contains(e.Message, "token EOF"), strings.Contains(e.Message, "end of expression"):
		hint = " (the expression ends too early)"
	}
	return c.errorAt(e.Location, "%s%s", strings.ReplaceAll(e.Message, "\n", " "), hint)
}

// errorAt returns an error about a place in the expression.
func (c *compiler) errorAt(loc file.Location, format string, args ...any) error {
	line, column := 1, 1
	for i, r := range []rune(c.source) {
		if i >= loc.From {
			break
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	place := fmt.Sprintf("column %d", column)
	if strings.Contains(strings.TrimSpace(c.source), "\n") {
		place = fmt.Sprintf("line %d, column %d", line, column)
	}
	return invalidf("filter %q: %s: %w", cut(c.source, maxShown), place, fmt.Errorf(format, args...))
}

// start is where an expression begins. The location of an operator's node is that of
// the operator, and of a member's that of the last name.
func start(n ast.Node) file.Location {
	switch n := n.(type) {
	case *ast.BinaryNode:
		return start(n.Left)
	case *ast.MemberNode:
		return start(n.Node)
	case *ast.ConditionalNode:
		return start(n.Cond)
	default:
		return n.Location()
	}
}
