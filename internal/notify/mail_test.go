package notify

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	netmail "net/mail"
	"net/url"
	"strings"
	"testing"
	"time"
)

// postOffice is a mail server that keeps what it is told, one connection at a time.
type postOffice struct {
	offers  []string         // beside STARTTLS
	trusted *tls.Config      // nil for no TLS
	at      string           // implicit, or empty
	refuses string           // the command that it refuses
	said    chan []string    // each conversation
	roots   *x509.CertPool   // by which it is trusted
	server  *httptest.Server // whose certificate it has
	net.Listener
}

func newPostOffice(t *testing.T, withTLS bool, offers ...string) *postOffice {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	o := &postOffice{Listener: l, offers: offers, said: make(chan []string, 10)}
	if withTLS {
		o.server = httptest.NewTLSServer(nil)
		t.Cleanup(o.server.Close)
		o.trusted, o.roots = o.server.TLS, x509.NewCertPool()
		o.roots.AddCert(o.server.Certificate())
	}
	return o
}

// begin serves from now on.
func (o *postOffice) begin() *postOffice {
	go func() {
		for {
			conn, err := o.Accept()
			if err != nil {
				return
			}
			if o.at == "implicit" {
				conn = tls.Server(conn, o.trusted)
			}
			o.said <- o.serve(conn)
		}
	}()
	return o
}

// serve has one conversation.
func (o *postOffice) serve(conn net.Conn) (said []string) {
	defer func() { conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	lines := bufio.NewReader(conn)
	answer := func(text string) { fmt.Fprint(conn, text+"\r\n") }
	answer("220 post office")
	for data := false; ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return said
		}
		line = strings.TrimRight(line, "\r\n")
		said = append(said, line)
		word, _, _ := strings.Cut(line, " ")
		switch {
		case data && line != ".":
		case o.refuses != "" && strings.HasPrefix(line, o.refuses):
			answer("550 not for " + line)
		case data:
			data = false
			answer("250 kept")
		case word == "EHLO":
			offers := o.offers
			if _, is := conn.(*tls.Conn); !is && o.trusted != nil {
				offers = append([]string{"STARTTLS"}, offers...)
			}
			answer("250-post office")
			for _, offer := range offers {
				answer("250-" + offer)
			}
			answer("250 HELP")
		case word == "STARTTLS":
			answer("220 go on")
			conn = tls.Server(conn, o.trusted)
			lines = bufio.NewReader(conn)
		case word == "AUTH":
			answer("235 welcome")
		case word == "DATA":
			data = true
			answer("354 go on")
		case word == "QUIT":
			answer("221 bye")
			return said
		default:
			answer("250 ok")
		}
	}
}

// mailTo is a mailer for a post office, by the rest of its URL.
func mailTo(t *testing.T, o *postOffice, login, more string) (*Place, mailer) {
	t.Helper()
	u, err := url.Parse("smtp://" + login + o.Addr().String() + "/?from=autoscale@example.org&to=ops@example.org,night@example.org" + more)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMailer(u, &options{values: u.Query()})
	if err != nil {
		t.Fatal(err)
	}
	m.roots = o.roots
	return &Place{Name: "smtp", deliver: m.send, secrets: secrets(u)}, m
}

