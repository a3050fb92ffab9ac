//go:build !unix

package keeper

import "errors"

// Spawn starts no keeper where a process cannot be told to outlive another's console.
func Spawn(string, string) (*Client, error) {
	return nil, errors.New("start a keeper: this system has none")
}
