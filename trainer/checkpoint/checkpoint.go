package checkpoint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Checkpoint is the state of a training after some step.
type Checkpoint struct {
	Identity Identity
	// Step is the number of optimiser steps done. A folder holds at most one checkpoint of a step.
	Step int64
	// State is what else the trainer needs: counters, sums, the position in the data. It is one JSON value.
	State json.RawMessage
	// Reports are the metrics reported so far, in order: the next attempt says them again, since its report is
	// read in place of the last one's.
	Reports []Report
	// Tensors are named apart from each other.
	Tensors []Tensor
}

// Identity says which training a checkpoint is of.
type Identity struct {
	Trainer string `json:"trainer"`
	// Params are the parameters that decide the numbers, printed. What may change between attempts, such as the
	// number of threads, is left out.
	Params map[string]string `json:"params"`
}

// Report is one report of metrics.
type Report struct {
	Step    int64
	Metrics map[string]float64
}

// Tensor is a named array of numbers.
type Tensor struct {
	Name  string
	Shape []int // of positive sizes; empty for a single number
	Data  []float32
}

// Tensor returns the elements of the tensor of that name and size, or an error that says what is wrong with it.
func (c *Checkpoint) Tensor(name string, size int) ([]float32, error) {
	for _, t := range c.Tensors {
		if t.Name != name {
			continue
		}
		if len(t.Data) != size {
			return nil, fmt.Errorf("the checkpoint's tensor %s has %d elements, the training's %d", name, len(t.Data), size)
		}
		return t.Data, nil
	}
	return nil, fmt.Errorf("the checkpoint has no tensor %s", name)
}

// MismatchError says that a checkpoint is of another training.
type MismatchError struct {
	Path string // of the file
	Want Identity
	Have Identity // the checkpoint's
}

func (e *MismatchError) Error() string {
	where := "the checkpoint"
	if e.Path != "" {
		where += " " + e.Path
	}
	var differ []string
	if e.Have.Trainer != e.Want.Trainer {
		differ = append(differ, fmt.Sprintf("it is of trainer %q, not %q", e.Have.Trainer, e.Want.Trainer))
	} else {
		names := maps.Clone(e.Want.Params)
		maps.Copy(names, e.Have.Params)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			have, inHave := e.Have.Params[name]
			want, inWant := e.Want.Params[name]
			switch {
			case !inHave:
				differ = append(differ, fmt.Sprintf("it does not know %s, which is %s here", name, want))
			case !inWant:
				differ = append(differ, fmt.Sprintf("it has %s = %s, which is not known here", name, have))
			case have != want:
				differ = append(differ, fmt.Sprintf("its %s is %s, here it is %s", name, have, want))
			}
		}
	}
	return fmt.Sprintf("%s is of another training: %s (train with its parameters, or with an empty checkpoint folder)", where, strings.Join(differ, ", "))
}

func (i Identity) equal(j Identity) bool {
	return i.Trainer == j.Trainer && maps.Equal(i.Params, j.Params)
}

// size is the number of elements of a shape, or -1 if a size is not positive or the product too large to be true.
func size(shape []int) int {
	n := 1
	for _, s := range shape {
		if s <= 0 || n > maxElements/s {
			return -1
		}
		n *= s
	}
	return n
}
