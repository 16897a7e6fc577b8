package stress

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// canned is a connection on which text comes and the other side then closes.
type canned struct {
	net.Conn
	*strings.Reader
}

func (c canned) Read(b []byte) (int, error) { return c.Reader.Read(b) }

// byHTTP reads one final response with net/http: the status, the bytes of the
// body, and whether all of it is well-formed.
func byHTTP(text string, request *http.Request) (status int, n int64, good bool) {
	r := bufio.NewReaderSize(strings.NewReader(text), readBuffer)
	for {
		got, err := http.ReadResponse(r, request)
		if err != nil {
			return 0, 0, false
		}
		n, err := io.Copy(io.Discard, got.Body)
		if err != nil || got.StatusCode >= 200 || got.StatusCode == http.StatusSwitchingProtocols {
			if got.StatusCode == http.StatusSwitchingProtocols {
				n = 0 // what follows is no HTTP
			}
			return got.StatusCode, n, err == nil
		}
	}
}

// FuzzResponse: what our own reader makes of a response is what net/http makes
// of it, whatever came.
func FuzzResponse(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Tue, 24 Nov 2026 10:05:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nConnection: keep-alive\r\n\r\nhello, world\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nabc",
		"HTTP/1.1 200\r\nConnection: close\r\n\r\nto the end",
		"HTTP/1.0 200 OK\r\n\r\nto the end",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: +5\r\n\r\nhello",
		"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",
	} {
		f.Add(text, false)
	}
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true)
	f.Fuzz(func(t *testing.T, text string, head bool) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		request, err := http.NewRequest(method, "http://x/", nil)
		if err != nil {
			t.Fatal(err)
		}
		status, n, good := byHTTP(text, request)
		w := &wire{Conn: canned{Reader: strings.NewReader(text)}}
		got, err := readResponse(w, bufio.NewReaderSize(w, readBuffer), request)
		if (err == nil) != good || good && (got.status != status || got.bytes != n) {
			t.Errorf("%q: status %d, %d bytes, %v; net/http: %d, %d, %v", text, got.status, got.bytes, err, status, n, good)
		}
	})
}

// TestKeptAlive: one response ends where the next one begins, however they come.
func TestKeptAlive(t *testing.T) {
	all := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" +
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
		"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nhi" +
		"HTTP/1.1 204 No Content\r\n\r\n" +
		"HTTP/1.1 404 Not Found\r\nContent-Length: 9000\r\nX: " + strings.Repeat("x", 9000) + "\r\n\r\n" + strings.Repeat("y", 9000) +
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz"
	request, err := http.NewRequest(http.MethodGet, "http://x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 2, 7, 100, 1 << 20} {
		w := &wire{Conn: pieces{bytes.NewReader([]byte(all)), size}}
		r := bufio.NewReaderSize(w, readBuffer)
		for _, want := range []response{{200, 5, false}, {200, 3, false}, {200, 2, false}, {204, 0, false}, {404, 9000, false}, {200, 1, false}} {
			if got, err := readResponse(w, r, request); got != want || err != nil {
				t.Fatalf("in pieces of %d: %+v (%v), want %+v", size, got, err, want)
			}
		}
	}
}

// pieces is a connection on which a text comes in pieces.
type pieces struct {
	*bytes.Reader
	size int
}

func (p pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.size)]) }

func (pieces) Write([]byte) (int, error)        { return 0, io.ErrClosedPipe }
func (pieces) Close() error                     { return nil }
func (pieces) LocalAddr() net.Addr              { return nil }
func (pieces) RemoteAddr() net.Addr             { return nil }
func (pieces) SetDeadline(time.Time) error      { return nil }
func (pieces) SetReadDeadline(time.Time) error  { return nil }
func (pieces) SetWriteDeadline(time.Time) error { return nil }
