package data

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// What is known of a set without its files is what the set turns out to be.
func TestKnown(t *testing.T) {
	for _, name := range Names() {
		s, err := Known(name)
		if err != nil || s.Name != name || len(s.Classes) != 10 {
			t.Errorf("%s is known as %+v, %v", name, s, err)
		}
	}
	if s, err := Known("folder:x"); err != nil || s.Classes != nil {
		t.Errorf("an image folder is known without its files: %+v, %v", s, err)
	}
	s, err := Known("shapes")
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(context.Background(), "shapes", "", Options{Size: s.MinSize})
	if err != nil {
		t.Fatal(err)
	}
	if train, test := s.Images(Options{}); !slices.Equal(d.Classes, s.Classes) || d.Channels != s.Channels || d.Train.Len() != train || d.Test.Len() != test {
		t.Errorf("shapes are %v, %d + %d, known as %+v", d.Classes, d.Train.Len(), d.Test.Len(), s)
	}
	if d, err = Open(context.Background(), "shapes", "", Options{Size: s.MinSize, Class: "star"}); err != nil {
		t.Fatal(err)
	}
	if train, test := s.Images(Options{Class: "star"}); d.Train.Len() != train || d.Test.Len() != test {
		t.Errorf("%d and %d images are stars, known are %d and %d", d.Train.Len(), d.Test.Len(), train, test)
	}
}

// Check says what Open would, where Open can know it: of shapes.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		set  string
		opts Options
		want []string // Option: part of the reason
	}{
		{"cifar10", Options{Train: 50_000, Test: 10_000, Size: 64}, nil},
		{"cifar10", Options{Train: 50_001, Test: 10_001}, []string{"Train: cifar10 has 50,000 training images, not 50,001 (use at most 50,000, or 0 for all)", "Test: cifar10 has 10,000 test images, not 10,001"}},
		{"cifar10", Options{Class: "dogs"}, []string{`Class: cifar10 has no class "dogs"; did you mean "dog"? It has airplane, automobile`}},
		{"cifar10", Options{Class: "dog", Train: 5000}, nil},
		{"cifar10", Options{Class: "dog", Train: 5001}, []string{"Train: cifar10 has 5,000 training images of class dog, not 5,001"}},
		{"cifar10", Options{Size: 1025}, []string{"Size: cifar10 has no images of 1025 pixels (use 1 to 1024)"}},
		{"cifar10", Options{Size: 1024}, []string{"Size: cifar10: 60,000 images of 1024x1024 would take 176 GiB"}},
		{"cifar10", Options{Size: 1024, Train: 1000, Test: 1000}, nil},
		{"fashion-mnist", Options{Train: 60_001}, []string{"Train: fashion-mnist has 60,000 training images, not 60,001"}},
		{"folder:x", Options{Train: 70_000, Class: "dog", Size: 64}, nil},
		{"folder:x", Options{Size: 1025}, []string{"Size: folder:x has no images of 1025 pixels (use 1 to 1024)"}},
		{"folder:x", Options{Size: 1024, Train: 70_000}, []string{"Size: folder:x: 70,000 images of 1024x1024 would take 205 GiB"}},
		{"shapes", Options{Train: 70_000, Size: 8}, nil},
		{"shapes", Options{Size: 4}, []string{"Size: shapes has no images of 4 pixels (use 8 to 512)"}},
		{"shapes", Options{Size: 1024}, []string{"Size: shapes has no images of 1024 pixels (use 8 to 512)"}},
		{"shapes", Options{Size: 512, Train: 100_000_000}, []string{"Size: shapes: 100,002,000 images of 512x512 would take"}},
		{"shapes", Options{Class: "star", Train: 1001, Size: 8}, []string{"Train: shapes has 1,000 training images of class star, not 1,001"}},
	} {
		s, err := Known(c.set)
		if err != nil {
			t.Fatal(err)
		}
		got := s.Check(c.opts)
		if len(got) != len(c.want) {
			t.Errorf("%s, %+v: %v, want %q", c.set, c.opts, got, c.want)
			continue
		}
		for i, e := range got {
			if text := e.Option + ": " + e.Error(); !strings.HasPrefix(text, c.want[i]) {
				t.Errorf("%s, %+v: %s, want %s", c.set, c.opts, text, c.want[i])
			}
		}
		if c.set != "shapes" || len(got) == 0 {
			continue
		}
		var opened *RequestError
		if _, err := Open(context.Background(), c.set, "", c.opts); !errors.As(err, &opened) || *opened != *got[0] {
			t.Errorf("%+v: opening it says %v, checking %v", c.opts, err, got[0])
		}
	}
}
