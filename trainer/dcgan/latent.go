package dcgan

import (
	"math"

	"swath/trainer/nn"
)

// The purposes of latents, so that no two kinds share their random numbers.
const (
	purposeStep uint64 = iota + 1
	purposeSamples
	purposeStrips
	purposeQuality
)

// drawLatents fills dst with normally distributed numbers that are a function of the
// coordinates alone, so that a resumed training draws what the uninterrupted one would.
func drawLatents(dst []float32, seed uint64, coordinates ...uint64) {
	r := nn.NewRand(seed, coordinates...)
	for i := range dst {
		dst[i] = float32(r.Normal())
	}
}

// lerp sets dst to a·x + (1-a)·y: the straight line from y, at a = 0, to x, at a = 1.
func lerp(dst, x, y []float32, a float64) {
	for i := range dst {
		dst[i] = float32(a*float64(x[i]) + (1-a)*float64(y[i]))
	}
}

// slerp is the spherical counterpart of lerp (Shoemake 1985): with Ω the angle between
// x and y, (sin(aΩ)·x + sin((1-a)Ω)·y)/sin Ω. A straight line between two normally
// distributed points of many dimensions passes the region near the origin, where the
// generator was never trained; the arc keeps to the shell where they lie (White 2016).
func slerp(dst, x, y []float32, a float64) {
	var xx, yy, xy float64
	for i, v := range x {
		xx += float64(v) * float64(v)
		yy += float64(y[i]) * float64(y[i])
		xy += float64(v) * float64(y[i])
	}
	omega := math.Acos(min(max(xy/math.Sqrt(xx*yy), -1), 1))
	s := math.Sin(omega)
	if !(s > 1e-6) { // parallel, opposite or zero: there is no arc
		lerp(dst, x, y, a)
		return
	}
	wx, wy := math.Sin(a*omega)/s, math.Sin((1-a)*omega)/s
	for i := range dst {
		dst[i] = float32(wx*float64(x[i]) + wy*float64(y[i]))
	}
}
