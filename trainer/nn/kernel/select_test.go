package kernel

import (
	"slices"
	"testing"
)

func TestSelect(t *testing.T) {
	before := Kernel()
	if err := Select("mmx"); err == nil || Kernel() != before {
		t.Errorf("selecting an unknown kernel set: error %v, now %q", err, Kernel())
	}
	if names := Kernels(); !slices.Contains(names, "portable") || !slices.Contains(names, before) {
		t.Errorf("kernel sets %v, in use %q", names, before)
	}
}
