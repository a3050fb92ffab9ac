package results

import (
	"bufio"
	"strings"
)

// nothing is how a table shows a value that a row lacks.
const nothing = "-"

// gap is between the columns of a table.
const gap = "  "

// grid collects the cells of a table, to align them when all are known.
type grid struct {
	headings []heading
	rows     [][]value
}

func (g *grid) add(cells []value) { g.rows = append(g.rows, cells) }

// column is a grid's column as text.
type column struct {
	head  string
	cells []string
	right bool // numbers are aligned right
	width int
	fixed bool // it is not shortened to make a table fit
	keep  bool // others are left out before it
}

// columns renders the cells.
func (g *grid) columns() []column {
	columns := make([]column, len(g.headings))
	values := make([]value, len(g.rows))
	for i, h := range g.headings {
		for j, row := range g.rows {
			values[j] = row[i]
		}
		c := column{head: printable(h.name), cells: render(values, h.style), keep: h.keep}
		c.right = numeric(values)
		c.fixed = c.right || h.style == styleID
		c.width = width(c.head)
		for _, s := range c.cells {
			c.width = max(c.width, width(s))
		}
		columns[i] = c
	}
	return columns
}

// numeric reports whether a column is one of numbers.
func numeric(values []value) bool {
	some := false
	for _, v := range values {
		if v.kind != missing && !v.kind.number() {
			return false
		}
		some = some || v.kind != missing
	}
	return some
}

// render prints the values of a column for people.
func render(values []value, s style) []string {
	places := -1
	if s == styleMetric {
		places = decimals(values)
	}
	cells := make([]string, len(values))
	for i, v := range values {
		switch {
		case v.kind == missing:
			cells[i] = nothing
		case v.kind.number() && s == styleDuration:
			cells[i] = humanSeconds(v.float())
		case v.kind == float:
			cells[i] = fixedFloat(v.float(), places)
		default:
			cells[i] = printable(v.plain())
		}
	}
	return cells
}

// table prints the grid aligned, no wider than limit where that is not 0.
func (g *grid) table(w *bufio.Writer, limit int, empty string) error {
	if len(g.rows) == 0 {
		if _, err := w.WriteString(empty + "\n"); err != nil {
			return err
		}
		return w.Flush()
	}
	columns, left := fit(g.columns(), limit)
	var line strings.Builder
	for row := -1; row < len(g.rows); row++ {
		line.Reset()
		for i, c := range columns {
			if i > 0 {
				line.WriteString(gap)
			}
			cell := c.head
			if row >= 0 {
				cell = c.cells[row]
			}
			line.WriteString(c.pad(cell))
		}
		text := strings.TrimRight(line.String(), " ")
		if limit > 0 {
			text = cut(text, limit)
		}
		if _, err := w.WriteString(text + "\n"); err != nil {
			return err
		}
	}
	if len(left) > 0 {
		if _, err := w.WriteString("not shown for want of width: " + strings.Join(left, ", ") + "\n"); err != nil {
			return err
		}
	}
	return w.Flush()
}

// pad brings a cell to its column's width.
func (c *column) pad(cell string) string {
	cell = cut(cell, c.width)
	space := strings.Repeat(" ", c.width-width(cell))
	if c.right {
		return space + cell
	}
	return cell + space
}

// leastText is how narrow a column of text may become to make a table fit.
const leastText = 8

// fit makes a table as wide as the limit, if it is wider: it shortens texts, and where
// that is not enough leaves out columns, the last ones first but for those to keep, and
// returns their names. A column is cut by the line's end only if it is alone.
func fit(columns []column, limit int) (kept []column, left []string) {
	if limit <= 0 {
		return columns, nil
	}
	room := limit + len(gap)
	for _, c := range columns {
		if c.keep {
			room -= len(gap) + c.least()
		}
	}
	full := false
	for _, c := range columns {
		if !c.keep {
			need := len(gap) + c.least()
			if full = full || need > room && len(kept) > 0; full {
				left = append(left, c.head)
				continue
			}
			room -= need
		}
		kept = append(kept, c)
	}
	shrink(kept, limit)
	return kept, left
}

// least is the width that the column has at least.
func (c *column) least() int {
	if c.fixed {
		return c.width
	}
	return min(c.width, leastText)
}

// shrink takes cells from the widest columns of text until the table fits.
func shrink(columns []column, limit int) {
	total := len(gap) * (len(columns) - 1)
	for _, c := range columns {
		total += c.width
	}
	for total > limit {
		widest := -1
		for i, c := range columns {
			if c.width > c.least() && (widest < 0 || c.width > columns[widest].width) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		columns[widest].width--
		total--
	}
}

// markdown prints the grid as a table of GitHub's Markdown.
func (g *grid) markdown(w *bufio.Writer) error {
	columns := g.columns()
	for i := range columns {
		c := &columns[i]
		c.head = escapeCell(c.head)
		c.width = max(3, width(c.head))
		for j := range c.cells {
			c.cells[j] = escapeCell(c.cells[j])
			c.width = max(c.width, width(c.cells[j]))
		}
	}
	for row := -2; row < len(g.rows); row++ { // -2 is the header, -1 the rule below it
		for i, c := range columns {
			cell := c.head
			switch {
			case row == -1 && c.right:
				cell = strings.Repeat("-", c.width-1) + ":"
			case row == -1:
				cell = strings.Repeat("-", c.width)
			case row >= 0:
				cell = c.cells[row]
			}
			edge := "| "
			if i > 0 {
				edge = " | "
			}
			if _, err := w.WriteString(edge + c.pad(cell)); err != nil {
				return err
			}
		}
		if _, err := w.WriteString(" |\n"); err != nil {
			return err
		}
	}
	return w.Flush()
}

func escapeCell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
