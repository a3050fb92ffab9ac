package vit

import (
	"fmt"
	"strings"
	"testing"

	"swath/trainer/paritytest"
)

// TestParityWithPyTorch trains 20 steps from the weights and on the batches of the golden
// file: loss and every gradient of each step, and the weights after the last, are
// PyTorch's. With the gradients that makes the optimiser PyTorch's Adam, too. PyTorch
// computes every token of the last layer, which makes no difference.
func TestParityWithPyTorch(t *testing.T) {
	for name, allTokens := range map[string]bool{"class token": false, "all tokens": true} {
		t.Run(name, func(t *testing.T) { testParity(t, allTokens) })
	}
}

func testParity(t *testing.T, allTokens bool) {
	golden := paritytest.Read(t, "testdata/parity/vit.golden.gz")
	c, err := NewConfig(golden.Params)
	if err != nil {
		t.Fatal(err)
	}
	c.AllTokens = allTokens
	m, err := NewModel(c)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range m.Params.All() {
		names = append(names, p.Name)
		golden.Fill(t, p.Data(), "start/"+p.Name)
	}
	paritytest.CompareNames(t, "weights", names, golden.Names("start"))

	batch := m.TrainBatch()
	for step := 1; step <= golden.Steps && !t.Failed(); step++ {
		at := fmt.Sprint(step)
		golden.Fill(t, batch.Images, at+"/images")
		for i, label := range golden.Tensor(t, at+"/labels") {
			batch.Labels[i] = int32(label)
		}
		result, err := m.Step()
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		golden.CompareScalar(t, "losses", at+"/loss", result.Loss)
		for _, w := range m.weights {
			gradient, err := w.Grad()
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, "gradients", at+"/gradient/"+w.Name(), gradient.Data().([]float32))
		}
	}
	if t.Failed() {
		return // the last weights are those of another step
	}
	for _, p := range m.Params.All() {
		got, want := p.Data(), golden.Tensor(t, "end/"+p.Name)
		if strings.HasSuffix(p.Name, ".qkv.bias") {
			// The bias of the keys adds the same to all scores of a query, and softmax
			// takes it off again: its gradient is 0 but for rounding, of which Adam
			// makes steps of any size. No result depends on it.
			e := c.EmbedDim
			copy(got[e:2*e], want[e:2*e])
		}
		golden.Compare(t, "last weights", "end/"+p.Name, got)
	}
}
