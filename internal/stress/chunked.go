package stress

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http/httputil"
	"net/textproto"
)

// discardChunked reads past a chunked body and its trailer, and returns the
// bytes of the body.
func discardChunked(w *wire, r *bufio.Reader) (int64, error) {
	n, err := io.Copy(io.Discard, httputil.NewChunkedReader(r))
	if err != nil {
		return n, err
	}
	end, err := r.Peek(2)
	if err == nil && bytes.Equal(end, []byte("\r\n")) { // no trailer, as nearly always
		_, err = r.Discard(2)
		return n, err
	}
	w.bounded, w.left = true, maxHeader
	defer func() { w.bounded = false }()
	if _, err = textproto.NewReader(r).ReadMIMEHeader(); errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
