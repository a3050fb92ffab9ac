package sweeps

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// FileError is a mistake in a sweep file, and where it is. It is [ErrInvalid].
type FileError struct {
	File         string
	Line, Column int // from 1
	Message      string
}

// newFileError makes an error of one line, whatever the file's texts in it.
func newFileError(file string, at place, format string, args ...any) *FileError {
	message := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	return &FileError{File: file, Line: at.line, Column: at.column, Message: message}
}

// Error prints the mistake as file:line:column: message.
func (e FileError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Unwrap makes every mistake in a file an ErrInvalid.
func (e FileError) Unwrap() error { return ErrInvalid }

// FileErrors are all mistakes of a sweep file, in the order of the file. It is
// [ErrInvalid], and errors.As finds the first *[FileError].
type FileErrors []*FileError

// Error prints one line for each mistake.
func (l FileErrors) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the mistakes.
func (l FileErrors) Unwrap() []error {
	out := make([]error, len(l))
	for i, e := range l {
		out[i] = e
	}
	return out
}

// inOrder sorts mistakes by their place; those of one place keep their order.
func inOrder(l []*FileError) {
	slices.SortStableFunc(l, func(a, b *FileError) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
