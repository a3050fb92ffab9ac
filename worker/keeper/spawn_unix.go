//go:build unix

package keeper

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"swath/worker/exec"
)

// logName is where the keeper's complaints go, in the place.
const logName = "keeper.log"

// Spawn starts a keeper of the place, after Connect found none, and connects to it. The
// binary is a program that links this package.
func Spawn(place, binary string) (*Client, error) {
	place, err := filepath.Abs(place) // the keeper goes there
	if err != nil {
		return nil, fmt.Errorf("start a keeper: %w", err)
	}
	// One that does not answer would otherwise go on, with nobody to talk to.
	if _, err := exec.KillOrphan(place); err != nil {
		return nil, fmt.Errorf("end the keeper before: %w", err)
	}
	stderr, err := os.Create(filepath.Join(place, logName))
	if err != nil {
		return nil, fmt.Errorf("start a keeper: %w", err)
	}
	defer func() { _ = stderr.Close() }() // the keeper has its own
	cmd := osexec.Command(binary)
	cmd.Args = []string{"swath-keeper", place} // as ps shows it
	cmd.Env = append(os.Environ(), EnvPlace+"="+place)
	cmd.Stderr = stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a keeper: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a keeper: %w", err)
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	said, _ := bufio.NewReader(stdout).ReadString('\n')
	late.Stop()
	reaped := make(chan struct{})
	if strings.TrimSpace(said) != ready {
		_ = cmd.Process.Kill() // whatever it is, it is no keeper
		_ = cmd.Wait()
		return nil, errors.New("start a keeper: " + complaint(place, cmd))
	}
	go func() {
		defer close(reaped)
		_ = cmd.Wait() // the connection tells of its end; this is for the system's books
	}()
	c, _, err := Connect(place)
	if err != nil {
		_ = cmd.Process.Kill() // it keeps nothing yet
		<-reaped
		return nil, err
	}
	c.reaped = reaped
	return c, nil
}

// complaint is what a keeper that did not start left behind.
func complaint(place string, cmd *osexec.Cmd) string {
	b, err := os.ReadFile(filepath.Join(place, logName))
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	if last := lines[len(lines)-1]; err == nil && len(last) > 0 {
		return string(last)
	}
	return cmd.Path + " ended instead: " + cmd.ProcessState.String()
}
