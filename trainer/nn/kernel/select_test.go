package kernel

import (
	"slices"
	"strings"
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

func TestEnvVarForcesAKernelSet(t *testing.T) {
	before, errBefore := Kernel(), envErr
	t.Cleanup(func() {
		envErr = errBefore
		if err := Select(before); err != nil {
			t.Error(err)
		}
	})
	for _, name := range Kernels() {
		t.Setenv(EnvVar, name)
		if choose(); Kernel() != name || envErr != nil {
			t.Errorf("%s=%s: in use is %q, error %v", EnvVar, name, Kernel(), envErr)
		}
	}
	t.Setenv(EnvVar, "neon")
	if choose(); Kernel() != Kernels()[0] || envErr == nil || !strings.Contains(envErr.Error(), EnvVar) {
		t.Errorf("%s=neon: in use is %q, error %v", EnvVar, Kernel(), envErr)
	}
}
