package wire

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"swath/sweeps"
)

// classes pairs the domain's classes of error with gRPC's codes, one to one, so that
// errors.Is answers the same on both sides of the wire. A class stands before those that it
// is a kind of. Earlier versions sent ALREADY_EXISTS for every conflict, which is still
// understood as one.
var classes = []struct {
	err  error
	code codes.Code
}{
	{sweeps.ErrNotFound, codes.NotFound},
	{sweeps.ErrExists, codes.AlreadyExists},
	{sweeps.ErrConflict, codes.FailedPrecondition},
	{sweeps.ErrInvalid, codes.InvalidArgument},
	{sweeps.ErrUnavailable, codes.Unavailable},
	{sweeps.ErrFenced, codes.Aborted},
	{sweeps.ErrStorage, codes.ResourceExhausted},
	{context.Canceled, codes.Canceled},
	{context.DeadlineExceeded, codes.DeadlineExceeded},
}

// ErrorToStatus turns an error into what a gRPC handler returns.
func ErrorToStatus(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return status.Error(c.code, err.Error())
		}
	}
	if _, is := status.FromError(err); is {
		return err
	}
	return status.Error(codes.Internal, err.Error())
}

// ErrorFromStatus turns what a gRPC call returned into an error of the domain: its text
// is the message that the other side wrote, and errors.Is finds its class.
func ErrorFromStatus(err error) error {
	if err == nil {
		return nil
	}
	st, is := status.FromError(err)
	if !is {
		return err
	}
	for _, c := range classes {
		if st.Code() == c.code {
			return &remoteError{text: st.Message(), class: c.err}
		}
	}
	return fmt.Errorf("coordinator: %s", st.Message())
}

type remoteError struct {
	text  string
	class error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.class }
