package results

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// function is a function of the filter language. Its arguments are neither missing
// nor faults: the call is missing then.
type function struct {
	min, max int
	arg      kind // what each argument has to be; unknown for any
	result   kind
	call     func(args []value) value
}

// functions are those of expr that make sense for one row, and two for metrics.
var functions = map[string]function{
	"abs":   {1, 1, float, float, absolute},
	"ceil":  rounding(math.Ceil),
	"floor": rounding(math.Floor),
	"round": rounding(math.Round),
	"isNaN": {1, 1, float, boolean, func(a []value) value { return boolValue(a[0].nan()) }},
	"isInf": {1, 1, float, boolean, func(a []value) value { return boolValue(math.IsInf(a[0].float(), 0)) }},
	"max":   {1, 64, float, float, func(a []value) value { return extreme(a, 1) }},
	"min":   {1, 64, float, float, func(a []value) value { return extreme(a, -1) }},
	"len":   {1, 1, unknown, integer, length},
	"lower": textFunction(strings.ToLower),
	"upper": textFunction(strings.ToUpper),
	"trim":  textFunction(strings.TrimSpace),
	"string": {1, 1, unknown, text, func(a []value) value {
		return textValue(a[0].plain())
	}},
	"float": {1, 1, unknown, float, func(a []value) value { return toFloat(a[0]) }},
	"int":   {1, 1, unknown, integer, func(a []value) value { return toInt(a[0]) }},
}

// Functions lists the functions of the filter language.
func Functions() []string { return slices.Sorted(maps.Keys(functions)) }

func absolute(a []value) value {
	if a[0].kind == integer && a[0].bits >= 0 {
		return a[0]
	}
	if a[0].kind == integer {
		return negative(a[0])
	}
	return floatValue(math.Abs(a[0].float()))
}

// rounding leaves integers alone.
func rounding(f func(float64) float64) function {
	return function{1, 1, float, float, func(a []value) value {
		if a[0].kind == integer {
			return a[0]
		}
		return floatValue(f(a[0].float()))
	}}
}

func textFunction(f func(string) string) function {
	return function{1, 1, text, text, func(a []value) value { return textValue(f(a[0].str)) }}
}

// extreme is the largest (sign 1) or smallest (sign -1) number; NaN if one is NaN.
func extreme(args []value, sign int) value {
	best := args[0]
	for _, v := range args[1:] {
		o, ok := compare(v, best)
		if !ok {
			return floatValue(math.NaN())
		}
		if o*sign > 0 {
			best = v
		}
	}
	return best
}

func length(a []value) value {
	switch v := a[0]; v.kind {
	case text:
		return intValue(int64(utf8.RuneCountInString(v.str)))
	case list:
		return intValue(int64(len(v.items())))
	default:
		return faultValue(invalidf("len() wants a string or a list, not %s", v.kind))
	}
}

func toFloat(v value) value {
	switch {
	case v.kind.number():
		return floatValue(v.float())
	case v.kind == text:
		if f, err := strconv.ParseFloat(v.str, 64); err == nil {
			return floatValue(f)
		}
		return faultValue(invalidf("float() cannot read %q as a number", v.str))
	}
	return faultValue(invalidf("float() cannot make a number of %s", v.kind))
}

func toInt(v value) value {
	v = toFloatUnlessInt(v)
	if v.kind != float {
		return v
	}
	f := math.Trunc(v.float())
	if !(f >= -(1<<63) && f < 1<<63) {
		return floatValue(f) // NaN, infinite or too large: it stays what it is
	}
	return intValue(int64(f))
}

func toFloatUnlessInt(v value) value {
	if v.kind == integer {
		return v
	}
	if v.kind == text {
		if i, err := strconv.ParseInt(v.str, 10, 64); err == nil {
			return intValue(i)
		}
	}
	return toFloat(v)
}

func (c *compiler) call(n ast.Node, name string, args []ast.Node) (node, error) {
	f, ok := functions[name]
	if !ok {
		hint := ""
		if near := suggest(name, Functions()); near != "" {
			hint = "; did you mean " + near + "?"
		}
		return node{}, c.errorAt(n.Location(), "there is no function %s() in a filter%s (known: %s)", name, hint, strings.Join(Functions(), ", "))
	}
	if len(args) < f.min || len(args) > f.max {
		return node{}, c.errorAt(n.Location(), "%s() takes %d to %d arguments, not %d", name, f.min, f.max, len(args))
	}
	operands := make([]node, len(args))
	for i, arg := range args {
		operand, err := c.compile(arg)
		if err != nil {
			return node{}, err
		}
		if !operand.kind.comparable(f.arg) {
			return node{}, c.errorAt(start(arg), "%s() wants %s, not %s%s", name, f.arg, operand, operand.note)
		}
		operands[i] = operand
	}
	return node{kind: f.result, eval: func(r *Row) value {
		var few [2]value // most calls have one argument or two
		values := few[:0]
		for _, o := range operands {
			v := o.eval(r)
			if v.kind == missing || v.kind == fault {
				return v
			}
			if !v.kind.comparable(f.arg) {
				return faultValue(invalidf("%s() wants %s, not %s", name, f.arg, v.kind))
			}
			values = append(values, v)
		}
		return f.call(values)
	}}, nil
}
