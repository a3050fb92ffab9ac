package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// content is what the test server publishes: 1 MB without a period that a wrong offset could hit.
func content() []byte {
	b := make([]byte, 1_000_003)
	state := uint32(1)
	for i := range b {
		state = state*1664525 + 1013904223
		b[i] = byte(state >> 24)
	}
	return b
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// server records the requests it gets and lets a test handle each of them.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	requests []http.Header
}

func newServer(t *testing.T, handle func(n int, w http.ResponseWriter, r *http.Request)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Header.Clone())
		n := len(s.requests)
		s.mu.Unlock()
		handle(n, w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

func (s *server) options(body []byte) Options {
	return Options{URL: s.URL + "/archive.tar.gz", SHA256: sum(body), Pause: time.Millisecond}
}

// serve answers with ranges, as a file server does.
func serve(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("ETag", `"v1"`)
	http.ServeContent(w, r, "archive.tar.gz", time.Unix(1_700_000_000, 0), bytes.NewReader(body))
}

// half promises the whole body and breaks off after half of it.
func half(w http.ResponseWriter, body []byte) {
	w.Header().Set("ETag", `"v1"`)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = w.Write(body[:len(body)/2])
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}

func wantFile(t *testing.T, dir string, body []byte) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, "cifar-10-binary.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, body) {
		t.Fatalf("the file has %d bytes that differ from the %d that were served", len(got), len(body))
	}
	wantNames(t, dir, "cifar-10-binary.tar.gz")
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("the folder holds %v, want %v", got, want)
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q lacks %q", err, p)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q has several lines", err)
	}
}

func TestFetchWhole(t *testing.T) {
	body := content()
	s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) { serve(w, r, body) })
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	opts := s.options(body)
	var last, total int64
	opts.Progress = func(d, n int64) {
		if d < last {
			t.Errorf("progress went back from %d to %d", last, d)
		}
		last, total = d, n
	}
	got, err := Fetch(context.Background(), "cifar10", dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, body)
	n := int64(len(body))
	if want := (Result{Path: filepath.Join(dir, "cifar-10-binary.tar.gz"), Bytes: n, Downloaded: n}); got != want {
		t.Errorf("result %+v, want %+v", got, want)
	}
	if last != n || total != n {
		t.Errorf("progress ended at %d of %d, want %d", last, total, n)
	}

	// Again: all is there, nothing is asked for.
	got, err = Fetch(context.Background(), "cifar10", dir, opts)
	if err != nil || got.Downloaded != 0 || got.Bytes != n || s.count() != 1 {
		t.Errorf("second call: %+v, %v, %d requests in all; want nothing downloaded and 1 request", got, err, s.count())
	}
}

func TestFetchFollowsRedirects(t *testing.T) {
	body := content()
	s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/mirror/file" {
			http.Redirect(w, r, "/mirror/file", http.StatusFound)
			return
		}
		serve(w, r, body)
	})
	dir := t.TempDir()
	if _, err := Fetch(context.Background(), "cifar10", dir, s.options(body)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, body)
}

// A download that is interrupted leaves its part, and the next call asks for the rest only.
func TestFetchResumesAfterInterruption(t *testing.T) {
	body := content()
	ctx, cancel := context.WithCancel(context.Background())
	s := newServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n > 1 {
			serve(w, r, body)
			return
		}
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // until the client has gone
	})
	dir := t.TempDir()
	opts := s.options(body)
	opts.Progress = func(done, _ int64) {
		if done == int64(len(body)/2) {
			cancel()
		}
	}
	_, err := Fetch(ctx, "cifar10", dir, opts)
	wantError(t, err, "fetch cifar10", "interrupted", "500,001 of 1,000,003 bytes are kept")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v does not wrap context.Canceled", err)
	}
	wantNames(t, dir, "cifar-10-binary.tar.gz.part", "cifar-10-binary.tar.gz.part.json")

	opts.Progress = nil
	got, err := Fetch(context.Background(), "cifar10", dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, body)
	if got.Resumed != 500_001 || got.Downloaded != 500_002 {
		t.Errorf("resumed from %d and downloaded %d, want 500001 and 500002", got.Resumed, got.Downloaded)
	}
	if h := s.requests[1]; h.Get("Range") != "bytes=500001-" || h.Get("If-Range") != `"v1"` {
		t.Errorf("second request has Range %q and If-Range %q", h.Get("Range"), h.Get("If-Range"))
	}
}

