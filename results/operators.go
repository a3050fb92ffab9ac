package results

import (
	"math"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// truth compiles an operand of and, or, not and ?:.
func (c *compiler) truth(n ast.Node) (node, error) {
	operand, err := c.compile(n)
	if err != nil {
		return node{}, err
	}
	if !operand.kind.comparable(boolean) {
		return node{}, c.errorAt(start(n), "%s stands where true or false is wanted%s", operand, operand.note)
	}
	if operand.kind == boolean {
		return operand, nil
	}
	eval := operand.eval
	operand.eval = func(r *Row) value {
		v := eval(r)
		if v.kind == boolean || v.kind == missing || v.kind == fault {
			return v
		}
		return faultValue(invalidf("%s stands where true or false is wanted", v.kind))
	}
	operand.kind = boolean
	return operand, nil
}

func (c *compiler) unary(n *ast.UnaryNode) (node, error) {
	switch n.Operator {
	case "not", "!":
		// The parser gives "a not in b" as not (a in b), with both at one place.
		if inner, ok := n.Node.(*ast.BinaryNode); ok && n.Location() == inner.Location() {
			return c.negated(inner)
		}
		operand, err := c.truth(n.Node)
		if err != nil {
			return node{}, err
		}
		return node{kind: boolean, eval: func(r *Row) value {
			v := operand.eval(r)
			if v.kind != boolean {
				return v
			}
			return boolValue(!v.truth())
		}}, nil
	case "-", "+":
		operand, err := c.compile(n.Node)
		if err != nil {
			return node{}, err
		}
		if !operand.kind.comparable(float) {
			return node{}, c.errorAt(n.Location(), "%s has no sign%s", operand, operand.note)
		}
		if n.Operator == "+" {
			return operand, nil
		}
		return node{kind: operand.kind, eval: func(r *Row) value {
			switch v := operand.eval(r); v.kind {
			case integer, float:
				return negative(v)
			case missing, fault:
				return v
			default:
				return faultValue(invalidf("%s has no sign", v.kind))
			}
		}}, nil
	}
	return node{}, c.errorAt(n.Location(), "the operator %s is not available in a filter", n.Operator)
}

// negative is -v; the least integer has no negative but as a float.
func negative(v value) value {
	if v.kind == integer && v.bits != math.MinInt64 {
		return intValue(-v.bits)
	}
	return floatValue(-v.float())
}

// negated compiles a not in b and its like. It is a comparison, so it is false where
// a value is missing; not (a in b) is true there.
func (c *compiler) negated(n *ast.BinaryNode) (node, error) {
	left, err := c.compile(n.Left)
	if err != nil {
		return node{}, err
	}
	// A right side that is a name may be missing too.
	right := constant(boolValue(true))
	if segmentsOf(n.Right) != nil {
		if right, err = c.compile(n.Right); err != nil {
			return node{}, err
		}
	}
	positive, err := c.binary(n)
	if err != nil {
		return node{}, err
	}
	return node{kind: boolean, eval: func(r *Row) value {
		a := left.eval(r)
		if a.kind == missing || a.nan() || right.eval(r).kind == missing {
			return boolValue(false)
		}
		v := positive.eval(r)
		if v.kind != boolean {
			return v
		}
		return boolValue(!v.truth())
	}}, nil
}

func (c *compiler) binary(n *ast.BinaryNode) (node, error) {
	switch n.Operator {
	case "and", "&&", "or", "||":
		return c.logical(n)
	}
	left, err := c.compile(n.Left)
	if err != nil {
		return node{}, err
	}
	if n.Operator == "in" {
		return c.in(n, left)
	}
	right, err := c.compile(n.Right)
	if err != nil {
		return node{}, err
	}
	switch n.Operator {
	case "==", "!=", "<", "<=", ">", ">=":
		return c.comparison(n, left, right)
	case "matches", "contains", "startsWith", "endsWith":
		return c.textual(n, left, right)
	case "+", "-", "*", "/", "%", "^", "**":
		return c.arithmetic(n, left, right)
	case "??":
		return node{kind: join(left.kind, right.kind), eval: func(r *Row) value {
			if v := left.eval(r); v.kind != missing {
				return v
			}
			return right.eval(r)
		}}, nil
	}
	return node{}, c.errorAt(n.Location(), "the operator %s is not available in a filter", n.Operator)
}

// logical compiles and and or. Missing counts as false.
func (c *compiler) logical(n *ast.BinaryNode) (node, error) {
	left, err := c.truth(n.Left)
	if err != nil {
		return node{}, err
	}
	right, err := c.truth(n.Right)
	if err != nil {
		return node{}, err
	}
	decides := n.Operator == "or" || n.Operator == "||" // the left value that is the result
	return node{kind: boolean, eval: func(r *Row) value {
		v := left.eval(r)
		if v.kind == fault {
			return v
		}
		if v.truth() == decides {
			return boolValue(decides)
		}
		if v = right.eval(r); v.kind == fault {
			return v
		}
		return boolValue(v.truth())
	}}, nil
}

func (c *compiler) comparison(n *ast.BinaryNode, left, right node) (node, error) {
	op := n.Operator
	if isNil(n.Left) || isNil(n.Right) {
		if op != "==" && op != "!=" {
			return node{}, c.errorAt(n.Location(), "nil compares with == and != only")
		}
		operand := left
		if isNil(n.Left) {
			operand = right
		}
		return node{kind: boolean, eval: func(r *Row) value {
			v := operand.eval(r)
			if v.kind == fault {
				return v
			}
			return boolValue((v.kind == missing) == (op == "=="))
		}}, nil
	}
	if !left.kind.comparable(right.kind) {
		return node{}, c.errorAt(n.Location(), "%s cannot be compared with %s%s%s", left, right, left.note, right.note)
	}
	test := equal
	ordered := func(want func(int) bool) func(a, b value) bool {
		return func(a, b value) bool {
			o, ok := compare(a, b)
			return ok && want(o)
		}
	}
	switch op {
	case "!=":
		test = func(a, b value) bool {
			return a.kind != missing && b.kind != missing && !a.nan() && !b.nan() && !equal(a, b)
		}
	case "<":
		test = ordered(func(o int) bool { return o < 0 })
	case "<=":
		test = ordered(func(o int) bool { return o <= 0 })
	case ">":
		test = ordered(func(o int) bool { return o > 0 })
	case ">=":
		test = ordered(func(o int) bool { return o >= 0 })
	}
	return compared(left, right, test), nil
}

// compared is a comparison of two nodes: false where a value is missing, which the
// test has to see to, and a fault where one is a fault.
func compared(left, right node, test func(a, b value) bool) node {
	return node{kind: boolean, eval: func(r *Row) value {
		a := left.eval(r)
		if a.kind == fault {
			return a
		}
		b := right.eval(r)
		if b.kind == fault {
			return b
		}
		return boolValue(test(a, b))
	}}
}

func isNil(n ast.Node) bool {
	_, ok := n.(*ast.NilNode)
	return ok
}

// in compiles x in [a, b], x in a list parameter, and x in 1..5.
func (c *compiler) in(n *ast.BinaryNode, left node) (node, error) {
	if rng, ok := n.Right.(*ast.BinaryNode); ok && rng.Operator == ".." {
		return c.inRange(rng, left)
	}
	right, err := c.compile(n.Right)
	if err != nil {
		return node{}, err
	}
	if !right.kind.comparable(list) || right.kind == missing {
		return node{}, c.errorAt(n.Location(), "in wants a list on its right, as in [2, 4], not %s", right)
	}
	if set, ok := literal(n.Right); ok {
		return c.inLiteral(left, set), nil
	}
	return compared(left, right, func(a, b value) bool {
		for _, item := range b.items() {
			if equal(a, valueOf(item)) {
				return true
			}
		}
		return false
	}), nil
}

// inLiteral is in for a list of constants, which are converted once.
func (c *compiler) inLiteral(left node, set any) node {
	items, _ := set.([]any)
	values := make([]value, len(items))
	for i, item := range items {
		values[i] = valueOf(item)
	}
	return node{kind: boolean, eval: func(r *Row) value {
		a := left.eval(r)
		if a.kind == fault {
			return a
		}
		for _, b := range values {
			if equal(a, b) {
				return boolValue(true)
			}
		}
		return boolValue(false)
	}}
}

// inRange compiles x in from..to, which is true of whole numbers only.
func (c *compiler) inRange(rng *ast.BinaryNode, left node) (node, error) {
	from, err := c.compile(rng.Left)
	if err != nil {
		return node{}, err
	}
	to, err := c.compile(rng.Right)
	if err != nil {
		return node{}, err
	}
	if !from.kind.comparable(integer) || !to.kind.comparable(integer) {
		return node{}, c.errorAt(rng.Location(), "a range goes from number to number, not from %s to %s", from, to)
	}
	return node{kind: boolean, eval: func(r *Row) value {
		x, lo, hi := left.eval(r), from.eval(r), to.eval(r)
		if v, ok := absent(x, lo, hi); ok {
			if v.kind == fault {
				return v
			}
			return boolValue(false)
		}
		below, ok1 := compare(lo, x)
		above, ok2 := compare(x, hi)
		whole := x.kind == integer || x.kind == float && x.float() == math.Trunc(x.float())
		return boolValue(ok1 && ok2 && whole && below <= 0 && above <= 0)
	}}, nil
}

// textual compiles the comparisons of strings. Of what is no string they are false.
func (c *compiler) textual(n *ast.BinaryNode, left, right node) (node, error) {
	if !left.kind.comparable(text) || !right.kind.comparable(text) {
		return node{}, c.errorAt(n.Location(), "%s wants strings, not %s and %s%s", n.Operator, left, right, left.note)
	}
	if n.Operator == "matches" {
		return c.matches(n, left)
	}
	test := map[string]func(s, t string) bool{
		"contains":   strings.Contains,
		"startsWith": strings.HasPrefix,
		"endsWith":   strings.HasSuffix,
	}[n.Operator]
	return compared(left, right, func(a, b value) bool {
		return a.kind == text && b.kind == text && test(a.str, b.str)
	}), nil
}

// matches takes its pattern as a constant, so that it is compiled once and a bad one
// is found before the first row.
func (c *compiler) matches(n *ast.BinaryNode, left node) (node, error) {
	pattern, ok := n.Right.(*ast.StringNode)
	if !ok {
		return node{}, c.errorAt(start(n.Right), "the pattern of matches must be written as a string, as in: optimizer matches \"^adam\"")
	}
	re, err := regexp.Compile(pattern.Value)
	if err != nil {
		return node{}, c.errorAt(pattern.Location(), "%v", err)
	}
	return node{kind: boolean, eval: func(r *Row) value {
		a := left.eval(r)
		if a.kind == fault {
			return a
		}
		return boolValue(a.kind == text && re.MatchString(a.str))
	}}, nil
}

// arithmetic compiles + - * / % ^ **; + also joins strings. As in expr, / gives a
// float always. Integers that would overflow become floats, and what has no result is
// NaN, so that it compares false.
func (c *compiler) arithmetic(n *ast.BinaryNode, left, right node) (node, error) {
	op := n.Operator
	joins := op == "+" && left.kind.comparable(text) && right.kind.comparable(text)
	if !joins && (!left.kind.comparable(float) || !right.kind.comparable(float)) {
		return node{}, c.errorAt(n.Location(), "%s and %s have no %s%s%s", left, right, op, left.note, right.note)
	}
	result := float
	switch {
	case left.kind == text || right.kind == text:
		result = text
	case op == "+" && (left.kind == unknown || right.kind == unknown):
		result = unknown
	}
	return node{kind: result, eval: func(r *Row) value {
		a, b := left.eval(r), right.eval(r)
		if v, ok := absent(a, b); ok {
			return v
		}
		if a.kind.number() && b.kind.number() {
			return calculate(op, a, b)
		}
		if op == "+" && a.kind == text && b.kind == text {
			return textValue(a.str + b.str)
		}
		return faultValue(invalidf("%s and %s have no %s", a.kind, b.kind, op))
	}}, nil
}

func calculate(op string, a, b value) value {
	if a.kind == integer && b.kind == integer {
		if v, ok := calculateInt(op, a.bits, b.bits); ok {
			return intValue(v)
		}
	}
	x, y := a.float(), b.float()
	switch op {
	case "+":
		return floatValue(x + y)
	case "-":
		return floatValue(x - y)
	case "*":
		return floatValue(x * y)
	case "/":
		return floatValue(x / y)
	case "%":
		return floatValue(math.Mod(x, y))
	default:
		return floatValue(math.Pow(x, y))
	}
}

// calculateInt gives the results that are exact integers.
func calculateInt(op string, a, b int64) (int64, bool) {
	switch op {
	case "+":
		s := a + b
		return s, (s > a) == (b > 0)
	case "-":
		d := a - b
		return d, (d < a) == (b > 0)
	case "*":
		if a == 0 || b == 0 {
			return 0, true
		}
		p := a * b
		return p, p/b == a && (a != -1 || b != math.MinInt64) && (b != -1 || a != math.MinInt64)
	case "%":
		if b == 0 || b == -1 { // -1 always divides, and overflows for the least integer
			return 0, b != 0
		}
		return a % b, true
	}
	return 0, false
}
