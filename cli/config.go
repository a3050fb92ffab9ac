package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"swath/coordinator/dispatch"
	"swath/sweeps"
)

// Config is what a verb is told by flags, environment and file; flags come first, then
// the environment, then the file, then the defaults.
type Config struct {
	Home        string   // the folder of the store, of logs and of attempts; absolute
	Data        string   // the folder of data sets; may be empty
	Coordinator string   // HOST:PORT; empty where nobody said
	Listen      string   // HOST:PORT that the coordinator listens on
	Slots       int      // of a worker
	slotsGiven  bool     // and not a guess
	GPUs        string   // of a worker: all, none, a number, or device=…
	Labels      []string // of a worker, NAME=VALUE each
	Name        string   // of a worker, or the new name of a sweep
	WorkDir     string   // of a worker's trials, where the submitter's is not there
	Lease       time.Duration
	Grace       time.Duration
	DiskReserve reserve       // of the home's disk
	DiskWait    time.Duration // how long a run waits for room on a full disk
	Verbose     bool

	CheckpointEvery time.Duration // how often a worker brings a trial's checkpoint, at most
	CheckpointQuota int64         // bytes of all checkpoints of a coordinator; 0 for the default
}

// defaultListen is where a coordinator listens, and is looked for, unless told otherwise.
const defaultListen = "127.0.0.1:7420"

// settings are the keys that file and environment may have; a key is a flag's name. In
// the environment it is in capitals behind SWATH_.
var settings = []string{"home", "data", "coordinator", "listen", "slots", "gpus", "label", "name", "workdir", "lease", "grace", "verbose", "checkpoint-every", "checkpoint-quota", "disk-reserve", "disk-wait"}

// notFromEnvironment are keys that would collide with what trainers are given, or make no
// sense for a whole shell.
var notFromEnvironment = []string{"name"}

func addGlobalFlags(f *pflag.FlagSet) {
	f.String("home", "", "folder of the store, of logs and of attempts (SWATH_HOME; default ~/.swath)")
	f.String("data", "", "folder of data sets (SWATH_DATA; default HOME/data)")
	f.String("coordinator", "", "address HOST:PORT of the coordinator (SWATH_COORDINATOR; default the one running on this home, else "+defaultListen+")")
	f.String("config", "", "settings file (default swath.yaml in the working directory, if there is one)")
	f.BoolP("verbose", "v", false, "log more")
}

func addServerFlags(f *pflag.FlagSet) {
	f.Duration("lease", dispatch.DefaultConfig().Lease, "how long a worker may be silent before its trials go to others")
	f.String("checkpoint-quota", "", "space for checkpoints, such as 20GiB (default a tenth of the disk, 50GiB at most)")
}

func addWorkerFlags(f *pflag.FlagSet) {
	f.Int("slots", defaultSlots(), "trials to run at a time; on a machine with more GPUs, one for each")
	f.String("gpus", "all", "GPUs to offer: all, none, how many, or device=0,2 with numbers or UUIDs")
	f.StringArray("label", nil, "label NAME=VALUE that sweeps may ask for with requires; may be repeated")
	f.Duration("grace", 10*time.Second, "time between SIGTERM and SIGKILL when a trial is stopped")
	f.Duration("checkpoint-every", 10*time.Second, "how often a trial's checkpoint is brought to the coordinator, at most")
	f.String("workdir", "", "working directory of trials whose submitter's directory is not on this machine (default the current one)")
}

func addDiskFlags(f *pflag.FlagSet) {
	f.String("disk-reserve", "", "begin nothing new while the home's disk has less free: 2GiB, 5%, or 0 (default 500MiB, or 1% of a smaller disk)")
}

// defaultSlots is a guess for machines without a GPU: a few trials side by side, each with
// its share of the cores.
func defaultSlots() int { return min(4, runtime.NumCPU()) }

