package data

import (
	"fmt"
	"os"
)

// Find looks where Open would for the files of a data set, without reading them, and returns what is known of the set
// then. The error is a [*MissingError] if they are not there, or the one about the name, or about what an image folder
// holds, that Open would give.
func Find(name, dir string) (Set, error) {
	set, root, err := resolve(name, dir)
	switch {
	case err != nil:
		return Set{}, err
	case set == nil:
		if !isDir(root) {
			return Set{}, &MissingError{Set: name, Looked: []string{"the folder " + root}}
		}
		folder, err := scanFolder(root)
		if err != nil {
			return Set{}, err
		}
		return folder.set(name), nil
	case set.drawn:
		return set.Set, nil
	}
	paths, err := set.locate(dir)
	if err != nil {
		return Set{}, err
	}
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			return Set{}, fmt.Errorf("data set %s: %w", name, err)
		}
	}
	return set.Set, nil
}
