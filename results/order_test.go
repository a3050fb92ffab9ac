package results

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swath/sweeps"
)

func TestOrder(t *testing.T) {
	for spec, want := range map[string][]int64{
		``:                        {0, 1, 2, 3, 4},
		`lr`:                      {2, 0, 1, 3, 4},
		`-lr`:                     {4, 3, 1, 0, 2},
		`test_accuracy`:           {0, 1, 4, 2, 3}, // NaN after the numbers, missing last
		`-test_accuracy`:          {1, 0, 4, 2, 3},
		`-best.test_accuracy`:     {1, 0, 4, 2, 3},
		`patch_size,-lr`:          {3, 0, 4, 1, 2},
		`-patch_size, lr`:         {2, 1, 4, 0, 3},
		`optimizer.name`:          {0, 3, 4, 2, 1},
		`state,-index`:            {4, 2, 1, 0, 3},
		`val/loss`:                {1, 0, 2, 3, 4},
		`-metrics["val/loss"]`:    {0, 1, 2, 3, 4},
		`params['pretrained']`:    {1, 0, 4, 2, 3},
		`-duration_s`:             {4, 1, 0, 3, 2},
		`layers`:                  {0, 1, 2, 3, 4},
		`best_step.test_accuracy`: {4, 0, 1, 2, 3},
		`-error`:                  {4, 2, 0, 1, 3},
		`ended`:                   {2, 0, 1, 4, 3},
	} {
		o, err := ParseOrder(spec, sampleFields())
		if err != nil {
			t.Error(err)
			continue
		}
		rows := sampleRows()
		slices.Reverse(rows) // ties go to the lower index, not to the first in the input
		o.Sort(rows)
		if diff := cmp.Diff(want, indices(rows)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", spec, diff)
		}
	}
	_, err := ParseOrder("lr,-test_acuracy", sampleFields())
	wantInvalid(t, err, `sort key "-test_acuracy": unknown name "test_acuracy"; did you mean test_accuracy? (known: `+allNames+`)`)
}

func TestSplitNames(t *testing.T) {
	got := splitNames(` a, params["b,c"] ,,metrics['d,e'],f"g,h`)
	want := []string{"a", `params["b,c"]`, `metrics['d,e']`, `f"g`, "h"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// randomRows has many ties, missing values, NaN and mixed types.
func randomRows(rng *rand.Rand, n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		rows[i] = Row{Index: int64(rng.IntN(n)), Worker: fmt.Sprint("w", rng.IntN(3)), Params: sweeps.Params{}, Metrics: map[string]float64{}}
		switch rng.IntN(6) {
		case 0:
		case 1:
			rows[i].Params["x"] = "text"
		case 2:
			rows[i].Params["x"] = rng.IntN(2) == 0
		case 3:
			rows[i].Params["x"] = rng.Float64()
		case 4:
			rows[i].Params["x"] = []any{int64(rng.IntN(2))}
		default:
			rows[i].Params["x"] = int64(rng.IntN(4))
		}
		switch rng.IntN(5) {
		case 0:
		case 1:
			rows[i].Metrics["m"] = math.NaN()
		default:
			rows[i].Metrics["m"] = float64(rng.IntN(5))
		}
		rows[i].Attempts = i // tells rows of one index apart
	}
	return rows
}

func TestTopEqualsSortAndLimit(t *testing.T) {
	var fields Fields
	fields.AddParam("x")
	fields.AddMetric("m")
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		rows := randomRows(rng, rng.IntN(60))
		spec := []string{"m", "-m", "x", "-x", "-m,x", "worker,-x,m", ""}[rng.IntN(7)]
		order, err := ParseOrder(spec, fields)
		if err != nil {
			t.Fatal(err)
		}
		limit := rng.IntN(70)
		sorted := slices.Clone(rows)
		order.Sort(sorted)
		top := NewTop(order, limit)
		for _, r := range rows {
			top.Add(r)
		}
		got, want := top.Rows(), sorted[:min(limit, len(sorted))]
		if len(got) != len(want) {
			t.Fatalf("seed %d, sort %q, limit %d: %d rows, want %d", seed, spec, limit, len(got), len(want))
		}
		for i := range got {
			if got[i].Attempts != want[i].Attempts {
				t.Fatalf("seed %d, sort %q, limit %d: row %d is %d, want %d", seed, spec, limit, i, got[i].Attempts, want[i].Attempts)
			}
		}
	}
}

func TestQuery(t *testing.T) {
	fields := sampleFields()
	where, err := Compile(`patch_size <= 8`, fields)
	if err != nil {
		t.Fatal(err)
	}
	order, err := ParseOrder("-test_accuracy", fields)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		q    Query
		want []int64
	}{
		{Query{}, []int64{0, 1, 2, 3, 4}},
		{Query{Where: where}, []int64{0, 1, 3, 4}},
		{Query{Where: where, Order: order}, []int64{1, 0, 4, 3}},
		{Query{Where: where, Order: order, Limit: 2}, []int64{1, 0}},
		{Query{Where: where, Limit: 3}, []int64{0, 1, 3}},
		{Query{Order: ObjectiveOrder(accuracy), Limit: 9}, []int64{1, 0, 4, 2, 3}},
		{Query{Order: ObjectiveOrder(sweeps.Objective{}), Limit: 1}, []int64{0}},
	} {
		got, err := c.q.Run(slices.Values(sampleRows()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, indices(got)); diff != "" {
			t.Errorf("%+v: %s", c.q, diff)
		}
	}
	reads := 0
	_, err = Query{Limit: 2}.Run(func(yield func(Row) bool) {
		for _, r := range sampleRows() {
			reads++
			if !yield(r) {
				return
			}
		}
	})
	if err != nil || reads != 2 {
		t.Errorf("a limit without an order read %d rows (%v), want 2", reads, err)
	}
}
