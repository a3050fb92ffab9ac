package results

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Format names a way of printing rows.
type Format string

// The formats.
const (
	Table    Format = "table"    // aligned and rounded, for people
	CSV      Format = "csv"      // RFC 4180, full precision
	JSON     Format = "json"     // one array
	JSONL    Format = "jsonl"    // one object a line
	Markdown Format = "markdown" // as the table, to paste
)

// Formats lists all formats.
func Formats() []Format { return []Format{Table, CSV, JSON, JSONL, Markdown} }

// ParseFormat returns the format that s names.
func ParseFormat(s string) (Format, error) {
	if slices.Contains(Formats(), Format(s)) {
		return Format(s), nil
	}
	var names []string
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	hint := ""
	if near := suggest(s, names); near != "" {
		hint = "; did you mean " + near + "?"
	}
	return "", invalidf("unknown format %q%s (known: %s)", s, hint, strings.Join(names, ", "))
}

// Layout says how rows are laid out.
type Layout struct {
	// Columns are the columns of table, csv and markdown. For json and jsonl they
	// make flat objects of the columns; without any, an object is the full row.
	Columns []Column
	// MaxWidth is the width that a table may have, as that of the terminal; 0 for
	// any.
	MaxWidth int
	// Empty is the sentence that a table without rows is; there is a default.
	Empty string
}

// Writer prints rows of one kind, one by one. The formats csv, json and jsonl are
// streamed; table and markdown are kept until Close, because alignment needs all rows.
type Writer[T any] struct {
	write func(*T) error
	close func() error
}

// Write prints a row.
func (w *Writer[T]) Write(row T) error {
	if err := w.write(&row); err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

// Close ends the output. It does not close the underlying writer.
func (w *Writer[T]) Close() error {
	if err := w.close(); err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

// NewWriter returns a writer of rows to w.
func NewWriter(w io.Writer, format Format, layout Layout) (*Writer[Row], error) {
	fields := make([]field, len(layout.Columns))
	headings := make([]heading, len(layout.Columns))
	for i, c := range layout.Columns {
		fields[i] = c.field
		headings[i] = heading{name: c.field.name, style: c.field.style, keep: c.keep}
	}
	s := shape[Row]{
		headings: headings,
		cells: func(r *Row, cells []value) []value {
			for _, f := range fields {
				cells = append(cells, f.get(r))
			}
			return cells
		},
		object: (*Row).AppendJSON,
		empty:  "no trials to show",
	}
	if len(fields) > 0 {
		s.object = nil
	}
	return newWriter(w, format, s, layout)
}

// WriteRows prints all rows.
func WriteRows(w io.Writer, format Format, rows []Row, layout Layout) error {
	out, err := NewWriter(w, format, layout)
	if err != nil {
		return err
	}
	return out.all(rows)
}

func (w *Writer[T]) all(rows []T) error {
	for i := range rows {
		if err := w.Write(rows[i]); err != nil {
			return err
		}
	}
	return w.Close()
}

// shape is what a writer has to know of the rows that it prints.
type shape[T any] struct {
	headings []heading
	cells    func(row *T, cells []value) []value
	object   func(row *T, b []byte) []byte // nil: an object of the cells
	empty    string
}

// heading is the top of a column.
type heading struct {
	name  string
	style style
	keep  bool // see Column
}

func newWriter[T any](w io.Writer, format Format, s shape[T], layout Layout) (*Writer[T], error) {
	if layout.Empty != "" {
		s.empty = layout.Empty
	}
	buf := bufio.NewWriter(w)
	switch format {
	case JSON:
		return jsonWriter(buf, s, true), nil
	case JSONL:
		return jsonWriter(buf, s, false), nil
	case CSV:
		return csvWriter(buf, s), nil
	case Table, Markdown:
		g := &grid{headings: s.headings}
		finish := func() error { return g.table(buf, layout.MaxWidth, s.empty) }
		if format == Markdown {
			finish = func() error { return g.markdown(buf) }
		}
		return &Writer[T]{
			write: func(row *T) error { g.add(s.cells(row, nil)); return nil },
			close: finish,
		}, nil
	}
	_, err := ParseFormat(string(format))
	return nil, err
}
