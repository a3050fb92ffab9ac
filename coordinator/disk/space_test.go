package disk

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestSpace(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("not known on this system")
	}
	dir := t.TempDir()
	free, total, known := Space(dir)
	if !known || free < 0 || total <= 0 || free > total {
		t.Errorf("%d of %d bytes are free, known %v", free, total, known)
	}
	if _, _, known := Space(filepath.Join(dir, "missing")); known {
		t.Error("a folder that is not there has room")
	}
	if _, err := os.Stat("/proc/self"); err == nil {
		if free, total, known := Space("/proc"); known {
			t.Errorf("/proc has %d of %d bytes free", free, total)
		}
	}
}
