package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	attempts       = 5 // in a row without a new byte
	defaultPause   = time.Second
	maxPause       = 30 * time.Second
	defaultSilence = time.Minute
	reserve        = 16 << 20 // bytes of the disk that a download leaves free
)

// download brings one file.
type download struct {
	url, path string // path is the final name
	file      file
	client    *http.Client
	pause     time.Duration
	silence   time.Duration
	progress  *tally
	space     func(dir string) (free, total int64, known bool)

	part     *os.File
	have     int64 // bytes in the part
	total    int64 // as the server says, -1 while unknown
	received int64 // bytes over the network
	resumed  int64 // bytes that were in the part at first and were kept
}

func newDownload(from, path string, f file, opts Options, progress *tally) *download {
	d := &download{
		url: from, path: path, file: f, client: opts.Client, pause: opts.Pause, silence: opts.Silence,
		progress: progress, space: opts.Space, total: -1,
	}
	if d.space == nil {
		d.space = func(string) (free, total int64, known bool) { return 0, 0, false }
	}
	if d.client == nil {
		d.client = &http.Client{}
	}
	if d.pause == 0 {
		d.pause = defaultPause
	}
	if d.silence == 0 {
		d.silence = defaultSilence
	}
	return d
}

func (d *download) partPath() string { return d.path + ".part" }

// permanent marks a failure that another attempt would meet again.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// retryAfter carries a server's wish for the next attempt's time.
type retryAfter struct {
	error
	wait time.Duration
}

func (r retryAfter) Unwrap() error { return r.error }

// run downloads, verifies and renames.
func (d *download) run(ctx context.Context) (err error) {
	if err := d.openPart(); err != nil {
		if errors.Is(err, errBrought) {
			return nil
		}
		return err
	}
	defer func() {
		// The part was synced where it matters; closing it can only fail on something already reported.
		_ = d.part.Close()
	}()
	if err := d.transfer(ctx); err != nil {
		return err
	}
	return d.publish()
}

// openPart opens what an earlier call left, and locks it against a second fetch of the same file.
func (d *download) openPart() error {
	for {
		f, err := os.OpenFile(d.partPath(), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return fmt.Errorf("open the part file: %w", err)
		}
		if err := lock(f); err != nil {
			_ = f.Close() // nothing was written
			return fmt.Errorf("another fetch seems to be writing %s (%w); wait for it", d.partPath(), err)
		}
		mine, err := f.Stat()
		if err != nil {
			_ = f.Close() // nothing was written
			return err
		}
		// The fetch that held the lock before may have renamed the file meanwhile: then it is the final one, and
		// not to be written to.
		if there, err := os.Stat(d.partPath()); err != nil || !os.SameFile(mine, there) {
			_ = f.Close() // nothing was written
			switch present, err := d.present(); {
			case err != nil:
				return err
			case present:
				return errBrought
			}
			continue
		}
		d.part, d.have = f, mine.Size()
		if size := d.file.bytes; size > 0 && d.have > size { // left by something else
			return d.restart()
		}
		d.resumed = d.have
		return nil
	}
}

// errBrought says that another process has finished the same download meanwhile.
var errBrought = errors.New("another fetch has brought the file")

// transfer makes attempts until the part is complete.
func (d *download) transfer(ctx context.Context) error {
	if d.have > 0 && d.have == d.file.bytes {
		return nil // an earlier call was stopped just before it verified
	}
	wait, most := d.pause, d.have
	for failures := 0; ; {
		err := d.attempt(ctx)
		if err == nil {
			return nil
		}
		kept := ""
		if d.have > 0 {
			kept = fmt.Sprintf("; %s of %s bytes are kept in %s, and the next fetch goes on from there", count(d.have), count(d.total), d.partPath())
		}
		if ctx.Err() != nil {
			return fmt.Errorf("download %s: interrupted: %w%s", d.url, context.Cause(ctx), kept)
		}
		if p := (permanent{}); errors.As(err, &p) {
			return fmt.Errorf("download %s: %w", d.url, p.error)
		}
		// Only more of the file than ever before is progress: a server that cannot resume and breaks off each time
		// sends bytes for ever.
		if d.have > most {
			most, failures, wait = d.have, 0, d.pause
		}
		if failures++; failures >= attempts {
			return fmt.Errorf("download %s: gave up after %d attempts: %w%s; try again later or from a mirror (--url)", d.url, failures, err, kept)
		}
		pause := wait
		if r := (retryAfter{}); errors.As(err, &r) && r.wait > pause {
			pause = min(r.wait, maxPause)
		}
		wait = min(2*wait, maxPause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// attempt makes one request for what the part lacks and appends what comes. It returns nil when the part is as long
// as the server says that the file is.
func (d *download) attempt(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(d.silence, func() {
		cancel(fmt.Errorf("the server has sent nothing for %s", d.silence))
	})
	defer watchdog.Stop()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return permanent{err}
	}
	request.Header.Set("Accept-Encoding", "identity") // the checksum is of the file as it is stored
	if d.have > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.have))
		if v := d.readVersion(); v.URL == d.url && v.validator() != "" {
			request.Header.Set("If-Range", v.validator())
		}
	}
	response, err := d.client.Do(request)
	if err != nil {
		return classify(ctx, err)
	}
	defer func() { _ = response.Body.Close() }() // what was to be read was read
	if err := d.accept(response); err != nil {
		return err
	}
	if d.total >= 0 && d.have == d.total {
		return nil
	}
	return d.copyBody(ctx, response.Body, watchdog)
}

