package bench

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"swath/trainer"
)

// Params reads parameters of the form name=value into what [Options] take, as the types
// that the trainer's parameters have. Names that the trainer does not know, and values
// that are out of range, are left to the trainer to complain about.
func Params(known []trainer.Param, given []string) (map[string]any, error) {
	params := map[string]any{}
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("parameter %q: want name=value", text)
		}
		if name == "threads" {
			return nil, fmt.Errorf("parameter %q: say how many threads with --threads", text)
		}
		if _, twice := params[name]; twice {
			return nil, fmt.Errorf("parameter %q: %s is given twice", text, name)
		}
		params[name] = value
		i := slices.IndexFunc(known, func(p trainer.Param) bool { return p.Name == name })
		if i >= 0 {
			if _, isText := known[i].Default.(string); isText {
				continue
			}
		}
		// Numbers and booleans are written as in JSON. What is neither stays text, and the
		// trainer says what it wants instead.
		var v any
		if json.Unmarshal([]byte(value), &v) == nil {
			params[name] = v
		}
	}
	return params, nil
}
