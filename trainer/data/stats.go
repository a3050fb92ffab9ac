package data

import (
	"math"
	"runtime"
	"sync"
)

// measure sets Mean and Std from the training split. The sums are of integers, so they are exact and do not depend
// on how the work is divided.
func (d *Dataset) measure() {
	workers := runtime.GOMAXPROCS(0)
	type sums struct{ sum, square []uint64 }
	parts := make([]sums, workers)
	var wg sync.WaitGroup
	n := d.Train.Len()
	for w := range workers {
		p := sums{make([]uint64, d.Channels), make([]uint64, d.Channels)}
		parts[w] = p
		wg.Go(func() {
			plane := d.Height * d.Width
			for i := w * n / workers; i < (w+1)*n/workers; i++ {
				img := d.Image(d.Train, i)
				for c := range d.Channels {
					var s, q uint64
					for _, v := range img[c*plane : (c+1)*plane] {
						s += uint64(v)
						q += uint64(v) * uint64(v)
					}
					p.sum[c] += s
					p.square[c] += q
				}
			}
		})
	}
	wg.Wait()

	d.Mean, d.Std = make([]float64, d.Channels), make([]float64, d.Channels)
	pixels := float64(n * d.Height * d.Width)
	for c := range d.Channels {
		var s, q uint64
		for _, p := range parts {
			s += p.sum[c]
			q += p.square[c]
		}
		mean := float64(s) / pixels
		d.Mean[c] = mean / 255
		d.Std[c] = math.Sqrt(max(0, float64(q)/pixels-mean*mean)) / 255
	}
}
