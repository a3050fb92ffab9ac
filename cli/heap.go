package cli

import "sync"

// roomyHeap has a process that serves for long collect its garbage seldom. The runtime does
// that whenever the heap has doubled: one of a few megabytes, such as a coordinator's or an
// agent's, many times a second under load. A block that is never touched takes no memory, and
// counts: garbage may grow to its size. A large heap is collected as often as before.
var roomyHeap = sync.OnceValue(func() []byte { return make([]byte, 16<<20) })
