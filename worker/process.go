package worker

// process is process.json: which process runs an attempt. Start and Boot tell it from
// another one that has the same number later.
type process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start,omitempty"` // in the kernel's ticks since boot
	Boot  string `json:"boot,omitempty"`  // the kernel's id of the boot
}