// readConfig reads the configuration. It is the only use of viper.
func readConfig(flags *pflag.FlagSet) (Config, error) {
	v := viper.New()
	v.SetConfigType("yaml")
	for _, key := range settings {
		if f := flags.Lookup(key); f != nil {
			if err := v.BindPFlag(key, f); err != nil {
				return Config{}, fmt.Errorf("read the flag --%s: %w", f.Name, err)
			}
		}
		if !slices.Contains(notFromEnvironment, key) {
			if err := v.BindEnv(key, envName(key)); err != nil {
				return Config{}, fmt.Errorf("read the environment: %w", err)
			}
		}
	}
	if err := readSettingsFile(v, flags); err != nil {
		return Config{}, err
	}
	r := &settingsReader{v: v, flags: flags}
	cfg := Config{
		Home: r.text("home"), Data: r.text("data"), Coordinator: r.text("coordinator"),
		Listen: r.text("listen"), Slots: r.whole("slots"), GPUs: r.text("gpus"), Labels: r.list("label"), Name: r.text("name"), WorkDir: r.text("workdir"),
		Lease: r.duration("lease"), Grace: r.duration("grace"), Verbose: r.yes("verbose"),
		CheckpointEvery: r.duration("checkpoint-every"), CheckpointQuota: r.bytes("checkpoint-quota"),
		DiskReserve: defaultReserve, DiskWait: r.duration("disk-wait"),
	}
	if r.text("disk-reserve") != "" {
		cfg.DiskReserve = convert(r, "disk-reserve", "an amount such as 2GiB, a part of the disk such as 5%, or 0", parseReserve)
	}
	if r.err != nil {
		return Config{}, r.err
	}
	cfg.slotsGiven = r.given("slots")
	return cfg.complete(flags)
}

// settingsReader reads values, whoever said them, strictly. The first mistake is in err.
type settingsReader struct {
	v     *viper.Viper
	flags *pflag.FlagSet
	err   error
}

// text returns the value of a key as it was written; empty if nobody said any.
func (r *settingsReader) text(key string) string {
	switch x := r.v.Get(key).(type) {
	case nil:
		return ""
	case map[string]any, []any:
		r.bad(key, "a single value")
		return ""
	default:
		return fmt.Sprint(x)
	}
}

// given reports whether somebody said a value, in whichever way.
func (r *settingsReader) given(key string) bool {
	f := r.flags.Lookup(key)
	return f != nil && f.Changed || os.Getenv(envName(key)) != "" || r.v.InConfig(key)
}

// list returns the values of a key: of a flag each time that it is given, in a file a list
// or a mapping, in the environment words.
func (r *settingsReader) list(key string) (list []string) {
	switch x := r.v.Get(key).(type) {
	case nil:
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(x)) {
			list = append(list, name+"="+fmt.Sprint(x[name]))
		}
	case []any:
		for _, v := range x {
			list = append(list, fmt.Sprint(v))
		}
	case []string:
		list = x
	case string:
		list = strings.Fields(x)
	default:
		r.bad(key, "a list of NAME=VALUE")
	}
	for _, l := range list {
		if name, _, ok := strings.Cut(l, "="); !ok || !isLabel(name) {
			r.bad(key, "NAME=VALUE, with a name of letters, digits and underscores")
			return nil
		}
	}
	return list
}

