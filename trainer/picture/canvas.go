// Package picture draws the pictures that trainers keep as artifacts: images of a data
// set, maps of numbers as colours, and short labels. It needs no font and no C.
//
// Vocabulary. A [Canvas] is a picture being drawn, its origin at the top left, in pixels.
// [Heat] gives a number between 0 and 1 its colour.
//
// Rules. Drawing beyond the edge is cut off, and no input makes it fail; the same calls
// give the same bytes.
package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
)

// Colours that labels and grounds are drawn in.
var (
	White = color.RGBA{255, 255, 255, 255}
	Black = color.RGBA{0, 0, 0, 255}
	Grey  = color.RGBA{128, 128, 128, 255}
)

// Canvas is a picture being drawn.
type Canvas struct{ rgba *image.RGBA }

// New returns a white canvas.
func New(width, height int) *Canvas {
	c := &Canvas{image.NewRGBA(image.Rect(0, 0, width, height))}
	c.Fill(0, 0, width, height, White)
	return c
}

// Fill draws a rectangle.
func (c *Canvas) Fill(x, y, width, height int, colour color.RGBA) {
	draw.Draw(c.rgba, image.Rect(x, y, x+width, y+height), image.NewUniform(colour), image.Point{}, draw.Src)
}

// Pixels draws an image of height × width pixels, a plane for each channel (one for
// grey, or red, green and blue), as side × side pixels of the canvas, each the nearest of
// the image's.
func (c *Canvas) Pixels(x, y, side int, planes []uint8, channels, height, width int) {
	plane := height * width
	for dy := range side {
		for dx := range side {
			at := dy*height/side*width + dx*width/side
			p := color.RGBA{A: 255}
			if channels == 1 {
				p.R, p.G, p.B = planes[at], planes[at], planes[at]
			} else {
				p.R, p.G, p.B = planes[at], planes[plane+at], planes[2*plane+at]
			}
			c.rgba.SetRGBA(x+dx, y+dy, p)
		}
	}
}

// Map draws rows × columns numbers between 0 and 1 as side × side pixels in the colours of [Heat].
func (c *Canvas) Map(x, y, side int, values []float32, rows, columns int) {
	for dy := range side {
		for dx := range side {
			c.rgba.SetRGBA(x+dx, y+dy, Heat(float64(values[dy*rows/side*columns+dx*columns/side])))
		}
	}
}

// viridis are colours along the map of that name (van der Walt and Smith 2015), at equal distances.
var viridis = [...]color.RGBA{
	{68, 1, 84, 255}, {72, 40, 120, 255}, {62, 73, 137, 255}, {49, 104, 142, 255}, {38, 130, 142, 255},
	{31, 158, 137, 255}, {53, 183, 121, 255}, {110, 206, 88, 255}, {181, 222, 43, 255}, {253, 231, 37, 255},
}

// Heat is the colour of a number, from dark blue at 0 to yellow at 1; what lies beyond, and NaN, is drawn as the nearer end.
func Heat(v float64) color.RGBA {
	if !(v > 0) { // NaN too
		return viridis[0]
	}
	at := min(v, 1) * float64(len(viridis)-1)
	i := min(int(at), len(viridis)-2)
	share := at - float64(i)
	mix := func(a, b uint8) uint8 { return uint8(float64(a) + share*(float64(b)-float64(a)) + 0.5) }
	a, b := viridis[i], viridis[i+1]
	return color.RGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255}
}

// Ink is the colour, black or white, that is readable on a ground.
func Ink(ground color.RGBA) color.RGBA {
	if 299*int(ground.R)+587*int(ground.G)+114*int(ground.B) > 128*1000 {
		return Black
	}
	return White
}

// Save writes the picture as a PNG. It leaves no other file, also if the process is killed
// meanwhile; what it leaves then, whoever goes on draws again.
func (c *Canvas) Save(path string) error {
	var b bytes.Buffer
	if err := png.Encode(&b, c.rgba); err != nil {
		return fmt.Errorf("drawing %s: %w", path, err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("saving a picture: %w", errors.Join(err, os.RemoveAll(path)))
	}
	return nil
}
