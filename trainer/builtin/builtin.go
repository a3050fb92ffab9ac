// Package builtin is the registry of the trainers that ship inside the swath binary.
//
// A sweep file names one by "trainer: NAME". It is the only package that knows all of
// them, and the only way to them for the rest of swath; to add one, add it to the list
// of [all].
package builtin

import (
	"slices"

	"swath/trainer"
	"swath/trainer/dcgan"
	"swath/trainer/vit"
)

// Trainer is a built-in training program.
type Trainer = trainer.Trainer

// Param is one hyperparameter of a trainer.
type Param = trainer.Param

// Metric is something that a trainer reports.
type Metric = trainer.Metric

// all returns the built-in trainers, by name.
func all() []Trainer {
	return []Trainer{
		dcgan.Trainer(),
		vit.Trainer(),
	}
}

// Lookup returns the trainer of that name, and whether there is one.
func Lookup(name string) (Trainer, bool) {
	trainers := all()
	i := slices.IndexFunc(trainers, func(t Trainer) bool { return t.Name == name })
	if i < 0 {
		return Trainer{}, false
	}
	return trainers[i], true
}

// Names returns the names of the built-in trainers, sorted.
func Names() []string {
	var names []string
	for _, t := range all() {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names
}
