package results

import (
	"strings"
	"testing"
)

// Expressions that nest as deep as their length allows neither crash nor take long.
func TestDeepExpressions(t *testing.T) {
	const n = maxExpression - 64
	for name, source := range map[string]string{
		"parentheses": strings.Repeat("(", n/2) + "true" + strings.Repeat(")", n/2),
		"unclosed":    strings.Repeat("(", n),
		"negations":   strings.Repeat("!", n) + "true",
		"lists":       strings.Repeat("[", n/2) + strings.Repeat("]", n/2) + " == layers",
		"not in":      strings.Repeat("(", n/20) + "true" + strings.Repeat(" not in layers)", n/20),
		"powers":      strings.Repeat("2 ** ", n/5) + "2 > 1",
		"chain":       strings.Repeat("1 < ", n/4) + "2",
		"questions":   strings.Repeat("true ? true : ", n/14) + "true",
	} {
		f, err := Compile(source, sampleFields())
		if err != nil {
			check(t, err)
			continue
		}
		for _, r := range sampleRows() {
			if _, err := f.Match(r); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