// A mail says in its subject what is the matter, and is one that servers take.
func TestMail(t *testing.T) {
	o := newPostOffice(t, false).begin()
	p, _ := mailTo(t, o, "", "&fromname=Автомат")
	text := "магазин: 1 -> 2 replicas\n.\n" + strings.Repeat("long ", 300)
	if err := p.Send(t.Context(), Message{Title: "autoscale on web1", Text: text}); err != nil {
		t.Fatal(err)
	}
	said := <-o.said
	all := strings.Join(said, "\n")
	if !strings.Contains(all, "MAIL FROM:<autoscale@example.org>") || !strings.Contains(all, "RCPT TO:<ops@example.org>\nRCPT TO:<night@example.org>\nDATA\n") {
		t.Errorf("%s", all)
	}
	_, letter, _ := strings.Cut(all, "DATA\n")
	letter, _, _ = strings.Cut(letter, "\n.\nQUIT")
	for line := range strings.Lines(letter) {
		if len(line) > 200 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	read, err := netmail.ReadMessage(strings.NewReader(letter))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(read.Header.Get("Subject"))
	if err != nil || subject != "autoscale on web1: магазин: 1 -> 2 replicas" {
		t.Errorf("%q (%v)", subject, err)
	}
	if from, err := read.Header.AddressList("From"); err != nil || from[0].Name != "Автомат" || read.Header.Get("Message-ID") == "" {
		t.Errorf("%v (%v)", read.Header, err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(read.Body))
	if got := strings.ReplaceAll(strings.TrimSpace(string(body)), "\r\n", "\n"); err != nil || strings.ReplaceAll(got, "\n..\n", "\n.\n") != strings.TrimSpace(text) {
		t.Errorf("%q (%v)", got, err)
	}
}

// Passwords go through TLS or not at all, and where it was asked for nothing goes
// without.
func TestMailLogin(t *testing.T) {
	plain := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00me\x00topsecret"))
	for _, c := range []struct {
		tls            bool
		at             string
		offers         string
		login, options string
		want           string // in the conversation, or in the error
	}{
		{tls: true, offers: "AUTH PLAIN LOGIN", login: "me:topsecret@", want: plain},
		{tls: true, at: "implicit", offers: "AUTH PLAIN", login: "me:topsecret@", options: "&encryption=ImplicitTLS", want: plain},
		{tls: true, offers: "AUTH CRAM-MD5", login: "me:topsecret@", want: "AUTH CRAM-MD5"},
		{tls: true, offers: "AUTH PLAIN", login: "me:topsecret@", options: "&auth=None", want: "MAIL FROM"},
		{tls: true, want: "STARTTLS"},
		{tls: true, options: "&starttls=no", want: "MAIL FROM"},
		{options: "&requirestarttls=yes", want: "error: the server offers no STARTTLS"},
		{options: "&encryption=ExplicitTLS", want: "error: the server offers no STARTTLS"},
		{login: "me:topsecret@", want: "error: the server offers no login"},
	} {
		o := newPostOffice(t, c.tls, strings.Fields(c.offers)...)
		if c.offers != "" {
			o.offers = []string{c.offers}
		}
		o.at = c.at
		o.begin()
		p, _ := mailTo(t, o, c.login, c.options)
		err := p.Send(t.Context(), note)
		said := strings.Join(<-o.said, "\n")
		if err != nil {
			said = "error: " + strings.TrimPrefix(err.Error(), "smtp: ")
		}
		if !strings.Contains(said, c.want) || strings.Contains(said, "error: ") != strings.HasPrefix(c.want, "error: ") || strings.Contains(said, "topsecret") {
			t.Errorf("%+v: %s", c, said)
		}
		if c.tls && !strings.Contains(c.options, "starttls=no") && c.at == "" && !strings.Contains(said, "STARTTLS") {
			t.Errorf("%+v: no TLS: %s", c, said)
		}
	}
}

// A server that cannot be trusted gets no password.
func TestMailOfAStranger(t *testing.T) {
	o := newPostOffice(t, true, "AUTH PLAIN").begin()
	o.roots = nil
	p, _ := mailTo(t, o, "me:topsecret@", "")
	if err := p.Send(t.Context(), note); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}
	if said := <-o.said; strings.Contains(strings.Join(said, "\n"), "AUTH") {
		t.Errorf("%q", said)
	}
}

// What a server refuses for good is not tried again.
func TestMailRefused(t *testing.T) {
	o := newPostOffice(t, false)
	o.refuses = "RCPT TO:<night"
	o.begin()
	p, _ := mailTo(t, o, "", "")
	err := p.Send(t.Context(), note)
	if _, final := errors.AsType[*Refused](err); !final || !strings.Contains(err.Error(), "smtp: the server refuses: 550 not for RCPT") {
		t.Errorf("%v", err)
	}
}

// Without TLS no password goes to another machine.
func TestMailPasswordInClear(t *testing.T) {
	o := newPostOffice(t, false, "AUTH PLAIN").begin()
	_, m := mailTo(t, o, "me:topsecret@", "")
	m.host = "mail.example.org"
	conn, err := net.Dial("tcp", o.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	err = m.talk(conn, nil, note)
	conn.Close()
	if said := <-o.said; err == nil || !strings.Contains(err.Error(), "unencrypted connection") || strings.Contains(strings.Join(said, "\n"), "AUTH") {
		t.Errorf("%v: %q", err, said)
	}
}
