package sweeps

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// seedParameter is the parameter that repeat adds to every point.
const seedParameter = "seed"

// supportedKeys are the top-level keys of a sweep file that mean something, and
// ignoredKeys those of W&B that have no meaning here but are in files that people
// have; they are accepted whatever they hold.
var (
	supportedKeys = []string{
		"name", "description", "method", "metric", "metrics", "parameters", "constraints",
		"run_cap", "repeat", "seed", "trainer", "program", "command", "env", "resources",
		"requires", "timeout", "retries", "priority", "time_limit", "checkpoints", "continue", "reuse",
	}
	ignoredKeys = []string{"project", "entity", "controller"}
	// laterKeys are W&B's keys that change what runs, so that to ignore them would
	// be to do something else than what the file says.
	laterKeys = map[string]string{
		"early_terminate":    "remove it; every trial then runs to its end",
		"metric_constraints": "remove it",
		"job":                "use program or command",
		"image_uri":          "use program or command",
		"scheduler":          "remove it",
		"prior_runs":         "remove it",
	}
	// foreignKeys are what people write who mean another key.
	foreignKeys = map[string]string{
		"count":           "run_cap",
		"max_runs":        "run_cap",
		"max_trials":      "run_cap",
		"num_trials":      "run_cap",
		"n_trials":        "run_cap",
		"seeds":           "repeat",
		"repeats":         "repeat",
		"hyperparameters": "parameters",
		"space":           "parameters",
		"objective":       "metric",
		"strategy":        "method",
		"script":          "program",
		"checkpoint":      "checkpoints",
		"continues":       "continue",
		"resume":          "continue",
	}
)

// Parse decodes a sweep file, strictly: a key or a value that is not understood is an
// error. The error is a [FileErrors] with all mistakes of the file; it wraps
// [ErrInvalid]. What is accepted but looks like a slip is in Spec.Warnings. The file's
// name is used in messages, and for the sweep's name if the file has none.
//
// The file is a W&B sweep file in YAML, with some keys of our own:
//
//	name, description
//	method        grid or random
//	metric        {name, goal: minimize or maximize}
//	parameters    a mapping from names to one of
//	                {value: X}, {values: [X, …]},
//	                {min, max, distribution: uniform, int_uniform or log_uniform_values}
//	                  (without distribution: int_uniform if both are whole numbers,
//	                  uniform if both have a point),
//	                {parameters: …}, a nested group,
//	                {expr: FORMULA} of other parameters (ours)
//	constraints   a list of formulas that must be true at a point (ours)
//	run_cap       how many trials may run
//	repeat, seed  run each point so often, with parameter seed counting up (ours)
//	trainer       a built-in trainer (ours); or else
//	program       and
//	command       a list of words with W&B's macros
//	metrics       what to read off a program's output: names, or
//	              {name, pattern, goal} (pattern is ours)
//	env           variables for the trial's process (ours)
//	resources     {cpus: 4, memory: 8GiB, gpus: 1, gpu_memory: 10GiB} of one trial; gpus
//	              of 0.5 is half of one, gpu_memory alone a GPU with so much left (ours)
//	requires      formulas that must be true of a worker, see [Requirement] (ours)
//	timeout       of one attempt: 90s, 2h, or seconds (ours)
//	retries       after a failed attempt (ours)
//	priority      sweeps of a higher one are served first; 0 unless given (ours)
//	time_limit    of the whole sweep, from its submission or its revival by a rerun: 90s, 2h, or seconds (ours)
//	checkpoints   {keep_last, keep_best}: which are kept (ours)
//	continue      a listed parameter along which trials go on from each other (ours)
//	reuse         true: take over the results of equal trials of other sweeps (ours)
//
// project, entity and controller are accepted and ignored. Formulas are those of
// github.com/expr-lang/expr; a name that is no identifier is $env["batch-size"].
func Parse(source []byte, file string) (*Spec, error) {
	d := &decoder{file: file}
	s := d.spec(source)
	if len(d.errs) > 0 {
		inOrder(d.errs)
		return nil, FileErrors(d.errs)
	}
	return s, nil
}

