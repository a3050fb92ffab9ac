package nn

import (
	"math"

	"swath/trainer/nn/channel"
	"swath/trainer/nn/kernel"
)

// channelNorm is what batch norm and adaptive instance norm have in common: over a
// group of rows (all pixels of a batch, or of one image), each channel is normalised
// to mean 0 and variance 1, then scaled and shifted, and may pass a leaky ReLU:
//
//	x̂ = (x - μ)/sqrt(σ²+ε),  y = leaky(scale·x̂ + shift)
//
// Its fields hold one number for each channel.
type channelNorm struct {
	mean, rstd []float32    // μ and 1/sqrt(σ²+ε)
	rows       channel.Norm // the same, ready for rows
}

// newChannelNorm returns a norm in the given memory, which outlives a run: a backward
// operation reads in it what the forward one found.
func newChannelNorm(mean, rstd []float32, slope float32) channelNorm {
	return channelNorm{mean: mean, rstd: rstd, rows: channel.Norm{Mean: mean, Gain: make([]float32, len(mean)), Slope: slope}}
}

// set takes over mean and variance.
func (s *channelNorm) set(mean, variance []float64, epsilon float64) {
	for c, m := range mean {
		s.mean[c], s.rstd[c] = float32(m), float32(1/math.Sqrt(variance[c]+epsilon))
	}
}

// prepare takes over scale and shift. It comes after set.
func (s *channelNorm) prepare(scale, shift []float32) {
	kernel.Mul(s.rows.Gain, scale, s.rstd)
	s.rows.Shift = shift
}

// finish turns Σ g·(x-μ) over all rows into the gradient of scale, Σ g·x̂. (That of shift
// is Σ g.)
func (s *channelNorm) finish(dscale []float32) { kernel.Mul(dscale, dscale, s.rstd) }

// input returns the terms of the gradient of x that all of a group's rows share,
//
//	dx = scale·rstd·(g - mean(g) - x̂·mean(g·x̂)) = gain·g - (offset + tilt·(x-μ))
func (s *channelNorm) input(dscale, dshift []float32, rows int) (offset, tilt []float32) {
	offset, tilt = make([]float32, len(s.mean)), make([]float32, len(s.mean))
	for c, gain := range s.rows.Gain {
		offset[c] = gain * dshift[c] / float32(rows)
		tilt[c] = gain * s.rstd[c] * dscale[c] / float32(rows)
	}
	return offset, tilt
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
