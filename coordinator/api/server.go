package api

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"swath/coordinator"
	pb "swath/proto/swath/v1"
	"swath/proto/wire"
)

// NewServer returns a gRPC server of the coordinator. The caller serves a listener with
// it and stops it.
func NewServer(c *coordinator.Coordinator, log *slog.Logger) *grpc.Server {
	i := interceptor{log}
	s := grpc.NewServer(
		grpc.UnaryInterceptor(i.unary),
		grpc.StreamInterceptor(i.stream),
		grpc.MaxRecvMsgSize(wire.MaxMessage),
		grpc.MaxSendMsgSize(wire.MaxMessage),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	pb.RegisterSweepServiceServer(s, &sweepService{c: c})
	pb.RegisterWorkerServiceServer(s, &workerService{c: c, log: log})
	pb.RegisterCheckpointServiceServer(s, &checkpointService{c: c})
	h := health.NewServer()
	h.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(s, h)
	reflection.Register(s)
	return s
}

// interceptor maps errors to codes, logs those that are ours, and turns a panic of a
// handler into an error of that one call.
type interceptor struct{ log *slog.Logger }

func (i interceptor) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	defer i.finish(info.FullMethod, time.Now(), &err)
	return handler(ctx, req)
}

func (i interceptor) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer i.finish(info.FullMethod, time.Now(), &err)
	return handler(srv, ss)
}

func (i interceptor) finish(method string, began time.Time, err *error) {
	if p := recover(); p != nil {
		i.log.Error("handler panicked", "method", method, "panic", p, "stack", string(debug.Stack()))
		*err = fmt.Errorf("internal error in %s: see the coordinator's log", method)
	}
	if *err != nil {
		i.log.Debug("call failed", "method", method, "err", *err, "took", time.Since(began))
	}
	*err = wire.ErrorToStatus(*err)
}
