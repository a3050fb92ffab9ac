package results

import (
	"cmp"
	"slices"
	"strings"

	"swath/sweeps"
)

// Order is a list of sort keys. Rows that are equal under all of them are ordered by
// index. The empty order is that of the index.
type Order struct{ keys []sortKey }

type sortKey struct {
	field      field
	descending bool
}

// ParseOrder reads keys as --sort takes them: names separated by commas, each with a
// minus before it to have the largest first. Names are those of columns and filters.
func ParseOrder(s string, fields Fields) (Order, error) {
	var o Order
	for _, key := range splitNames(s) {
		name, descending := strings.CutPrefix(key, "-")
		f, err := fields.lookup(strings.TrimSpace(name))
		if err != nil {
			return Order{}, invalidf("sort key %q: %w", key, err)
		}
		o.keys = append(o.keys, sortKey{field: f, descending: descending})
	}
	return o, nil
}

// Hints are those of the columns that the keys name; see [Column.Hint].
func (o Order) Hints() []string {
	var hints []string
	for _, k := range o.keys {
		if k.field.hint != "" {
			hints = append(hints, k.field.hint)
		}
	}
	return hints
}

// ObjectiveOrder has the best value of the objective first.
func ObjectiveOrder(o sweeps.Objective) Order {
	if o.Name == "" {
		return Order{}
	}
	return Order{keys: []sortKey{{field: bestField(o.Name), descending: o.Goal == sweeps.Maximize}}}
}

// splitNames splits at commas outside brackets, so that params["a,b"] is one name,
// and drops what is empty.
func splitNames(s string) []string {
	var names []string
	add := func(name string) {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	from, quote := 0, byte(0)
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && i > 0 && s[i-1] == '[':
			quote = c
		case c == ',':
			add(s[from:i])
			from = i + 1
		}
	}
	add(s[from:])
	return names
}

// ranked is a row with the values of its sort keys, which are looked up once.
type ranked struct {
	keys  []value
	index int64
	seq   int // the place in the input: the last tiebreaker
	row   *Row
}

func (o Order) rank(r *Row, seq int, keys []value) ranked {
	for _, k := range o.keys {
		keys = append(keys, k.field.get(r))
	}
	return ranked{keys: keys, index: r.Index, seq: seq, row: r}
}

// compare is the total order of ranked rows.
func (o Order) compare(a, b ranked) int {
	for i, k := range o.keys {
		if c := compareKeys(a.keys[i], b.keys[i], k.descending); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(a.seq, b.seq))
}

// The classes in which values sort, in both directions alike.
const (
	sortBool = iota
	sortNumber
	sortNaN
	sortText
	sortList
	sortMissing
)

func sortClass(v value) int {
	switch {
	case v.kind == boolean:
		return sortBool
	case v.nan():
		return sortNaN
	case v.kind.number():
		return sortNumber
	case v.kind == text:
		return sortText
	case v.kind == list:
		return sortList
	default:
		return sortMissing
	}
}

func compareKeys(a, b value, descending bool) int {
	class, other := sortClass(a), sortClass(b)
	if class != other {
		return cmp.Compare(class, other)
	}
	var c int
	if class == sortList {
		c = cmp.Compare(a.plain(), b.plain())
	} else {
		c, _ = compare(a, b) // not ok, and 0, for two NaN or two missing
	}
	if descending {
		return -c
	}
	return c
}

// Sort sorts the rows in place. Rows that lack a key's value come last in both
// directions, those where it is NaN after the numbers.
func (o Order) Sort(rows []Row) {
	keys := make([]value, 0, len(rows)*len(o.keys))
	list := make([]ranked, len(rows))
	for i := range rows {
		from := len(keys)
		list[i] = o.rank(&rows[i], i, keys[from:from:cap(keys)])
		keys = keys[:from+len(o.keys)]
	}
	slices.SortFunc(list, o.compare)
	sorted := make([]Row, len(rows))
	for i, r := range list {
		sorted[i] = *r.row
	}
	copy(rows, sorted)
}
