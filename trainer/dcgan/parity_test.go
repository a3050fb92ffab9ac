package dcgan

import (
	"fmt"
	"slices"
	"testing"

	"swath/trainer/paritytest"
)

// TestParityWithPyTorch trains 20 steps from the weights and on the images of the golden
// files: losses and every gradient of each step, and the weights after the last, are
// PyTorch's, and so are the running statistics of the generator's batch norms. With the
// gradients that makes the optimiser PyTorch's Adam, too.
func TestParityWithPyTorch(t *testing.T) {
	// The wide one has the channels that convolutions by minimal filtering need.
	for _, model := range []string{"dcgan", "dcgan-wide", "style"} {
		t.Run(model, func(t *testing.T) {
			golden := paritytest.Read(t, "testdata/parity/"+model+".golden.gz")
			c, err := NewConfig(golden.Params)
			if err != nil {
				t.Fatal(err)
			}
			m, err := NewModel(c)
			if err != nil {
				t.Fatal(err)
			}
			start(t, golden, m)
			for step := 1; step <= golden.Steps && !t.Failed(); step++ {
				compareStep(t, golden, m, fmt.Sprint(step))
			}
			if t.Failed() {
				return // the last weights are those of another step
			}
			for _, p := range m.Params.All() {
				for _, name := range []string{"end/" + p.Name, "statistics/" + p.Name} {
					if golden.Has(name) {
						golden.Compare(t, "last weights", name, p.Data())
					}
				}
			}
		})
	}
}

// start gives the model the first weights, and compares the names.
func start(t *testing.T, golden *paritytest.File, m *Model) {
	var names []string
	for _, w := range slices.Concat(m.g.weights, m.d.weights) {
		names = append(names, w.Name())
	}
	paritytest.CompareNames(t, "weights", names, golden.Names("start"))
	paritytest.CompareNames(t, "weights", names, golden.Names("end"))
	for _, p := range m.Params.All() {
		if golden.Has("start/" + p.Name) {
			golden.Fill(t, p.Data(), "start/"+p.Name)
		}
	}
}

// compareStep makes the step whose tensors are in the named folder.
func compareStep(t *testing.T, golden *paritytest.File, m *Model, folder string) {
	golden.Fill(t, m.Real(), folder+"/images")
	result, err := m.Step()
	if err != nil {
		t.Fatalf("step %s: %v", folder, err)
	}
	golden.Compare(t, "latents", folder+"/latents", m.generator.input())
	if t.Failed() {
		t.Fatal("the trainer draws other latents than bench/torch/swathrandom.py: bring it up to date and make the files anew")
	}
	golden.CompareScalar(t, "losses", folder+"/loss_d", result.LossD)
	golden.CompareScalar(t, "losses", folder+"/loss_g", result.LossG)
	for _, network := range []player{m.g, m.d} {
		for i, w := range network.weights {
			gradient, err := network.grads[i].Grad()
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, "gradients", folder+"/gradient/"+w.Name(), gradient.Data().([]float32))
		}
	}
}
