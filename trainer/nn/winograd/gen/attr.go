package main

import "github.com/mmcloughlin/avo/attr"

const (
	functionAttributes = attr.NOSPLIT
	dataAttributes     = attr.RODATA | attr.NOPTR
)
