package sweeps

import (
	"errors"
	"fmt"
)

// The classes of error that decide what a caller does. Errors of swath wrap one of
// them; proto/wire maps each to a gRPC code and back, so that errors.Is works on both
// sides of the wire.
var (
	// ErrNotFound says that the named sweep, trial or metric does not exist.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that the state of what is there forbids the request, as to
	// remove a sweep that has not ended.
	ErrConflict = errors.New("conflict")
	// ErrExists is the conflict that what the request would make is there already, as a
	// second sweep of the same name. Its text is the same.
	ErrExists = fmt.Errorf("%w", ErrConflict)
	// ErrInvalid says that the request or the file is wrong, and repeating it is
	// no use.
	ErrInvalid = errors.New("invalid")
	// ErrUnavailable says that the coordinator cannot be reached or is shutting
	// down; the same request may succeed later.
	ErrUnavailable = errors.New("unavailable")
	// ErrFenced says that a report came from an attempt that is no longer the
	// current one, and was refused.
	ErrFenced = errors.New("attempt superseded")
	// ErrStorage says that the store could not keep the change (a full or
	// read-only disk); nothing was changed.
	ErrStorage = errors.New("storage")
)
