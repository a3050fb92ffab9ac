// Package swathv1 is the API of a swath coordinator, version 1: the messages and services
// that buf makes (make proto) of the .proto files beside. Their comments carry the
// protocol: sweep.proto says what users may ask, worker.proto how workers and the
// coordinator stay in agreement. The rest of swath uses it through proto/wire, which turns
// messages into domain types and back.
package swathv1
