package exec_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"swath/sweeps"
)

// Launchers of several processes give each a session of its own.
func TestProcessesThatLeftTheGroupAreEnded(t *testing.T) {
	const child = `echo $$ > child.tmp; mv child.tmp child; exec sleep 1000`
	for _, c := range []struct {
		name, script string
		stop, stays  bool
	}{
		{"of an attempt that is stopped", `setsid sh -c '` + child + `' >/dev/null 2>&1 & wait`, true, false},
		{"of one whose group takes no notice", `trap '' TERM; setsid sh -c '` + child + `' & while :; do wait; done`, true, false},
		{"with the output, of one that ends", `setsid sh -c '` + child + `' & sleep 0.3; echo done`, false, false},
		{"without, of one that ends", `setsid sh -c '` + child + `' >/dev/null 2>&1 & sleep 0.3; echo done`, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := shell(t, c.script)
			spec.Grace = 200 * time.Millisecond
			p := start(t, spec)
			file := filepath.Join(spec.AttemptDir, "child")
			eventually(t, "the child", exists(file))
			pid, err := strconv.Atoi(strings.TrimSpace(read(t, file)))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = unix.Kill(pid, unix.SIGKILL) }() // mostly it is gone
			if c.stop {
				p.Stop(sweeps.ClassCancelled, "x")
			}
			if o, _ := p.Wait(); o.OK() == c.stop {
				t.Errorf("outcome %+v", o)
			}
			if !c.stays { // that it is dead is seen a moment later
				eventually(t, "the child's end", func() bool { return !running(pid) })
			} else if !running(pid) {
				t.Error("the child was ended, though it had done with the attempt")
			}
		})
	}
}