// spec decodes the file as far as it can be; it is valid only if there are no errors.
func (d *decoder) spec(source []byte) *Spec {
	s := &Spec{Objective: Objective{Goal: Minimize}, Space: &Space{}, file: d.file}
	d.meant = map[string]bool{}
	root := d.document(source)
	if root == nil {
		return s
	}
	entries, ok := d.entries(root, "a sweep file")
	if !ok {
		return s
	}
	keys := map[string]entry{}
	s.places.keys = map[string]place{}
	for _, e := range entries {
		if d.knownKey(e) {
			keys[e.key] = e
			s.places.keys[e.key] = placeOf(e.at)
		}
	}
	// given returns the value of a key; a key without a value counts as absent.
	given := func(key string) (*yaml.Node, bool) {
		e, ok := keys[key]
		return e.value, ok && !isNull(e.value)
	}

	s.Name = nameFromFile(d.file)
	if n, ok := given("name"); ok {
		s.Name = d.sweepName(n)
	}
	if n, ok := given("description"); ok {
		s.Description, _ = d.text(n, "description")
	}
	if n, ok := given("method"); ok {
		s.Method = d.method(n)
	} else {
		d.missing(keys, root, "method", "add method: grid or method: random")
	}
	if n, ok := given("metric"); ok {
		s.Objective, s.places.keys["metric.name"] = d.metric(n)
	}
	if n, ok := given("metrics"); ok {
		s.Metrics = d.metrics(n)
	}
	if n, ok := given("run_cap"); ok {
		s.RunCap, _ = d.whole(n, "run_cap", 1, math.MaxInt64)
	}
	if n, ok := given("seed"); ok {
		seed, _ := d.whole(n, "seed", 0, math.MaxInt64)
		s.Seed = uint64(seed)
	}
	if n, ok := given("repeat"); ok {
		repeat, _ := d.whole(n, "repeat", 1, math.MaxInt32)
		s.Repeat = int(repeat)
		s.places.repeat = placeOf(n)
		if s.Seed > uint64(math.MaxInt64-repeat) {
			d.errorf(n, "seed %d and repeat %d: the last seed is out of the range of 64-bit integers; choose a smaller seed", s.Seed, repeat)
		}
	}
	if n, ok := given("resources"); ok {
		s.Resources = d.resources(n)
	}
	if n, ok := given("requires"); ok {
		s.Requires = d.requires(n)
	}
	if n, ok := given("timeout"); ok {
		s.Timeout = d.duration(n, "timeout")
	}
	if n, ok := given("retries"); ok {
		retries, _ := d.whole(n, "retries", 0, math.MaxInt32)
		s.Retries = int(retries)
	}
	if n, ok := given("priority"); ok {
		priority, _ := d.whole(n, "priority", math.MinInt32, math.MaxInt32)
		s.Priority = int(priority)
	}
	if n, ok := given("time_limit"); ok {
		s.TimeLimit = d.duration(n, "time_limit")
	}
	if n, ok := given("checkpoints"); ok {
		s.Keep = d.checkpoints(n, s.Objective.Name != "")
	}
	if n, ok := given("reuse"); ok {
		s.Reuse = d.yes(n, "reuse")
	}
	if n, ok := given("env"); ok {
		s.Env = d.environment(n)
	}
	d.runs(s, root, given)

	if n, ok := given("parameters"); ok {
		s.places.parameters = placeOf(keys["parameters"].at)
		d.space(s, n, keys["parameters"].at)
	} else {
		d.missing(keys, root, "parameters", "add what the sweep varies, such as parameters: {lr: {values: [0.1, 0.01]}}")
	}
	if n, ok := given("constraints"); ok {
		d.constraints(s, n)
	}
	d.compile(s)
	if n, ok := given("continue"); ok {
		s.Continue = d.continued(s, n)
	}
	if n, ok := given("reuse"); ok && s.Reuse && s.Continue != "" {
		d.errorf(n, "%s", noReuse)
	}
	inOrder(d.warned)
	for _, w := range d.warned {
		s.Warnings = append(s.Warnings, *w)
	}
	return s
}

