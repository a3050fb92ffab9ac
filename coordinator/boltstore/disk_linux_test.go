package boltstore

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"swath/sweeps"
)

// smallDisk mounts a disk of some bytes, in memory, or skips the test where that is not
// allowed.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("no small disk can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

func TestReadOnlyDisk(t *testing.T) {
	disk := smallDisk(t, 1<<20)
	home := filepath.Join(disk, "home")
	seed(t, home)
	empty := filepath.Join(disk, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skipf("the disk cannot be made read-only here: %v", err)
	}
	for _, dir := range []string{home, empty, filepath.Join(disk, "new")} {
		refused(t, dir, quick, sweeps.ErrStorage, dir, "read-only file system", "--home")
	}
	opts := quick
	opts.ReadOnly = true
	if _, err := openHome(t, home, opts).State.Sweep("first"); err != nil {
		t.Error(err)
	}
}

func TestLogOnAFullDisk(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "s1", "0", "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", filepath.Join(root, "s1", "0", "1", "stdout")); err != nil {
		t.Fatal(err)
	}
	ref := sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s1"}, Attempt: 1}
	_, err := newLogStore(root, false).Append(ref, "stdout", 0, []byte("hello"))
	told(t, err, sweeps.ErrStorage, "stdout", "no space left", "free some space")
}
