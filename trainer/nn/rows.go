package nn

import "swath/trainer/nn/kernel"

// rowBlock is the number of rows in the blocks that sums over rows are taken in.
// It is a constant so that the order of additions, and with it the rounding,
// does not depend on the number of threads.
const rowBlock = 64

// blocks is the number of row blocks of a matrix.
func blocks(rows int) int { return (rows + rowBlock - 1) / rowBlock }

// eachBlock calls f in parallel for the row blocks [lo, hi) of a matrix.
func eachBlock(rows int, f func(block, lo, hi int)) {
	kernel.Parallel(rows, rowBlock, func(lo, hi int) {
		// One thread is given consecutive blocks in one call or in several.
		for ; lo < hi; lo += rowBlock {
			f(lo/rowBlock, lo, min(hi, lo+rowBlock))
		}
	})
}

// sumBlocks sets dst to the sum of the partial sums, one of len(dst) for each
// block, in the order of the blocks.
func sumBlocks(dst, partial []float32) {
	clear(dst)
	for n := len(dst); len(partial) >= n && n > 0; partial = partial[n:] {
		kernel.Add(dst, dst, partial[:n])
	}
}
