package worker

import "sync"

// crew runs functions as goroutines do, but goroutines that have come to the end of one take
// the next one: the stack of a new goroutine begins small, and grows by being copied, which
// for attempts that end within moments costs as much as what they do.
type crew struct {
	wg   sync.WaitGroup // a unit for each function that runs
	next chan func()    // taken by those that have nothing to do
	over chan struct{}  // closed when they are to end
}

func newCrew() *crew {
	return &crew{next: make(chan func()), over: make(chan struct{})}
}

// Go runs f at once, and returns.
func (c *crew) Go(f func()) {
	c.wg.Add(1)
	select {
	case c.next <- f:
	default:
		go c.work(f)
	}
}

func (c *crew) work(f func()) {
	for {
		f()
		c.wg.Done()
		select {
		case f = <-c.next:
		case <-c.over:
			return
		}
	}
}

// close waits until all has ended that runs. Nothing is begun after it.
func (c *crew) close() {
	c.wg.Wait()
	close(c.over)
}
