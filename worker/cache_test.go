package worker

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The cache holds so many bundles, those that came last, and one of a trial.
func TestCacheIsBounded(t *testing.T) {
	c := cache{dir: t.TempDir(), most: 3}
	begun := time.Now()
	for i, trial := range []string{"s-0", "s-1", "s-0", "s-2", "s-3", "s-3", "s-4"} {
		file := filepath.Join(t.TempDir(), "bundle")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		at := begun.Add(time.Duration(i) * time.Second)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
		c.keep(file, strings.Repeat(string(rune('0'+i)), 64), trial)
	}
	var names []string
	for _, info := range c.list() {
		digest, trial, _ := strings.Cut(info.Name(), ".")
		names = append(names, digest[:1]+" "+trial)
	}
	if want := []string{"6 s-4", "5 s-3", "3 s-2"}; !slices.Equal(names, want) {
		t.Errorf("the cache has %q, want %q", names, want)
	}
}