// missing reports a required key that is absent or has no value.
func (d *decoder) missing(keys map[string]entry, root *yaml.Node, key, hint string) {
	if e, ok := keys[key]; ok {
		d.errorf(e.at, "%s has no value: %s", key, hint)
	} else if !d.meant[key] {
		d.errorf(root, "%s is missing: %s", key, hint)
	}
}

// knownKey reports whether a top-level key means something, and complains of it
// otherwise.
func (d *decoder) knownKey(e entry) bool {
	switch {
	case contains(supportedKeys, e.key):
		return true
	case contains(ignoredKeys, e.key):
		return false
	case laterKeys[e.key] != "":
		d.errorf(e.at, "%s is not supported yet: %s", e.key, laterKeys[e.key])
	case foreignKeys[e.key] != "":
		d.meant[foreignKeys[e.key]] = true
		d.errorf(e.at, "unknown key %q; did you mean %q?", e.key, foreignKeys[e.key])
	case e.key == "sweep":
		for _, k := range supportedKeys {
			d.meant[k] = true
		}
		d.errorf(e.at, "unknown key \"sweep\": the sweep's keys belong at the top level of the file; move them out of it")
	default:
		d.meant[closest(e.key, supportedKeys)] = true
		hint := didYouMean(e.key, supportedKeys)
		if hint == "" {
			hint = ": the keys of a sweep file are " + strings.Join(supportedKeys, ", ")
		}
		d.errorf(e.at, "unknown key %q%s", e.key, hint)
	}
	return false
}

