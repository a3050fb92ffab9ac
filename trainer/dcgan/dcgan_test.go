package dcgan

import (
	"testing"
	"time"

	"swath/trainer/nn"
	"swath/trainer/nn/kernel"
)

func BenchmarkStep(b *testing.B) {
	for _, generator := range []string{plainGenerator, styleGenerator} {
		for _, threads := range []int{1, 2} {
			b.Run(generator+map[int]string{1: "/threads=1", 2: "/threads=2"}[threads], func(b *testing.B) {
				before := kernel.Threads()
				defer kernel.SetThreads(before)
				kernel.SetThreads(threads)
				c, err := NewConfig(map[string]any{"generator": generator})
				if err != nil {
					b.Fatal(err)
				}
				m, err := NewModel(c)
				if err != nil {
					b.Fatal(err)
				}
				nn.Normal(0.5)(m.Real(), nn.NewRand(1))
				if _, err := m.Step(); err != nil { // touches all memory
					b.Fatal(err)
				}
				start, steps := time.Now(), 0
				for b.Loop() {
					if _, err := m.Step(); err != nil {
						b.Fatal(err)
					}
					steps++
				}
				_ = start
			})
		}
	}
}
