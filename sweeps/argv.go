package sweeps

import (
	"fmt"
	"regexp"
	"strings"
)

// ArgvEnv is what a command's macros need of the machine that the trial runs on.
type ArgvEnv struct {
	// LookupEnv looks an environment variable up, as os.LookupEnv does, for
	// ${envvar:NAME}. Nil is an empty environment.
	LookupEnv func(name string) (string, bool)
	// ParamsFile is the path of a file with Params.JSON in it, for ${args_json_file}.
	ParamsFile string
	// Windows leaves ${env} out, as W&B does there.
	Windows bool
}

// defaultCommand is W&B's.
var defaultCommand = []string{"${env}", "${interpreter}", "${program}", "${args}"}

// macros are the items that a command may hold. The value says how each parameter is
// written; nil for those that are not made of parameters.
var macros = map[string]func(name string, value any) []string{
	"env":            nil,
	"interpreter":    nil,
	"program":        nil,
	"args_json":      nil,
	"args_json_file": nil,
	"args": func(k string, v any) []string {
		return []string{"--" + k + "=" + pyStr(v)}
	},
	"args_no_equals": func(k string, v any) []string {
		return []string{"--" + k, pyStr(v)}
	},
	"args_no_hyphens": func(k string, v any) []string {
		return []string{k + "=" + pyStr(v)}
	},
	"args_no_boolean_flags": func(k string, v any) []string {
		if set, ok := v.(bool); ok {
			if set {
				return []string{"--" + k}
			}
			return nil
		}
		return []string{"--" + k + "=" + pyStr(v)}
	},
	"args_append_hydra": func(k string, v any) []string {
		return []string{"+" + k + "=" + pyStr(v)}
	},
	"args_override_hydra": func(k string, v any) []string {
		return []string{"++" + k + "=" + pyStr(v)}
	},
}

var envMacro = regexp.MustCompile(`\$\{envvar:([A-Z0-9_]*)\}`)

// macroName returns the name of the macro that a whole item is. As in W&B, an item
// that only contains a macro is none.
func macroName(item string) (string, bool) {
	if strings.HasPrefix(item, "${") && strings.HasSuffix(item, "}") {
		return item[2 : len(item)-1], true
	}
	return "", false
}

// Argv returns the command line of a trial with W&B's macros replaced, program first;
// nil for a built-in trainer. A macro that W&B does not know vanishes, as it does
// there ([Parse] warned of it); an unset ${envvar:NAME} becomes NAME. Parameters come
// in the order of their names, a nested group as one argument, values printed as
// Python prints them.
func (s *Spec) Argv(p Params, env ArgvEnv) ([]string, error) {
	if s.Trainer != "" {
		return nil, nil
	}
	var argv []string
	for _, item := range s.command() {
		item = envMacro.ReplaceAllStringFunc(item, func(m string) string {
			name := envMacro.FindStringSubmatch(m)[1]
			if env.LookupEnv != nil {
				if v, ok := env.LookupEnv(name); ok {
					return v
				}
			}
			return name
		})
		macro, ok := macroName(item)
		if !ok {
			argv = append(argv, item)
			continue
		}
		switch macro {
		case "env":
			if !env.Windows {
				argv = append(argv, "/usr/bin/env")
			}
		case "interpreter":
			argv = append(argv, "python")
		case "program":
			if s.Program != "" {
				argv = append(argv, s.Program)
			}
		case "args_json":
			argv = append(argv, pyJSON(p))
		case "args_json_file":
			if env.ParamsFile == "" {
				return nil, fmt.Errorf("%w: command of sweep %s: ${args_json_file} has no parameters file here", ErrInvalid, s.Name)
			}
			argv = append(argv, env.ParamsFile)
		default:
			write := macros[macro]
			if write == nil {
				continue
			}
			for _, k := range sortedKeys(p) {
				argv = append(argv, write(k, p[k])...)
			}
		}
	}
	if len(argv) == 0 || argv[0] == "" {
		return nil, fmt.Errorf("%w: command of sweep %s: nothing is left of it after its macros were replaced; give it a program to run", ErrInvalid, s.Name)
	}
	return argv, nil
}

// command returns the items of the command that runs.
func (s *Spec) command() []string {
	if s.Command == nil {
		return defaultCommand
	}
	return s.Command
}
