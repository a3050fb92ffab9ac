package results

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// kind says what a value is. The order of the kinds from boolean to list is the order
// in which values of different kinds sort.
type kind uint8

const (
	missing kind = iota // the row lacks it, or it is null
	boolean
	integer
	float
	text
	list
	fault   // evaluating failed; the value carries the error
	unknown // of static kinds only: any of the above
)

// String names the kind for messages.
func (k kind) String() string {
	switch k {
	case missing:
		return "nothing"
	case boolean:
		return "true or false"
	case integer, float:
		return "a number"
	case text:
		return "a string"
	case list:
		return "a list"
	default:
		return "a value"
	}
}

func (k kind) number() bool { return k == integer || k == float }

// comparable reports whether values of the two kinds can compare at all. Unknown
// kinds might.
func (k kind) comparable(l kind) bool {
	return k == l || k == unknown || l == unknown || k == missing || l == missing || k.number() && l.number()
}

// value is a parameter, a metric or an intermediate result of a filter. It is a struct
// and not an interface so that evaluating a filter allocates nothing.
type value struct {
	kind kind
	bits int64 // the integer, the float's bits, or 1 for true
	str  string
	ref  any // []any of a list, error of a fault
}

func boolValue(b bool) value {
	v := value{kind: boolean}
	if b {
		v.bits = 1
	}
	return v
}

func intValue(i int64) value     { return value{kind: integer, bits: i} }
func floatValue(f float64) value { return value{kind: float, bits: int64(math.Float64bits(f))} }
func textValue(s string) value   { return value{kind: text, str: s} }
func faultValue(err error) value { return value{kind: fault, ref: err} }

// valueOf returns what v is. Parameters that went through JSON or YAML come in more
// types than the domain's; all numbers are understood.
func valueOf(v any) value {
	switch v := v.(type) {
	case nil:
		return value{}
	case bool:
		return boolValue(v)
	case int:
		return intValue(int64(v))
	case int64:
		return intValue(v)
	case float64:
		return floatValue(v)
	case string:
		return textValue(v)
	case []any:
		return value{kind: list, ref: v}
	case int32:
		return intValue(int64(v))
	case uint64:
		if v > math.MaxInt64 {
			return floatValue(float64(v))
		}
		return intValue(int64(v))
	case float32:
		return floatValue(float64(v))
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return intValue(i)
		}
		if f, err := v.Float64(); err == nil {
			return floatValue(f)
		}
		return textValue(v.String())
	case map[string]any:
		// A whole group has no name in the language; here it is inside a list.
		return textValue(string(appendJSON(nil, v)))
	}
	return textValue(fmt.Sprint(v))
}

func (v value) truth() bool { return v.kind == boolean && v.bits != 0 }

// float is the number as a float; only for numbers.
func (v value) float() float64 {
	if v.kind == integer {
		return float64(v.bits)
	}
	return math.Float64frombits(uint64(v.bits))
}

func (v value) items() []any {
	items, _ := v.ref.([]any)
	return items
}

func (v value) nan() bool { return v.kind == float && math.IsNaN(v.float()) }

// compare orders two values of the same kind (or two numbers); ok is false where they
// have no order: different kinds, lists, NaN, nothing.
func compare(a, b value) (order int, ok bool) {
	switch {
	case a.kind.number() && b.kind.number():
		if a.nan() || b.nan() {
			return 0, false
		}
		return compareNumbers(a, b), true
	case a.kind != b.kind:
		return 0, false
	case a.kind == text:
		return cmp.Compare(a.str, b.str), true
	case a.kind == boolean:
		return cmp.Compare(a.bits, b.bits), true
	}
	return 0, false
}

// compareNumbers is exact also between integers and floats beyond 2^53, which keeps
// the order transitive.
func compareNumbers(a, b value) int {
	switch {
	case a.kind == integer && b.kind == integer:
		return cmp.Compare(a.bits, b.bits)
	case a.kind == float && b.kind == float:
		return cmp.Compare(a.float(), b.float())
	case a.kind == integer:
		return compareIntFloat(a.bits, b.float())
	default:
		return -compareIntFloat(b.bits, a.float())
	}
}

func compareIntFloat(i int64, f float64) int {
	switch {
	case f >= 1<<63:
		return -1
	case f < -(1 << 63):
		return 1
	}
	whole := math.Trunc(f)
	if c := cmp.Compare(i, int64(whole)); c != 0 {
		return c
	}
	return cmp.Compare(0, f-whole)
}

// equal reports whether two values are the same; NaN and nothing are equal to nothing.
func equal(a, b value) bool {
	if a.kind == list && b.kind == list {
		x, y := a.items(), b.items()
		if len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equal(valueOf(x[i]), valueOf(y[i])) {
				return false
			}
		}
		return true
	}
	order, ok := compare(a, b)
	return ok && order == 0
}

// plain prints the value with full precision and no decoration, as CSV wants it.
// Nothing prints as nothing.
func (v value) plain() string {
	switch v.kind {
	case boolean:
		return strconv.FormatBool(v.truth())
	case integer:
		return strconv.FormatInt(v.bits, 10)
	case float:
		if f := v.float(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return fullFloat(f)
		}
		return notFinite(v.float())
	case text:
		return v.str
	case list:
		return string(appendJSON(nil, v.ref))
	default:
		return ""
	}
}

// appendJSON appends the value as JSON; nothing is null.
func (v value) appendJSON(b []byte) []byte {
	switch v.kind {
	case boolean, integer:
		return append(b, v.plain()...)
	case float:
		return appendFloat(b, v.float())
	case text:
		return appendString(b, v.str)
	case list:
		return appendJSON(b, v.ref)
	default:
		return append(b, "null"...)
	}
}