// unknownKey reports a key that a mapping does not have.
func (d *decoder) unknownKey(e entry, of string, keys []string) {
	hint := didYouMean(e.key, keys)
	if hint == "" {
		hint = ": its keys are " + strings.Join(keys, ", ")
	}
	d.errorf(e.at, "unknown key %q in %s%s", e.key, of, hint)
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// asName reduces a text to what [CheckName] allows; empty if nothing is left.
func asName(text string) string {
	name := strings.Trim(notInNames.ReplaceAllString(text, "-"), "._-")
	return strings.TrimRight(name[:min(len(name), maxName)], "._-")
}

// nameFromFile makes a sweep's name of its file's.
func nameFromFile(file string) string {
	base := filepath.Base(strings.ReplaceAll(file, `\`, "/"))
	if name := asName(strings.TrimSuffix(base, filepath.Ext(base))); name != "" {
		return name
	}
	return "sweep"
}

// sweepName decodes the sweep's name. W&B's may be any text; so that it can be typed on
// a command line, it is reduced to what a name may be here.
func (d *decoder) sweepName(n *yaml.Node) string {
	text, ok := d.text(n, "name")
	if ok && strings.TrimSpace(text) == "" {
		d.errorf(n, "name is empty: give the sweep a name, or remove the key to name it after the file")
	}
	name := asName(text)
	if name == "" {
		name = nameFromFile(d.file)
	}
	if name != text && ok {
		d.warnf(n, "the sweep is called %s: a name has letters, digits, dots, hyphens and underscores", name)
	}
	return name
}

func (d *decoder) method(n *yaml.Node) Method {
	name, ok := d.text(n, "method")
	if !ok {
		return ""
	}
	switch name {
	case "bayes", "custom", "ax":
		d.errorf(n, "method %s is not supported yet: use grid or random", name)
		return ""
	}
	m, err := ParseMethod(name)
	if err != nil {
		d.errorf(n, "unknown method %q: use grid or random%s", name, didYouMean(name, []string{"grid", "random"}))
	}
	return m
}

// metric decodes the sweep's objective, and tells where its name stands.
func (d *decoder) metric(n *yaml.Node) (o Objective, at place) {
	o, at = Objective{Goal: Minimize}, placeOf(n)
	entries, ok := d.entries(n, "metric")
	if !ok {
		return o, at
	}
	named := false
	for _, e := range entries {
		switch e.key {
		case "name":
			named = true
			if isNull(e.value) {
				d.warnf(e.at, "metric has no name, so the sweep has no objective")
				continue
			}
			o.Name, _ = d.word(e.value, "the metric's name")
			at = placeOf(e.value)
		case "goal":
			if !isNull(e.value) {
				o.Goal = d.goal(e.value)
			}
		case "target", "impute", "impute_while_running":
			d.errorf(e.at, "metric.%s is not supported yet: remove it", e.key)
		default:
			d.unknownKey(e, "metric", []string{"name", "goal"})
		}
	}
	if !named {
		d.errorf(n, "metric has no name: say which metric to optimise, as in metric: {name: loss, goal: minimize}")
	}
	return o, at
}

func (d *decoder) goal(n *yaml.Node) Goal {
	name, ok := d.text(n, "goal")
	if !ok {
		return Minimize
	}
	g, err := ParseGoal(name)
	if err != nil {
		d.errorf(n, "unknown goal %q: use minimize or maximize", shorten(name))
		return Minimize
	}
	return g
}

// metrics decodes the rules for reading metrics off a program's output.
func (d *decoder) metrics(n *yaml.Node) []MetricRule {
	if n.Kind != yaml.SequenceNode {
		d.errorf(n, "metrics must be a list of names, or of {name: …, pattern: …}, not %s", describe(n))
		return nil
	}
	var out []MetricRule
	for _, item := range n.Content {
		item = resolve(item)
		rule := MetricRule{}
		if item.Kind == yaml.ScalarNode {
			rule.Name, _ = d.word(item, "a metric's name")
		} else {
			rule = d.metricRule(item)
		}
		for _, other := range out {
			if other.Name == rule.Name && rule.Name != "" {
				d.errorf(item, "metric %q is listed twice: keep one", rule.Name)
			}
		}
		out = append(out, rule)
	}
	return out
}

func (d *decoder) metricRule(n *yaml.Node) (rule MetricRule) {
	entries, ok := d.entries(n, "a metric")
	if !ok {
		return rule
	}
	named := false
	for _, e := range entries {
		switch e.key {
		case "name":
			named = true
			rule.Name, _ = d.word(e.value, "a metric's name")
		case "pattern":
			rule.Pattern = d.pattern(e.value)
		case "goal":
			if !isNull(e.value) {
				rule.Goal = d.goal(e.value)
			}
		case "threshold":
			d.errorf(e.at, "metrics with a threshold are not supported yet: remove it")
		default:
			d.unknownKey(e, "a metric", []string{"name", "pattern", "goal"})
		}
	}
	if !named {
		d.errorf(n, "the metric has no name: write {name: loss, pattern: '…'}")
	}
	return rule
}

func (d *decoder) pattern(n *yaml.Node) string {
	s, ok := d.text(n, "pattern")
	if !ok {
		return ""
	}
	re, err := regexp.Compile(s)
	switch {
	case err != nil:
		d.errorf(n, "pattern is not a regular expression (RE2): %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	case re.NumSubexp() == 0:
		d.errorf(n, "pattern has no group for the number: put it into parentheses, as in 'loss is ([-+.0-9eE]+)'")
	}
	return s
}

// runs decodes what a trial runs: a trainer, a program or a command.
func (d *decoder) runs(s *Spec, root *yaml.Node, given func(string) (*yaml.Node, bool)) {
	trainer, hasTrainer := given("trainer")
	program, hasProgram := given("program")
	command, hasCommand := given("command")
	if hasTrainer {
		s.Trainer, _ = d.word(trainer, "trainer")
	}
	if hasProgram {
		s.Program, _ = d.word(program, "program")
	}
	if hasCommand {
		s.Command = d.command(command, hasProgram)
	}
	switch {
	case hasTrainer && (hasProgram || hasCommand):
		d.errorf(trainer, "both a trainer and a program or command are given: keep one; trainer runs a built-in trainer, program and command run your own")
	case d.meant["trainer"] || d.meant["program"] || d.meant["command"]:
	case !hasTrainer && !hasProgram && !hasCommand:
		d.errorf(root, "nothing to run: add trainer: NAME for a built-in trainer, or program: FILE or command: [...] for your own")
	case hasCommand && !hasProgram && len(s.Command) == 0 && command.Kind == yaml.SequenceNode:
		d.errorf(command, "command is empty and there is no program: list the command's words, or add program: FILE")
	}
}

// command decodes the items of a command. As in W&B an empty one is the default.
func (d *decoder) command(n *yaml.Node, hasProgram bool) []string {
	if n.Kind != yaml.SequenceNode {
		d.errorf(n, "command must be a list with one item an argument, such as [python, train.py, \"${args}\"], not %s", describe(n))
		return nil
	}
	var out []string
	for _, item := range n.Content {
		item = resolve(item)
		if item.Kind != yaml.ScalarNode {
			d.errorf(item, "an item of command must be a word, not %s; quote it", describe(item))
			continue
		}
		v, ok := d.value(item)
		if !ok {
			continue
		}
		word := pyStr(v)
		if strings.ContainsRune(word, 0) {
			d.errorf(item, "an item of command cannot hold a zero byte")
		}
		d.macro(item, word, hasProgram)
		out = append(out, word)
	}
	return out
}

// macro checks an item that is a macro.
func (d *decoder) macro(n *yaml.Node, item string, hasProgram bool) {
	name, ok := macroName(envMacro.ReplaceAllString(item, "x"))
	if !ok {
		return
	}
	_, known := macros[name]
	switch {
	case name == "program" && !hasProgram:
		d.errorf(n, "${program} is in the command, but the file has no program: add program: FILE, or write the file's name here")
	case name == "args_dict":
		d.errorf(n, "${args_dict} cannot be in a command: use ${args} or ${args_json}")
	case !known:
		d.warnf(n, "%s is not a macro, and is left out of the command, as W&B does%s", item, didYouMean(name, sortedKeys(macros)))
	}
}

func (d *decoder) resources(n *yaml.Node) (r Resources) {
	entries, ok := d.entries(n, "resources")
	if !ok {
		return r
	}
	var none bool
	var memory *yaml.Node
	for _, e := range entries {
		switch e.key {
		case "cpus":
			r.CPUs = d.amount(e.value, "resources.cpus")
		case "gpus":
			r.GPUs = d.gpus(e.value)
			none = r.GPUs == 0
		case "gpu_memory":
			r.GPUMemory = d.bytes(e.value, "resources.gpu_memory")
			memory = e.at
		case "memory":
			r.Memory = d.bytes(e.value, "resources.memory")
		default:
			d.unknownKey(e, "resources", []string{"cpus", "gpus", "gpu_memory", "memory"})
		}
	}
	if none && r.GPUMemory > 0 {
		d.errorf(memory, "resources.gpu_memory is of a GPU, and resources.gpus is 0: remove one of them")
	}
	return r
}

// maxGPUs is more than any one machine has.
const maxGPUs = 65536

// gpus returns a number of devices, or a share of one.
func (d *decoder) gpus(n *yaml.Node) float64 {
	x := d.amount(n, "resources.gpus")
	if x > maxGPUs {
		d.errorf(n, "resources.gpus must be at most %d, not %g", maxGPUs, x)
		return 1
	}
	if x > 1 && x != math.Trunc(x) {
		d.errorf(n, "resources.gpus must be a whole number of GPUs, or a share of one below 1, not %g", x)
		return 1
	}
	return x
}

// environment decodes the variables that a trial's process gets.
func (d *decoder) environment(n *yaml.Node) map[string]string {
	entries, ok := d.entries(n, "env")
	if !ok {
		return nil
	}
	out := map[string]string{}
	for _, e := range entries {
		if e.key == "" || strings.ContainsAny(e.key, "=\x00") {
			d.errorf(e.at, "%q cannot be the name of an environment variable", e.key)
			continue
		}
		if e.value.Kind != yaml.ScalarNode {
			d.errorf(e.value, "env.%s must be a string, not %s", e.key, describe(e.value))
			continue
		}
		v := e.value.Value // as written: 010 and yes are meant so
		if isNull(e.value) {
			v = ""
		}
		if strings.ContainsRune(v, 0) {
			d.errorf(e.value, "env.%s cannot hold a zero byte", e.key)
		}
		out[e.key] = v
	}
	return out
}

// text returns a scalar that is meant as a string. A number or a boolean is taken as
// it is written.
func (d *decoder) text(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		d.errorf(n, "%s must be a string, not %s", what, describe(n))
		return "", false
	}
	return strings.ToValidUTF8(n.Value, "\uFFFD"), true
}

// word is a text that is not empty and has no zero byte.
func (d *decoder) word(n *yaml.Node, what string) (string, bool) {
	s, ok := d.text(n, what)
	if !ok {
		return "", false
	}
	if strings.TrimSpace(s) == "" || strings.ContainsRune(s, 0) {
		d.errorf(n, "%s is empty", what)
		return "", false
	}
	return s, true
}

// yes returns a truth value.
func (d *decoder) yes(n *yaml.Node, what string) bool {
	if n.Kind == yaml.ScalarNode {
		if v, err := scalar(n); err == nil {
			if b, is := v.(bool); is {
				return b
			}
		}
	}
	d.errorf(n, "%s must be true or false, not %s", what, describe(n))
	return false
}

// whole returns a whole number between two bounds.
func (d *decoder) whole(n *yaml.Node, what string, least, most int64) (int64, bool) {
	var v any
	if n.Kind == yaml.ScalarNode {
		v, _ = scalar(n)
	}
	i, ok := v.(int64)
	if !ok {
		d.errorf(n, "%s must be a whole number, not %s", what, describe(n))
		return least, false
	}
	if i < least || i > most {
		if most == math.MaxInt64 {
			d.errorf(n, "%s must be at least %d, not %d", what, least, i)
		} else {
			d.errorf(n, "%s must be between %d and %d, not %d", what, least, most, i)
		}
		return least, false
	}
	return i, true
}

// amount returns a number that is not negative.
func (d *decoder) amount(n *yaml.Node, what string) float64 {
	x, ok := d.number(n, what)
	if ok && x.f < 0 {
		d.errorf(n, "%s must not be negative", what)
		return 0
	}
	return x.f
}

var (
	byteSize = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)$`)
	// byteUnits are the units of memory, in lower case.
	byteUnits = map[string]float64{
		"": 1, "b": 1,
		"k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12,
		"ki": 1 << 10, "kib": 1 << 10, "mi": 1 << 20, "mib": 1 << 20,
		"gi": 1 << 30, "gib": 1 << 30, "ti": 1 << 40, "tib": 1 << 40,
	}
)

// ParseBytes reads a number of bytes, with or without a unit: 10GiB, 512MB, 4096.
func ParseBytes(text string) (int64, error) {
	if m := byteSize.FindStringSubmatch(strings.TrimSpace(text)); m != nil {
		unit, known := byteUnits[strings.ToLower(m[2])]
		x, err := strconv.ParseFloat(m[1], 64)
		if known && err == nil && x*unit < math.MaxInt64 {
			return int64(x * unit), nil
		}
	}
	return 0, fmt.Errorf("%q is no amount of bytes such as 10GiB or 512MB", text)
}

// bytes returns an amount of memory.
func (d *decoder) bytes(n *yaml.Node, what string) int64 {
	if n.Kind == yaml.ScalarNode {
		if b, err := ParseBytes(n.Value); err == nil {
			return b
		}
	}
	d.errorf(n, "%s must be an amount of memory such as 10GiB, 512MB, or a number of bytes, not %s", what, describe(n))
	return 0
}

// duration returns a positive length of time.
func (d *decoder) duration(n *yaml.Node, what string) time.Duration {
	if n.Kind == yaml.ScalarNode {
		if v, err := scalar(n); err == nil {
			switch v := v.(type) {
			case int64:
				if v > 0 && v <= int64(math.MaxInt64/time.Second) {
					return time.Duration(v) * time.Second
				}
			case float64:
				if t := v * float64(time.Second); t >= 1 && t < math.MaxInt64 {
					return time.Duration(t)
				}
			case string:
				if t, err := time.ParseDuration(v); err == nil && t > 0 {
					return t
				}
			}
		}
	}
	d.errorf(n, "%s must be a length of time such as 90s, 2h or 1h30m, or a number of seconds above 0, not %s", what, describe(n))
	return 0
}
