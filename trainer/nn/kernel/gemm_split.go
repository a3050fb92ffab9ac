//go:build amd64

package kernel

const (
	// splitMemory is the space for the partial results of a split product, 4 MiB.
	splitMemory = 1 << 20
	// splitBlock is how many rows and columns of C one task computes at most; it packs its own A and B, splitDepth
	// terms at a time, so that the packed B stays in the second-level cache. With these sizes there are about as
	// many calls of the micro-kernel as rows of A or B to fetch for the next terms.
	splitBlock = 576
	splitDepth = 288
	// reduceGrain is how many elements of C one goroutine sums at a time.
	reduceGrain = 4096
)

// splits returns into how many parts the terms of a product are divided, each summed on its own: more than 1 for a
// small C with many terms, such as the gradient of a weight matrix, which has too few rows to be shared among cores.
// It depends on the shape only, as the rounding depends on it.
func splits(m, n, k int) int {
	if k < 2048 || m*n > splitMemory/2 || m*n*k < 2*serialWork {
		return 1
	}
	return min(16, splitMemory/(m*n), k/512)
}

// gemmSplit computes p as s products over a part of the terms each, and adds them up in order. A task is such a part
// of a block of C.
func (t *tile) gemmSplit(p product, s, threads int) {
	size := p.m * p.n
	buf := getScratch(s * size)
	defer buf.put()
	depth := ceilDiv(p.k, s)
	rows := balance(ceilDiv(p.m, t.mr), splitBlock/t.mr) * t.mr
	cols := balance(ceilDiv(p.n, t.nr), splitBlock/t.nr) * t.nr
	rowTasks, colTasks := ceilDiv(p.m, rows), ceilDiv(p.n, cols)
	parallel(threads, ceilDiv(p.k, depth)*rowTasks*colTasks, 1, func(task, _ int) {
		part := task / (rowTasks * colTasks)
		i, j := task/colTasks%rowTasks*rows, task%colTasks*cols
		l := part * depth
		q := p.sub(i, min(rows, p.m-i), j, min(cols, p.n-j), l, min(depth, p.k-l))
		q.alpha, q.beta, q.done = 1, 0, nil
		q.c, q.ldc = buf.x[part*size+i*p.n+j:], p.n
		t.gemmPanels(&q, 1, balance(q.k, splitDepth), cols)
	})

	parts := ceilDiv(p.k, depth)
	reduce := func(c []float32, at int) {
		sum := buf.x[at:][:len(c)]
		for i := 1; i < parts; i++ {
			t.set.add(sum, sum, buf.x[i*size+at:][:len(c)])
		}
		switch p.beta {
		case 0:
			t.set.scale(c, p.alpha, sum)
		case 1:
			t.set.axpy(p.alpha, sum, c)
		default:
			t.set.scale(c, p.beta, c)
			t.set.axpy(p.alpha, sum, c)
		}
	}
	if p.ldc == p.n {
		parallel(threads, size, reduceGrain, func(lo, hi int) { reduce(p.c[lo:hi], lo) })
		return
	}
	parallel(threads, p.m, max(1, reduceGrain/p.n), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			reduce(p.c[i*p.ldc:][:p.n], i*p.n)
		}
	})
}
