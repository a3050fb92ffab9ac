package results

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swath/sweeps"
)

func TestFormats(t *testing.T) {
	fields := sampleFields()
	for _, f := range Formats() {
		columns, err := ColumnsFor(f, "", fields, accuracy)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := WriteRows(&b, f, sampleRows(), Layout{Columns: columns}); err != nil {
			t.Fatal(err)
		}
		golden(t, "rows."+string(f), b.Bytes())

		chosen, err := ColumnsFor(f, `index,lr,layers,val/loss,worker,error,params["pretrained"],best_step.test_accuracy,ended`, fields, accuracy)
		if err != nil {
			t.Fatal(err)
		}
		b.Reset()
		if err := WriteRows(&b, f, sampleRows(), Layout{Columns: chosen, MaxWidth: 90}); err != nil {
			t.Fatal(err)
		}
		golden(t, "chosen."+string(f), b.Bytes())

		b.Reset()
		if err := WriteRows(&b, f, nil, Layout{Columns: columns}); err != nil {
			t.Fatal(err)
		}
		golden(t, "empty."+string(f), b.Bytes())
	}
}

// What programs read has to be what their libraries take.
func TestMachineFormatsParse(t *testing.T) {
	fields := sampleFields()
	var b bytes.Buffer
	if err := WriteRows(&b, JSON, sampleRows(), Layout{}); err != nil {
		t.Fatal(err)
	}
	var objects []map[string]any
	if err := json.Unmarshal(b.Bytes(), &objects); err != nil || len(objects) != 5 {
		t.Errorf("json: %d objects, %v", len(objects), err)
	}
	b.Reset()
	if err := WriteRows(&b, CSV, sampleRows(), Layout{Columns: AllColumns(fields)}); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(records) != 6 {
		t.Fatalf("csv: %d records, %v", len(records), err)
	}
	message := records[3][len(records[3])-1]
	if want := sampleRows()[2].Error; message != want {
		t.Errorf("csv: the message is %q, want %q", message, want)
	}
}

func TestTableFits(t *testing.T) {
	rows := sampleRows()
	rows[2].Error = strings.Repeat("very long ", 100)
	columns, err := ParseColumns("index,trial,error,worker,optimizer.name", sampleFields())
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{1, 5, 20, 40, 60, 80, 200} {
		var b bytes.Buffer
		if err := WriteRows(&b, Table, rows, Layout{Columns: columns, MaxWidth: limit}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if strings.HasPrefix(line, "not shown for want of width: ") && limit < 80 {
				continue
			}
			if w := width(strings.TrimRight(line, "\n")); w > limit {
				t.Errorf("a line of a table of width %d is %d wide: %q", limit, w, line)
			}
		}
	}
}

func TestParseFormat(t *testing.T) {
	for _, f := range Formats() {
		if got, err := ParseFormat(string(f)); got != f || err != nil {
			t.Errorf("ParseFormat(%q) = %q, %v", f, got, err)
		}
	}
	_, err := ParseFormat("jsnl")
	wantInvalid(t, err, `unknown format "jsnl"; did you mean jsonl? (known: table, csv, json, jsonl, markdown)`)
	_, err = NewWriter(nil, "xml", Layout{})
	wantInvalid(t, err, `unknown format "xml" (known: table, csv, json, jsonl, markdown)`)
}

func TestColumns(t *testing.T) {
	names := func(columns []Column) (list []string) {
		for _, c := range columns {
			list = append(list, c.Name())
		}
		return list
	}
	f := sampleFields()
	want := []string{
		"index", "trial", "state", "lr", "patch_size", "layers", "optimizer.name", "pretrained",
		"test_accuracy", "best.test_accuracy", "train_loss", "val/loss", "duration",
	}
	if diff := cmp.Diff(want, names(DefaultColumns(f, accuracy))); diff != "" {
		t.Errorf("default columns: %s", diff)
	}
	one := FieldsOf(sampleRows()[:1])
	if got := names(DefaultColumns(one, sweeps.Objective{})); !strings.Contains(strings.Join(got, " "), "epochs") {
		t.Errorf("of one row no parameter is a constant, but the columns are %v", got)
	}
	clash := FieldsOf([]Row{
		{Params: sweeps.Params{"loss": "a", "state": "b"}, Metrics: map[string]float64{"loss": 1, "error": 2}},
		{Params: sweeps.Params{"loss": "c", "state": "d"}},
	})
	want = []string{"index", "trial", "state", "loss", "params.state", "metrics.error", "metrics.loss", "duration"}
	if diff := cmp.Diff(want, names(DefaultColumns(clash, sweeps.Objective{}))); diff != "" {
		t.Errorf("columns of clashing names: %s", diff)
	}
	// Every heading is a name that --columns and --sort take.
	for _, fields := range []Fields{f, one, clash} {
		for _, c := range append(DefaultColumns(fields, sweeps.Objective{}), AllColumns(fields)...) {
			got, err := fields.lookup(c.Name())
			if err != nil || got.name != c.Name() {
				t.Errorf("column %q resolves to %q, %v", c.Name(), got.name, err)
			}
		}
	}
	_, err := ParseColumns("index,patchsize", f)
	wantInvalid(t, err, `columns: unknown name "patchsize"; did you mean patch_size? (known: `+allNames+`)`)
	_, err = ParseColumns(" , ", f)
	wantInvalid(t, err, "columns: no column is named")
}

// failingWriter fails after a number of bytes, as a full disk does.
type failingWriter struct{ left int }

var errFull = errors.New("disk full")

func (w *failingWriter) Write(b []byte) (int, error) {
	if len(b) > w.left {
		return 0, errFull
	}
	w.left -= len(b)
	return len(b), nil
}

func TestWriteErrors(t *testing.T) {
	columns := AllColumns(sampleFields())
	var rows []Row
	for range 20 { // more than a buffer of bufio
		rows = append(rows, sampleRows()...)
	}
	for _, f := range Formats() {
		for _, left := range []int{0, 5000} {
			if err := WriteRows(&failingWriter{left}, f, rows, Layout{Columns: columns}); !errors.Is(err, errFull) {
				t.Errorf("%s: error %v, want the writer's", f, err)
			}
		}
	}
}
