package nn

import "testing"

func BenchmarkMask(b *testing.B) {
	n := NewNet(NewParams(1), NewWorkspace(), &Clock{Seed: 7})
	m, err := n.newMask(1, 0.1)
	if err != nil {
		b.Fatal(err)
	}
	x := make([]float32, 1024)
	Ones(x, nil)
	b.SetBytes(4 * int64(len(x)))
	for i := 0; b.Loop(); i++ {
		m.row(x, x, i)
	}
}
