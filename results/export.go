package results

import (
	"bufio"
	"encoding/csv"
)

// jsonWriter prints an array of objects, or an object a line.
func jsonWriter[T any](w *bufio.Writer, s shape[T], array bool) *Writer[T] {
	object := s.object
	if object == nil {
		object = flatObject(s)
	}
	var b []byte
	first := true
	return &Writer[T]{
		write: func(row *T) error {
			b = b[:0]
			if array && first {
				b = append(b, "[\n"...)
			} else if array {
				b = append(b, ",\n"...)
			}
			first = false
			b = object(row, b)
			if !array {
				b = append(b, '\n')
			}
			_, err := w.Write(b)
			return err
		},
		close: func() error {
			end := ""
			switch {
			case array && first:
				end = "[]\n"
			case array:
				end = "\n]\n"
			}
			if _, err := w.WriteString(end); err != nil {
				return err
			}
			return w.Flush()
		},
	}
}

// flatObject makes an object of the columns, in their order.
func flatObject[T any](s shape[T]) func(*T, []byte) []byte {
	var cells []value
	return func(row *T, b []byte) []byte {
		cells = s.cells(row, cells[:0])
		b = append(b, '{')
		for i, h := range s.headings {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, h.name)
			b = append(b, ':')
			b = cells[i].appendJSON(b)
		}
		return append(b, '}')
	}
}

// csvWriter prints a header and a record a row. A missing value is an empty field.
func csvWriter[T any](w *bufio.Writer, s shape[T]) *Writer[T] {
	out := csv.NewWriter(w)
	record := make([]string, len(s.headings))
	var cells []value
	header := func() error {
		if s.headings == nil { // printed already
			return nil
		}
		for i, h := range s.headings {
			record[i] = h.name
		}
		s.headings = nil
		return out.Write(record)
	}
	return &Writer[T]{
		write: func(row *T) error {
			if err := header(); err != nil {
				return err
			}
			cells = s.cells(row, cells[:0])
			for i, v := range cells {
				record[i] = v.plain()
			}
			return out.Write(record)
		},
		close: func() error {
			if err := header(); err != nil {
				return err
			}
			if out.Flush(); out.Error() != nil {
				return out.Error()
			}
			return w.Flush()
		},
	}
}
