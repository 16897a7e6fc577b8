package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale/internal/control"
)

// Both addresses are served, streams run, and all ends with the context.
func TestServe(t *testing.T) {
	d := many(2, time.Now())
	s, err := New(Config{Listen: "127.0.0.1:0", MetricsListen: "127.0.0.1:0"}, d, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Addr() != nil {
		t.Error("listens before Listen")
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, url := range []string{fmt.Sprintf("http://%s/api/v1/services", s.Addr()), fmt.Sprintf("http://%s/metrics", s.Addr()), fmt.Sprintf("http://%s/metrics", s.MetricsAddr())} {
		if text := fetch(t, client, url); !strings.Contains(text, "service-0001") {
			t.Errorf("%s: %.300s", url, text)
		}
	}
	r, err := client.Get(fmt.Sprintf("http://%s/api/v1/stream", s.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	in := bufio.NewReader(r.Body)
	if line, err := in.ReadString('\n'); err != nil || line != "retry: 3000\n" {
		t.Fatal(line, err)
	}
	s.Stepped(control.Snapshot{}, d.shots[1])
	for line := ""; !strings.HasPrefix(line, "data: "); {
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		t.Errorf("the stream did not end well: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the end took %s", took)
	}
}

func fetch(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, r.Status, err)
	}
	return string(text)
}

// A request that does not end keeps the server no longer than it said.
func TestServeEndsThoughRequestsHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := many(1, time.Now())
		asked, release := make(chan struct{}), make(chan struct{})
		d.pause = func(context.Context) error { // minds no context
			close(asked)
			<-release
			return nil
		}
		s := served(t, d, nil)
		listener := newPiped()
		s.doors[0].listener = listener
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx) }()
		client := listener.dial()
		const body = `{"for": "1h"}`
		fmt.Fprintf(client, "POST /api/v1/services/service-0000/pause HTTP/1.1\r\nHost: localhost\r\n%s\r\nContent-Length: %d\r\n\r\n%s", bearer, len(body), body)
		<-asked
		began := time.Now()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != endWithin {
			t.Errorf("the end took %s", took)
		}
		if text, _ := io.ReadAll(client); len(text) > 0 {
			t.Errorf("answered %s", text)
		}
		close(release)
	})
}

// One address that fails ends the other one too, and its streams at once.
func TestServeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Listen: "127.0.0.1:0", MetricsListen: "127.0.0.1:0"}, &known{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		good, bad := newPiped(), newPiped()
		s.doors[0].listener, s.doors[1].listener = good, bad
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(t.Context()) }()
		client := good.dial()
		fmt.Fprint(client, "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
		read := make(chan struct{})
		go func() { defer close(read); _, _ = io.Copy(io.Discard, client) }()
		synctest.Wait()
		began := time.Now()
		_ = bad.Close()
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "metrics-listen: serving on 127.0.0.1:0 ended") {
			t.Error(err)
		}
		// The server looks now and then whether all have gone.
		if took := time.Since(began); took > time.Second {
			t.Errorf("the end took %s", took)
		}
		<-read
	})
}

// An address that somebody else has is told of, with what to do, and nothing
// stays taken.
func TestListenTaken(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s, err := New(Config{Listen: "127.0.0.1:0", MetricsListen: other.Addr().String()}, &known{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Serve(t.Context())
	if err == nil || !strings.Contains(err.Error(), "metrics-listen: cannot listen on "+other.Addr().String()) || !strings.Contains(err.Error(), "another daemon") {
		t.Error(err)
	}
	if s.Addr() != nil {
		t.Error("the first address stays taken")
	}
}

// Serving nowhere is no error, and ends with the context.
func TestServeNowhere(t *testing.T) {
	s, err := New(Config{}, &known{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Serve(ctx); err != nil {
		t.Error(err)
	}
}
