package sweeps

import (
	"strings"
	"testing"
)

func TestChainNeighbours(t *testing.T) {
	s, err := Parse([]byte(`
method: grid
trainer: vit
parameters:
  a: {values: [x, y]}
  epochs: {values: [1, 2, 5, 9]}
  z: {min: 0, max: 2, distribution: int_uniform}
constraints: ['!(epochs == 2 && a == "x")', 'epochs < 9 || z == 0']
repeat: 2
seed: 7
continue: epochs
`), "chain.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan()
	if err != nil {
		t.Fatal(err)
	}
	epochs := func(i int64) int64 {
		t.Helper()
		planned, err := p.At(i)
		if err != nil {
			t.Fatal(err)
		}
		return planned.Params["epochs"].(int64)
	}
	rest := func(i int64) string {
		planned, _ := p.At(i)
		delete(planned.Params, "epochs")
		return string(planned.Params.JSON())
	}
	heads := 0
	for i := range p.Size() {
		if _, err := p.At(i); err != nil {
			continue
		}
		if before, is := p.Before(i); !is {
			heads++
		} else if before >= i || epochs(before) >= epochs(i) || rest(before) != rest(i) {
			t.Errorf("trial %d goes on from %d", i, before)
		} else if after, is := p.After(before); !is || after != i {
			t.Errorf("trial %d goes on from %d, from which %d goes on", i, before, after)
		}
		if after, is := p.After(i); is && (after <= i || epochs(after) <= epochs(i)) {
			t.Errorf("trial %d goes on from %d", after, i)
		}
	}
	if heads != 2*3*2 { // a, z and the repetitions
		t.Errorf("%d trials go on from none", heads)
	}
	for _, i := range []int64{-1, p.Size()} {
		if _, is := p.Before(i); is {
			t.Errorf("there is a trial before %d", i)
		}
	}
}

func TestCheckpointKeys(t *testing.T) {
	const head = "method: grid\ntrainer: vit\nparameters: {epochs: {values: [1, 2]}, words: {values: [b, a]}, down: {values: [2, 1]}, one: {value: 3}, twice: {expr: 2 * epochs}}\n"
	s, err := Parse([]byte(head+"metric: {name: loss}\ncheckpoints: {keep_last: 2, keep_best: 3}\n"), "f.yaml")
	if err != nil || s.Keep != (Keep{Last: 2, Best: 3}) {
		t.Errorf("keep %+v, %v", s.Keep, err)
	}
	for text, want := range map[string]string{
		"checkpoints: {keep_bets: 1}":  `f.yaml:4:15: unknown key "keep_bets" in checkpoints; did you mean "keep_best"?`,
		"checkpoints: {keep_last: -1}": `f.yaml:4:26: checkpoints.keep_last must be between 0 and 100, not -1`,
		"checkpoints: {keep_best: 1}":  `f.yaml:4:15: checkpoints.keep_best needs to know what is best: add metric`,
		"checkpoints: 3":               `f.yaml:4:14: checkpoints must be`,
		"continue: epoch":              `f.yaml:4:11: continue: there is no parameter "epoch"; did you mean "epochs"?`,
		"continue: words":              `f.yaml:4:11: continue: the values of words must be numbers in ascending order`,
		"continue: down":               `f.yaml:4:11: continue: the values of down must be numbers in ascending order`,
		"continue: one":                `f.yaml:4:11: continue: one is no list of values`,
		"continue: epochs":             `f.yaml:4:11: continue: twice depends on epochs`,
	} {
		_, err := Parse([]byte(head+text+"\n"), "f.yaml")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	const simple = "method: grid\ntrainer: vit\nparameters: {epochs: {values: [1, 2]}}\n"
	for text, want := range map[string]string{
		"reuse: 1":                         `f.yaml:4:8: reuse must be true or false, not the number 1`,
		"continue: epochs\nreuse: true":    `f.yaml:5:8: reuse and continue exclude each other`,
		"reuse: true\ncontinue: epochs":    `f.yaml:4:8: reuse and continue exclude each other`,
		"reuse: false\ncontinue: epochs\n": "",
		"reuse: true":                      "",
	} {
		s, err := Parse([]byte(simple+text+"\n"), "f.yaml")
		if want == "" {
			if err != nil || s.Reuse != (text == "reuse: true") {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	random := strings.Replace(head, "grid", "random", 1)
	if _, err := Parse([]byte(random+"continue: epochs\n"), "f.yaml"); err == nil || !strings.Contains(err.Error(), "continue is for grids") {
		t.Errorf("random: %v", err)
	}
}
