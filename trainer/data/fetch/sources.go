package fetch

import (
	"fmt"
	"net/url"
	"strings"
)

// source is where a set comes from.
type source struct {
	set    string
	folder string // under the data folder; "" for the data folder itself
	base   string // URL of the folder that holds the files; ends in a slash
	files  []file
}

// file is one file of a set, as published.
type file struct {
	name   string
	bytes  int64
	sha256 string
}

// The authors publish CIFAR-10's MD5, c32a1d4ab5d03f1284b67883e8d87530, and Fashion-MNIST's likewise; the SHA-256
// and sizes below are those of the same files, as TensorFlow Datasets records them.
var sources = []source{
	{
		set:  "cifar10",
		base: "https://www.cs.toronto.edu/~kriz/",
		files: []file{
			{"cifar-10-binary.tar.gz", 170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
		},
	},
	{
		set:    "fashion-mnist",
		folder: "fashion-mnist",
		base:   "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
		files: []file{
			{"train-images-idx3-ubyte.gz", 26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"},
			{"train-labels-idx1-ubyte.gz", 29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"},
			{"t10k-images-idx3-ubyte.gz", 4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"},
			{"t10k-labels-idx1-ubyte.gz", 5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"},
		},
	},
}

// Names returns the names of the sets that can be fetched.
func Names() []string {
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = s.set
	}
	return names
}

func find(set string) (source, error) {
	for _, s := range sources {
		if s.set == set {
			return s, nil
		}
	}
	known := strings.Join(Names(), ", ")
	switch {
	case set == "shapes":
		return source{}, fmt.Errorf("data set shapes is drawn when it is opened: there is nothing to fetch (to be fetched are %s)", known)
	case strings.HasPrefix(set, "folder:"):
		return source{}, fmt.Errorf("data set %s is a folder of your own: there is nothing to fetch (to be fetched are %s)", set, known)
	}
	return source{}, fmt.Errorf("cannot fetch %q: the sets that can be fetched are %s", set, known)
}

// mirrored applies the caller's URL and checksum to a source.
func (s source) mirrored(at, sum string) (source, error) {
	s.files = append([]file(nil), s.files...)
	if sum != "" {
		if len(s.files) != 1 {
			return s, fmt.Errorf("fetch %s: a checksum can be given for a set of one file, this one has %d", s.set, len(s.files))
		}
		sum = strings.ToLower(sum)
		if len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "" {
			return s, fmt.Errorf("fetch %s: %q is no SHA-256 checksum: want 64 hexadecimal digits", s.set, sum)
		}
		if sum != s.files[0].sha256 { // another file, of a size not known here
			s.files[0].sha256, s.files[0].bytes = sum, 0
		}
	}
	if at == "" {
		return s, nil
	}
	u, err := url.Parse(at)
	if err != nil {
		return s, fmt.Errorf("fetch %s: %w", s.set, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return s, fmt.Errorf("fetch %s: %q is no http or https URL", s.set, at)
	}
	s.base = at
	return s, nil
}

// url returns the address of a file of the set: base is its folder, or, in a set of one file, perhaps the file.
func (s source) url(f file) string {
	if len(s.files) == 1 && !strings.HasSuffix(s.base, "/") {
		return s.base
	}
	return strings.TrimSuffix(s.base, "/") + "/" + f.name
}
