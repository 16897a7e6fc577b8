package notify

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// place is a webhook that keeps what it was sent.
type place struct {
	*httptest.Server
	mu   sync.Mutex
	said []string
}

func newPlace(t *testing.T, answer func(w http.ResponseWriter)) *place {
	t.Helper()
	p := &place{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var message struct{ Title, Message string }
		if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.mu.Lock()
		p.said = append(p.said, message.Title+": "+message.Message)
		p.mu.Unlock()
		if answer != nil {
			answer(w)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func sender(t *testing.T, url string) *Sender {
	t.Helper()
	s, err := New(url)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A webhook gets title and message as JSON.
func TestWebhook(t *testing.T) {
	p := newPlace(t, nil)
	s := sender(t, "generic+"+p.URL+"/hook?key=secret")
	if err := s.Send(t.Context(), "autoscale on web1", "shop: 1 -> 2 replicas"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"autoscale on web1: shop: 1 -> 2 replicas"}; !slices.Equal(p.said, want) {
		t.Errorf("%q", p.said)
	}
}

// Nothing of a URL but its scheme is in an error.
func TestNothingSecretIsShown(t *testing.T) {
	p := newPlace(t, func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) })
	host := strings.TrimPrefix(p.URL, "http://")
	for _, url := range []string{"generic+" + p.URL + "/hooks/topsecret?key=hidden", "gotify://" + host + "/Atopsecret12345?disabletls=yes", "ntfy://user:topsecret@" + host + "/hidden?scheme=http"} {
		err := sender(t, url).Send(t.Context(), "t", "m")
		if err == nil {
			t.Errorf("%s: no error", url)
			continue
		}
		for _, secret := range []string{"topsecret", "hidden", host} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s is shown: %v", secret, err)
			}
		}
	}
	for _, url := range []string{"", "topsecret", "telegram://topsecret", "http://topsecret/", "generic+ftp://topsecret/", "slack://topsecret", ":%topsecret"} {
		if _, err := New(url); err == nil || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// Telegram, Slack, Discord and e-mail are understood.
func TestKinds(t *testing.T) {
	for _, url := range []string{
		"telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@telegram?chats=@channel",
		"slack://hook:T0000ABCD-B0000ABCD-abcdefghijklmnopqrstuvwx@webhook",
		"discord://token@123456789",
		"smtp://user:password@mail.example.org:587/?from=a@example.org&to=b@example.org",
		"ntfy://ntfy.example.org/topic",
	} {
		if _, err := New(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// A mail server gets a mail with title and message.
func TestMail(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	mail := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "220 test\r\n")
		lines, text, inData := bufio.NewScanner(conn), "", false
		for lines.Scan() {
			line := lines.Text()
			text += line + "\n"
			switch {
			case inData && line != ".":
			case inData:
				inData = false
				fmt.Fprint(conn, "250 kept\r\n")
			case strings.HasPrefix(line, "EHLO"):
				fmt.Fprint(conn, "250 test\r\n")
			case line == "DATA":
				inData = true
				fmt.Fprint(conn, "354 go on\r\n")
			case line == "QUIT":
				fmt.Fprint(conn, "221 bye\r\n")
				mail <- text
				return
			default:
				fmt.Fprint(conn, "250 ok\r\n")
			}
		}
	}()
	s := sender(t, "smtp://"+listener.Addr().String()+"/?from=autoscale@example.org&to=ops@example.org&auth=None&encryption=None&starttls=no")
	if err := s.Send(t.Context(), "autoscale on web1", "shop: 1 -> 2 replicas"); err != nil {
		t.Fatal(err)
	}
	text := <-mail
	for _, part := range []string{"RCPT TO:<ops@example.org>", "Subject: autoscale on web1", "shop: 1 -> 2 replicas"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

// hangs is a service that answers when a test says so.
type hangs struct {
	types.Service
	until chan struct{}
	mu    sync.Mutex
	all   []string
}

func (h *hangs) said() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

func (h *hangs) Send(text string, _ *types.Params) error {
	<-h.until
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, text)
	return nil
}

// One place that hangs costs five seconds, delays no other, and gets no second
// message while the first is on its way.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick := &hangs{until: make(chan struct{})}, &hangs{until: make(chan struct{})}
		close(quick.until)
		all := []*Sender{{Name: "slow", service: slow}, {Name: "quick", service: quick}}
		began := time.Now()
		errs := SendAll(t.Context(), all, "t", "one")
		if took := time.Since(began); took != Within || len(errs) != 1 || !strings.Contains(errs[0].Error(), "slow: not sent within 5s") || len(quick.said()) != 1 {
			t.Errorf("after %s: %v, %q", took, errs, quick.said())
		}
		if errs = SendAll(t.Context(), all, "t", "two"); len(errs) != 1 || !strings.Contains(errs[0].Error(), "left out") || len(quick.said()) != 2 {
			t.Errorf("%v, %q", errs, quick.said())
		}
		close(slow.until)
		synctest.Wait()
		if errs = SendAll(t.Context(), all, "t", "three"); len(errs) != 0 || len(slow.said()) != 2 {
			t.Errorf("%v, %q", errs, slow.said())
		}
	})
}

// What several services have to tell within a few seconds is one message; what is
// left when the daemon ends is sent.
func TestOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		there := &hangs{until: make(chan struct{})}
		close(there.until)
		s := []*Sender{{Name: "there", service: there}}
		o := NewOutbox("t", func(err error) { t.Error(err) })
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { o.Run(ctx); close(ended) }()
		o.Add(s, nil)
		o.Add(s, []string{"shop: up"})
		time.Sleep(time.Second)
		o.Add(s, []string{"mail: up", "mail: at its maximum"})
		time.Sleep(10 * time.Second)
		if want := []string{"shop: up\nmail: up\nmail: at its maximum"}; !slices.Equal(there.said(), want) {
			t.Errorf("%q", there.said())
		}
		o.Add(s, []string{"shop: down"})
		stop()
		<-ended
		if len(there.said()) != 2 || there.said()[1] != "shop: down" {
			t.Errorf("%q", there.said())
		}
	})
}
