package cli_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// network is a small one: a machine for the coordinator and one for each worker, with an
// address each, all plugged into one switch. A machine is a network namespace, its network
// card a TAP device, and the switch is this process: so frames can be lost, late and in
// another order, by seed, whatever the kernel has been built with. Nothing of it is in the
// namespace of this process.
type network struct {
	t    *testing.T
	name string

	mu     sync.Mutex
	rng    *rand.Rand
	cables map[string]*cable
	frames struct{ sent, lost, late int }
}

// cable is a machine's connection with the switch.
type cable struct {
	card *os.File
	weather
}

// weather is what happens to frames on a cable, in either direction.
type weather struct {
	deaf, mute bool          // nothing arrives at the machine; nothing that it says arrives
	loss       float64       // the share of frames that are lost
	delay      time.Duration // how late they are, at least
	jitter     time.Duration // and at most so much later; they overtake each other
}

var (
	fine = weather{loss: 0.005, delay: time.Millisecond, jitter: time.Millisecond}
	poor = weather{loss: 0.05, delay: 30 * time.Millisecond, jitter: 40 * time.Millisecond}
	cut  = weather{deaf: true, mute: true}
)

// addresses of the machines in the network; none is of the world outside.
var addresses = map[string]string{"c": "10.77.0.1", "a": "10.77.0.2", "b": "10.77.0.3"}

func newNetwork(t *testing.T, seed uint64) *network {
	t.Helper()
	n := &network{
		t: t, name: fmt.Sprintf("swath%d", os.Getpid()),
		rng: rand.New(rand.NewPCG(seed, 3)), cables: map[string]*cable{},
	}
	t.Cleanup(n.remove)
	for machine, address := range addresses {
		n.ip("netns", "add", n.ns(machine))
		n.ip("-n", n.ns(machine), "tuntap", "add", "dev", "eth0", "mode", "tap")
		card, err := plugIn(n.ns(machine), "eth0")
		if err != nil {
			t.Fatalf("the network card of %s: %v", machine, err)
		}
		n.cables[machine] = &cable{card: card, weather: fine}
		n.ip("-n", n.ns(machine), "addr", "add", address+"/24", "dev", "eth0")
		n.ip("-n", n.ns(machine), "link", "set", "lo", "up")
		n.ip("-n", n.ns(machine), "link", "set", "eth0", "up")
	}
	for machine, c := range n.cables {
		go n.carry(machine, c)
	}
	return n
}

// remove takes the network away, and whatever still runs on it.
func (n *network) remove() {
	for machine := range addresses {
		for _, pid := range n.processes(machine) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
		n.mu.Lock()
		if c := n.cables[machine]; c != nil {
			_ = c.card.Close() // nothing is written any more
		}
		n.mu.Unlock()
		_ = exec.Command("ip", "netns", "del", n.ns(machine)).Run() // it may not have come to be
	}
}

// processes are those that run on a machine.
func (n *network) processes(machine string) (pids []int) {
	out, _ := exec.Command("ip", "netns", "pids", n.ns(machine)).Output() // there may be no such namespace
	for _, word := range strings.Fields(string(out)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (n *network) ns(machine string) string { return n.name + "-" + machine }

func (n *network) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// plugIn opens the other end of a TAP device in a network namespace: what the machine sends
// is read from it, what is written to it the machine receives.
func plugIn(namespace, device string) (*os.File, error) {
	type result struct {
		card *os.File
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // a namespace is a thread's
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- result{err: err}
			return
		}
		card, err := openTAP(namespace, device)
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back == nil {
			runtime.UnlockOSThread() // else the thread ends with this goroutine
		}
		_ = home.Close() // it was only read
		done <- result{card, err}
	}()
	r := <-done
	return r.card, r.err
}

func openTAP(namespace, device string) (*os.File, error) {
	ns, err := os.Open("/var/run/netns/" + namespace)
	if err != nil {
		return nil, err
	}
	defer func() { _ = ns.Close() }() // it was only read
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter the namespace: %w", err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(device)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("attach to %s: %w", device, err)
	}
	return os.NewFile(uintptr(fd), device), nil
}

// carry passes the frames of a machine on to all others, until its card is closed; a card
// ignores what is meant for another.
func (n *network) carry(from string, c *cable) {
	buffer := make([]byte, 1<<16)
	for {
		size, err := c.card.Read(buffer)
		if err != nil {
			return
		}
		frame := append([]byte(nil), buffer[:size]...)
		for to, other := range n.cables {
			if to == from {
				continue
			}
			late, arrives := n.fate(c, other)
			switch {
			case !arrives:
			case late == 0:
				_, _ = other.card.Write(frame) // a frame that cannot be delivered is lost
			default:
				time.AfterFunc(late, func() { _, _ = other.card.Write(frame) })
			}
		}
	}
}

// fate draws what becomes of a frame on its way over two cables.
func (n *network) fate(from, to *cable) (late time.Duration, arrives bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frames.sent++
	if from.mute || to.deaf || n.rng.Float64() < from.loss || n.rng.Float64() < to.loss {
		n.frames.lost++
		return 0, false
	}
	for _, w := range []weather{from.weather, to.weather} {
		late += w.delay
		if w.jitter > 0 {
			late += time.Duration(n.rng.Int64N(int64(w.jitter)))
		}
	}
	if late > 0 {
		n.frames.late++
	}
	return late, true
}

// set changes the weather on a machine's cable.
func (n *network) set(machine string, w weather) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cables[machine].weather = w
}

// start starts swath on a machine.
func (n *network) start(machine string, args ...string) *process {
	n.t.Helper()
	in := append([]string{"netns", "exec", n.ns(machine), self(n.t)}, args...)
	return launch(n.t, exec.Command("ip", in...), args)
}

// run runs a verb on a machine to its end.
func (n *network) run(machine string, args ...string) outcome {
	n.t.Helper()
	return n.start(machine, args...).wait()
}
