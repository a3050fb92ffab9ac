package results

import (
	"io"
	"slices"
	"testing"
	"time"

	"swath/sweeps"
)

const benchRows = 100_000

func manyRows() []Row {
	rows := make([]Row, benchRows)
	for i := range rows {
		x := float64(i*7919%benchRows) / benchRows
		rows[i] = Row{
			Trial: "00000000000000a0", Index: int64(i), State: sweeps.TrialFinished,
			Params:   sweeps.Params{"lr": x / 10, "patch_size": int64(4 << (i % 3)), "optimizer": "adam", "heads": int64(i % 7)},
			Metrics:  map[string]float64{"test_accuracy": x, "train_loss": 1 - x},
			Best:     map[string]float64{"test_accuracy": x},
			BestStep: map[string]int64{"test_accuracy": 3},
			Attempts: 1, Worker: "alpha", Duration: time.Minute,
		}
	}
	return rows
}

// perRow reports how many rows a second the benchmark goes through.
func perRow(b *testing.B) {
	b.ReportMetric(float64(b.N)*benchRows/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkFilter(b *testing.B) {
	rows := manyRows()
	filter, err := Compile(`patch_size <= 8 and test_accuracy > 0.3 and optimizer == "adam"`, FieldsOf(rows[:100]))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		for i := range rows {
			if _, err := filter.Match(rows[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
	perRow(b)
}

func BenchmarkQueryTop10(b *testing.B) {
	rows := manyRows()
	fields := FieldsOf(rows[:100])
	where, err := Compile(`patch_size <= 8`, fields)
	if err != nil {
		b.Fatal(err)
	}
	order, err := ParseOrder("-test_accuracy", fields)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := (Query{Where: where, Order: order, Limit: 10}).Run(slices.Values(rows)); err != nil {
			b.Fatal(err)
		}
	}
	perRow(b)
}

func BenchmarkSort(b *testing.B) {
	rows := manyRows()
	order, err := ParseOrder("-test_accuracy", FieldsOf(rows[:100]))
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		order.Sort(rows)
	}
	perRow(b)
}

func BenchmarkJSONL(b *testing.B) {
	rows := manyRows()
	b.ResetTimer()
	for range b.N {
		if err := WriteRows(io.Discard, JSONL, rows, Layout{}); err != nil {
			b.Fatal(err)
		}
	}
	perRow(b)
}

func BenchmarkFields(b *testing.B) {
	rows := manyRows()
	b.ResetTimer()
	for range b.N {
		FieldsOf(rows)
	}
	perRow(b)
}