// accept decides by a response's head where its body goes: behind the part, or in place of it.
func (d *download) accept(response *http.Response) error {
	switch code := response.StatusCode; {
	case code == http.StatusPartialContent:
		first, total, ok := contentRange(response.Header.Get("Content-Range"))
		if !ok || first != d.have {
			// Not what was asked for: take the file from its beginning in the next attempt.
			return joined(fmt.Errorf("the server sent the range %q, asked for from %d", response.Header.Get("Content-Range"), d.have), d.restart())
		}
		d.total = total
	case code == http.StatusOK:
		// No support for ranges, or another version of the file than the part is of.
		if err := d.restart(); err != nil {
			return err
		}
		d.total = response.ContentLength
	case code == http.StatusRequestedRangeNotSatisfiable && d.have > 0:
		if _, total, ok := contentRange(response.Header.Get("Content-Range")); ok && total == d.have {
			d.total = total // nothing is lacking
			return nil
		}
		return joined(errors.New("the part is longer than the server's file"), d.restart())
	case code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // absent or a date: 0
		return retryAfter{fmt.Errorf("the server answered %s", response.Status), time.Duration(min(max(seconds, 0), 3600)) * time.Second}
	default:
		return permanent{fmt.Errorf("the server answered %s; if the file has moved, name another source with --url", response.Status)}
	}
	if want := d.file.bytes; want > 0 && d.total < 0 {
		d.total = want
	} else if want > 0 && d.total != want {
		return permanent{fmt.Errorf("the server offers %s bytes, the published file has %s: it is another file; name another source with --url", count(d.total), count(want))}
	}
	if err := d.writeVersion(response); err != nil {
		return permanent{err}
	}
	if lack := d.total - d.have; d.total >= 0 {
		if free, _, known := d.space(filepath.Dir(d.path)); known && lack+reserve > free {
			return permanent{fmt.Errorf("%s needs %s more bytes, its disk has %s free: make room or name another folder with --data", d.path, count(lack), count(free))}
		}
	}
	return nil
}

// copyBody appends a response to the part.
func (d *download) copyBody(ctx context.Context, body io.Reader, watchdog *time.Timer) error {
	d.progress.at(d.have, d.total)
	buf := make([]byte, 256<<10)
	for {
		n, err := body.Read(buf)
		watchdog.Reset(d.silence)
		if n > 0 {
			if d.total >= 0 && d.have+int64(n) > d.total {
				return joined(permanent{fmt.Errorf("the server sent more than the %s bytes of the file; what had come was removed: fetch again, or name another source with --url", count(d.total))}, d.removePart())
			}
			if _, err := d.part.WriteAt(buf[:n], d.have); err != nil {
				return permanent{fmt.Errorf("write %s: %w", d.partPath(), err)}
			}
			d.have += int64(n)
			d.received += int64(n)
			d.progress.at(d.have, d.total)
		}
		switch {
		case errors.Is(err, io.EOF) && d.total >= 0 && d.have < d.total:
			return fmt.Errorf("the connection ended after %s of %s bytes", count(d.have), count(d.total))
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return classify(ctx, fmt.Errorf("after %s of %s bytes: %w", count(d.have), count(d.total), err))
		}
	}
}

// publish verifies the complete part and gives it its final name.
func (d *download) publish() error {
	// On disk first: a crash behind the rename must not leave a final name over missing bytes.
	if err := d.part.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", d.partPath(), err)
	}
	sum, err := hashFile(d.partPath())
	if err != nil {
		return err
	}
	if sum != d.file.sha256 {
		return joined(fmt.Errorf("what came from %s is corrupted or another file: %s bytes with sha256 %s, want %s; it was removed: fetch again, or name another source with --url", d.url, count(d.have), sum, d.file.sha256), d.removePart())
	}
	if err := os.Rename(d.partPath(), d.path); err != nil {
		return err
	}
	d.removeVersion()
	return syncDir(filepath.Dir(d.path))
}

// restart empties the part.
func (d *download) restart() error {
	if err := d.part.Truncate(0); err != nil {
		return permanent{fmt.Errorf("empty %s: %w", d.partPath(), err)}
	}
	d.have, d.resumed = 0, 0
	return nil
}

func (d *download) removePart() error {
	d.have = 0
	d.removeVersion()
	if err := os.Remove(d.partPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// joined adds to a failure that of the cleaning up behind it, if any, on one line.
func joined(err, cleanup error) error {
	if cleanup == nil {
		return err
	}
	return fmt.Errorf("%w; moreover: %w", err, cleanup)
}

// classify tells failures that may pass from those that will not, and names the watchdog where it caused one.
func classify(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	var (
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
		bad  *url.Error
	)
	if errors.As(err, &bad) {
		err = bad.Err // the address is told by the caller
	}
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return permanent{fmt.Errorf("%w; check the network or name another source with --url", err)}
	case errors.As(err, &cert):
		return permanent{err}
	}
	return err
}

// contentRange parses "bytes FIRST-LAST/TOTAL" and "bytes */TOTAL"; total is -1 where the server does not know it.
func contentRange(header string) (first, total int64, ok bool) {
	spec, ok := strings.CutPrefix(header, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, size, ok := strings.Cut(spec, "/")
	if !ok {
		return 0, 0, false
	}
	total = -1
	var err error
	if size != "*" {
		if total, err = strconv.ParseInt(size, 10, 64); err != nil || total < 0 {
			return 0, 0, false
		}
	}
	if span == "*" {
		return 0, total, true
	}
	from, _, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, false
	}
	if first, err = strconv.ParseInt(from, 10, 64); err != nil || first < 0 {
		return 0, 0, false
	}
	return first, total, true
}

// count prints a number of bytes, or a question mark where it is not known.
func count(n int64) string {
	if n < 0 {
		return "?"
	}
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
