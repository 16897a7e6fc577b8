package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// egress is the way from the API server to pods and services that its network
// does not reach otherwise: an HTTP proxy that understands CONNECT. Pods in
// 198.18.0.0/15, which exists nowhere, are answered for in 127.18.0.0/15.
// So they can be reached by way of the API server and by no other, as pods of
// most clusters can from outside. FOLDER has its certificates: the API server
// speaks TLS with it.
func egress(address, folder string) error {
	own, err := tls.LoadX509KeyPair(filepath.Join(folder, "egress.crt"), filepath.Join(folder, "egress.key"))
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return err
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca)
	listener, err := tls.Listen("tcp", address, &tls.Config{
		Certificates: []tls.Certificate{own}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	if err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if err := tunnel(conn); err != nil {
				log.Print(err)
			}
		}()
	}
}

func tunnel(conn net.Conn) error {
	reader := bufio.NewReader(conn)
	request, err := http.ReadRequest(reader)
	if err != nil {
		return err
	}
	to := request.Host // of CONNECT, what is to be reached
	if request.Method != http.MethodConnect {
		return fmt.Errorf("%s %s: only CONNECT is understood", request.Method, to)
	}
	if strings.HasPrefix(to, "198.18.") || strings.HasPrefix(to, "198.19.") {
		to = "127." + strings.TrimPrefix(to, "198.")
	}
	target, err := net.Dial("tcp", to)
	if err != nil {
		fmt.Fprintf(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return err
	}
	defer target.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return err
	}
	// Whichever side ends, the other one is closed by the deferred calls.
	ended := make(chan error, 2)
	go func() { _, err := io.Copy(target, reader); ended <- err }()
	go func() { _, err := io.Copy(conn, target); ended <- err }()
	<-ended // a connection that breaks is nobody's news
	return nil
}
