package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"swath/coordinator/dispatch"
)

// Config is what a verb is told by flags, environment and file; flags come first, then
// the environment, then the file, then the defaults.
type Config struct {
	Home        string // the folder of the store, of logs and of attempts; absolute
	Data        string // the folder of data sets; may be empty
	Coordinator string // HOST:PORT; empty where nobody said
	Listen      string // HOST:PORT that the coordinator listens on
	Slots       int    // of a worker
	Name        string // of a worker, or the new name of a sweep
	WorkDir     string // of a worker's trials, where the submitter's is not there
	Lease       time.Duration
	Grace       time.Duration
	Verbose     bool
}

// defaultListen is where a coordinator listens, and is looked for, unless told otherwise.
const defaultListen = "127.0.0.1:7420"

// settings are the keys that file and environment may have; a key is a flag's name. In
// the environment it is in capitals behind SWATH_.
var settings = []string{"home", "data", "coordinator", "listen", "slots", "name", "workdir", "lease", "grace", "verbose"}

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
}

func addWorkerFlags(f *pflag.FlagSet) {
	f.Int("slots", defaultSlots(), "trials to run at a time")
	f.Duration("grace", 10*time.Second, "time between SIGTERM and SIGKILL when a trial is stopped")
	f.String("workdir", "", "working directory of trials whose submitter's directory is not on this machine (default the current one)")
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
				return Config{}, fmt.Errorf("read the flag --%s: %w", key, err)
			}
		}
		if !slices.Contains(notFromEnvironment, key) {
			if err := v.BindEnv(key, "SWATH_"+strings.ToUpper(key)); err != nil {
				return Config{}, fmt.Errorf("read the environment: %w", err)
			}
		}
	}
	if err := readSettingsFile(v, flags); err != nil {
		return Config{}, err
	}
	cfg := Config{
		Home: v.GetString("home"), Data: v.GetString("data"), Coordinator: v.GetString("coordinator"),
		Listen: v.GetString("listen"), Slots: v.GetInt("slots"), Name: v.GetString("name"), WorkDir: v.GetString("workdir"),
		Lease: v.GetDuration("lease"), Grace: v.GetDuration("grace"), Verbose: v.GetBool("verbose"),
	}
	return cfg.complete(flags)
}

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
		return fmt.Errorf("settings file %s: %s", file, strings.ReplaceAll(err.Error(), "\n", " "))
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
	if c.Home, err = filepath.Abs(c.Home); err != nil {
		return c, fmt.Errorf("home %s: %w", c.Home, err)
	}
	if c.Data == "" {
		c.Data = filepath.Join(c.Home, "data")
	} else if c.Data, err = filepath.Abs(c.Data); err != nil {
		return c, fmt.Errorf("data folder %s: %w", c.Data, err)
	}
	if flags.Lookup("slots") != nil && c.Slots < 1 {
		return c, fmt.Errorf("--slots %d: a worker needs at least one slot", c.Slots)
	}
	if flags.Lookup("lease") != nil && c.Lease < time.Second {
		return c, fmt.Errorf("--lease %s: want at least 1s", c.Lease)
	}
	if c.WorkDir == "" {
		c.WorkDir, err = os.Getwd()
	} else {
		c.WorkDir, err = filepath.Abs(c.WorkDir)
	}
	if err != nil {
		return c, fmt.Errorf("working directory: %w", err)
	}
	return c, nil
}
