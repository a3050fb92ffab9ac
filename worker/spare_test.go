//go:build unix

package worker

import (
	"fmt"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"swath/proto/wire"
)

// tour is a trial that shows what it finds in its directory.
func tour(index int64) wire.Start {
	return shell(index, `cd $(dirname $SWATH_PARAMS); find . -mindepth 1 | sort | tr '\n' ' '; cat $SWATH_PARAMS stdout; stat -c %a checkpoint artifacts`)
}

func TestEveryAttemptFindsAnUntouchedDirectory(t *testing.T) {
	var want string
	for i, before := range []string{
		"true", // leaves a spare
		"echo x > $SWATH_CHECKPOINT_DIR/state", "mkdir $SWATH_ARTIFACT_DIR/more", "chmod 700 $SWATH_CHECKPOINT_DIR",
		"rm -r $SWATH_CHECKPOINT_DIR", "rmdir $SWATH_CHECKPOINT_DIR; ln -s / $SWATH_CHECKPOINT_DIR", "echo printed", "echo complained >&2",
		`echo '{"loss": 1}' > $SWATH_REPORT`, "touch $(dirname $SWATH_PARAMS)/more", "mkdir $(dirname $SWATH_PARAMS)/more",
		"echo 'a longer text than the parameters' > $SWATH_PARAMS", "rm $SWATH_PARAMS", "chmod 500 $(dirname $SWATH_PARAMS)", "exit 3",
	} {
		c := newCoordinator(t)
		r := run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) { cfg.Slots = 1 }))
		for _, m := range []wire.Start{shell(0, before), shell(1, before), tour(2)} {
			c.start(m)
			c.ended(m.Ref)
			gone(t, attemptPath(r.Agent, m))
		}
		got := c.log(tour(2).Ref, wire.Stdout)
		if i == 0 {
			want = got
			if !strings.Contains(want, "./artifacts ./checkpoint ./params.json ./stderr ./stdout ") || !strings.Contains(want, `{"lr":0.1}`) {
				t.Fatalf("it found %q", want)
			}
		}
		if got != want {
			t.Errorf("after %q it found %q, not %q", before, got, want)
		}
		r.stop()
		if left, err := filepath.Glob(filepath.Join(r.home.attempts(), "*")); err != nil || len(left) > 0 {
			t.Errorf("after %q there are left %v, %v", before, left, err)
		}
		c.check()
	}
}

func TestSparesAreUsed(t *testing.T) {
	c := newCoordinator(t)
	r := run(t, newAgent(t, c, t.TempDir(), nil))
	for i := range int64(5) {
		m := shell(i, "true")
		c.start(m)
		c.ended(m.Ref)
		gone(t, attemptPath(r.Agent, m))
	}
	r.spares.mu.Lock()
	made, free := r.spares.made, len(r.spares.free)
	r.spares.mu.Unlock()
	if made != 5 || free != 1 {
		t.Errorf("after 5 attempts there were %d spares, and are %d", made, free)
	}
	c.check()
}

// A process that left its attempt's group goes on, and must not write to another's files.
func TestSparesAreNobodyElses(t *testing.T) {
	if _, err := osexec.LookPath("setsid"); err != nil {
		t.Skip("there is no setsid to leave a group with")
	}
	c, g := newCoordinator(t), newGate(t)
	run(t, newAgent(t, c, t.TempDir(), func(cfg *Config) { cfg.Slots = 1 }))
	leaves := shell(0, fmt.Sprintf("setsid sh -c 'while [ ! -e %s ]; do sleep 0.01; done; echo late; touch %s.done' & sleep 0.05", g.path, g.path))
	c.start(leaves)
	c.ended(leaves.Ref)
	next := shell(1, fmt.Sprintf("touch %s; while [ ! -e %s.done ]; do sleep 0.01; done", g.path, g.path))
	c.start(next)
	c.ended(next.Ref)
	if got := c.log(next.Ref, wire.Stdout); got != "" {
		t.Errorf("the next attempt printed %q", got)
	}
	c.check()
}
