// Command prepare fills a cluster's folder with what its servers are started
// with: certificates of two authorities made for this cluster alone, the keys,
// a kubeconfig for each client, and free ports.
//
//	go run ./e2e/cluster/prepare FOLDER
//
// Go makes them, so that no openssl is needed.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: prepare FOLDER")
		os.Exit(2)
	}
	if err := prepare(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
}

// clients are the kubeconfigs: a file's name, and who it makes its bearer.
var clients = map[string]pkix.Name{
	"admin":      {CommonName: "admin", Organization: []string{"system:masters"}},
	"controller": {CommonName: "system:kube-controller-manager"},
	"scheduler":  {CommonName: "system:kube-scheduler"},
	"kwok":       {CommonName: "kwok", Organization: []string{"system:masters"}},
}

// egress tells the API server its way to pods, services and what serves APIs
// for it.
const egressConfig = `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport:
      tcp:
        url: https://127.0.0.1:%[1]d
        tlsConfig: {caBundle: %[2]q, clientCert: %[3]q, clientKey: %[4]q}
`

func prepare(dir string) error {
	f := folder{dir}
	ports, err := freePorts("ETCD", "PEER", "API", "EGRESS")
	if err != nil {
		return err
	}
	ca, err := f.authority("ca")
	if err != nil {
		return err
	}
	front, err := f.authority("front-proxy-ca")
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)}, // the second: the Service "kubernetes"
	}
	// etcd and egress serve with theirs, and the API server calls them with it.
	etcd := &x509.Certificate{Subject: pkix.Name{CommonName: "etcd"}, IPAddresses: server.IPAddresses[:1]}
	egress := &x509.Certificate{Subject: pkix.Name{CommonName: "egress"}, IPAddresses: server.IPAddresses[:1]}
	proxy := &x509.Certificate{Subject: pkix.Name{CommonName: "front-proxy"}}
	if _, err := f.signed("server", server, ca); err != nil {
		return err
	}
	if _, err := f.signed("etcd", etcd, ca); err != nil {
		return err
	}
	if _, err := f.signed("egress", egress, ca); err != nil {
		return err
	}
	if err := f.write("egress.yaml", fmt.Sprintf(egressConfig, ports["EGRESS"], f.path("ca.crt"), f.path("egress.crt"), f.path("egress.key"))); err != nil {
		return err
	}
	if _, err := f.signed("front-proxy", proxy, front); err != nil {
		return err
	}
	for name, subject := range clients {
		client, err := f.signed(name, &x509.Certificate{Subject: subject}, ca)
		if err != nil {
			return err
		}
		if err := f.write(name+".kubeconfig", kubeconfig(ports["API"], ca.cert, client)); err != nil {
			return err
		}
	}
	if err := f.accounts(); err != nil {
		return err
	}
	var lines strings.Builder
	for name, port := range ports {
		fmt.Fprintf(&lines, "%s=%d\n", name, port)
	}
	return f.write("ports", lines.String())
}

// freePorts finds ports below those that the kernel gives to outgoing
// connections: one of those could be taken before its server starts.
func freePorts(names ...string) (map[string]int, error) {
	found := map[string]int{}
	for _, name := range names {
		for range 1000 {
			listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+mathrand.IntN(12000)))
			if err != nil {
				continue
			}
			defer listener.Close() // held until all are found, so that no two are the same
			found[name] = listener.Addr().(*net.TCPAddr).Port
			break
		}
		if found[name] == 0 {
			return nil, fmt.Errorf("no free port on 127.0.0.1 between 20000 and 32000")
		}
	}
	return found, nil
}

// folder is where all of it is written.
type folder struct{ dir string }

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f folder) write(name, text string) error {
	return os.WriteFile(f.path(name), []byte(text), 0o600)
}

// pair is a certificate with its key, as PEM, and as the signer of others.
type pair struct {
	cert, key string
	parsed    *x509.Certificate
	private   *ecdsa.PrivateKey
}

func (f folder) authority(name string) (pair, error) {
	return f.signed(name, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
	}, pair{})
}

// signed makes a key and its certificate and writes both; without an authority
// the certificate signs itself.
func (f folder) signed(name string, template *x509.Certificate, by pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return pair{}, err
	}
	// A clock that is set back a little must not make them invalid.
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().AddDate(1, 0, 0)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	if template.IsCA {
		template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageCertSign, nil
		by = pair{parsed: template, private: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.parsed, &key.PublicKey, by.private)
	if err != nil {
		return pair{}, err
	}
	p := pair{private: key, cert: text("CERTIFICATE", der)}
	if p.parsed, err = x509.ParseCertificate(der); err != nil {
		return pair{}, err
	}
	if p.key, err = keyText(key); err != nil {
		return pair{}, err
	}
	if err := f.write(name+".crt", p.cert); err != nil {
		return pair{}, err
	}
	return p, f.write(name+".key", p.key)
}

// accounts writes the key that service accounts' tokens are signed with.
func (f folder) accounts() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := keyText(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := f.write("accounts.key", private); err != nil {
		return err
	}
	return f.write("accounts.pub", text("PUBLIC KEY", public))
}

func keyText(key *ecdsa.PrivateKey) (string, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return text("EC PRIVATE KEY", der), err
}

func text(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// kubeconfig carries its certificates within, so that the file alone is enough.
func kubeconfig(port int, ca string, client pair) string {
	data := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: autoscale-e2e
  cluster:
    server: https://127.0.0.1:%d
    certificate-authority-data: %s
users:
- name: autoscale-e2e
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: autoscale-e2e
  context: {cluster: autoscale-e2e, user: autoscale-e2e}
current-context: autoscale-e2e
`, port, data(ca), data(client.cert), data(client.key))
}
