package worker

import (
	"swath/worker/exec"
)

type launcher struct{}

func (l *launcher) start(_ *attempt, cmd exec.Command) (process, error) {
	p, err := cmd.Start()
	if err != nil {
		return nil, err
	}
	return p, nil
}
func (l *launcher) forget(*attempt) {}
