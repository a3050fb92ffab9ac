// Package api serves a coordinator over gRPC: the services of proto/swath/v1, health and
// reflection. Handlers are thin: decode, call one method, encode. Errors, logs and panics
// are the interceptors' business.
package api