// A connection that breaks is taken up again within one call.
func TestFetchRetriesBrokenConnection(t *testing.T) {
	body := content()
	s := newServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			half(w, body)
		}
		serve(w, r, body)
	})
	dir := t.TempDir()
	if _, err := Fetch(context.Background(), "cifar10", dir, s.options(body)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, body)
	if s.count() != 2 || s.requests[1].Get("Range") == "" {
		t.Errorf("%d requests, the second with Range %q; want 2 and a range", s.count(), s.requests[1].Get("Range"))
	}
}

// The file changed on the server between two calls: If-Range makes it send the new one whole.
func TestFetchRestartsWhenFileChanged(t *testing.T) {
	old, body := bytes.Repeat([]byte("old"), 1000), content()
	s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) { serve(w, r, body) })
	dir := t.TempDir()
	opts := s.options(body)
	part := filepath.Join(dir, "cifar-10-binary.tar.gz.part")
	write(t, part, old)
	write(t, part+".json", []byte(`{"url":"`+opts.URL+`","etag":"\"v0\""}`))
	got, err := Fetch(context.Background(), "cifar10", dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, body)
	if got.Resumed != 0 {
		t.Errorf("resumed from %d bytes of another version", got.Resumed)
	}
}

func TestFetchServerWithoutRanges(t *testing.T) {
	body := content()
	s := newServer(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			half(w, body)
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body)
	})
	dir := t.TempDir()
	if _, err := Fetch(context.Background(), "cifar10", dir, s.options(body)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, body)
}

// A server that cannot resume and always breaks off must not be asked for ever.
func TestFetchGivesUp(t *testing.T) {
	body := content()
	s := newServer(t, func(_ int, w http.ResponseWriter, _ *http.Request) { half(w, body) })
	dir := t.TempDir()
	_, err := Fetch(context.Background(), "cifar10", dir, s.options(body))
	wantError(t, err, "gave up after 5 attempts", "are kept in", "--url")
	if n := s.count(); n < attempts || n > attempts+1 {
		t.Errorf("%d requests, want %d or one more", n, attempts)
	}
	wantNames(t, dir, "cifar-10-binary.tar.gz.part", "cifar-10-binary.tar.gz.part.json")
}

func TestFetchWrongRange(t *testing.T) {
	body := content()
	s := newServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 { // a range that was not asked for
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 7-%d/%d", len(body)-1, len(body)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(body[7:])
			return
		}
		serve(w, r, body)
	})
	dir := t.TempDir()
	write(t, filepath.Join(dir, "cifar-10-binary.tar.gz.part"), body[:100])
	if _, err := Fetch(context.Background(), "cifar10", dir, s.options(body)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, body)
}

func TestFetchPartAlreadyComplete(t *testing.T) {
	body := content()
	s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) { serve(w, r, body) })
	dir := t.TempDir()
	write(t, filepath.Join(dir, "cifar-10-binary.tar.gz.part"), body)
	got, err := Fetch(context.Background(), "cifar10", dir, s.options(body))
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, body)
	if got.Downloaded != 0 || got.Resumed != int64(len(body)) {
		t.Errorf("downloaded %d, resumed %d", got.Downloaded, got.Resumed)
	}
}

func TestFetchPartTooLong(t *testing.T) {
	body := content()
	s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) { serve(w, r, body) })
	dir := t.TempDir()
	write(t, filepath.Join(dir, "cifar-10-binary.tar.gz.part"), append(content(), "more"...))
	if _, err := Fetch(context.Background(), "cifar10", dir, s.options(body)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, body)
}

func TestFetchCorruptedPayload(t *testing.T) {
	body := content()
	bad := content()
	bad[777_777] ^= 1
	s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) { serve(w, r, bad) })
	dir := t.TempDir()
	_, err := Fetch(context.Background(), "cifar10", dir, s.options(body))
	wantError(t, err, "corrupted or another file", sum(bad), sum(body), "it was removed", "fetch again")
	wantNames(t, dir)
}

// A part that was spoilt on disk is found when the rest has come, and does not spoil the next call.
func TestFetchCorruptedPart(t *testing.T) {
	body := content()
	s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) { serve(w, r, body) })
	dir := t.TempDir()
	write(t, filepath.Join(dir, "cifar-10-binary.tar.gz.part"), make([]byte, 1000))
	_, err := Fetch(context.Background(), "cifar10", dir, s.options(body))
	wantError(t, err, "corrupted or another file", "it was removed")
	wantNames(t, dir)
	if _, err := Fetch(context.Background(), "cifar10", dir, s.options(body)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, body)
}

