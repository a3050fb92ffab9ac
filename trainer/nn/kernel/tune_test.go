package kernel

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// best-of-many short runs
func TestTune(t *testing.T) {
	th, _ := strconv.Atoi(os.Getenv("TH"))
	if th == 0 { th = 1 }
	if s := os.Getenv("SET"); s != "" { if err := Select(s); err != nil { t.Fatal(err) } }
	SetThreads(th)
	r := rand.New(rand.NewPCG(1, 1))
	peak := Peak(th)
	runs, _ := strconv.Atoi(os.Getenv("RUNS"))
	if runs == 0 { runs = 400 }
	fmt.Printf("peak(%d) %.1f\n", th, peak)
	for _, g := range []gemmCase{{m:360,n:1024,k:240,alpha:1},{m:360,n:240,k:1024,alpha:1},{m:360,n:240,k:1024,alpha:1,transB:true},{m:240,n:512,k:815,alpha:1,transA:true},{m: 65, n: 65, k: 20, alpha: 1, transB: true, padA: 700, padB: 700},{m: 65, n: 20, k: 65, alpha: 1, padB: 700, padC: 220},{m: 20, n: 65, k: 65, alpha: 1, transA: true, padA: 700, padB: 700}} {
		p := g.operands(r)
		fl := 2 * float64(g.m) * float64(g.n) * float64(g.k)
		rep := 1
		if fl < 1e7 { rep = max(1,int(2e6/fl)) }
		best := time.Hour
		for range runs {
			s := time.Now()
			for range rep { Gemm(p.transA, p.transB, p.m, p.n, p.k, p.alpha, p.a, p.lda, p.b, p.ldb, p.beta, p.c, p.ldc) }
			best = min(best, time.Since(s))
		}
		rate := fl * float64(rep) / best.Seconds() / 1e9
		fmt.Printf("  %-22s %7.1f GF %.3f\n", shapeName(g), rate, rate/peak)
	}
}
