package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"swath/sweeps"
	"swath/worker/exec"
)

// The exit codes, a contract with scripts.
const (
	exitOK          = 0
	exitFailed      = 1   // trials failed, or a run gave up on a full disk
	exitUsage       = 2   // bad usage, a bad file, a home that cannot be written
	exitUnavailable = 3   // the coordinator cannot be reached
	exitInterrupted = 130 // as a shell says of SIGINT
	exitPipe        = 141 // as a shell says of SIGPIPE: the reader of the output went away
)

// errTrialsFailed says that the sweep ended with trials that failed. It was told already,
// with the results, so that nothing more is printed.
var errTrialsFailed = errors.New("trials failed")

// errInterrupted says that the user ended it; told already, too.
var errInterrupted = errors.New("interrupted")

// app is one invocation.
type app struct {
	cfg            Config
	stdin          io.Reader
	stdout, stderr io.Writer
}

// Main is the whole of the program: it runs the process's own command line and returns the
// exit code.
func Main() int {
	args := os.Args[1:]
	if cmd, _, err := (&app{}).root().Find(args); err == nil && cmd.Annotations["serving"] != "" {
		exec.Relax() // which signals do not survive
	}
	ctx, stop := Signals()
	defer stop()
	return Run(ctx, args, os.Stdin, os.Stdout, os.Stderr)
}

// serving annotates the verbs whose process has a little to do again and again.
var serving = map[string]string{"serving": "yes"}

// Run runs the command line args (without the program's name) and returns the exit code.
// ctx is done when the user wants an end.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	stdout, stderr = &output{w: stdout}, &output{w: stderr}
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(append([]string{}, args...)) // nil would mean this process's own
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, errTrialsFailed), errors.Is(err, errDiskFull):
		return exitFailed
	case errors.Is(err, errInterrupted), ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	if brokenPipe(err) {
		return exitPipe // nobody reads any more what it would be told
	}
	fmt.Fprintln(stderr, complaint(err))
	if errors.Is(err, sweeps.ErrUnavailable) {
		return exitUnavailable
	}
	return exitUsage
}

// exitCode is an error that is nothing but an exit code.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// classPrefixes are the texts of the classes of error: for programs, not for people.
var classPrefixes = []error{
	sweeps.ErrNotFound, sweeps.ErrConflict, sweeps.ErrInvalid, sweeps.ErrUnavailable, sweeps.ErrStorage,
}

// complaint is an error as a user reads it: the mistakes of a sweep file with a line each,
// file:line:column first, so that editors find the place; anything else on one line.
func complaint(err error) string {
	var all sweeps.FileErrors
	var one *sweeps.FileError
	switch {
	case errors.As(err, &all):
		return all.Error()
	case errors.As(err, &one):
		return one.Error()
	}
	return "swath: " + oneLine(err)
}

// oneLine is an error without the name of its class in front.
func oneLine(err error) string {
	s := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	for again := true; again; {
		again = false
		for _, class := range classPrefixes {
			if rest, ok := strings.CutPrefix(s, class.Error()+": "); ok {
				s, again = rest, true
			}
		}
	}
	return s
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "swath",
		Short: "Run hyperparameter sweeps on any number of machines, and ask what came out",
		Long: `swath expands a sweep file into trials, dispatches them to workers, runs a trainer for
each, records every metric, and answers questions about the results.

Exit codes: 0 all well, 1 trials failed, 2 bad usage or file, 3 cannot reach the coordinator.`,
		Example: `  swath run sweeps/library/quickstart.yaml     a whole sweep on this machine
  swath results quickstart --where 'heads >= 4' --sort -test_accuracy`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if needsNoConfig(cmd) {
				return nil
			}
			cfg, err := readConfig(cmd.Flags())
			a.cfg = cfg
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownVerb(cmd, args[0])
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%s: see `%s --help`", flagProblem.ReplaceAllString(err.Error(), ""), cmd.CommandPath())
	})
	root.SetHelpCommand(helpCommand())
	addGlobalFlags(root.PersistentFlags())
	root.AddCommand(
		a.runCommand(), a.planCommand(), a.coordinatorCommand(), a.workerCommand(), a.submitCommand(),
		a.lsCommand(), a.statusCommand(), a.watchCommand(), a.explainCommand(), a.checkpointsCommand(), a.pauseCommand(), a.resumeCommand(), a.cancelCommand(),
		a.rerunCommand(), a.rmCommand(), a.logsCommand(), a.workersCommand(), a.drainCommand(),
		a.resultsCommand(), a.seriesCommand(), a.dataCommand(), a.versionCommand(), a.compactCommand(), a.trainerCommand(), a.benchCommand(),
	)
	return root
}

// flagProblem is what the flag library says beside the flag and its value.
var flagProblem = regexp.MustCompile(`: strconv\.[A-Za-z]+: parsing ".*": (invalid syntax|value out of range)$`)

// needsNoConfig are the commands that work whatever the settings file holds.
func needsNoConfig(cmd *cobra.Command) bool {
	for ; cmd.HasParent(); cmd = cmd.Parent() {
		switch cmd.Name() {
		case "help", "completion", "version":
			return true
		}
	}
	return false
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [VERB]",
		Short:   "Help about a verb",
		Example: `  swath help run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			verb, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownVerb(cmd.Root(), strings.Join(args, " "))
			}
			verb.InitDefaultHelpFlag()
			return verb.Help()
		},
	}
}

func unknownVerb(root *cobra.Command, verb string) error {
	var verbs []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			verbs = append(verbs, c.Name())
		}
	}
	hint := ""
	if near := sweeps.Nearest(verb, verbs); near != "" {
		hint = fmt.Sprintf(" (did you mean %s?)", near)
	}
	return fmt.Errorf("unknown verb %q%s: `swath help` lists the verbs", verb, hint)
}

// exactArgs demands n arguments and says what they are.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%s takes %s, got %d arguments: see `%s --help`", cmd.CommandPath(), what, len(args), cmd.CommandPath())
		}
		return nil
	}
}

// terminal reports whether w is a terminal, and how wide it is.
func terminal(w io.Writer) (width int, is bool) {
	if o, is := w.(*output); is {
		w = o.w
	}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	return width, true
}

// output is a stream that several write to: the verb, and the loggers of what it started.
type output struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(b)
}

// note prints a line for people.
func (a *app) note(format string, args ...any) { fmt.Fprintf(a.stderr, format+"\n", args...) }
