package vit

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"swath/trainer/data"
	"swath/trainer/picture"
)

// The names of the artifacts.
const (
	confusionCSV = "confusion-matrix.csv"
	confusionPNG = "confusion-matrix.png"
	attentionPNG = "attention-maps.png"
)

const (
	maxDrawnClasses = 500 // of a confusion matrix; the table has them all
	attentionImages = 8
	attentionLayers = 12 // at most, evenly over the model's
	attentionSide   = 112
	margin          = 8
)

// writeArtifacts leaves in a folder the confusion matrix of the test images, as a table
// and as a picture (a row for each true class, a column for each predicted one), and the
// attention of the class token of some test images.
func writeArtifacts(dir string, m *Model, d *data.Dataset, test *evaluation) error {
	if err := writeConfusion(filepath.Join(dir, confusionCSV), d.Classes, test.confusion); err != nil {
		return fmt.Errorf("writing the confusion matrix: %w", err)
	}
	if len(d.Classes) <= maxDrawnClasses {
		c := drawConfusion(d.Classes, test)
		if err := c.Save(filepath.Join(dir, confusionPNG)); err != nil {
			return err
		}
	}
	c, err := drawAttention(m, d)
	if err != nil {
		return fmt.Errorf("drawing attention: %w", err)
	}
	return c.Save(filepath.Join(dir, attentionPNG))
}

// className names a label. A model may have more labels than its data has classes.
func className(classes []string, label int) string {
	if label < len(classes) {
		return classes[label]
	}
	return "label " + strconv.Itoa(label)
}

// writeConfusion writes counts[true][predicted] with the names of the classes.
func writeConfusion(path string, classes []string, counts [][]int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	w := csv.NewWriter(f)
	row := []string{"true \\ predicted"}
	for predicted := range counts[0] {
		row = append(row, className(classes, predicted))
	}
	if err := w.Write(row); err != nil {
		return err
	}
	for label, predictions := range counts {
		row = append(row[:0], classes[label])
		for _, n := range predictions {
			row = append(row, strconv.Itoa(n))
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// drawConfusion draws a confusion matrix: the colour of a field is its share of the row,
// so that classes of different sizes compare, and the number in it its count.
func drawConfusion(classes []string, test *evaluation) *picture.Canvas {
	n := len(classes)
	columns := n
	for predicted := n; predicted < len(test.confusion[0]); predicted++ {
		for _, row := range test.confusion {
			if row[predicted] > 0 { // labels that no image has are drawn only if the model gave them
				columns = predicted + 1
			}
		}
	}
	columns = min(columns, maxDrawnClasses)
	cell := max(2, min(40, 1200/max(n, columns)))
	labelled := cell > picture.LetterHeight
	title := fmt.Sprintf("%d test images, accuracy %.1f %%", test.Images, 100*test.accuracy())
	const hint = "rows: true, columns: predicted"
	left, top := margin, 2*margin+2*(picture.LetterHeight+4)
	if labelled {
		widest := 0
		for label := range columns {
			widest = max(widest, picture.Width(className(classes, label)))
		}
		left, top = left+widest+margin, top+widest
	}
	c := picture.New(max(left+columns*cell, picture.Width(title)+margin, picture.Width(hint)+margin)+margin, top+n*cell+margin)
	c.Text(margin, margin, title, picture.Black)
	c.Text(margin, margin+picture.LetterHeight+4, hint, picture.Grey)
	middle := (cell - picture.LetterHeight) / 2
	for label, row := range test.confusion {
		total := 0
		for _, count := range row {
			total += count
		}
		y := top + label*cell
		if labelled {
			c.Text(left-margin-picture.Width(classes[label]), y+middle, classes[label], picture.Black)
		}
		for predicted, count := range row[:columns] {
			x := left + predicted*cell
			ground := picture.Heat(float64(count) / float64(max(total, 1)))
			c.Fill(x, y, cell, cell, ground)
			if text := strconv.Itoa(count); picture.Width(text) < cell-1 {
				c.Text(x+(cell-picture.Width(text))/2, y+middle, text, picture.Ink(ground))
			}
		}
	}
	if labelled {
		for predicted := range columns {
			c.TextUp(left+predicted*cell+middle, top-margin/2, className(classes, predicted), picture.Black)
		}
	}
	return c
}

// drawAttention draws test images, as many classes as there is room for, and beside each
// how much its class token attends to each patch in the encoder's layers: the mean over
// the heads, in colours from 0 to the map's own largest value.
func drawAttention(m *Model, d *data.Dataset) (*picture.Canvas, error) {
	c := &m.Config
	idx := someOfEachClass(d, min(attentionImages, c.BatchSize))
	if err := m.EvalBatch().fill(d, d.Test, idx); err != nil {
		return nil, err
	}
	if _, err := m.Evaluate(); err != nil {
		return nil, err
	}
	predicted := m.predictions()
	layers := spread(len(m.eval.layers), attentionLayers)

	const line = picture.LetterHeight + 4
	const row = attentionSide + 2*line + margin
	title := "attention of the class token, mean of " + strconv.Itoa(c.Heads) + " heads"
	width := max(margin+(1+len(layers))*(attentionSide+margin), picture.Width(title)+2*margin)
	const head = 3*margin + 2*line
	canvas := picture.New(width, head+len(idx)*row)
	canvas.Text(margin, margin, title, picture.Black)
	for i, l := range layers {
		canvas.Text(margin+(1+i)*(attentionSide+margin), 2*margin+line, fmt.Sprintf("layer %d", l+1), picture.Black)
	}
	side := c.ImageSize / c.PatchSize
	for k, image := range idx {
		y := head + k*row
		canvas.Pixels(margin, y, attentionSide, d.Image(d.Test, image), d.Channels, d.Height, d.Width)
		canvas.Text(margin, y+attentionSide+3, className(d.Classes, d.Test.Labels[image]), picture.Black)
		canvas.Text(margin, y+attentionSide+3+line, "seen as "+className(d.Classes, predicted[k]), picture.Grey)
		for i, l := range layers {
			values := m.attention(l, k)
			top := values[0]
			for _, v := range values {
				top = max(top, v)
			}
			x := margin + (1+i)*(attentionSide+margin)
			canvas.Text(x, y+attentionSide+3, fmt.Sprintf("top %.1f %%", 100*top), picture.Grey)
			for j := range values {
				values[j] /= max(top, 1e-30)
			}
			canvas.Map(x, y, attentionSide, values, side, side)
		}
	}
	return canvas, nil
}

// someOfEachClass returns n test images, or all if there are fewer: the first of each class, then the second, and so on.
func someOfEachClass(d *data.Dataset, n int) []int {
	byClass := make([][]int, len(d.Classes))
	for i, label := range d.Test.Labels {
		byClass[label] = append(byClass[label], i)
	}
	var idx []int
	for round := 0; len(idx) < min(n, d.Test.Len()); round++ {
		for _, members := range byClass {
			if round < len(members) && len(idx) < n {
				idx = append(idx, members[round])
			}
		}
	}
	return idx
}

// spread returns at most limit of the numbers 0 to n-1, evenly, the last among them.
func spread(n, limit int) []int {
	count := min(n, limit)
	var numbers []int
	for i := range count {
		numbers = append(numbers, (i+1)*n/count-1)
	}
	return numbers
}
