package bundle_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"swath/worker/bundle"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPackAndUnpack(t *testing.T) {
	dir, files := t.TempDir(), map[string]string{"m/a": "weights", "m/sub/b": "", "m/z": "more"}
	for name, text := range files {
		put(t, filepath.Join(dir, name), text)
	}
	put(t, filepath.Join(dir, "other"), "not part of it")
	pack := func() bundle.Info {
		t.Helper()
		info, err := bundle.Pack(filepath.Join(dir, "bundle"), dir, "m", []byte("line 1\n"))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := pack()
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "m", "a"), long, long); err != nil {
		t.Fatal(err)
	}
	if again := pack(); again != first {
		t.Errorf("the same files give %v and %v", first, again)
	}
	if err := bundle.Verify(filepath.Join(dir, "bundle"), first.Digest); err != nil {
		t.Error(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "bundle"))
	if err != nil || int64(len(b)) != first.Size {
		t.Fatalf("%d bytes, %v, want %d", len(b), err, first.Size)
	}
	to := t.TempDir()
	if err := bundle.Unpack(bytes.NewReader(b), to, filepath.Join(to, "report")); err != nil {
		t.Fatal(err)
	}
	files["report"] = "line 1\n"
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(to, "other")); err == nil {
		t.Error("more was packed than the checkpoint")
	}
	b[len(b)/2] ^= 1
	put(t, filepath.Join(dir, "bundle"), string(b))
	if bundle.Verify(filepath.Join(dir, "bundle"), first.Digest) == nil {
		t.Error("a bundle with a wrong bit is taken for the right one")
	}
}

func TestWhatCannotBePacked(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	for _, name := range []string{"", ".", "..", "../x", "/etc", "link", "gone"} {
		if _, err := bundle.Pack(filepath.Join(dir, "bundle"), dir, name, nil); err == nil {
			t.Errorf("%q was packed", name)
		} else if name == "gone" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "bundle")); err == nil {
			t.Errorf("%q left half a bundle", name)
		}
	}
}

// What comes over the network must not write elsewhere.
func TestUnpackStaysInItsFolder(t *testing.T) {
	for _, h := range []tar.Header{
		{Name: "checkpoint/../../evil", Typeflag: tar.TypeReg},
		{Name: "/evil", Typeflag: tar.TypeReg},
		{Name: "evil", Typeflag: tar.TypeReg},
		{Name: "checkpoint/link", Typeflag: tar.TypeSymlink, Linkname: "/etc"},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := errors.Join(w.WriteHeader(&h), w.Close()); err != nil {
			t.Fatal(err)
		}
		root := t.TempDir()
		dir := filepath.Join(root, "a", "b")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := bundle.Unpack(&b, dir, ""); err == nil {
			t.Errorf("%s was unpacked", h.Name)
		}
		if _, err := os.Lstat(filepath.Join(root, "evil")); err == nil {
			t.Errorf("%s was written outside", h.Name)
		}
	}
}
