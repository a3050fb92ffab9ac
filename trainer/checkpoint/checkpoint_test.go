package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func sample(step int64) *Checkpoint {
	return &Checkpoint{
		Identity: identity(4),
		Step:     step,
		State:    json.RawMessage(`{"epoch":3,"loss_sum":0.1}`),
		Reports: []Report{
			{Step: 50, Metrics: map[string]float64{"loss": 2.3}},
			{Step: 1, Metrics: map[string]float64{"train_loss": 2.1, "test_loss": math.Inf(1), "x": math.NaN()}},
			{Step: -7, Metrics: map[string]float64{"loss": math.Copysign(0, -1)}},
		},
		Tensors: []Tensor{
			{"weight", []int{2, 3}, []float32{1, -2, 3e-45, float32(math.Inf(-1)), math.Float32frombits(0x7fc00123), 6}},
			{"scalar", nil, []float32{7}},
			{"large", []int{40_000}, make([]float32, 40_000)},
		},
	}
}

func identity(patch int) Identity {
	return Identity{Trainer: "vit", Params: map[string]string{"patch_size": string(rune('0' + patch)), "seed": "1"}}
}

func encode(t testing.TB, c *Checkpoint) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bits makes tensors comparable bit for bit.
func bits(c *Checkpoint) [][]uint32 {
	var all [][]uint32
	for _, t := range c.Tensors {
		var b []uint32
		for _, v := range t.Data {
			b = append(b, math.Float32bits(v))
		}
		all = append(all, b)
	}
	return all
}

func TestRoundTrip(t *testing.T) {
	for name, c := range map[string]*Checkpoint{"full": sample(12), "empty": {}} {
		got, err := Read(encode(t, c))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s changes on the way (-written +read):\n%s", name, d)
		}
		if !cmp.Equal(bits(c), bits(got)) {
			t.Errorf("%s does not keep every bit", name)
		}
	}
}

func TestReadRefusesWhatIsNotWhole(t *testing.T) {
	whole := encode(t, sample(12))
	for n := range len(whole) {
		if n > 2000 && n%1009 != 0 { // every length of the first part, and some of the long tail
			continue
		}
		if c, err := Read(whole[:n]); !errors.Is(err, ErrCorrupt) || c != nil {
			t.Fatalf("%d of %d bytes give %v", n, len(whole), err)
		}
		changed := bytes.Clone(whole)
		changed[n] ^= 0x40
		if _, err := Read(changed); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatalf("byte %d changed gives %v", n, err)
		}
	}
	if _, err := Read(append(bytes.Clone(whole), 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte more gives %v", err)
	}
	other := bytes.Clone(whole)
	other[len(magic)] = 9
	if _, err := Read(other); !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "version 9, this program reads version 1") {
		t.Errorf("another version gives %v", err)
	}
}

func TestWriteRefusesNonsense(t *testing.T) {
	for want, tensors := range map[string][]Tensor{
		"tensor a has shape [2] but 3 elements":  {{"a", []int{2}, make([]float32, 3)}},
		"tensor a has shape [0] but 0 elements":  {{"a", []int{0}, nil}},
		"there are two tensors a":                {{"a", []int{1}, make([]float32, 1)}, {"a", []int{1}, make([]float32, 1)}},
		"tensor a has shape [-1] but 1 elements": {{"a", []int{-1}, make([]float32, 1)}},
	} {
		if err := Write(&bytes.Buffer{}, &Checkpoint{Tensors: tensors}); err == nil || err.Error() != want {
			t.Errorf("writing gives %v, want %s", err, want)
		}
	}
}

