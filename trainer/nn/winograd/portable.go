package winograd

// portable is the implementation in plain Go, and the one to read first.
var portable = set{difference: differencePortable, expand: expandPortable, contract: contractPortable, gather: gatherPortable}

func differencePortable(dst []float32, step int, d *[9][]float32, n int) {
	for i := range n {
		var v [9]float32
		for r := 0; r < 9; r += 3 { // along rows
			v[r], v[r+1], v[r+2] = d[r][i]-d[r+1][i], d[r+1][i], d[r+2][i]-d[r+1][i]
		}
		for c := range 3 { // along columns
			v[c], v[6+c] = v[c]-v[3+c], v[6+c]-v[3+c]
		}
		for p, x := range v {
			dst[p*step+i] = x
		}
	}
}

func expandPortable(dst []float32, step int, y *[4][]float32, n int) {
	for i := range n {
		a, b, c, d := y[0][i], y[1][i], y[2][i], y[3][i]
		for p, x := range [9]float32{a, a + b, b, a + c, (a + b) + (c + d), b + d, c, c + d, d} {
			dst[p*step+i] = x
		}
	}
}

func contractPortable(y *[4][]float32, m []float32, step int, n int) {
	for i := range n {
		var left, right [3]float32
		for r := range 3 {
			v := [3]float32{m[3*r*step+i], m[(3*r+1)*step+i], m[(3*r+2)*step+i]}
			left[r], right[r] = v[0]+v[1], v[1]+v[2]
		}
		y[0][i], y[1][i] = left[0]+left[1], right[0]+right[1]
		y[2][i], y[3][i] = left[1]+left[2], right[1]+right[2]
	}
}

func gatherPortable(x *[4][]float32, m []float32, own, beside, above, corner, across, down int, n int) {
	// row returns what a row of three points, and one of a tile beside, come to.
	row := func(at, beside int) (edge, middle float32) {
		return m[at] + m[beside+2*across], m[at+across] - m[at] - m[at+2*across]
	}
	for i := range n {
		aboveEdge, aboveMiddle := row(above+2*down+i, corner+2*down+i)
		var edge, middle [3]float32
		for r := range 3 {
			edge[r], middle[r] = row(own+r*down+i, beside+r*down+i)
		}
		x[0][i], x[1][i] = edge[0]+aboveEdge, middle[0]+aboveMiddle
		x[2][i], x[3][i] = edge[1]-edge[0]-edge[2], middle[1]-middle[0]-middle[2]
	}
}
