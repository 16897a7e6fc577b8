package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	addresses "net/mail"
	"net/smtp"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// mailer sends mail through one server.
type mailer struct {
	host, port     string
	user, password string
	auth           string // "none", "plain", "crammd5", or empty for what fits
	implicit       bool   // TLS from the first byte on
	startTLS       string // "no", "must", or empty for where it is offered
	from           *addresses.Address
	to             []*addresses.Address
	roots          *x509.CertPool // nil for the machine's
}

// mail is smtp://user:password@host:587/?from=a@example.org&to=b@example.org.
// Port 465 begins with TLS; elsewhere it is used where the server offers it, and
// passwords are never sent without it, but to this machine.
func mail(u *url.URL, o *options, _ http.RoundTripper) (deliver, error) {
	m, err := readMailer(u, o)
	return m.send, err
}

// readMailer reads a mailer's URL.
func readMailer(u *url.URL, o *options) (m mailer, err error) {
	password, _ := u.User.Password()
	m = mailer{host: u.Hostname(), port: cmp.Or(u.Port(), "25"), user: u.User.Username(), password: password, auth: strings.ToLower(o.take("auth"))}
	if m.host == "" {
		return m, errors.New("no server; write smtp://user:password@HOST:587/?from=…&to=…")
	}
	if m.auth == "unknown" || m.auth == "auto" {
		m.auth = ""
	}
	if !slices.Contains([]string{"", "none", "plain", "crammd5"}, m.auth) {
		return m, errors.New("option auth is none of none, plain, crammd5")
	}
	if err := m.encrypt(o); err != nil {
		return m, err
	}
	from, name := o.take("from", "fromaddress"), o.take("fromname")
	if m.from, err = addresses.ParseAddress(from); err != nil {
		return m, errors.New("option from is no address; write ?from=autoscale@example.org")
	}
	m.from.Name = cmp.Or(name, m.from.Name)
	if m.to, err = addresses.ParseAddressList(o.take("to", "toaddresses")); err != nil {
		return m, errors.New("option to is no address; write &to=ops@example.org")
	}
	return m, nil
}

// encrypt reads how the connection is to be encrypted.
func (m *mailer) encrypt(o *options) error {
	start, err := o.flag(true, "starttls", "usestarttls")
	must, failed := o.flag(false, "requirestarttls")
	switch {
	case must:
		m.startTLS = "must"
	case !start:
		m.startTLS = "no"
	}
	switch strings.ToLower(o.take("encryption")) {
	case "", "auto":
		m.implicit = m.port == "465"
	case "none":
		m.startTLS = "no"
	case "explicittls":
		m.startTLS = "must"
	case "implicittls":
		m.implicit = true
	default:
		return errors.New("option encryption is none of auto, none, explicittls, implicittls")
	}
	return errors.Join(err, failed)
}

// send is the mailer's deliver.
func (m mailer) send(ctx context.Context, message Message) error {
	line, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(m.host, m.port))
	if err != nil {
		return err
	}
	defer line.Close()
	defer context.AfterFunc(ctx, func() { line.Close() })() // whatever is waited for
	trust := &tls.Config{ServerName: m.host, RootCAs: m.roots, MinVersion: tls.VersionTLS12}
	conn := line
	if m.implicit {
		conn = tls.Client(line, trust)
	}
	err = m.talk(conn, trust, message)
	if failed, is := errors.AsType[*textproto.Error](err); is && failed.Code >= 500 {
		return &Refused{fmt.Sprintf("the server refuses: %d %s", failed.Code, failed.Msg)}
	}
	return err
}

// talk is the conversation with the server (RFC 5321).
func (m mailer) talk(conn net.Conn, trust *tls.Config, message Message) error {
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return err
	}
	if err := c.Hello(hostName()); err != nil {
		return err
	}
	if offered, _ := c.Extension("STARTTLS"); offered && !m.implicit && m.startTLS != "no" {
		if err := c.StartTLS(trust); err != nil {
			return err
		}
	} else if m.startTLS == "must" && !m.implicit {
		return &Refused{"the server offers no STARTTLS, and without it nothing is sent"}
	}
	if err := m.login(c); err != nil {
		return err
	}
	if err := c.Mail(m.from.Address); err != nil {
		return err
	}
	for _, to := range m.to {
		if err := c.Rcpt(to.Address); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(m.letter(message, time.Now())); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // it has the mail
	return nil
}

// login shows the server who we are, where there is anything to show.
func (m mailer) login(c *smtp.Client) error {
	if m.user == "" || m.auth == "none" {
		return nil
	}
	offered, ways := c.Extension("AUTH")
	if !offered {
		return &Refused{"the server offers no login; leave user and password away, or use the port for submission, 587"}
	}
	if m.auth == "crammd5" || m.auth == "" && !strings.Contains(ways, "PLAIN") && strings.Contains(ways, "CRAM-MD5") {
		return c.Auth(smtp.CRAMMD5Auth(m.user, m.password))
	}
	return c.Auth(smtp.PlainAuth("", m.user, m.password, m.host))
}

// letter is the mail as it is sent (RFC 5322).
func (m mailer) letter(message Message, now time.Time) []byte {
	var b bytes.Buffer
	to := make([]string, len(m.to))
	for i, address := range m.to {
		to[i] = address.String()
	}
	first, _, _ := strings.Cut(message.Text, "\n")
	_, domain, _ := strings.Cut(m.from.Address, "@")
	for _, header := range [][2]string{
		{"From", m.from.String()}, {"To", strings.Join(to, ", ")}, {"Date", now.Format(time.RFC1123Z)},
		{"Subject", mime.QEncoding.Encode("utf-8", shorten(message.Title+": "+first, 120))},
		{"Message-ID", fmt.Sprintf("<%s@%s>", rand.Text(), domain)},
		{"Auto-Submitted", "auto-generated"}, // so that nobody's absence is told to us
		{"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", header[0], header[1])
	}
	b.WriteString("\r\n")
	body := quotedprintable.NewWriter(&b)
	_, _ = body.Write([]byte(strings.ReplaceAll(message.Text, "\n", "\r\n") + "\r\n")) // a buffer takes everything
	_ = body.Close()
	return b.Bytes()
}

// hostName is what this machine calls itself to a mail server.
func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "localhost"
	}
	return name
}
