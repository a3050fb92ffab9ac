package storetest

import (
	"fmt"
	"reflect"
	"time"

	"swath/sweeps"
)

// epoch is when the records of the suites begin.
var epoch = time.Date(2024, 2, 29, 23, 59, 59, 123456789, time.UTC)

// fill sets every field of v to a value of its own, so that a field that a store forgets
// is missed. It fails for a kind of field that it does not know.
func fill(v reflect.Value, n *int) error {
	*n++
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(epoch.Add(time.Duration(*n) * (time.Hour + time.Nanosecond))))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			if err := fill(v.Index(i), n); err != nil {
				return err
			}
		}
	case reflect.Uint8:
		v.SetUint(uint64(*n))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			if err := fill(key, n); err != nil {
				return err
			}
			if err := fill(value, n); err != nil {
				return err
			}
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if err := fill(v.Field(i), n); err != nil {
				return fmt.Errorf("%s: %w", v.Type().Field(i).Name, err)
			}
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf(int64(*n)))
	default:
		return fmt.Errorf("a %s is a new kind of field: teach fill about it", v.Type())
	}
	return nil
}

// filledSweep returns a sweep all of whose fields are set.
func filledSweep(id sweeps.SweepID) (*sweeps.Sweep, error) {
	s, n := &sweeps.Sweep{}, 0
	err := fill(reflect.ValueOf(s).Elem(), &n)
	s.ID, s.State = id, sweeps.SweepCancelling
	return s, err
}

// filledTrial returns a trial all of whose fields are set.
func filledTrial(key sweeps.TrialKey) (*sweeps.Trial, error) {
	t, n := &sweeps.Trial{}, 0
	err := fill(reflect.ValueOf(t).Elem(), &n)
	t.TrialKey, t.State = key, sweeps.TrialPending
	t.Params = sweeps.Params{
		"lr": 0.001, "depth": int64(12), "big": int64(1<<62 + 1), "name": "vit/é\u0000\"", "on": true, "none": nil,
		"list":  []any{int64(1), "two", 3.5, []any{}},
		"group": map[string]any{"beta": []any{0.9, 0.999}, "empty": map[string]any{}},
	}
	return t, err
}