// FuzzRead gives the reader bytes whose checksum is right, so that the parser behind it sees them.
func FuzzRead(f *testing.F) {
	for _, c := range []*Checkpoint{sample(3), {}, {Tensors: []Tensor{{"a", []int{1}, []float32{1}}}}} {
		if b := encode(f, c); len(b) < 4096 {
			f.Add(b[:len(b)-sha256.Size])
		}
	}
	small := sample(3)
	small.Tensors = small.Tensors[:2]
	b := encode(f, small)
	f.Add(b[:len(b)-sha256.Size])
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		c, err := Read(append(bytes.Clone(body), sum[:]...))
		if err != nil {
			if c != nil || !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("%v comes with the error %v", c, err)
			}
			return
		}
		again, err := Read(encode(t, c))
		if err != nil || !cmp.Equal(bits(c), bits(again)) || c.Step != again.Step || len(c.Reports) != len(again.Reports) {
			t.Fatalf("what was read does not survive writing: %v", err)
		}
	})
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestFolderKeepsTheLastTwo(t *testing.T) {
	f := &Folder{Path: t.TempDir(), Identity: identity(4)}
	if c, skipped, err := f.Latest(); c != nil || skipped != nil || err != nil {
		t.Fatalf("an empty folder gives %v, %v, %v", c, skipped, err)
	}
	stranger := filepath.Join(f.Path, "notes.txt")
	left := filepath.Join(f.Path, "step-000000000007.ckpt.tmp")
	for _, p := range []string{stranger, left} {
		if err := os.WriteFile(p, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []int64{9, 10, 11} {
		if err := f.Save(sample(step)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"notes.txt", "step-000000000010.ckpt", "step-000000000011.ckpt"}
	if got := names(t, f.Path); !slices.Equal(got, want) {
		t.Errorf("the folder holds %v, want %v", got, want)
	}
	c, _, err := f.Latest()
	if err != nil || c.Step != 11 {
		t.Fatalf("the latest is %v (%v), want step 11", c, err)
	}
}

func TestFolderFallsBack(t *testing.T) {
	f := &Folder{Path: t.TempDir(), Identity: identity(4)}
	for _, step := range []int64{10, 20} {
		if err := f.Save(sample(step)); err != nil {
			t.Fatal(err)
		}
	}
	newest := filepath.Join(f.Path, "step-000000000020.ckpt")
	b, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(newest, b[:len(b)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	c, skipped, err := f.Latest()
	if err != nil || c == nil || c.Step != 10 {
		t.Fatalf("with a broken last checkpoint: %v, %v", c, err)
	}
	if len(skipped) != 1 || !errors.Is(skipped[0], ErrCorrupt) || !strings.Contains(skipped[0].Error(), newest) {
		t.Errorf("what is said of the broken one: %v", skipped)
	}
	// Training went on from step 10; the broken file must not outlive it as "the last".
	if err := f.Save(sample(15)); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, f.Path), []string{"step-000000000010.ckpt", "step-000000000015.ckpt"}; !slices.Equal(got, want) {
		t.Errorf("the folder holds %v, want %v", got, want)
	}
}

func TestFolderRefusesAnotherTraining(t *testing.T) {
	f := &Folder{Path: t.TempDir(), Identity: identity(4)}
	if err := f.Save(sample(10)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		identity Identity
		want     string
	}{
		{identity(8), "its patch_size is 4, here it is 8 (train with its parameters, or with an empty checkpoint folder)"},
		{Identity{Trainer: "dcgan"}, `it is of trainer "vit", not "dcgan"`},
		{Identity{Trainer: "vit", Params: map[string]string{"patch_size": "4", "depth": "2"}},
			"it does not know depth, which is 2 here, it has seed = 1, which is not known here"},
	} {
		other := &Folder{Path: f.Path, Identity: c.identity}
		got, _, err := other.Latest()
		var mismatch *MismatchError
		if got != nil || !errors.As(err, &mismatch) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), f.Path) {
			t.Errorf("another training gets %v, %v; want %q", got, err, c.want)
		}
	}
	if got := names(t, f.Path); !slices.Equal(got, []string{"step-000000000010.ckpt"}) {
		t.Errorf("the folder holds %v after the refusals", got)
	}
}

func TestFolderErrors(t *testing.T) {
	gone := &Folder{Path: filepath.Join(t.TempDir(), "gone")}
	if _, _, err := gone.Latest(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing folder gives %v", err)
	}
	if err := gone.Save(sample(1)); err == nil || !strings.Contains(err.Error(), "saving a checkpoint of step 1 in "+gone.Path) {
		t.Errorf("saving in a missing folder gives %v", err)
	}
	f := &Folder{Path: t.TempDir()}
	bad := sample(2)
	bad.Tensors[0].Shape = []int{5}
	if err := f.Save(bad); err == nil || len(names(t, f.Path)) != 0 {
		t.Errorf("a failed save gives %v and leaves %v", err, names(t, f.Path))
	}
}

func TestTensorByName(t *testing.T) {
	c := sample(1)
	if d, err := c.Tensor("scalar", 1); err != nil || d[0] != 7 {
		t.Errorf("scalar is %v (%v)", d, err)
	}
	if _, err := c.Tensor("weight", 5); err == nil || err.Error() != "the checkpoint's tensor weight has 6 elements, the training's 5" {
		t.Errorf("another size gives %v", err)
	}
	if _, err := c.Tensor("bias", 5); err == nil || err.Error() != "the checkpoint has no tensor bias" {
		t.Errorf("an unknown name gives %v", err)
	}
}
