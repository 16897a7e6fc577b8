//go:build e2e

package kubernetes

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// freePort finds a port that nothing on this machine listens on, for pods: all
// of them listen on the same one, each at an address of its own.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp4", ":0") // on no address at all
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// pages answers for the pods that have a label, each at its own address, as
// long as they are ready.
type pages struct {
	*namespace
	selector string
	port     int
	servers  map[string]*http.Server // by address

	mu   sync.Mutex
	pods map[string]string // the pod that has an address
	body func(pod string, w http.ResponseWriter, r *http.Request)
}

// newPages gives each ready pod with the labels a metrics page that says rps
// requests/s, at any path of that port.
func (n *namespace) newPages(selector string, port int, rps float64) *pages {
	n.t.Helper()
	p := &pages{namespace: n, selector: selector, port: port, servers: map[string]*http.Server{}, pods: map[string]string{}}
	p.set(rps)
	if err := p.follow(); err != nil {
		n.t.Fatal(err)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(200 * time.Millisecond):
			}
			if err := p.follow(); err != nil {
				n.t.Log("pages of pods: ", err) // the next round may do better
			}
		}
	}()
	n.t.Cleanup(func() {
		close(done)
		<-ended
		for _, server := range p.servers {
			server.Close()
		}
	})
	return p
}

// set makes each page say rps requests/s.
func (p *pages) set(rps float64) {
	p.answer(func(_ string, w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE http_requests_per_second gauge\nhttp_requests_per_second %v\n", rps)
	})
}

// answer makes the pages what body writes, which is told the pod's name.
func (p *pages) answer(body func(pod string, w http.ResponseWriter, r *http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body = body
}

// follow opens the pages of pods that are ready, and closes those of others.
func (p *pages) follow() error {
	all, err := list(p.name, p.selector)
	if err != nil {
		return err
	}
	ready := map[string]string{}
	for _, pod := range all {
		if pod.ready() {
			ready[pod.Status.PodIP] = pod.Metadata.Name
		}
	}
	p.mu.Lock()
	p.pods = ready
	p.mu.Unlock()
	for address, server := range p.servers {
		if ready[address] == "" {
			server.Close()
			delete(p.servers, address)
		}
	}
	for address := range ready {
		if p.servers[address] != nil {
			continue
		}
		own := address
		if rest, remote := strings.CutPrefix(address, "198."); remote {
			own = "127." + rest // where the API server finds it, see e2e/tools/kubernetes
		}
		listener, err := net.Listen("tcp", net.JoinHostPort(own, strconv.Itoa(p.port)))
		if err != nil {
			return err
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			pod, body := p.pods[address], p.body
			p.mu.Unlock()
			body(pod, w, r)
		})}
		p.servers[address] = server
		go server.Serve(listener)
	}
	return nil
}
