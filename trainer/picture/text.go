package picture

import (
	"image/color"
	"strings"
)

// The size of a letter, and of the space that it takes with the gap behind it.
const (
	letterWidth  = 5
	LetterHeight = 7
	advance      = letterWidth + 1
)

// Width is how many pixels a label takes.
func Width(text string) int { return max(0, len(text)*advance-1) }

// Text draws a label with its top left corner at x and y, in capitals. What the letters
// lack is drawn as a box.
func (c *Canvas) Text(x, y int, text string, colour color.RGBA) {
	c.letters(text, func(along, down int) { c.rgba.SetRGBA(x+along, y+down, colour) })
}

// TextUp draws a label that reads upwards, with its lower left corner at x and y: its
// letters take LetterHeight pixels to the right of x.
func (c *Canvas) TextUp(x, y int, text string, colour color.RGBA) {
	c.letters(text, func(along, down int) { c.rgba.SetRGBA(x+down, y-along, colour) })
}

// letters calls dot for each pixel of a label, by how far it is along the line and down from its top.
func (c *Canvas) letters(text string, dot func(along, down int)) {
	for i, ch := range []byte(strings.ToUpper(text)) {
		at := strings.IndexByte(alphabet, ch)
		for row := range LetterHeight {
			bits := box[row]
			if at >= 0 {
				bits = font[at][row]
			}
			for col := range letterWidth {
				if bits[col] != ' ' {
					dot(i*advance+col, row)
				}
			}
		}
	}
}
