package swd

import "swath/trainer/nn/kernel"

// smallestLevel is the size of images at which a pyramid ends.
const smallestLevel = 16

// taps is the binomial filter of both directions of the pyramid.
var taps = [5]float32{1. / 16, 4. / 16, 6. / 16, 4. / 16, 1. / 16}

// levels returns the sizes of the levels of a pyramid over images of the given size, the largest first.
func levels(size int) []int {
	sizes := []int{size}
	for size%2 == 0 && size/2 >= smallestLevel {
		size /= 2
		sizes = append(sizes, size)
	}
	return sizes
}

// pyramid returns the levels of the Laplacian pyramid of all images: the difference
// between an image and its reduced, enlarged copy, and at last the smallest copy.
func pyramid(images Images) []Images {
	var out []Images
	current := images
	for _, size := range levels(images.Size)[1:] {
		smaller := Images{Size: size, Channels: images.Channels, Pixels: make([]float32, len(current.Pixels)/4)}
		details := Images{Size: current.Size, Channels: images.Channels, Pixels: make([]float32, len(current.Pixels))}
		kernel.Parallel(images.count(), 1, func(i, _ int) {
			reduce(smaller.image(i), current.image(i), current.Size, images.Channels)
			enlarge(details.image(i), smaller.image(i), size, images.Channels)
			for j, v := range current.image(i) {
				details.image(i)[j] = v - details.image(i)[j]
			}
		})
		out = append(out, details)
		current = smaller
	}
	return append(out, current)
}

// mirror reflects a position beyond the border of 0..size-1 at the border's pixel.
func mirror(i, size int) int {
	switch {
	case i < 0:
		return -i
	case i >= size:
		return 2*size - 2 - i
	}
	return i
}

// reduce filters an image of size × size and keeps every other pixel of every other row.
func reduce(dst, src []float32, size, channels int) {
	half, line := size/2, size*channels
	row := make([]float32, line)
	for y := range half {
		clear(row)
		for k, t := range taps {
			from := src[mirror(2*y+k-2, size)*line:][:line]
			for i, v := range from {
				row[i] += t * v
			}
		}
		for x := range half {
			for c := range channels {
				sum := float32(0)
				for k, t := range taps {
					sum += t * row[mirror(2*x+k-2, size)*channels+c]
				}
				dst[(y*half+x)*channels+c] = sum
			}
		}
	}
}

// enlarge doubles an image of size × size: pixels are put apart with zeros between them
// and filtered, times 4 so that brightness stays.
func enlarge(dst, src []float32, size, channels int) {
	double, line := 2*size, size*channels
	row := make([]float32, line)
	for y := range double {
		clear(row)
		for k, t := range taps {
			if from := mirror(y+k-2, double); from%2 == 0 {
				for i, v := range src[from/2*line:][:line] {
					row[i] += 2 * t * v
				}
			}
		}
		for x := range double {
			for c := range channels {
				sum := float32(0)
				for k, t := range taps {
					if from := mirror(x+k-2, double); from%2 == 0 {
						sum += 2 * t * row[from/2*channels+c]
					}
				}
				dst[(y*double+x)*channels+c] = sum
			}
		}
	}
}
