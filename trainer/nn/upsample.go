package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"swath/trainer/nn/kernel"
)

// Upsample doubles height and width of images of batch × height × width × channels by
// bilinear interpolation: an output pixel is 3/4 of the nearest input pixel and 1/4 of
// the next nearest, along each axis; at a border, where there is no next, the nearest
// counts for both. It is PyTorch's bilinear interpolation with align_corners false.
func (n *Net) Upsample(x *gorgonia.Node, name string) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "upsampling " + name
	s := x.Shape()
	if len(s) != 4 {
		return n.fail(label, fmt.Errorf("input has shape %v, want batch × height × width × channels", s))
	}
	result := tensor.Shape{s[0], 2 * s[1], 2 * s[2], s[3]}
	op := &upsample{base: n.newBase(label, result, x), net: n, name: name, batch: s[0], height: s[1], width: s[2], channels: s[3],
		rows: newPool(2 * s[2] * s[3]), y: n.space.tensor(name+".out", result...)}
	return n.apply(label, op, x)
}

type upsample struct {
	base
	net                            *Net
	name                           string
	batch, height, width, channels int // of the input
	rows                           *pool
	y                              *tensor.Dense
}

const (
	nearWeight = 0.75 // of the nearest pixel
	nextWeight = 0.25 // of the next nearest
)

// neighbours returns, for position i of an axis that is twice as long as size, the
// nearest position of the shorter axis and the next nearest.
func neighbours(i, size int) (near, next int) {
	near, next = i/2, i/2-1+i%2*2
	return near, min(max(next, 0), size-1)
}

// Do interpolates between rows, then between the pixels of a row.
func (u *upsample) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in, line := inputs{values: values}, u.width*u.channels
	x := in.at(0, u.batch*u.height*line)
	if in.err != nil {
		return nil, u.errMismatch(in.err)
	}
	y, c := u.y.Data().([]float32), u.channels
	kernel.Parallel(u.batch*2*u.height, 4, func(lo, hi int) {
		scratch := u.rows.get()
		defer u.rows.put(scratch)
		row := (*scratch)[:line]
		for r := lo; r < hi; r++ {
			image := x[r/(2*u.height)*u.height*line:]
			near, next := neighbours(r%(2*u.height), u.height)
			kernel.Scale(row, nearWeight, image[near*line:(near+1)*line])
			kernel.Axpy(nextWeight, image[next*line:(next+1)*line], row)
			out := y[r*2*line:][:2*line]
			for j := range 2 * u.width {
				near, next := neighbours(j, u.width)
				pixel := out[j*c : (j+1)*c]
				kernel.Scale(pixel, nearWeight, row[near*c:(near+1)*c])
				kernel.Axpy(nextWeight, row[next*c:(next+1)*c], pixel)
			}
		}
	})
	return u.y, nil
}

// DiffWRT says that interpolation is differentiable.
func (u *upsample) DiffWRT(n int) []bool { return all(n) }

// SymDiff adds the backward operation.
func (u *upsample) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	op := &upsampleGrad{fwd: u, dx: u.net.space.tensor(u.name+".dx", in[0].Shape()...)}
	return u.net.backward(op, &op.base, u.label, []gradient{{"dx", op.dx}}, grad)
}

type upsampleGrad struct {
	base
	fwd *upsample
	dx  *tensor.Dense
}

// Do is the transpose of the interpolation: each input pixel gathers from the output
// pixels that it is nearest or next nearest to.
func (g *upsampleGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	u, in := g.fwd, inputs{values: values}
	line, c := u.width*u.channels, u.channels
	dy := in.at(0, u.batch*u.height*line*4)
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	dx := g.dx.Data().([]float32)
	kernel.Parallel(u.batch*u.height, 2, func(lo, hi int) {
		scratch := u.rows.get()
		defer u.rows.put(scratch)
		row := *scratch
		for r := lo; r < hi; r++ {
			image := dy[r/u.height*u.height*line*4:]
			gather(row, image, r%u.height, u.height)
			for j := range u.width {
				gather(dx[r*line+j*c:][:c], row, j, u.width)
			}
		}
	})
	return g.dx, nil
}

// gather sets dst to the weighted sum of those of the 2·size parts of src, each as long as
// dst, that part i of the shorter axis was interpolated into.
func gather(dst, src []float32, i, size int) {
	clear(dst)
	for k := max(0, 2*i-1); k < min(2*size, 2*i+3); k++ {
		near, next := neighbours(k, size)
		weight := float32(0)
		if near == i {
			weight += nearWeight
		}
		if next == i {
			weight += nextWeight
		}
		kernel.Axpy(weight, src[k*len(dst):(k+1)*len(dst)], dst)
	}
}
