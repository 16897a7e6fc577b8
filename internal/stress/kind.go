package stress

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
)

// Kinds of errors. An answer with a status of 400 or above is one too, of kind
// "status 503".
const (
	kindDNS       = "dns"             // the name has no address
	kindRefused   = "refused"         // nobody listens
	kindConnect   = "connect"         // another failure to connect
	kindNoConnect = "connect-timeout" // no connection in time
	kindTLS       = "tls"             // the handshake failed
	kindTimeout   = "timeout"         // no complete response in time
	kindReset     = "reset"           // the connection was reset
	kindClosed    = "closed"          // it was closed before the response was complete
	kindMalformed = "malformed"       // what came is no HTTP response
	kindRequest   = "request"         // the recording asks for what cannot be asked
	kindOther     = "other"
)

// kindOf is what kind of error err is; empty for none.
func kindOf(err error) string {
	if err == nil { // before anything is allocated: nearly always
		return ""
	}
	var dns *net.DNSError
	var bad malformed
	var secure handshake
	var connect connecting
	var cannot unaskable
	var certificate *tls.CertificateVerificationError
	timeout := errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
	if n := net.Error(nil); !timeout && errors.As(err, &n) {
		timeout = n.Timeout()
	}
	switch {
	case errors.As(err, &cannot):
		return kindRequest
	case errors.As(err, &dns):
		return kindDNS
	case errors.As(err, &connect) && timeout, errors.As(err, &secure) && timeout:
		return kindNoConnect
	case timeout:
		return kindTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return kindRefused
	case errors.As(err, &secure), errors.As(err, &certificate):
		return kindTLS
	case errors.As(err, &connect):
		return kindConnect
	case errors.Is(err, errHeaderTooLarge):
		return kindMalformed
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return kindReset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return kindClosed
	case errors.As(err, &bad):
		return kindMalformed
	}
	return kindOther
}

// kindOfStatus is what kind of error a response is; empty for none.
func kindOfStatus(status int) string {
	if status < 400 {
		return ""
	}
	return "status " + strconv.Itoa(status)
}
