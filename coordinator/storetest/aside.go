package storetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"swath/coordinator"
	"swath/coordinator/dispatch"
)

// testAside: workers that were set aside are so until they are taken back.
func testAside(t *testing.T, s coordinator.Store) {
	is := func(when string, want ...dispatch.Aside) {
		t.Helper()
		got, err := s.Aside()
		if err != nil {
			t.Fatalf("aside: %v", err)
		}
		if d := cmp.Diff(want, got, sameRecord); d != "" {
			t.Errorf("%s (-want +got):\n%s", when, d)
		}
	}
	set := func(list ...dispatch.Aside) {
		t.Helper()
		if err := s.Commit(dispatch.Changes{Aside: list}); err != nil {
			t.Fatalf("commit: %v", err)
		}
	}
	is("at first")
	a := dispatch.Aside{Worker: "a", Name: "box", Why: "drained by a user"}
	b := dispatch.Aside{Worker: "b", Name: "box", Why: "5 trials in a row failed on it", Blamed: true}
	set(b, a)
	is("both", a, b)
	b.Why = "drained by a user"
	set(b)
	is("for another reason", a, b)
	set(dispatch.Aside{Worker: "a"}, dispatch.Aside{Worker: "never seen"})
	is("one", b)
}
