// Package wire is where the domain meets protobuf: every conversion between the two, in
// both directions, is here, and so are the clients that speak to a coordinator in the
// domain's own types. Beside it only coordinator/api knows protobuf.
//
// [Client] is what the command line uses, [Session] what a worker uses. The messages of
// a session are plain Go types ([WorkerMessage], [CoordinatorMessage]); what they mean is
// said in proto/swath/v1/worker.proto.
package wire
