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

// Trainers name their last checkpoint by a link: last.ckpt, or latest.
func TestLinksWithinTheFolderAreFollowed(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "step-4", "a"), "weights")
	put(t, filepath.Join(dir, "step-4.pt"), "state")
	for link, to := range map[string]string{"latest": "step-4", "last.pt": filepath.Join(dir, "step-4.pt"), "step-4/b": "a", "loop": "step-4/loop", "step-5/up": "../step-4", "step-6/passwd": "/etc/passwd"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(link)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Skip(err)
		}
	}
	for name, want := range map[string]map[string]string{
		"latest":  {"latest/a": "weights", "latest/b": "weights"},
		"last.pt": {"last.pt": "state"},
		"step-5":  nil, // there is no telling where links to folders end
		"step-6":  nil,
		"loop":    nil,
	} {
		file := filepath.Join(t.TempDir(), "bundle")
		_, err := bundle.Pack(file, dir, name, nil)
		if (err != nil) != (want == nil) {
			t.Errorf("%s: error %v", name, err)
		}
		if err != nil {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		to := t.TempDir()
		if err := bundle.Unpack(bytes.NewReader(b), to, ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for path, text := range want {
			if got, err := os.ReadFile(filepath.Join(to, path)); err != nil || string(got) != text {
				t.Errorf("%s: %s holds %q, %v, want %q", name, path, got, err, text)
			}
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
