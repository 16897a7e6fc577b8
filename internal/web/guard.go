package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guard says who may do what. Nothing that a page of another host makes a
// browser do gets past it: a change needs the token, which a browser does not
// send by itself, and comes from our own pages; and a name that another host's
// owner pointed here (DNS rebinding) is not answered to.
type guard struct {
	token [sha256.Size]byte // hashed, so that the comparison tells no length
	has   bool
	// closed tells that others can reach the API: then reading needs the token too.
	closed bool
	// names are the hosts that requests may be sent to beside addresses and
	// localhost, in small letters.
	names  map[string]bool
	origin *http.CrossOriginProtection
}

func newGuard(c Config) *guard {
	g := &guard{
		token: sha256.Sum256([]byte(c.Token)), has: c.Token != "", closed: !loopback(c.Listen),
		names: map[string]bool{}, origin: http.NewCrossOriginProtection(),
	}
	listen, _, _ := net.SplitHostPort(c.Listen) // none where nothing is served
	for _, name := range []string{listen, c.Host} {
		if name != "" {
			g.names[strings.ToLower(name)] = true
		}
	}
	return g
}

// policy is what a page of ours may do: load what we serve ourselves.
const policy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// around lets through to h what may get there.
func (g *guard) around(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		harden(w.Header())
		if !g.knows(r.Host) {
			refuse(w, http.StatusMisdirectedRequest, fmt.Errorf("this is not %s: use an address, localhost or the name that listen: gives", r.Host))
			return
		}
		if err := g.origin.Check(r); err != nil {
			refuse(w, http.StatusForbidden, errors.New("a page of another host cannot change anything here"))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		h.ServeHTTP(w, r)
	})
}

// harden sets what every answer says to browsers.
func harden(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// knows reports whether a request to host is meant for us. An address always is:
// only a name can have been pointed here by somebody else. The port may be that
// of a tunnel.
func (g *guard) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || g.names[host]
}

// asked reports why r may not do what a route does, with the status to answer.
func (g *guard) asked(r *http.Request, route route) (int, error) {
	changes := r.Method != http.MethodGet && r.Method != http.MethodHead
	switch {
	case !changes && (route.open || !g.closed):
		return 0, nil
	case !g.has:
		return http.StatusForbidden, errors.New("nothing can be changed without a token: set token: in the configuration (token: ${AUTOSCALE_TOKEN}, or token: {file: …}), then send it as Authorization: Bearer <token>")
	case !g.shown(r):
		return http.StatusUnauthorized, errors.New("the token is missing or wrong: send Authorization: Bearer <token> with the token of the configuration")
	}
	return 0, nil
}

// shown reports whether r shows the token.
func (g *guard) shown(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
}
