package main

import (
	. "github.com/mmcloughlin/avo/build"
)

func (i *isa) vectors() {
	_ = VZEROUPPER
}
