//go:build !amd64

package winograd

// assembly are the implementations by the name of the kernel set that they go with: none here.
var assembly map[string]*set
