package results

import (
	"strings"

	"github.com/expr-lang/expr/ast"
)

// node is a compiled expression. Evaluating one that is not a comparison gives missing
// where a value that it needs is missing, and any gives a fault where one that it
// needs is a fault.
type node struct {
	kind kind // what it gives, unless it gives missing or fault
	eval func(*Row) value
	name string // of a field; empty for anything else
	note string // see field.note
}

// String names the node for messages about its kind.
func (n node) String() string {
	if n.name == "" {
		return n.kind.String()
	}
	return n.name + " (" + n.kind.String() + ")"
}

func constant(v value) node {
	return node{kind: v.kind, eval: func(*Row) value { return v }}
}

func (c *compiler) compile(n ast.Node) (node, error) {
	if c.size++; c.size > maxNodes {
		return node{}, invalidf("filter: the expression is too complicated")
	}
	switch n := n.(type) {
	case *ast.NilNode:
		return constant(value{}), nil
	case *ast.BoolNode:
		return constant(boolValue(n.Value)), nil
	case *ast.IntegerNode:
		return constant(intValue(int64(n.Value))), nil
	case *ast.FloatNode:
		return constant(floatValue(n.Value)), nil
	case *ast.StringNode:
		return constant(textValue(n.Value)), nil
	case *ast.IdentifierNode:
		return c.name(n)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.ChainNode:
		return c.compile(n.Node)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.ArrayNode:
		return c.array(n)
	case *ast.BuiltinNode:
		return c.call(n, n.Name, n.Arguments)
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			return c.call(n, id.Value, n.Arguments)
		}
	}
	return node{}, c.errorAt(n.Location(), "this is not available in a filter; a filter compares parameters and metrics, as in: lr < 0.01 and state == \"finished\"")
}

func (c *compiler) name(n *ast.IdentifierNode) (node, error) {
	f, err := c.fields.bare(n.Value)
	if err != nil {
		if meant := c.spelling(n); meant != "" {
			return node{}, c.errorAt(n.Location(), "unknown name %q; write %s", n.Value, meant)
		}
		return node{}, c.errorAt(n.Location(), "%w", err)
	}
	return c.field(f), nil
}

func (c *compiler) field(f field) node {
	if f.hint != "" {
		c.hints = append(c.hints, f.hint)
	}
	return node{kind: f.kind, eval: f.get, name: f.name, note: f.note}
}

// spelling tells how to write a name that is no identifier where it was written bare,
// and so was read as an expression, as val/loss is.
func (c *compiler) spelling(n *ast.IdentifierNode) string {
	at := min(n.Location().From, len([]rune(c.source)))
	rest := string([]rune(c.source)[at:])
	for _, list := range []struct {
		ns    string
		names []string
	}{{nsParams, c.fields.params.list}, {nsMetrics, c.fields.metrics.list}} {
		for _, name := range list.names {
			if strings.HasPrefix(rest, name) && !path.MatchString(name) {
				return spell(list.ns, name)
			}
		}
	}
	return ""
}

// member resolves a.b["c"] as one name, and x[0] as an element of a list.
func (c *compiler) member(n *ast.MemberNode) (node, error) {
	if segments := segmentsOf(n); segments != nil {
		f, err := c.resolve(segments)
		if err != nil {
			return node{}, c.errorAt(start(n), "%w", err)
		}
		return c.field(f), nil
	}
	base, err := c.compile(n.Node)
	if err != nil {
		return node{}, err
	}
	index, err := c.compile(n.Property)
	if err != nil {
		return node{}, err
	}
	if !base.kind.comparable(list) || !index.kind.comparable(integer) {
		return node{}, c.errorAt(n.Location(), "%s cannot be indexed with %s", base, index)
	}
	return node{kind: unknown, eval: func(r *Row) value {
		list, i := base.eval(r), index.eval(r)
		if v, ok := absent(list, i); ok {
			return v
		}
		items := list.items()
		at := i.bits
		if at < 0 {
			at += int64(len(items)) // as in expr, -1 is the last
		}
		if i.kind != integer || at < 0 || at >= int64(len(items)) {
			return value{}
		}
		return valueOf(items[at])
	}}, nil
}

// segmentsOf returns the segments of a chain of names, or nil if it is something else.
func segmentsOf(n ast.Node) []string {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return []string{n.Value}
	case *ast.ChainNode:
		return segmentsOf(n.Node)
	case *ast.MemberNode:
		property, ok := n.Property.(*ast.StringNode)
		if !ok || n.Method {
			return nil
		}
		if base := segmentsOf(n.Node); base != nil {
			return append(base, property.Value)
		}
	}
	return nil
}

func (c *compiler) resolve(segments []string) (field, error) {
	for _, ns := range namespaces {
		if segments[0] == ns {
			return c.fields.qualified(ns, strings.Join(segments[1:], "."))
		}
	}
	return c.fields.bare(strings.Join(segments, "."))
}

func (c *compiler) conditional(n *ast.ConditionalNode) (node, error) {
	cond, err := c.truth(n.Cond)
	if err != nil {
		return node{}, err
	}
	yes, err := c.compile(n.Exp1)
	if err != nil {
		return node{}, err
	}
	no, err := c.compile(n.Exp2)
	if err != nil {
		return node{}, err
	}
	return node{kind: join(yes.kind, no.kind), eval: func(r *Row) value {
		v := cond.eval(r)
		switch {
		case v.kind == fault:
			return v
		case v.truth():
			return yes.eval(r)
		default:
			return no.eval(r)
		}
	}}, nil
}

// join is the static kind of what may be one or the other.
func join(a, b kind) kind {
	switch {
	case a == b || b == missing:
		return a
	case a == missing:
		return b
	case a.number() && b.number():
		return float
	default:
		return unknown
	}
}

func (c *compiler) array(n *ast.ArrayNode) (node, error) {
	items := make([]any, len(n.Nodes))
	for i, item := range n.Nodes {
		v, ok := literal(item)
		if !ok {
			return node{}, c.errorAt(item.Location(), "a list in a filter holds constants only, as in: heads in [2, 4]")
		}
		items[i] = v
	}
	return constant(value{kind: list, ref: items}), nil
}

// literal returns the value of a constant, possibly negative, possibly a list.
func literal(n ast.Node) (any, bool) {
	switch n := n.(type) {
	case *ast.NilNode:
		return nil, true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.IntegerNode:
		return int64(n.Value), true
	case *ast.FloatNode:
		return n.Value, true
	case *ast.StringNode:
		return n.Value, true
	case *ast.ArrayNode:
		items := make([]any, len(n.Nodes))
		for i, item := range n.Nodes {
			v, ok := literal(item)
			if !ok {
				return nil, false
			}
			items[i] = v
		}
		return items, true
	case *ast.UnaryNode:
		v, ok := literal(n.Node)
		if !ok || n.Operator != "-" && n.Operator != "+" {
			return nil, false
		}
		switch x := v.(type) {
		case int64:
			if n.Operator == "-" {
				x = -x
			}
			return x, true
		case float64:
			if n.Operator == "-" {
				x = -x
			}
			return x, true
		}
	}
	return nil, false
}

// absent returns the first fault among the values, or else missing if one is missing.
func absent(vs ...value) (value, bool) {
	gone := false
	for _, v := range vs {
		switch v.kind {
		case fault:
			return v, true
		case missing:
			gone = true
		}
	}
	return value{}, gone
}
