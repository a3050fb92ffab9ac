//go:build amd64

package kernel

// region is a part of a matrix: rows of row elements, ld apart.
type region struct {
	x             []float32
	ld, row, rows int
}

// ahead deals out memory that will be packed soon, a piece for each call of the micro-kernel, which has it fetched
// into the second-level cache meanwhile: packing otherwise waits for memory while the multipliers do nothing.
type ahead struct {
	todo [2]region
	next int // row of the first region that has any left
}

// aheadOf returns the ahead of regions, to be fetched in so many calls.
func aheadOf(calls int, regions ...region) *ahead {
	a := &ahead{}
	for i, r := range regions {
		if r.ld == r.row && r.rows > 0 { // one piece of memory, to be cut at will
			total := r.row * r.rows
			r.row = ceilDiv(total, calls)
			r.ld, r.rows = r.row, ceilDiv(total, r.row)
		}
		a.todo[i] = r
		calls = max(1, calls-r.rows)
	}
	return a
}

// piece returns an address and how many bytes to go on in each of so many rounds of the micro-kernel's loop. When
// there is nothing left, or a is nil, that is idle and 0.
func (a *ahead) piece(rounds int, idle *float32) (*float32, int) {
	if a == nil || rounds == 0 {
		return idle, 0
	}
	for i := range a.todo {
		if r := &a.todo[i]; r.rows > 0 {
			p := &r.x[a.next*r.ld]
			if a.next++; a.next == r.rows {
				r.rows, a.next = 0, 0
			}
			return p, ceilDiv(4*r.row, rounds)
		}
	}
	return idle, 0
}