// Without a checksum of the caller's own, the published size is known and a file of another size is not downloaded.
func TestFetchWrongLength(t *testing.T) {
	body := content()
	s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) { serve(w, r, body) })
	dir := t.TempDir()
	_, err := Fetch(context.Background(), "cifar10", dir, Options{URL: s.URL + "/"})
	wantError(t, err, s.URL+"/cifar-10-binary.tar.gz", "offers 1,000,003 bytes", "170,052,171")
	if _, err := os.Stat(filepath.Join(dir, "cifar-10-binary.tar.gz")); err == nil {
		t.Error("there is a file under the final name")
	}
}

func TestFetchNotFound(t *testing.T) {
	s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	dir := t.TempDir()
	_, err := Fetch(context.Background(), "cifar10", dir, s.options(nil))
	wantError(t, err, "404 Not Found", s.URL, "--url")
	if s.count() != 1 {
		t.Errorf("%d requests for a file that is not there, want 1", s.count())
	}
}

func TestFetchServerErrorThenOK(t *testing.T) {
	body := content()
	s := newServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 1:
			http.Error(w, "busy", http.StatusServiceUnavailable)
		case 2:
			http.Error(w, "broken", http.StatusInternalServerError)
		default:
			serve(w, r, body)
		}
	})
	dir := t.TempDir()
	if _, err := Fetch(context.Background(), "cifar10", dir, s.options(body)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, body)
}

func TestFetchServerErrorForEver(t *testing.T) {
	s := newServer(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "broken", http.StatusInternalServerError)
	})
	_, err := Fetch(context.Background(), "cifar10", t.TempDir(), s.options(nil))
	wantError(t, err, "gave up after 5 attempts", "500 Internal Server Error")
	if s.count() != attempts {
		t.Errorf("%d requests, want %d", s.count(), attempts)
	}
}

func TestFetchSilentServer(t *testing.T) {
	body := content()
	s := newServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			<-r.Context().Done()
			return
		}
		serve(w, r, body)
	})
	dir := t.TempDir()
	opts := s.options(body)
	opts.Silence = 50 * time.Millisecond
	if _, err := Fetch(context.Background(), "cifar10", dir, opts); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, body)
}

func TestFetchCancelledBefore(t *testing.T) {
	s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) { serve(w, r, content()) })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Fetch(ctx, "cifar10", t.TempDir(), s.options(content())); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestFetchUnreachable(t *testing.T) {
	s := newServer(t, func(int, http.ResponseWriter, *http.Request) {})
	opts := s.options(nil)
	s.Close()
	_, err := Fetch(context.Background(), "cifar10", t.TempDir(), opts)
	wantError(t, err, "gave up after 5 attempts", "refused", "try again later")
}

func TestFetchLeavesOtherContentAlone(t *testing.T) {
	s := newServer(t, func(int, http.ResponseWriter, *http.Request) {})
	dir := t.TempDir()
	final := filepath.Join(dir, "cifar-10-binary.tar.gz")
	write(t, final, []byte("my own"))
	_, err := Fetch(context.Background(), "cifar10", dir, s.options(content()))
	wantError(t, err, final, "was left alone", "remove it")
	if got, _ := os.ReadFile(final); string(got) != "my own" || s.count() != 0 {
		t.Errorf("the file holds %q after %d requests", got, s.count())
	}
}

func TestFetchDiskTooSmall(t *testing.T) {
	body := content()
	s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) { serve(w, r, body) })
	dir := t.TempDir()
	src, err := find("cifar10")
	if err != nil {
		t.Fatal(err)
	}
	if src, err = src.mirrored(s.URL+"/a", sum(body)); err != nil {
		t.Fatal(err)
	}
	d := newDownload(src.url(src.files[0]), filepath.Join(dir, "a"), src.files[0], Options{}, newTally(src, nil))
	d.space = func(string) (free, total int64, known bool) { return 12_345, 1 << 40, true }
	wantError(t, d.run(context.Background()), "needs 1,000,003 more bytes", "12,345 free", "--data")
}

func TestFetchUnwritableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	_, err := Fetch(context.Background(), "cifar10", filepath.Join(file, "data"), Options{})
	wantError(t, err, "fetch cifar10", "make the data folder", file)
}

