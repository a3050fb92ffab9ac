// Package storetest holds what every store of a coordinator must pass, stores in memory
// for tests and simulations, and a wrapper that makes a store fail.
//
// The suites [TestStore], [TestMetricStore] and [TestLogStore] are written against the
// promises in coordinator/ports.go and against nothing else, so that a further store
// joins by passing them. Where a promise leaves something open the suites do, too: the
// time of a point need only come back to the millisecond.
//
// [Mem], [MemMetrics] and [MemLogs] keep everything in memory. They copy whatever goes in
// or out, so that a caller that changes a record after it was handed over is found out.
// Closing them loses nothing: the same value stands for the store opened again, which is
// how a simulation survives the crash of its coordinator.
package storetest
