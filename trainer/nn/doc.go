// Package nn is the layer between a trainer and Gorgonia: neural network
// operations with gradients, the weights they share, and the optimiser.
//
// Vocabulary. A [Net] builds one Gorgonia expression graph. Its methods
// ([Net.Linear], [Net.LayerNorm], [Net.Attention], ...) add one operation each
// and return its node, so a model reads like the paper that describes it.
// [Params] are the named weights, a [Workspace] the named buffers that
// operations compute into; several nets may share both, for instance one that
// trains and one that evaluates. A [Trainable] pairs a weight with the gradient
// that Gorgonia's automatic differentiation found for it and feeds any
// gorgonia.Solver; [Adam] and [SGD] are ours, and as [Optimizer]s they can be saved and
// go on.
//
// Activations are matrices of float32, a row for each token: image b of a batch
// with T tokens has rows b*T to (b+1)*T-1.
//
// Rules that hold for every operation here:
//
//   - Graph, differentiation and execution order are Gorgonia's; the arithmetic
//     is ours, in [swath/trainer/nn/kernel] and its neighbours. Gorgonia's own softmax, dropout,
//     normalisation, convolution, batched product and Adam are 10 to 100 times
//     slower than these and are not used.
//   - An operation owns the tensor that it returns, and overwrites it in the next
//     run. What is kept beyond a run must be copied.
//   - A graph is run by one goroutine; operations are parallel inside. Sums over
//     rows are taken in blocks of fixed size and added in a fixed order, so that
//     results do not depend on the number of threads.
//   - Nothing is random but by (seed, step, operation, row): dropout masks are
//     hashed anew in the backward pass instead of being stored.
//   - Nothing is kept at package level: several models may train in one process.
//   - Every gradient is checked against finite differences in the tests.
package nn
