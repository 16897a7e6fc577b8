//go:build e2e

package kubernetes

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// filed is a certificate of the adapter's Service in two files, as a Secret is
// mounted.
type filed struct{ cert, key string }

// put writes a new certificate there, and returns it.
func (f filed) put(n *namespace) []byte {
	n.t.Helper()
	made := (&metrics{namespace: &namespace{t: n.t, name: system}, service: "autoscale-adapter"}).certificate()
	secret, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		n.t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Certificate[0]})
	for file, text := range map[string][]byte{f.key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), f.cert: cert} {
		if err := os.WriteFile(file+".new", text, 0o600); err != nil {
			n.t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			n.t.Fatal(err)
		}
	}
	return cert
}

// Certificates that somebody else makes are read again when they change, and the
// adapter keeps its hands off what the API server trusts.
func TestAdapterCertificateFiles(t *testing.T) {
	long(t)
	n := newNamespace(t)
	port := freePort(t)
	n.deployment("app", 4, pods{port: port})
	n.newPages("app=app", port, 10)
	dir := t.TempDir()
	f := filed{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
	first := f.put(n)
	a := n.newAdapters("--tls-cert-file="+f.cert, "--tls-private-key-file="+f.key)
	trust := func(certs []byte) {
		for _, api := range []string{customMetrics, customMetrics1} {
			n.kubectl("patch", "apiservice", api, "--type=merge", "--patch", fmt.Sprintf(`{"spec": {"caBundle": %q}}`, base64.StdEncoding.EncodeToString(certs)))
		}
	}
	trust(first)
	c := a.start()
	a.served()
	n.apply(quickHPA)
	n.acts()
	n.watch(4)

	second := f.put(n)
	trust(append(first, second...))
	n.eventually("the new certificate is shown", func() bool {
		conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return false
		}
		defer conn.Close()
		shown := conn.ConnectionState().PeerCertificates[0].Raw
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: shown})) == string(second)
	})
	trust(second)
	n.valued(4)
	a.served()
	n.acts()
	if n.tryKubectl("get", "secret", "autoscale-adapter-tls", "--namespace="+system).status == 0 {
		t.Error("a certificate of its own was made all the same")
	}
}
