package gunzip

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// samples are contents that take the decoder through its cases: each kind of block, long and short codes, copies
// near and far, buffers that are filled several times.
func samples() map[string][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 1_500_000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	pixels := make([]byte, 1_500_000) // like a picture: skewed, hardly any repeats
	for i := range pixels {
		pixels[i] = byte(128 + 40*rnd.NormFloat64())
	}
	skewed := make([]byte, 700_000) // codes beyond the first table
	for i := range skewed {
		skewed[i] = byte(min(255, rnd.ExpFloat64()*12))
	}
	far := append(bytes.Clone(noise[:32768]), noise[:32768]...)
	return map[string][]byte{
		"empty": {}, "byte": {7}, "noise": noise, "pixels": pixels, "skewed": skewed, "far": far,
		"zeros": make([]byte, 2_000_000), "text": []byte(strings.Repeat("the quick brown fox. ", 40_000)),
		"period of seven": bytes.Repeat([]byte("abcdefg"), 5000), "period of nine": bytes.Repeat([]byte("abcdefghi"), 5000),
	}
}

func compressed(t testing.TB, content []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	w.Name, w.Comment, w.Extra = "name", "comment", []byte("extra")
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReader(t *testing.T) {
	for name, content := range samples() {
		for _, level := range []int{flate.NoCompression, flate.HuffmanOnly, flate.BestSpeed, flate.DefaultCompression, flate.BestCompression} {
			z := compressed(t, content, level)
			got, err := io.ReadAll(NewReader(bytes.NewReader(z)))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s, level %d: %d bytes, %v; want %d", name, level, len(got), err, len(content))
			}
		}
	}
}

// Sources that hand out little at a time, and callers that take little at a time, change nothing.
func TestReaderInPieces(t *testing.T) {
	for name, content := range samples() {
		content = content[:min(len(content), 100_000)]
		z := compressed(t, content, flate.DefaultCompression)
		if err := iotest.TestReader(NewReader(iotest.HalfReader(bytes.NewReader(z))), content); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, err := io.ReadAll(iotest.OneByteReader(NewReader(iotest.OneByteReader(bytes.NewReader(z)))))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s by bytes: %d bytes, %v; want %d", name, len(got), err, len(content))
		}
	}
}

func TestReaderSeveralMembers(t *testing.T) {
	one, two := []byte("one, one, one, one"), []byte("two")
	file := append(compressed(t, one, 6), compressed(t, two, 6)...)
	got, err := io.ReadAll(NewReader(bytes.NewReader(file)))
	if err != nil || string(got) != string(one)+string(two) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := io.ReadAll(NewReader(bytes.NewReader(append(file, "garbage"...)))); !errors.Is(err, ErrHeader) {
		t.Errorf("garbage behind the last member: %v, want ErrHeader", err)
	}
}

// Every truncation is seen, at every byte.
func TestReaderTruncated(t *testing.T) {
	content := []byte(strings.Repeat("some text, more or less", 30) + "\x00\x01\x02\xff")
	for _, level := range []int{flate.NoCompression, flate.BestSpeed, flate.BestCompression} {
		z := compressed(t, content, level)
		for n := range z {
			if _, err := io.ReadAll(NewReader(bytes.NewReader(z[:n]))); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("level %d, %d of %d bytes: %v, want io.ErrUnexpectedEOF", level, n, len(z), err)
			}
		}
	}
}

func TestReaderDamaged(t *testing.T) {
	content := samples()["text"][:5000]
	z := compressed(t, content, 6)
	for i := len(z) - 8; i < len(z); i++ {
		bad := bytes.Clone(z)
		bad[i] ^= 4
		if _, err := io.ReadAll(NewReader(bytes.NewReader(bad))); !errors.Is(err, ErrChecksum) {
			t.Errorf("byte %d of %d changed: %v, want ErrChecksum", i, len(z), err)
		}
	}
	if _, err := io.ReadAll(NewReader(strings.NewReader("BZh9 and more"))); !errors.Is(err, ErrHeader) {
		t.Errorf("another format: %v, want ErrHeader", err)
	}
	if _, err := io.ReadAll(NewReader(iotest.ErrReader(io.ErrClosedPipe))); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("an error of the source: %v, want it as it is", err)
	}
}

// FuzzReader holds the reader to compress/flate: the same content, and damage found in the same files. The framing is
// added here, right, so that the fuzzer need not find checksums.
func FuzzReader(f *testing.F) {
	for _, content := range samples() {
		for _, level := range []int{0, 1, 6, 9, flate.HuffmanOnly} {
			var b bytes.Buffer
			w, err := flate.NewWriter(&b, level)
			if err != nil {
				f.Fatal(err)
			}
			if _, err := w.Write(content[:min(len(content), 3000)]); err != nil {
				f.Fatal(err)
			}
			if err := w.Close(); err != nil {
				f.Fatal(err)
			}
			f.Add(b.Bytes())
		}
	}
	f.Fuzz(func(t *testing.T, deflated []byte) {
		src := bytes.NewReader(deflated)
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(src), 1<<20))
		if len(want) == 1<<20 {
			t.Skip("too large to be worth the time")
		}
		used := len(deflated) - src.Len()

		file := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0}, deflated[:used]...)
		file = append(file, trailerOf(want)...)
		got, err := io.ReadAll(NewReader(bytes.NewReader(file)))
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, compress/flate has %v", err, wantErr)
		}
		if err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%d bytes differ from the %d of compress/flate", len(got), len(want))
		}
		// The file itself as input: no panic, no endless loop.
		_, _ = io.Copy(io.Discard, io.LimitReader(NewReader(bytes.NewReader(deflated)), 1<<20))
	})
}

func BenchmarkReader(b *testing.B) {
	content := samples()["pixels"]
	z := compressed(b, content, flate.DefaultCompression)
	for name, open := range map[string]func(io.Reader) (io.Reader, error){
		"gunzip":        func(r io.Reader) (io.Reader, error) { return NewReader(r), nil },
		"compress/gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				r, err := open(bytes.NewReader(z))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func trailerOf(content []byte) []byte {
	t := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(content))
	return binary.LittleEndian.AppendUint32(t, uint32(len(content)))
}
