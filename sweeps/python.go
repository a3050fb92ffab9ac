package sweeps

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// This file prints canonical values as Python does, since W&B builds a program's
// arguments with Python's str and json.dumps, and argument parsers out there expect
// them so.

// pyStr prints v as Python's str(v).
func pyStr(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var b strings.Builder
	pythonLiteral.write(&b, v)
	return b.String()
}

// pyJSON prints v as Python's json.dumps(v).
func pyJSON(v any) string {
	var b strings.Builder
	pythonJSON.write(&b, v)
	return b.String()
}

// pyStyle is a way of printing nested values; both put a space after colon and comma.
type pyStyle struct {
	null, yes, no string
	quote         func(string) string
}

var (
	pythonLiteral = pyStyle{"None", "True", "False", pyQuote}
	pythonJSON    = pyStyle{"null", "true", "false", asciiJSON}
)

func (st pyStyle) write(b *strings.Builder, v any) {
	switch v := v.(type) {
	case bool:
		if v {
			b.WriteString(st.yes)
		} else {
			b.WriteString(st.no)
		}
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(pyFloat(v))
	case string:
		b.WriteString(st.quote(v))
	case []any:
		b.WriteByte('[')
		for i, x := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			st.write(b, x)
		}
		b.WriteByte(']')
	case Params:
		st.write(b, map[string]any(v))
	case map[string]any:
		b.WriteByte('{')
		for i, k := range sortedKeys(v) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(st.quote(k))
			b.WriteString(": ")
			st.write(b, v[k])
		}
		b.WriteByte('}')
	default:
		b.WriteString(st.null)
	}
}

// pyFloat prints f as Python's repr does: the shortest digits that read back, with an
// exponent below 1e-4 and from 1e16. An integral float prints as the integer that it
// has become on its way through JSON.
func pyFloat(f float64) string {
	if c, err := canonicalFloat(f); err == nil {
		if n, ok := c.(int64); ok {
			return strconv.FormatInt(n, 10)
		}
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	_, exponent, _ := strings.Cut(s, "e")
	if e, err := strconv.Atoi(exponent); err == nil && e >= -4 && e < 16 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return s
}

// pyQuote prints s as Python's repr does.
func pyQuote(s string) string {
	quote := '\''
	if strings.ContainsRune(s, '\'') && !strings.ContainsRune(s, '"') {
		quote = '"'
	}
	var b strings.Builder
	b.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == quote || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteRune(quote)
	return b.String()
}

// asciiJSON quotes s for JSON with everything outside ASCII escaped.
func asciiJSON(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r >= 0x20 && r < 0x7f:
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
	}
	b.WriteByte('"')
	return b.String()
}
