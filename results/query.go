package results

import "iter"

// Query says which rows are wanted, in which order, and how many.
type Query struct {
	Where *Filter // nil for all
	Order Order
	Limit int // 0 for no limit
}

// Run returns the rows that the query wants. With a limit it holds no more than so
// many rows, and with a limit and no order it stops reading as soon as it has them;
// rows without an order are returned as they come.
func (q Query) Run(rows iter.Seq[Row]) ([]Row, error) {
	var top *Top
	if q.Limit > 0 && len(q.Order.keys) > 0 {
		top = NewTop(q.Order, q.Limit)
	}
	var out []Row
	var row Row // one variable for all, so that matching a row allocates nothing
	for row = range rows {
		if q.Where != nil {
			ok, err := q.Where.match(&row)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
		}
		if top != nil {
			top.add(&row)
			continue
		}
		out = append(out, row)
		if q.Limit > 0 && len(out) == q.Limit {
			return out, nil
		}
	}
	if top != nil {
		return top.Rows(), nil
	}
	if len(q.Order.keys) > 0 {
		q.Order.Sort(out)
	}
	return out, nil
}
