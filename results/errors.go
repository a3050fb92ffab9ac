package results

import (
	"fmt"

	"swath/sweeps"
)

// usageError is a mistake in what the user asked for. It is of the class
// sweeps.ErrInvalid without printing the class's name before the message.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() []error { return []error{sweeps.ErrInvalid, e.err} }

func invalidf(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}
