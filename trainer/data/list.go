package data

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Entry describes one data set to a reader who chooses.
type Entry struct {
	Name        string // by which Open takes it
	Description string // one line
	Present     bool   // whether Open would find its files; always true of a set that needs none
	Path        string // where: the file, or the folder of several; empty where there is none
	Bytes       int64  // size of the files
	Train, Test int    // number of images; of a set that is not present, as published
	Problem     string // why files that are there cannot be used; empty otherwise
}

// List describes every known set, and each image folder directly under dir that has a train folder. An empty dir
// means that there is no data folder. It opens no image: a broken file shows when the set is opened.
func List(dir string) ([]Entry, error) {
	var entries []Entry
	for _, k := range registry {
		e := Entry{Name: k.Name, Description: k.description, Train: sum(k.Train), Test: sum(k.Test), Present: k.drawn}
		if !k.drawn {
			paths, err := k.locate(dir)
			var missing *MissingError
			switch {
			case err == nil:
				e.Present, e.Path = true, paths[0]
				if len(paths) > 1 {
					e.Path = filepath.Dir(paths[0])
				}
				e.Bytes = totalSize(paths)
			case !errors.As(err, &missing):
				e.Problem = err.Error()
			}
		}
		entries = append(entries, e)
	}
	if dir == "" {
		return entries, nil
	}
	children, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return entries, nil // nothing has been fetched yet
	}
	if err != nil {
		return entries, fmt.Errorf("list data sets: %w", err)
	}
	for _, child := range children {
		root := filepath.Join(dir, child.Name())
		if !isDir(filepath.Join(root, "train")) {
			continue
		}
		e := Entry{Name: folderPrefix + child.Name(), Description: "image folder", Path: root}
		folder, err := scanFolder(root)
		if err != nil {
			e.Problem = err.Error()
		} else {
			e.Present, e.Train, e.Test = true, len(folder.train.paths), len(folder.test.paths)
			e.Description = fmt.Sprintf("image folder, classes: %s", enumerate(folder.classes, "and"))
			if n := len(folder.classes); n > 5 {
				e.Description = fmt.Sprintf("image folder, %d classes", n)
			}
			e.Bytes = totalSize(folder.train.paths) + totalSize(folder.test.paths)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// totalSize adds up file sizes; a file that vanishes meanwhile counts for nothing.
func totalSize(paths []string) (total int64) {
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil {
			total += info.Size()
		}
	}
	return total
}
