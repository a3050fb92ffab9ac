package coordinator

import (
	"context"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// ingest is the group commit of metric points: batches that wait are recorded together.
type ingest struct{ requests chan pointsRequest }

type pointsRequest struct {
	session *Session
	batch   Batch
}

// maxIngest bounds the points of one commit.
const maxIngest = 100_000

// Points hands a batch of points to be recorded; the acknowledgement comes through the
// outbox once they are durable. It waits when the disk cannot keep up, and with it the
// connection, and with that the worker, which keeps points on its own disk, and its lease.
func (s *Session) Points(ctx context.Context, ref sweeps.AttemptRef, first int64, points []sweeps.Point) error {
	r := pointsRequest{s, Batch{ref, first, points}}
	select {
	case s.c.ingest.requests <- r:
		return nil
	default:
	}
	defer s.busy()()
	select {
	case s.c.ingest.requests <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.c.done:
		return errNotRunning
	}
}

func (c *Coordinator) ingestLoop(ctx context.Context) {
	for {
		var waiting []pointsRequest
		select {
		case <-ctx.Done():
			return
		case r := <-c.ingest.requests:
			waiting = append(waiting, r)
		}
		total := len(waiting[0].batch.Points)
	gather:
		for total < maxIngest {
			select {
			case r := <-c.ingest.requests:
				waiting = append(waiting, r)
				total += len(r.batch.Points)
			default:
				break gather
			}
		}
		c.record(ctx, waiting)
	}
}

func (c *Coordinator) record(ctx context.Context, waiting []pointsRequest) {
	kept := waiting[:0]
	var batches []Batch
	for _, r := range waiting {
		if !c.fence.passes(r.session.worker, r.batch.Ref) {
			r.session.out.put(dispatch.Forget{Worker: r.session.worker, Ref: r.batch.Ref})
			continue
		}
		kept = append(kept, r)
		batches = append(batches, r.batch)
	}
	if len(batches) == 0 {
		return
	}
	next, err := c.metrics.Append(batches)
	if err != nil {
		c.cannotWrite(ctx, "recording points failed: the workers keep them and will send them again", err)
		for _, r := range kept {
			r.session.out.close("the coordinator could not write to its disk")
		}
		return
	}
	for i, r := range kept {
		r.session.out.put(PointsAck{r.batch.Ref, next[i]})
		c.watch.touch(r.batch.Ref.Sweep)
	}
}
