package boltstore

import (
	"os"
	"path/filepath"
)

// Exists reports whether something was ever stored in the home.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, stateLayout.name))
	return err == nil
}
