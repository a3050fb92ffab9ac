package kernel

// packedDepth is how many terms of a packed matrix k deep lie together: slivers of so many, one after the other, then
// those of the next terms.
func packedDepth(k int) int { return balance(k, maxDepth) }

func (t *tile) packedLen(k, n int) int { return k * ceilDiv(n, t.nr) * t.nr }

// packRows packs rows lo to hi of B.
func (t *tile) packRows(dst []float32, transB bool, k, n, lo, hi int, b []float32, ldb int) {
	depth, width := packedDepth(k), ceilDiv(n, t.nr)*t.nr
	if !transB {
		for l := lo; l < hi; { // up to the end of a block of terms
			block := l / depth * depth
			high := min(depth, k-block)
			rows := min(hi, block+high) - l
			t.packB(&dst[block*width+(l-block)*t.nr], high*t.nr, &b[(l-lo)*ldb], ldb, rows, n/t.nr, n%t.nr)
			l += rows
		}
		return
	}
	for j := lo; j < hi; j += t.nr {
		cols := min(t.nr, hi-j)
		for l := 0; l < k; l += depth {
			high := min(depth, k-l)
			for v := 0; v < cols; v += t.lanes {
				t.packCols(&dst[l*width+j*high+v], t.nr, &b[(j-lo+v)*ldb+l], ldb, high, min(t.lanes, cols-v))
			}
		}
	}
}

// gemmPacked reads full slivers of A in place: a vector of B is used by all rows of the tile, and a row of A fits the
// first-level cache.
func (t *tile) gemmPacked(m, n, k int, a []float32, lda int, b []float32, c []float32, ldc int) {
	depth, width := packedDepth(k), ceilDiv(n, t.nr)*t.nr
	edge := m / t.mr * t.mr
	var rest []float32 // the last rows, packed
	if edge < m {
		buf := getScratch(k*t.mr + t.lanes)
		defer buf.put()
		rest = buf.x
		for l := 0; l < k; l += depth {
			t.packCols(&rest[l*t.mr], t.mr, &a[edge*lda+l], lda, min(depth, k-l), m-edge)
		}
	}
	beta, strip := float32(0), t.strip(n, depth)
	for l := 0; l < k; l += depth {
		high := min(depth, k-l)
		for jb := 0; jb < n; jb += strip {
			for i := 0; i < m; i += t.mr {
				ap, rs, ks := &a[i*lda+l], lda, 1
				if i == edge {
					ap, rs, ks = &rest[l*t.mr], 1, t.mr
				}
				for j := jb; j < min(jb+strip, n); j += t.nr {
					cols := min(t.nr, n-j)
					bp := &b[l*width+j*high]
					t.kernels[(cols-1)/t.lanes](high, ap, rs, ks, bp, t.nr, &c[i*ldc+j], ldc, min(t.mr, m-i), cols, 1, beta, bp, 0)
				}
			}
		}
		beta = 1
	}
}
