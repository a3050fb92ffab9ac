package sweeps

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
	"go.yaml.in/yaml/v3"
)

// Requirement is a formula over a worker that must be true of every worker that a sweep's
// trials run on. It sees the worker's labels and what it offers:
//
//	labels      a mapping: labels.zone == "lab"; a label that it has not is ""
//	cpus, gpus, slots        how many it has
//	memory, gpu_memory       bytes, of the machine and of its largest GPU;
//	                         KiB, MiB, GiB and TiB are numbers to compare them with
type Requirement struct{ x *expression }

// String is the formula, as it was written.
func (r Requirement) String() string { return r.x.source }

// Met reports whether the requirement is true of the worker. One that cannot be computed
// there is not.
func (r Requirement) Met(w Worker) bool {
	v, err := vm.Run(r.x.program, workerEnvironment(w))
	met, ok := v.(bool)
	return err == nil && ok && met
}

// workerEnvironment is what requirements see of a worker.
func workerEnvironment(w Worker) map[string]any {
	labels := w.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	most := int64(0)
	for _, g := range w.GPUs {
		most = max(most, g.Memory)
	}
	return map[string]any{
		"labels": labels,
		"cpus":   w.Total.CPUs, "memory": int(w.Total.Memory),
		"gpus": len(w.GPUs), "gpu_memory": int(most), "slots": w.Slots,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	}
}

// requires decodes the sweep's requirements: one formula, or a list of them.
func (d *decoder) requires(n *yaml.Node) (list []Requirement) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	for _, item := range items {
		item = resolve(item)
		owner := "a requirement"
		if item.Kind == yaml.ScalarNode && !isNull(item) {
			owner = "requirement " + strconv.Quote(shorten(strings.TrimSpace(item.Value)))
		}
		x := d.expression(item, owner)
		if x == nil {
			continue
		}
		if err := x.compileFor(workerEnvironment(Worker{})); err != nil {
			d.explainRequirement(x, err)
			continue
		}
		list = append(list, Requirement{x})
	}
	return list
}

// compileFor makes an expression that must be true or false ready to run over an
// environment.
func (x *expression) compileFor(env map[string]any) error {
	options := append([]expr.Option{expr.Env(env), expr.AsBool()}, checkedArithmetic()...)
	for name := range nondeterministic {
		options = append(options, expr.DisableBuiltin(name))
	}
	program, err := guarded(func() (*vm.Program, error) { return expr.Compile(x.source, options...) })
	x.program, x.result = program, kindBool
	return err
}

// explainRequirement reports an error of compiling a requirement.
func (d *decoder) explainRequirement(x *expression, err error) {
	at, message := x.at, err.Error()
	var fe *file.Error
	if errors.As(err, &fe) {
		message = fe.Message
		if fe.Line == 1 {
			at = x.placeAt(fe.Column)
		}
	}
	switch name, unknown := strings.CutPrefix(message, "unknown name "); {
	case unknown && nondeterministic[name] != "":
		message = fmt.Sprintf("%s() is not available: a requirement must not depend on %s", name, nondeterministic[name])
	case unknown:
		names := slices.Sorted(maps.Keys(workerEnvironment(Worker{})))
		message = fmt.Sprintf("unknown name %q", name)
		if hint := didYouMean(name, names); hint != "" {
			message += hint
		} else {
			message += fmt.Sprintf("; a worker's label is labels.%s, and there are %s", name, strings.Join(names, ", "))
		}
	case message == "unexpected token EOF":
		message = "something is missing at the end of the expression"
	case strings.HasPrefix(message, "expected bool"):
		message = `a requirement must be true or false, as in labels.gpu == "a100"; ` + message
	}
	d.errorAt(at, "%s: %s", x.owner, message)
}