// isLabel reports whether an expression can name a label so: labels.NAME.
func isLabel(name string) bool {
	for i, c := range name {
		if c != '_' && !unicode.IsLetter(c) && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	return name != ""
}

func (r *settingsReader) whole(key string) int {
	return convert(r, key, "a whole number", strconv.Atoi)
}

func (r *settingsReader) duration(key string) time.Duration {
	return convert(r, key, "a length of time such as 30s or 5m", time.ParseDuration)
}

func (r *settingsReader) bytes(key string) int64 {
	return convert(r, key, "an amount such as 20GiB or 500MB", sweeps.ParseBytes)
}

func (r *settingsReader) yes(key string) bool {
	return convert(r, key, "true or false", strconv.ParseBool)
}

func convert[T any](r *settingsReader, key, want string, parse func(string) (T, error)) T {
	var none T
	text := r.text(key)
	if text == "" {
		return none
	}
	x, err := parse(text)
	if err != nil {
		r.bad(key, want)
		return none
	}
	return x
}

// bad complains of a value to whoever said it.
func (r *settingsReader) bad(key, want string) {
	if r.err != nil {
		return
	}
	env := envName(key)
	switch f := r.flags.Lookup(key); {
	case f != nil && f.Changed:
		r.err = fmt.Errorf("--%s %s: want %s", f.Name, f.Value, want)
	case os.Getenv(env) != "" && !slices.Contains(notFromEnvironment, key):
		r.err = fmt.Errorf("environment variable %s=%s: want %s", env, os.Getenv(env), want)
	default:
		r.err = fmt.Errorf("settings file %s: %s: want %s, not %v", r.v.ConfigFileUsed(), key, want, r.v.Get(key))
	}
}

func envName(key string) string { return "SWATH_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_")) }

func readSettingsFile(v *viper.Viper, flags *pflag.FlagSet) error {
	file, err := flags.GetString("config")
	if err != nil {
		return err
	}
	named := file != ""
	if !named {
		file = "swath.yaml"
	}
	v.SetConfigFile(file)
	err = v.ReadInConfig()
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("settings file %s: no such file", file)
	case err != nil:
		var parse viper.ConfigParseError
		if errors.As(err, &parse) {
			err = parse.Unwrap()
		}
		return fmt.Errorf("settings file %s: want YAML with a line `key: value` for each setting: %s", file, strings.Join(strings.Fields(cause(err).Error()), " "))
	}
	for _, key := range v.AllKeys() {
		if v.InConfig(key) && !slices.Contains(settings, key) {
			return fmt.Errorf("settings file %s: unknown key %q: known are %s", file, key, strings.Join(settings, ", "))
		}
	}
	return nil
}

// complete fills in the defaults that depend on something, and checks.
func (c Config) complete(flags *pflag.FlagSet) (Config, error) {
	if c.Home == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return c, fmt.Errorf("there is no home directory (%w): say where swath keeps its files with --home DIR", err)
		}
		c.Home = filepath.Join(user, ".swath")
	}
	var err error
	if c.Home, err = absolute(c.Home); err != nil {
		return c, fmt.Errorf("home %s: %w", c.Home, err)
	}
	if c.Data == "" {
		c.Data = filepath.Join(c.Home, "data")
	} else if c.Data, err = absolute(c.Data); err != nil {
		return c, fmt.Errorf("data folder %s: %w", c.Data, err)
	}
	if flags.Lookup("slots") != nil && c.Slots < 1 {
		return c, fmt.Errorf("--slots %d: a worker needs at least one slot", c.Slots)
	}
	if flags.Lookup("lease") != nil && c.Lease < time.Second {
		return c, fmt.Errorf("--lease %s: want at least 1s", c.Lease)
	}
	if flags.Lookup("checkpoint-every") != nil && c.CheckpointEvery <= 0 {
		return c, fmt.Errorf("--checkpoint-every %s: want more than 0", c.CheckpointEvery)
	}
	if c.Grace < 0 {
		return c, fmt.Errorf("--grace %s: want 0 or more", c.Grace)
	}
	if c.WorkDir == "" {
		c.WorkDir, err = os.Getwd()
	} else {
		c.WorkDir, err = absolute(c.WorkDir)
	}
	if err != nil {
		return c, fmt.Errorf("working directory: %w", err)
	}
	return c, nil
}

// absolute makes a path absolute. A shell would have replaced ~; files and environments
// have it.
func absolute(path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok || path == "~" {
		user, err := os.UserHomeDir()
		if err != nil {
			return path, err
		}
		path = filepath.Join(user, strings.TrimPrefix(rest, "~"))
	}
	return filepath.Abs(path)
}
