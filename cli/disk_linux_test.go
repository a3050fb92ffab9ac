package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mount mounts a small file system of its own, where this user may.
func mount(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if os.Getuid() != 0 {
		t.Skip("only root can mount the small disk that this test is about")
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "none", dir).CombinedOutput(); err != nil {
		t.Skipf("the small disk that this test is about cannot be mounted: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// A home on a disk that is full, or that cannot be written, is one line of error, and
// nothing is left half-written.
func TestHomeOnABadDisk(t *testing.T) {
	t.Parallel()
	fine := filepath.Join("testdata", "bad", "fine.yaml")
	full := mount(t, "size=2m")
	if err := os.WriteFile(filepath.Join(full, "fill"), make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	readOnly := mount(t, "ro")
	for _, c := range []struct{ home, says string }{
		{full, "no space left"},
		{filepath.Join(full, "below"), "no space left"},
		{readOnly, "read-only file system"},
		{filepath.Join(readOnly, "below"), "read-only file system"},
	} {
		for _, args := range [][]string{{"run", fine}, {"coordinator", "--listen", "127.0.0.1:0"}} {
			o := swath(t, append(args, "--home", c.home)...).want(t, 2).says(t, c.says, "--home")
			if strings.Count(o.err, "\n") != 1 || o.out != "" {
				t.Errorf("want one line:\n%s%s", o.out, o.err)
			}
		}
	}
	if list, err := os.ReadDir(full); err != nil || len(list) != 1 {
		t.Errorf("left on the full disk: %v, %v", list, err)
	}
	_, addr := coordinator(t, t.TempDir())
	for _, home := range []string{full, readOnly} {
		o := swath(t, "worker", "--coordinator", addr, "--home", home).want(t, 2)
		if strings.Count(o.err, "\n") != 1 || o.out != "" {
			t.Errorf("want one line:\n%s%s", o.out, o.err)
		}
	}
}

// A home that can no longer be written can still be read.
func TestReadOnlyHomeCanBeRead(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	swath(t, "run", fakeSweep(t, "kept", "method: grid\nparameters: {x: {value: 0.5}}"), "--home", home).want(t, 0)
	dir := mount(t, "size=2m")
	if out, err := exec.Command("cp", "-r", home+"/.", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "remount,ro", dir).CombinedOutput(); err != nil {
		t.Skipf("remount: %v: %s", err, out)
	}
	swath(t, "results", "kept", "--home", dir).want(t, 0).says(t, "finished")
	swath(t, "series", "kept", "--metric", "loss", "--home", dir).want(t, 0)
	swath(t, "ls", "--home", dir).want(t, 0).says(t, "kept")
	swath(t, "run", fakeSweep(t, "more", "method: grid\nparameters: {x: {value: 0.5}}"), "--home", dir).want(t, 2).says(t, "read-only file system")
}
