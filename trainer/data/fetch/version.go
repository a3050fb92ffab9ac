package fetch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// version is what a server said about the file that a part is of. It lies beside the part, so that a later call can
// ask for the rest only if the file is still the same (If-Range).
type version struct {
	URL          string `json:"url"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
}

// validator returns the value for If-Range. A weak ETag does not vouch for equal bytes, so it may not be used there
// (RFC 9110, section 13.1.5).
func (v version) validator() string {
	if v.ETag != "" && !strings.HasPrefix(v.ETag, "W/") {
		return v.ETag
	}
	return v.LastModified
}

func (d *download) versionPath() string { return d.partPath() + ".json" }

// readVersion returns what was noted, or nothing where the note is missing or broken: the checksum decides anyway.
func (d *download) readVersion() (v version) {
	text, err := os.ReadFile(d.versionPath())
	if err != nil || json.Unmarshal(text, &v) != nil {
		return version{}
	}
	return v
}

func (d *download) writeVersion(response *http.Response) error {
	v := version{URL: d.url, ETag: response.Header.Get("ETag"), LastModified: response.Header.Get("Last-Modified")}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("note the file's version: %w", err)
	}
	if err := os.WriteFile(d.versionPath(), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("note the file's version: %w", err)
	}
	return nil
}

// removeVersion drops the note; one that stays behind is overwritten by the next download.
func (d *download) removeVersion() { _ = os.Remove(d.versionPath()) }
