package worker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"swath/proto/wire"
	"swath/sweeps"
)

// ownerFile lies beside a trial's artifacts and tells the last attempt that they are of.
const ownerFile = ".attempt"

// keepArtifacts moves what an attempt left in its artifact directory to the artifacts of
// its trial, which the agents of a machine share, and returns where that is. Attempts
// of one trial add to each other, as one goes on from the checkpoint of another: of two
// files by one name that of the later attempt stays, also if it came first. What an older
// sweep by the same name has left gives way. An agent that was killed on the way can do it again.
func keepArtifacts(root, from string, m wire.Start) (kept string, err error) {
	files, err := os.ReadDir(from)
	if err != nil || len(files) == 0 {
		return "", nil // there never was a directory, or nothing is in it
	}
	to := filepath.Join(root, "artifacts", safeName(m.SweepName), strconv.FormatInt(m.Ref.Index, 10))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return "", err
	}
	unlock, err := lockArtifacts(root)
	if err != nil {
		return "", err
	}
	defer unlock()
	var owner sweeps.AttemptRef
	ours := readJSON(to, ownerFile, &owner) == nil && owner.TrialKey == m.Ref.TrialKey
	if ours && owner.Attempt > m.Ref.Attempt {
		return to, merge(to, from, false)
	}
	if err := writeJSON(from, ownerFile, m.Ref); err != nil {
		return "", err
	}
	if ours {
		return to, merge(to, from, true)
	}
	if err := os.RemoveAll(to); err != nil {
		return "", err
	}
	return to, os.Rename(from, to)
}

// merge moves the files of a directory into another one, and those below it likewise. Where
// both have something by one name, and not both a directory, the one that is moved
// replaces the other, or stays behind.
func merge(to, from string, replace bool) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		source, target := filepath.Join(from, f.Name()), filepath.Join(to, f.Name())
		there, err := os.Lstat(target)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		switch taken := err == nil; {
		case taken && f.IsDir() && there.IsDir():
			if err := merge(target, source, replace); err != nil {
				return err
			}
			continue
		case taken && !replace:
			continue
		case taken && f.IsDir() != there.IsDir(): // a file takes the place of a file by itself
			if err := os.RemoveAll(target); err != nil {
				return err
			}
		}
		if err := os.Rename(source, target); err != nil {
			return err
		}
	}
	return nil
}

// lockArtifacts waits until no other agent, nor another attempt of this one, moves artifacts.
func lockArtifacts(root string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(root, "artifacts", ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := waitForFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", f.Name(), err), f.Close())
	}
	return func() { _ = f.Close() }, nil // nothing was written
}
