//go:build unix

package worker

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"swath/sweeps"
)

// A trial that fails is not to blame if the disk was full while it ran, also where there is
// room again by the time that it ends.
func TestFailureWhileTheDiskWasFull(t *testing.T) {
	c := newCoordinator(t)
	var full atomic.Bool
	seen := make(chan struct{}, 1)
	run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) {
		cfg.Full = func() bool {
			is := full.Load()
			if is {
				nudge(seen)
			}
			return is
		}
	}))
	dir := t.TempDir()
	failing := func(index int64, before string) sweeps.Outcome {
		full.Store(before == "full")
		began, end := filepath.Join(dir, before+".began"), filepath.Join(dir, before+".end")
		m := shell(index, "echo > "+began+"; while [ ! -e "+end+" ]; do sleep 0.01; done; exit 3")
		c.start(m)
		awaitFile(t, began)
		if before == "full" {
			<-seen
			full.Store(false)
		}
		if err := os.WriteFile(end, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return c.ended(m.Ref)
	}
	if out := failing(0, "room"); out.Class != sweeps.ClassExit {
		t.Errorf("with room the outcome is %+v", out)
	}
	if out := failing(1, "full"); out.Class != sweeps.ClassLost || !strings.Contains(out.Message, "was full: exit code 3") {
		t.Errorf("on a disk that was full the outcome is %+v", out)
	}
}
