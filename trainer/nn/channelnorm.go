package nn

import (
	"math"

	"swath/trainer/nn/kernel"
)

// channelNorm is what batch norm and adaptive instance norm have in common: over a
// group of rows (all pixels of a batch, or of one image), each channel is normalised
// to mean 0 and variance 1, then scaled and shifted,
//
//	x̂ = (x - μ)/sqrt(σ²+ε),  y = scale·x̂ + shift
//
// Its fields hold one number for each channel.
type channelNorm struct {
	mean, rstd   []float32
	scale, shift []float32
}

// blockMoments sets mean to the mean of each channel over the rows of x, and m2 to
// the sum of squared differences to it. Taken from centred values, no large mean can
// cancel the variance.
func blockMoments(x, mean, m2, scratch []float32) {
	c := len(mean)
	clear(mean)
	for r := 0; r < len(x); r += c {
		add(mean, x[r:r+c])
	}
	kernel.Scale(mean, -float32(c)/float32(len(x)), mean) // minus the mean, to be added
	clear(m2)
	for r := 0; r < len(x); r += c {
		kernel.Add(scratch, x[r:r+c], mean)
		kernel.Mul(scratch, scratch, scratch)
		add(m2, scratch)
	}
	kernel.Scale(mean, -1, mean)
}

// mergeMoments joins the moments of blocks of rowBlock rows, the last of which may be
// shorter, into the mean and the (biased) variance of each channel over all rows (Chan,
// Golub and LeVeque 1979).
func mergeMoments(rows, channels int, means, m2s []float32, mean, variance []float64) {
	clear(mean)
	clear(variance)
	each := func(f func(n float64, mean, m2 []float32)) {
		for b := range blocks(rows) {
			f(float64(min(rowBlock, rows-b*rowBlock)), means[b*channels:(b+1)*channels], m2s[b*channels:(b+1)*channels])
		}
	}
	total := float64(rows)
	each(func(n float64, m, _ []float32) {
		for c, v := range m {
			mean[c] += n / total * float64(v)
		}
	})
	each(func(n float64, m, m2 []float32) {
		for c, v := range m {
			d := float64(v) - mean[c]
			variance[c] += (float64(m2[c]) + n*d*d) / total
		}
	})
}

// set takes over mean and variance.
func (s *channelNorm) set(mean, variance []float64, epsilon float64) {
	for c, m := range mean {
		s.mean[c], s.rstd[c] = float32(m), float32(1/math.Sqrt(variance[c]+epsilon))
	}
}

// apply sets the rows y to the activation of the normalised rows x.
func (s *channelNorm) apply(y, x []float32, factors *[2]float32) {
	n := len(s.mean)
	mean, shift := s.mean, s.shift[:n]
	gain := make([]float32, n)
	for c, r := range s.rstd[:n] {
		gain[c] = s.scale[c] * r
	}
	f := *factors
	for r := 0; r < len(x); r += n {
		yr, xr := y[r:r+n:r+n], x[r:r+n:r+n]
		for c, m := range mean {
			v := (xr[c]-m)*gain[c] + shift[c]
			yr[c] = v * f[below(v)]
		}
	}
}

// grads is the gradient of a group's scale and shift, which are also the sums that
// the gradient of its x needs: Σ g·x̂ and Σ g, with g the gradient before the activation.
type grads struct{ scale, shift []float32 }

// sum adds the part of the rows x, with the gradient dy of their result, to the sums.
// The sign of the result is computed again, which is cheaper than reading it.
func (s *channelNorm) sum(to grads, x, dy []float32, factors *[2]float32) {
	n := len(s.mean)
	mean, rstd, scale, shift := s.mean, s.rstd[:n], s.scale[:n], s.shift[:n]
	dscale, dshift := to.scale[:n], to.shift[:n]
	f := *factors
	for r := 0; r < len(x); r += n {
		xr, dr := x[r:r+n:r+n], dy[r:r+n:r+n]
		for c, m := range mean {
			xhat := (xr[c] - m) * rstd[c]
			g := dr[c] * f[below(scale[c]*xhat+shift[c])]
			dscale[c] += g * xhat
			dshift[c] += g
		}
	}
}

// input sets dx to the gradient of the rows x of a group of so many rows,
//
//	dx = scale·rstd·(g - mean(g) - x̂·mean(g·x̂))
func (s *channelNorm) input(dx, x, dy []float32, sums grads, rows int, factors *[2]float32) {
	n := len(s.mean)
	mean, rstd, scale, shift := s.mean, s.rstd[:n], s.scale[:n], s.shift[:n]
	dscale, dshift := sums.scale[:n], sums.shift[:n]
	inv := 1 / float32(rows)
	f := *factors
	for r := 0; r < len(x); r += n {
		xr, dr, out := x[r:r+n:r+n], dy[r:r+n:r+n], dx[r:r+n:r+n]
		for c, m := range mean {
			xhat := (xr[c] - m) * rstd[c]
			g := dr[c] * f[below(scale[c]*xhat+shift[c])]
			out[c] = scale[c] * rstd[c] * (g - inv*dshift[c] - inv*xhat*dscale[c])
		}
	}
}
