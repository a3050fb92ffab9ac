package data

import (
	"fmt"
	"os"
)

// Find reports whether the files of a data set are where Open would look for them, without reading them: nil if
// they are, a [*MissingError] if not, or the error about the name, or about what an image folder holds, that Open
// would give.
func Find(name, dir string) error {
	set, folder, err := resolve(name, dir)
	switch {
	case err != nil:
		return err
	case set == nil:
		if !isDir(folder) {
			return &MissingError{Set: name, Looked: []string{"the folder " + folder}}
		}
		_, err := scanFolder(folder)
		return err
	case set.drawn:
		return nil
	}
	paths, err := set.locate(dir)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			return fmt.Errorf("data set %s: %w", name, err)
		}
	}
	return nil
}
