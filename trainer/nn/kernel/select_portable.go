//go:build !amd64

package kernel

// sets has the kernel sets of this machine, the fastest first.
var sets = []*set{&portable}

func init() { choose() }
