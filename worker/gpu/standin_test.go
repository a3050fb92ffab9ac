package gpu

import (
	"os"
	"path/filepath"
	"testing"
)

// standIn puts programs into PATH, and nothing else beside the shell's, that replay a
// recording: a folder of testdata with a file for each question, gpu, apps and list of
// nvidia-smi, rocm of rocm-smi, and exit, the exit code. It returns the folder of the
// programs.
func standIn(t *testing.T, recording string) string {
	t.Helper()
	from, err := filepath.Abs(filepath.Join("testdata", recording))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, script string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(from, "rocm")); err == nil {
		write("rocm-smi", "exec /bin/cat '"+from+"/rocm'\n")
	} else {
		write("nvidia-smi", `case "$1" in
--query-gpu=index,uuid,pci.bus_id,name,memory.total,memory.used) f=gpu;;
--query-compute-apps=*) f=apps;;
-L) f=list;;
*) echo "Field \"$1\" is not a valid field to query."; exit 2;;
esac
/bin/cat '`+from+`'/$f
[ -e '`+from+`/exit' ] && exit $(/bin/cat '`+from+`/exit')
exit 0
`)
	}
	t.Setenv("PATH", dir)
	return dir
}
