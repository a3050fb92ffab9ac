package data

import "context"

// The sizes of the synthetic set where the caller asks for none.
const (
	shapesTrain, shapesTest = 10_000, 2_000
	shapesSize              = 32
	shapesMinSize           = 8
	shapesMaxSize           = 512
)

// openShapes draws the synthetic set: image i of a split shows shape i modulo ten, so that any beginning of it is
// balanced. What tells the classes apart is geometry alone. Colours, size, place, turn and noise come from the same
// distributions for every class, and each shape is scaled to cover the same area, so that the mean colour of an
// image, its contrast and its histogram say nothing about its class.
func openShapes(ctx context.Context, _ string, opts Options) (*Dataset, error) {
	size, train, test := opts.Size, opts.Train, opts.Test
	if size == 0 {
		size = shapesSize
	}
	if train == 0 {
		train = shapesTrain
	}
	if test == 0 {
		test = shapesTest
	}
	if size < shapesMinSize || size > shapesMaxSize {
		return nil, noSize("shapes", size, shapesMinSize, shapesMaxSize)
	}
	if err := affordable("shapes", train+test, 3, size); err != nil {
		return nil, err
	}
	d := &Dataset{Name: "shapes", Classes: shapesClasses(), Channels: 3, Height: size, Width: size}
	var err error
	if d.Train, err = drawSplit(ctx, train, size, opts.Seed, 0); err != nil {
		return nil, err
	}
	if d.Test, err = drawSplit(ctx, test, size, opts.Seed, 1); err != nil {
		return nil, err
	}
	d.measure()
	return d, nil
}

func shapesClasses() []string {
	var names []string
	for _, f := range figures {
		names = append(names, f.name)
	}
	return names
}

func drawSplit(ctx context.Context, n, size int, seed, split uint64) (Split, error) {
	s := Split{Images: make([]uint8, n*3*size*size), Labels: make([]int, n)}
	err := parallel(ctx, n, func(i int) error {
		s.Labels[i] = i % len(figures)
		drawShape(s.Images[i*3*size*size:(i+1)*3*size*size], size, figures[s.Labels[i]], newStream(purposeShapes, seed, split, uint64(i)))
		return nil
	})
	return s, err
}

// drawShape draws one picture into img, a CHW image of 3 channels. Its arithmetic rounds every product by itself
// (float64 conversions; see between), so that the bytes do not depend on the architecture.
func drawShape(img []uint8, size int, f figure, rnd *stream) {
	// Units are pixels. side is the square root of the shape's area, and jitter what keeps every figure inside the
	// image: the same for all, although some reach less far, lest the place give the class away.
	unit := float64(size)
	side := rnd.between(0.33, 0.46) * unit
	jitter := 0.5*unit - float64(figureReach*side)
	cx := 0.5*unit + rnd.between(-jitter, jitter)
	cy := 0.5*unit + rnd.between(-jitter, jitter)

	// A turn of at most 17 degrees either way, through the tangent of its half, which needs no library sine.
	t := rnd.between(-0.15, 0.15)
	tt := float64(t * t)
	cos, sin := (1-tt)/(1+tt), 2*t/(1+tt)

	back, fore := drawColours(rnd)
	tiltX, tiltY := rnd.between(-30, 30)/unit, rnd.between(-30, 30)/unit // shading of the whole picture
	noise := rnd.between(4, 24)

	reach := figureReach * side
	plane := size * size
	for y := range size {
		for x := range size {
			// Coverage of the pixel by the figure, from 3x3 samples.
			px, py := float64(x)+0.5-cx, float64(y)+0.5-cy
			covered := 0
			if px > -reach-1 && px < reach+1 && py > -reach-1 && py < reach+1 {
				for _, dy := range subsamples {
					for _, dx := range subsamples {
						u, v := (px+dx)/side, (py+dy)/side
						if f.inside(dot(cos, u, sin, v), dot(cos, v, -sin, u)) {
							covered++
						}
					}
				}
			}
			share := float64(covered) / 9
			shade := dot(tiltX, float64(x)+0.5-0.5*unit, tiltY, float64(y)+0.5-0.5*unit)
			bits := rnd.next() // 16 bits of noise for each channel
			for c := range 3 {
				grain := float64(bits>>(16*c)&0xffff)/32768 - 1
				value := back[c] + float64(share*(fore[c]-back[c])) + shade + float64(noise*grain)
				img[c*plane+y*size+x] = uint8(min(max(value+0.5, 0), 255))
			}
		}
	}
}

// drawColours draws the colours of background and figure: anything, in a quarter of the pictures anything grey, as
// long as one channel differs by a quarter of the range or more.
func drawColours(rnd *stream) (back, fore [3]float64) {
	grey := rnd.intn(4) == 0
	for {
		contrast := 0.0
		for c := range 3 {
			back[c], fore[c] = rnd.between(0, 255), rnd.between(0, 255)
			if grey && c > 0 {
				back[c], fore[c] = back[0], fore[0]
			}
			contrast = max(contrast, fore[c]-back[c], back[c]-fore[c])
		}
		if contrast >= 64 {
			return back, fore
		}
	}
}

// dot returns a·b + c·d with each product rounded by itself.
func dot(a, b, c, d float64) float64 { return float64(a*b) + float64(c*d) }

var subsamples = [3]float64{-1.0 / 3, 0, 1.0 / 3}
