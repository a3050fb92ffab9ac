package wire

import (
	"context"

	"google.golang.org/grpc"

	pb "swath/proto/swath/v1"
)

// Session is a worker's connection to the coordinator. One goroutine may send while
// another receives.
type Session struct {
	stream grpc.BidiStreamingClient[pb.SessionRequest, pb.SessionResponse]
	client *Client
}

// Session opens a session; it lasts until ctx is done or an error of Send or Recv.
func (c *Client) Session(ctx context.Context) (*Session, error) {
	stream, err := c.workers.Session(ctx)
	if err != nil {
		return nil, c.explain(err)
	}
	return &Session{stream, c}, nil
}

// Send sends a message. After an error the session is of no use; Recv tells why.
func (s *Session) Send(m WorkerMessage) error {
	return s.client.explain(s.stream.Send(WorkerMessageToProto(m)))
}

// Recv waits for the coordinator's next message.
func (s *Session) Recv() (CoordinatorMessage, error) {
	p, err := s.stream.Recv()
	if err != nil {
		return nil, s.client.explain(err)
	}
	return CoordinatorMessageFromProto(p)
}

// CloseSend says that the worker will send nothing more.
func (s *Session) CloseSend() error { return s.stream.CloseSend() }
