package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// pair is a certificate that signs itself, with its key, both as PEM.
type pair struct {
	cert, key []byte
}

// newPair makes one for the names, valid from an hour ago, for clocks that differ.
func newPair(names []string, life time.Duration, now time.Time) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// It signs no other: whoever reads it can be no other server than this one.
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return pair{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	return pair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}, nil
}

// parse reads the pair; its error says why it cannot be served.
func (p pair) parse() (*x509.Certificate, error) {
	both, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		return nil, err
	}
	return both.Leaf, nil
}

// fresh tells why the pair has to be made anew; nil where it is good for a while.
func (p pair) fresh(names []string, life time.Duration, now time.Time) error {
	leaf, err := p.parse()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := leaf.VerifyHostname(name); err != nil {
			return err
		}
	}
	if left := leaf.NotAfter.Sub(now); left < life/3 {
		return fmt.Errorf("it ends in %v", left.Round(time.Second))
	}
	return nil
}

// bundle are the certificates that clients are to trust: the new one before those
// that are still good, which another copy of this program may serve yet.
func bundle(cert, older []byte, now time.Time) []byte {
	all := append([]byte{}, cert...)
	seen := map[string]bool{string(cert): true}
	for len(seen) < 5 { // no list that grows for ever
		var block *pem.Block
		if block, older = pem.Decode(older); block == nil {
			break
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes})
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil || seen[string(text)] || now.After(parsed.NotAfter) {
			continue
		}
		seen[string(text)] = true
		all = append(all, text...)
	}
	return all
}

// serving is the certificate that the server shows; it may change while it runs.
type serving struct {
	mu        sync.Mutex
	pair      pair
	listeners []dynamiccertificates.Listener
}

// Name says what it is, in the server's log.
func (s *serving) Name() string { return "self-made" }

// CurrentCertKeyContent is the certificate and its key.
func (s *serving) CurrentCertKeyContent() (cert, key []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pair.cert, s.pair.key
}

// AddListener is for the server, which is told of changes.
func (s *serving) AddListener(l dynamiccertificates.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, l)
}

// set has the pair shown from now on.
func (s *serving) set(p pair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(s.pair.cert) == string(p.cert) {
		return
	}
	s.pair = p
	for _, l := range s.listeners {
		l.Enqueue()
	}
}

// errForeign is wrapped by the error of an API that is served by another.
var errForeign = errors.New("it is served by another")

// keep looks again and again whether the certificate is good and known to the API
// server.
func (c *certificates) keep(ctx context.Context) {
	for ctx.Err() == nil {
		wait := lookAgain
		err := c.look(ctx)
		if c.tell(err); err != nil || !c.known {
			wait = retry
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}
