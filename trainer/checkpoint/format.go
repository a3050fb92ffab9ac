package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

const (
	magic   = "SWATHCKP"
	version = 1

	prefixLen = len(magic) + 4 + 4
	// maxElements keeps sizes in bytes far from overflow, whatever a header claims.
	maxElements = 1 << 40
)

// header is the JSON part of a file.
type header struct {
	Identity    Identity        `json:"identity"`
	Step        int64           `json:"step"`
	State       json.RawMessage `json:"state,omitempty"`
	Metrics     []string        `json:"metrics,omitempty"` // the names that reports number
	ReportBytes int             `json:"report_bytes,omitempty"`
	Tensors     []tensorHeader  `json:"tensors,omitempty"`
}

type tensorHeader struct {
	Name  string `json:"name"`
	Shape []int  `json:"shape"`
}

// Errors of a file that cannot be restored, whichever training it is of.
var (
	// ErrCorrupt says that a file is cut short or was changed.
	ErrCorrupt = errors.New("not a whole checkpoint")
	// ErrVersion says that a file is of a version of the format that this program does not read.
	ErrVersion = errors.New("checkpoint of another version")
)

// Write writes a checkpoint in the file's format.
func Write(w io.Writer, c *Checkpoint) error {
	head := header{Identity: c.Identity, Step: c.Step, State: c.State}
	names := map[string]bool{}
	for _, t := range c.Tensors {
		if n := size(t.Shape); n != len(t.Data) {
			return fmt.Errorf("tensor %s has shape %v but %d elements", t.Name, t.Shape, len(t.Data))
		}
		if names[t.Name] {
			return fmt.Errorf("there are two tensors %s", t.Name)
		}
		names[t.Name] = true
		head.Tensors = append(head.Tensors, tensorHeader{t.Name, t.Shape})
	}
	var reports []byte
	head.Metrics, reports = encodeReports(c.Reports)
	head.ReportBytes = len(reports)
	text, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("encoding the header: %w", err)
	}
	if len(text) > math.MaxUint32 {
		return fmt.Errorf("the header takes %d bytes, more than the format has room for", len(text))
	}

	sum := sha256.New()
	out := io.MultiWriter(w, sum)
	start := binary.LittleEndian.AppendUint32([]byte(magic), version)
	start = binary.LittleEndian.AppendUint32(start, uint32(len(text)))
	for _, part := range [][]byte{start, text, reports} {
		if _, err := out.Write(part); err != nil {
			return err
		}
	}
	buffer := make([]byte, 0, 1<<16)
	for _, t := range c.Tensors {
		for data := t.Data; len(data) > 0; {
			n := min(len(data), cap(buffer)/4)
			buffer = buffer[:0]
			for _, v := range data[:n] {
				buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
			}
			if _, err := out.Write(buffer); err != nil {
				return err
			}
			data = data[n:]
		}
	}
	_, err = w.Write(sum.Sum(nil))
	return err
}

// encodeReports returns the reports' part of the file, and the names that it numbers.
func encodeReports(reports []Report) (names []string, b []byte) {
	number := map[string]uint64{}
	for _, r := range reports {
		b = binary.AppendVarint(b, r.Step)
		b = binary.AppendUvarint(b, uint64(len(r.Metrics)))
		for _, name := range slices.Sorted(maps.Keys(r.Metrics)) {
			n, known := number[name]
			if !known {
				n = uint64(len(names))
				number[name] = n
				names = append(names, name)
			}
			b = binary.AppendUvarint(b, n)
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(r.Metrics[name]))
		}
	}
	return names, b
}

// Read reads a checkpoint from the bytes of a file. The error wraps [ErrCorrupt] or [ErrVersion].
func Read(b []byte) (*Checkpoint, error) {
	if len(b) < prefixLen+sha256.Size || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(b[len(magic):]); v != version {
		return nil, fmt.Errorf("%w: it is of version %d, this program reads version %d", ErrVersion, v, version)
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if have := sha256.Sum256(body); !bytes.Equal(have[:], sum) {
		return nil, fmt.Errorf("%w: its checksum does not match its contents", ErrCorrupt)
	}
	c, err := parse(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return c, nil
}

// parse reads a file without its checksum. It trusts nothing, so that a checksum made over nonsense does no harm:
// nothing is made larger than the bytes that are there.
func parse(b []byte) (*Checkpoint, error) {
	n := int64(binary.LittleEndian.Uint32(b[len(magic)+4:]))
	b = b[prefixLen:]
	if n > int64(len(b)) {
		return nil, fmt.Errorf("the header is said to take %d bytes of %d", n, len(b))
	}
	var head header
	if err := json.Unmarshal(b[:n], &head); err != nil {
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	b = b[n:]
	if head.Step < 0 || head.ReportBytes < 0 || head.ReportBytes > len(b) {
		return nil, fmt.Errorf("step %d and %d bytes of reports cannot be", head.Step, head.ReportBytes)
	}
	c := &Checkpoint{Identity: head.Identity, Step: head.Step, State: head.State}
	var err error
	if c.Reports, err = decodeReports(b[:head.ReportBytes], head.Metrics); err != nil {
		return nil, err
	}
	b = b[head.ReportBytes:]
	names := map[string]bool{}
	for _, t := range head.Tensors {
		n := size(t.Shape)
		if n < 0 || n > len(b)/4 {
			return nil, fmt.Errorf("tensor %s of shape %v is not there", t.Name, t.Shape)
		}
		if names[t.Name] {
			return nil, fmt.Errorf("there are two tensors %s", t.Name)
		}
		names[t.Name] = true
		data := make([]float32, n)
		for i := range data {
			data[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		c.Tensors = append(c.Tensors, Tensor{t.Name, t.Shape, data})
		b = b[4*n:]
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%d bytes are left over", len(b))
	}
	return c, nil
}

func decodeReports(b []byte, names []string) ([]Report, error) {
	bad := errors.New("the reports cannot be read")
	var reports []Report
	for len(b) > 0 {
		step, n := binary.Varint(b)
		if n <= 0 {
			return nil, bad
		}
		b = b[n:]
		count, n := binary.Uvarint(b)
		if n <= 0 || count > uint64(len(b))/9 { // a metric takes nine bytes or more
			return nil, bad
		}
		b = b[n:]
		r := Report{Step: step, Metrics: make(map[string]float64, count)}
		for range count {
			i, n := binary.Uvarint(b)
			if n <= 0 || i >= uint64(len(names)) || len(b) < n+8 {
				return nil, bad
			}
			r.Metrics[names[i]] = math.Float64frombits(binary.LittleEndian.Uint64(b[n:]))
			b = b[n+8:]
		}
		if uint64(len(r.Metrics)) != count {
			return nil, bad
		}
		reports = append(reports, r)
	}
	return reports, nil
}
