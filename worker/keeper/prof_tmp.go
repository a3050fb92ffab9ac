package keeper

import (
	"os"
	"runtime/pprof"
)

func startProf() func() {
	p := os.Getenv("KPROF")
	if p == "" {
		return func() {}
	}
	f, _ := os.Create(p)
	_ = pprof.StartCPUProfile(f)
	return func() { pprof.StopCPUProfile(); f.Close() }
}
