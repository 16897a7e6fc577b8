package stress

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

const (
	// readBuffer is what a connection reads ahead, in bytes. A response whose
	// header is longer is read by net/http.
	readBuffer = 8 << 10
	// maxHeader bounds a response's header, in bytes.
	maxHeader = 1 << 20
)

// errHeaderTooLarge is the error of a header without an end in sight.
var errHeaderTooLarge = fmt.Errorf("the response's header has more than %d bytes", maxHeader)

// response is what a load generator wants to know of one.
type response struct {
	status int
	bytes  int64 // of the body
	close  bool  // the connection cannot be used again
}

// wire is what a connection is read through. While a header is read, left
// bounds what may still come.
type wire struct {
	net.Conn
	bounded bool
	left    int64
	ended   bool // the other side sends no more
	some    bool // something came since the last request
}

// Read reads from the connection, within the bound.
func (w *wire) Read(b []byte) (int, error) {
	if w.bounded {
		if w.left <= 0 {
			return 0, errHeaderTooLarge
		}
		b = b[:min(int64(len(b)), w.left)]
	}
	n, err := w.Conn.Read(b)
	w.left -= int64(n)
	w.some = w.some || n > 0
	w.ended = w.ended || errors.Is(err, io.EOF)
	return n, err
}

// readResponse reads one response to a request of that method. Those of the
// common form are taken apart here, with a tenth of the work; all others, and
// all that is doubtful, are net/http's to read, whose rules hold for both.
func readResponse(w *wire, r *bufio.Reader, request *http.Request) (response, error) {
	head, err := peekHeader(r)
	if err != nil {
		return response{close: true}, err
	}
	if h, ok := parseHeader(head); ok {
		_, _ = r.Discard(len(head)) // it is in the buffer
		return h.body(w, r, request.Method == http.MethodHead)
	}
	return readAny(w, r, request)
}

// peekHeader waits for a header and returns it with its empty line, still
// unread; nothing where its end is not within the buffer. The error is that of
// a connection on which nothing came.
func peekHeader(r *bufio.Reader) ([]byte, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	for looked := 0; ; {
		seen, _ := r.Peek(r.Buffered()) // they are there
		if end := bytes.Index(seen[looked:], []byte("\r\n\r\n")); end >= 0 {
			return seen[:looked+end+4], nil
		}
		looked = max(0, len(seen)-3)
		if len(seen) == readBuffer {
			return nil, nil
		}
		if _, err := r.Peek(len(seen) + 1); err != nil {
			return nil, nil // net/http says what is wrong
		}
	}
}

// header is what matters of a response's header.
type header struct {
	status  int
	length  int64 // of the body; -1 where it is not said
	chunked bool
	close   bool
}

// parseHeader takes a header of the common form apart: HTTP/1.1, a final
// status, well-formed lines, no length or encoding twice. ok is false for any
// other.
func parseHeader(head []byte) (h header, ok bool) {
	const version = "HTTP/1.1 "
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	if len(line) < len(version)+3 || string(line[:len(version)]) != version {
		return h, false
	}
	code := line[len(version):]
	for _, c := range code[:3] {
		if c < '0' || c > '9' {
			return h, false
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 200 || len(code) > 3 && code[3] != ' ' || bytes.IndexByte(code, '\n') >= 0 {
		return h, false
	}
	h.length = -1
	for len(rest) > 2 {
		end := bytes.IndexByte(rest, '\n')
		if end < 1 || rest[end-1] != '\r' || !h.field(rest[:end-1]) {
			return h, false
		}
		rest = rest[end+1:]
	}
	return h, true
}

// plainName has the characters of headers' names as they are in use.
var plainName = func() (plain [256]bool) {
	for _, c := range []byte("-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		plain[c] = true
	}
	return plain
}()

// field takes one line of the header; false where it is not of the common form.
func (h *header) field(line []byte) bool {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return false
	}
	name, value := line[:colon], bytes.Trim(line[colon+1:], " \t")
	for _, c := range name {
		if !plainName[c] {
			return false
		}
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	switch {
	case is(name, "content-length"):
		n, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil || h.length >= 0 {
			return false
		}
		h.length = int64(n)
	case is(name, "transfer-encoding"):
		if h.chunked || !is(value, "chunked") {
			return false
		}
		h.chunked = true
	case is(name, "connection"):
		switch {
		case is(value, "close"):
			h.close = true
		case !is(value, "keep-alive"):
			return false
		}
	}
	return true
}

// is compares with a lower-case word, without regard to case.
func is(text []byte, word string) bool {
	return len(text) == len(word) && bytes.EqualFold(text, []byte(word))
}

// body reads past the body.
func (h header) body(w *wire, r *bufio.Reader, none bool) (response, error) {
	out := response{status: h.status, close: h.close}
	var err error
	switch {
	case none || h.status == http.StatusNoContent || h.status == http.StatusNotModified:
	case h.chunked:
		out.bytes, err = discardChunked(w, r)
	case h.length >= 0:
		out.bytes, err = discard(r, h.length)
	default: // to the end of the connection
		out.close = true
		out.bytes, err = io.Copy(io.Discard, r)
	}
	if err != nil {
		out.close = true
	}
	return out, asMalformed(err)
}

// discard reads past n bytes and returns how many there were.
func discard(r *bufio.Reader, n int64) (int64, error) {
	left := n
	for left > 0 {
		gone, err := r.Discard(int(min(left, 1<<30)))
		left -= int64(gone)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return n - left, err
		}
	}
	return n, nil
}

// readAny reads a response of whatever form, with net/http. Interim responses
// (1xx) are passed over.
func readAny(w *wire, r *bufio.Reader, request *http.Request) (response, error) {
	for {
		w.bounded, w.left = true, maxHeader
		got, err := http.ReadResponse(r, request)
		w.bounded = false
		if err != nil && w.ended {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return response{close: true}, asMalformed(err)
		}
		n, err := io.Copy(io.Discard, got.Body)
		out := response{got.StatusCode, n, got.Close || err != nil}
		if err != nil || out.status >= 200 {
			return out, asMalformed(err)
		}
		if out.status == http.StatusSwitchingProtocols {
			return response{status: out.status, close: true}, nil
		}
	}
}

// malformed is the error of what is no HTTP response.
type malformed struct{ error }

func (m malformed) Unwrap() error { return m.error }

// asMalformed marks an error of reading that is not the connection's.
func asMalformed(err error) error {
	if kindOf(err) == kindOther {
		return malformed{err}
	}
	return err
}
