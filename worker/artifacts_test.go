package worker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swath/proto/wire"
	"swath/sweeps"
)

// leave writes an attempt's artifacts: names and contents by turns; a name that ends in a slash is a directory.
func leave(t *testing.T, files ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// keeps moves an attempt's artifacts, which must succeed.
func keeps(t *testing.T, root, from string, of wire.Start) {
	t.Helper()
	if _, err := keepArtifacts(root, from, of); err != nil {
		t.Fatal(err)
	}
}

// wantArtifacts compares what is kept of trial 3 of sweep s: contents by name.
func wantArtifacts(t *testing.T, root string, want map[string]string) {
	t.Helper()
	got, dir := map[string]string{}, filepath.Join(root, "artifacts", "s", "3")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ownerFile {
			return err
		}
		b, err := os.ReadFile(path)
		name, e := filepath.Rel(dir, path)
		got[filepath.ToSlash(name)] = string(b)
		return errors.Join(err, e)
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the artifacts (-want, +got):\n%s", diff)
	}
}

// artifactsOf is an attempt of trial 3 of sweep s.
func artifactsOf(id sweeps.SweepID, attempt int) wire.Start {
	return wire.Start{SweepName: "s", Ref: sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: id, Index: 3}, Attempt: attempt}}
}

func TestArtifactsOfAllAttemptsAreKept(t *testing.T) {
	root := t.TempDir()
	keeps(t, root, leave(t, "epoch-1", "a", "model", "a", "maps/1", "a", "maps/deep/1", "a", "x", "a", "y/z", "a"), artifactsOf("one", 1))
	keeps(t, root, leave(t, "epoch-2", "b", "model", "b", "maps/2", "b", "maps/deep/1", "b", "x/z", "b", "y", "b"), artifactsOf("one", 3))
	want := map[string]string{
		"epoch-1": "a", "epoch-2": "b", "model": "b", "maps/1": "a", "maps/2": "b", "maps/deep/1": "b", "x/z": "b", "y": "b",
	}
	wantArtifacts(t, root, want)
	// An attempt that had left nothing takes nothing away.
	keeps(t, root, t.TempDir(), artifactsOf("one", 4))
	wantArtifacts(t, root, want)
	// An earlier attempt whose end comes late adds what is missing.
	keeps(t, root, leave(t, "epoch-1½", "c", "model", "c", "maps/deep/2", "c", "x", "c", "y/z", "c"), artifactsOf("one", 2))
	want["epoch-1½"], want["maps/deep/2"] = "c", "c"
	wantArtifacts(t, root, want)
	// Another sweep by the name begins anew.
	keeps(t, root, leave(t, "model", "d"), artifactsOf("two", 1))
	wantArtifacts(t, root, map[string]string{"model": "d"})
}

func TestArtifactsDoNotLeadOut(t *testing.T) {
	root, elsewhere := t.TempDir(), leave(t, "own", "mine")
	from := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(from, "maps")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	keeps(t, root, from, artifactsOf("one", 1))
	keeps(t, root, leave(t, "maps/own", "b"), artifactsOf("one", 2))
	wantArtifacts(t, root, map[string]string{"maps/own": "b"})
	if b, err := os.ReadFile(filepath.Join(elsewhere, "own")); err != nil || string(b) != "mine" {
		t.Errorf("what a link led to is %q, %v", b, err)
	}
}

// TestArtifactsAfterACrash kills the mover after every rename, which is what a directory half moved stands for, and lets it begin anew.
func TestArtifactsAfterACrash(t *testing.T) {
	files := []string{"!", "b", "a", "b", "maps/1", "b", "maps/2", "b", "z", "b"}
	want := map[string]string{"!": "b", "a": "b", "maps/0": "a", "maps/1": "b", "maps/2": "b", "z": "b"}
	names := []string{"!", ownerFile, "a", "maps/1", "maps/2", "z"}
	for moved := range len(names) + 1 {
		root := t.TempDir()
		keeps(t, root, leave(t, "!", "a", "maps/0", "a", "maps/1", "a", "z", "a"), artifactsOf("one", 1))
		second, from := artifactsOf("one", 2), leave(t, files...)
		if err := writeJSON(from, ownerFile, second.Ref); err != nil {
			t.Fatal(err)
		}
		for _, name := range names[:moved] {
			if err := os.Rename(filepath.Join(from, name), filepath.Join(root, "artifacts", "s", "3", name)); err != nil {
				t.Fatal(err)
			}
		}
		keeps(t, root, from, second)
		wantArtifacts(t, root, want)
	}
}

// TestArtifactsOfAttemptsThatEndTogether moves those of many attempts at once.
func TestArtifactsOfAttemptsThatEndTogether(t *testing.T) {
	root := t.TempDir()
	const attempts = 20
	var all sync.WaitGroup
	for n := 1; n <= attempts; n++ {
		from := leave(t, "model", strings.Repeat("x", n), "maps/model", strings.Repeat("x", n))
		all.Go(func() {
			if _, err := keepArtifacts(root, from, artifactsOf("one", n)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	last := strings.Repeat("x", attempts)
	wantArtifacts(t, root, map[string]string{"model": last, "maps/model": last})
}

// TestAgentKeepsArtifactsOfEarlierAttempts runs two attempts of a trial on one agent.
func TestAgentKeepsArtifactsOfEarlierAttempts(t *testing.T) {
	c := newCoordinator(t)
	r := run(t, newAgent(t, c, t.TempDir(), func(*Config) {}))
	root := filepath.Join(r.home.root, "artifacts", "tests", "7")
	for attempt, script := range []string{"cd $SWATH_ARTIFACT_DIR; echo 1 > early; echo 1 > model; exit 3", "cd $SWATH_ARTIFACT_DIR; echo 2 > model; echo 2 > late"} {
		m := shell(7, script)
		m.Ref.Attempt = attempt + 1
		c.start(m)
		c.ended(m.Ref)
		gone(t, attemptPath(r.Agent, m))
	}
	r.stop()
	for name, want := range map[string]string{"early": "1\n", "model": "2\n", "late": "2\n"} {
		if b, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(b) != want {
			t.Errorf("%s is %q, want %q (%v)", name, b, want, err)
		}
	}
	c.check()
}
