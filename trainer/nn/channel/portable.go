package channel

import "math"

// portable is the implementation in plain Go, and the one to read first.
var portable = set{leaky: leakyPortable, leakyGrad: leakyGradPortable, apply: applyPortable, sum: sumPortable, input: inputPortable}

// factors are the derivatives of the leaky ReLU above 0 and elsewhere, to be indexed by
// [below]: a product costs less than a branch that random signs mispredict.
func factors(slope float32) [2]float32 { return [2]float32{1, slope} }

// below is 0 for v > 0, and 1 otherwise. (A NaN has either; the product is NaN.)
func below(v float32) uint32 {
	b := math.Float32bits(v)
	return (b | (b - 1)) >> 31
}

func leakyPortable(y, x []float32, slope float32) {
	f := factors(slope)
	y = y[:len(x)]
	for i, v := range x {
		y[i] = v * f[below(v)]
	}
}

func leakyGradPortable(dx, dy, y []float32, slope float32) {
	f := factors(slope)
	dx, dy = dx[:len(y)], dy[:len(y)]
	for i, v := range y {
		dx[i] = dy[i] * f[below(v)]
	}
}

func applyPortable(y, x []float32, rows int, mean, gain, shift []float32, slope float32) {
	n, f := len(mean), factors(slope)
	gain, shift = gain[:n], shift[:n]
	for r := range rows {
		xr, yr := x[r*n:(r+1)*n:(r+1)*n], y[r*n:(r+1)*n:(r+1)*n]
		for c, m := range mean {
			t := gain[c]*(xr[c]-m) + shift[c]
			yr[c] = t * f[below(t)]
		}
	}
}

func sumPortable(g, gx, x, dy []float32, rows int, mean, gain, shift []float32, slope float32) {
	n, f := len(mean), factors(slope)
	g, gx, gain, shift = g[:n], gx[:n], gain[:n], shift[:n]
	for r := range rows {
		xr, dr := x[r*n:(r+1)*n:(r+1)*n], dy[r*n:(r+1)*n:(r+1)*n]
		for c, m := range mean {
			centred := xr[c] - m
			dt := dr[c] * f[below(gain[c]*centred+shift[c])]
			g[c] += dt
			gx[c] += dt * centred
		}
	}
}

func inputPortable(dx, x, dy []float32, rows int, mean, gain, shift, offset, tilt []float32, slope float32) {
	n, f := len(mean), factors(slope)
	gain, shift, offset, tilt = gain[:n], shift[:n], offset[:n], tilt[:n]
	for r := range rows {
		xr, dr, out := x[r*n:(r+1)*n:(r+1)*n], dy[r*n:(r+1)*n:(r+1)*n], dx[r*n:(r+1)*n:(r+1)*n]
		for c, m := range mean {
			centred := xr[c] - m
			dt := dr[c] * f[below(gain[c]*centred+shift[c])]
			out[c] = gain[c]*dt - (offset[c] + tilt[c]*centred)
		}
	}
}