func TestFetchBadRequests(t *testing.T) {
	for _, c := range []struct {
		set, dir string
		opts     Options
		want     string
	}{
		{"shapes", "d", Options{}, "nothing to fetch"},
		{"folder:dogs", "d", Options{}, "folder of your own"},
		{"cifar100", "d", Options{}, "cifar10, fashion-mnist"},
		{"cifar10", "", Options{}, "--data DIR"},
		{"cifar10", "d", Options{SHA256: "abc"}, "64 hexadecimal digits"},
		{"fashion-mnist", "d", Options{SHA256: sum(nil)}, "set of one file"},
		{"cifar10", "d", Options{URL: "ftp://host/file"}, "no http or https URL"},
		{"cifar10", "d", Options{URL: "http://[broken"}, "missing ']'"},
	} {
		_, err := Fetch(context.Background(), c.set, c.dir, c.opts)
		wantError(t, err, c.want)
		if _, err := os.Stat("d"); err == nil {
			t.Fatalf("%+v made a folder", c)
		}
	}
}

// A set of several files: those that are there are kept, progress runs over all.
func TestFetchSeveralFiles(t *testing.T) {
	bodies := map[string][]byte{"a.gz": content(), "b.gz": []byte("bee"), "c.gz": []byte("sea")}
	s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		serve(w, r, bodies[strings.TrimPrefix(r.URL.Path, "/set/")])
	})
	src := source{set: "test-set", folder: "sub", base: s.URL + "/set/"}
	total := int64(0)
	for _, name := range []string{"a.gz", "b.gz", "c.gz"} {
		src.files = append(src.files, file{name, int64(len(bodies[name])), sum(bodies[name])})
		total += int64(len(bodies[name]))
	}
	sources = append(sources, src)
	t.Cleanup(func() { sources = sources[:len(sources)-1] })

	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "sub", "b.gz"), bodies["b.gz"])
	var last int64
	got, err := Fetch(context.Background(), "test-set", dir, Options{Pause: time.Millisecond, Progress: func(done, of int64) {
		if of != total || done < last {
			t.Errorf("progress %d of %d after %d, want a total of %d", done, of, last, total)
		}
		last = done
	}})
	if err != nil {
		t.Fatal(err)
	}
	wantNames(t, filepath.Join(dir, "sub"), "a.gz", "b.gz", "c.gz")
	if last != total || got.Bytes != total || got.Downloaded != total-3 || s.count() != 2 {
		t.Errorf("progress to %d, result %+v, %d requests; want %d, of it 3 bytes not downloaded, 2 requests", last, got, s.count(), total)
	}
}

func TestContentRange(t *testing.T) {
	for _, c := range []struct {
		header       string
		first, total int64
		ok           bool
	}{
		{"bytes 5-9/10", 5, 10, true},
		{"bytes 5-9/*", 5, -1, true},
		{"bytes */10", 0, 10, true},
		{"", 0, 0, false},
		{"items 5-9/10", 0, 0, false},
		{"bytes 5-9", 0, 0, false},
		{"bytes x-9/10", 0, 0, false},
		{"bytes 5/10", 0, 0, false},
		{"bytes 5-9/-1", 0, 0, false},
	} {
		first, total, ok := contentRange(c.header)
		if first != c.first || total != c.total || ok != c.ok {
			t.Errorf("%q: %d, %d, %v", c.header, first, total, ok)
		}
	}
}

func TestSourcesArePlausible(t *testing.T) {
	for _, s := range sources {
		if !strings.HasSuffix(s.base, "/") {
			t.Errorf("%s: %s does not end in a slash", s.set, s.base)
		}
		for _, f := range s.files {
			if len(f.sha256) != 64 || f.bytes <= 0 {
				t.Errorf("%s: %s has checksum %q and %d bytes", s.set, f.name, f.sha256, f.bytes)
			}
		}
	}
	if got := sources[0].url(sources[0].files[0]); got != "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz" {
		t.Errorf("cifar10 comes from %s", got)
	}
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Two fetches of one file at once would write over each other.
func TestFetchTwiceAtOnce(t *testing.T) {
	dir := t.TempDir()
	part, err := os.Create(filepath.Join(dir, "cifar-10-binary.tar.gz.part"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = part.Close() })
	if err := lock(part); err != nil {
		t.Fatal(err)
	}
	if lock(mustOpen(t, part.Name())) == nil {
		t.Skip("files cannot be locked here")
	}
	s := newServer(t, func(int, http.ResponseWriter, *http.Request) {})
	_, err = Fetch(context.Background(), "cifar10", dir, s.options(nil))
	wantError(t, err, "another fetch", part.Name())
	if s.count() != 0 {
		t.Errorf("%d requests while another fetch was under way", s.count())
	}
}

func mustOpen(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}
