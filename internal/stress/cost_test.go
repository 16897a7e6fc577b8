package stress

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

// TestNoGarbage: a response of the common form is read without anything being
// allocated, since that would be the generator's own cost.
func TestNoGarbage(t *testing.T) {
	const text = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Tue, 24 Nov 2026 10:05:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nConnection: keep-alive\r\n\r\nhello, world\n"
	request, err := http.NewRequest(http.MethodGet, "http://x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	from := strings.NewReader(text)
	w := &wire{Conn: canned{Reader: from}}
	r := bufio.NewReaderSize(w, readBuffer)
	counts := newTally()
	if n := testing.AllocsPerRun(1000, func() {
		from.Reset(text)
		r.Reset(w)
		got, err := readResponse(w, r, request)
		if err != nil || got.bytes != 13 {
			t.Fatal(got, err)
		}
		counts.add(result{response: 1e6, service: 1e6, late: -1, bytes: got.bytes, kind: outcome(got, err), timed: true})
	}); n > 0 {
		t.Errorf("%g allocations a response", n)
	}
}
