package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// asked is a request that a place was sent.
type asked struct {
	url, login, key string
	body            map[string]any
}

// through hands requests to a server, whatever host they are for.
type through struct {
	to    *httptest.Server
	asked []asked
}

func (th *through) RoundTrip(r *http.Request) (*http.Response, error) {
	one := asked{url: r.URL.String(), login: r.Header.Get("Authorization"), key: r.Header.Get("X-Gotify-Key")}
	text, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(text, &one.body)
	}
	if err != nil {
		return nil, err
	}
	th.asked = append(th.asked, one)
	again := r.Clone(r.Context())
	again.URL.Scheme, again.URL.Host = "http", strings.TrimPrefix(th.to.URL, "http://")
	again.Body = io.NopCloser(strings.NewReader(string(text)))
	return http.DefaultTransport.RoundTrip(again)
}

// answering is a server that answers each request so.
func answering(t *testing.T, status int, text string) *through {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return &through{to: server}
}

func open(t *testing.T, url string, by http.RoundTripper) *Place {
	t.Helper()
	p, err := newPlace(url, by)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var note = Message{Title: "autoscale on web1", Text: "shop: 1 -> 2 replicas <now> @everyone"}

const (
	telegramURL = "telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@telegram?chats=@ops"
	slackURL    = "slack://hook:T0000ABCD-B0000ABCD-abcdefghijklmnopqrstuvwx@webhook"
	discordURL  = "discord://to-ken_token@123456789"
)

// Each place is sent what it takes.
func TestPlaces(t *testing.T) {
	text := note.Title + "\n" + note.Text
	slackText := "*autoscale on web1*\nshop: 1 -&gt; 2 replicas &lt;now&gt; @everyone"
	for url, want := range map[string][]asked{
		telegramURL: {{url: "https://api.telegram.org/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/sendMessage", body: map[string]any{
			"chat_id": "@ops", "text": text, "disable_notification": false, "disable_web_page_preview": true}}},
		"telegram://1:0123456789@bots.example.org/api?channels=@a,-1001:7&notification=no&preview=Yes&scheme=http": {
			{url: "http://bots.example.org/api/bot1:0123456789/sendMessage", body: map[string]any{"chat_id": "@a", "text": text, "disable_notification": true, "disable_web_page_preview": false}},
			{url: "http://bots.example.org/api/bot1:0123456789/sendMessage", body: map[string]any{"chat_id": "-1001", "message_thread_id": 7.0, "text": text, "disable_notification": true, "disable_web_page_preview": false}},
		},
		slackURL: {{url: "https://hooks.slack.com/services/T0000ABCD/B0000ABCD/abcdefghijklmnopqrstuvwx", body: map[string]any{"text": slackText}}},
		"slack://xoxb:123456789012-1234567890123-4mt0t4l1YL3g1T5L4cK70k3N@C001CH4NN3L": {{url: "https://slack.com/api/chat.postMessage",
			login: "Bearer xoxb-123456789012-1234567890123-4mt0t4l1YL3g1T5L4cK70k3N", body: map[string]any{"channel": "C001CH4NN3L", "text": slackText}}},
		discordURL + "?thread_id=5": {{url: "https://discord.com/api/webhooks/123456789/to-ken_token?thread_id=5", body: map[string]any{
			"content": "**autoscale on web1**\n" + note.Text, "allowed_mentions": map[string]any{"parse": []any{}}}}},
		"ntfy://me:pass@ntfy.example.org/topic?priority=high&tags=a,b": {{url: "https://ntfy.example.org/", login: "Basic bWU6cGFzcw==", body: map[string]any{
			"topic": "topic", "title": note.Title, "message": note.Text, "priority": 4.0, "tags": []any{"a", "b"}}}},
		"ntfy:///topic": {{url: "https://ntfy.sh/", body: map[string]any{"topic": "topic", "title": note.Title, "message": note.Text, "priority": 3.0, "tags": []any{}}}},
		"gotify://push.example.org/sub/AbCdEfGhIjKlMnO?priority=8&disabletls=yes": {{url: "http://push.example.org/sub/message", key: "AbCdEfGhIjKlMnO", body: map[string]any{
			"title": note.Title, "message": note.Text, "priority": 8.0}}},
		"generic+https://me:pass@example.org/hook?a=b&@Authorization=Bearer+x&messagekey=text": {{url: "https://me:pass@example.org/hook?a=b", login: "Bearer x", body: map[string]any{
			"title": note.Title, "text": note.Text}}},
		"generic://example.org/hook?disabletls=yes&template=json": {{url: "http://example.org/hook", body: map[string]any{"title": note.Title, "message": note.Text}}},
	} {
		by := answering(t, http.StatusOK, `{"ok":true}`)
		if err := open(t, url, by).Send(t.Context(), note); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if !slices.EqualFunc(by.asked, want, func(a, b asked) bool {
			return a.url == b.url && a.login == b.login && a.key == b.key && maps.EqualFunc(a.body, b.body, func(x, y any) bool { return fmt.Sprint(x) == fmt.Sprint(y) })
		}) {
			t.Errorf("%s:\n got %+v\nwant %+v", url, by.asked, want)
		}
	}
}

// A place that does not take the message is not taken to have done so, whatever the
// way, and what can be mended only by hand is not tried again.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		url    string
		status int
		answer string
		want   string
		final  bool
	}{
		{telegramURL, 400, `{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`, "400 Bad Request: Bad Request: chat not found", true},
		{telegramURL, 200, `<html>please log in</html>`, "something else than it should", false},
		{telegramURL, 200, `{"ok":false,"description":"nobody"}`, "it refuses: nobody", true},
		{telegramURL, 429, `{"ok":false,"description":"Too Many Requests: retry after 5"}`, "retry after 5", false},
		{telegramURL, 502, `<html>`, "502 Bad Gateway", false},
		{slackURL, 403, "invalid_token", "403 Forbidden: invalid_token", true},
		{discordURL, 404, `{"message":"Unknown Webhook","code":10015}`, "404 Not Found: Unknown Webhook", true},
		{discordURL, 204, "", "", false},
		{"gotify://h/AbCdEfGhIjKlMnO", 401, `{"error":"Unauthorized","errorCode":401,"errorDescription":"you need to provide a valid access token"}`, "you need to provide", true},
		{"generic+http://h/", 301, "", "301 Moved Permanently; give the URL that it leads to", true},
		{"generic+http://h/", 503, "", "503 Service Unavailable", false},
	} {
		by := answering(t, c.status, c.answer)
		err := open(t, c.url, by).Send(t.Context(), note)
		_, final := errors.AsType[*Refused](err)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || final != c.final || len(by.asked) != 1 {
			t.Errorf("%s answers %d %s: %v (final %t), want %q (%t); %d requests", c.url, c.status, c.answer, err, final, c.want, c.final, len(by.asked))
		}
	}
}

// Of several chats each is tried.
func TestSeveralChats(t *testing.T) {
	by := answering(t, 403, "")
	err := open(t, telegramURL+",@b,@c", by).Send(t.Context(), note)
	if err == nil || len(by.asked) != 3 || strings.Count(err.Error(), "403") != 3 {
		t.Errorf("%d asked: %v", len(by.asked), err)
	}
}

// broken is a network that is not there.
type broken struct{}

func (broken) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("no way to %s", r.URL)
}

// Nothing secret is in an error, not even where a library repeats it.
func TestNothingSecretIsShown(t *testing.T) {
	for url, secrets := range map[string][]string{
		telegramURL: {"110201543", "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"},
		slackURL:    {"T0000ABCD", "abcdefghijklmnopqrstuvwx"},
		discordURL:  {"to-ken_token"},
		"ntfy://user:topsecret@ntfy.example.org/hidden":             {"topsecret", "hidden"},
		"gotify://host/AbCdEfGhIjKlMnO":                             {"AbCdEfGhIjKlMnO"},
		"generic+https://h/hooks/topsecret?key=hidden&@X=y%2Fz1234": {"topsecret", "hidden", "y/z1234"},
	} {
		for _, by := range []http.RoundTripper{broken{}, answering(t, 400, url), answering(t, 400, strings.Join(secrets, " "))} {
			err := open(t, url, by).Send(t.Context(), note)
			if err == nil {
				t.Errorf("%s: no error", url)
				continue
			}
			for _, secret := range secrets {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%s is shown: %v", secret, err)
				}
			}
		}
	}
}

// A URL that is wrong is refused with what is right, and shows nothing.
func TestWrongURLs(t *testing.T) {
	for url, want := range map[string]string{
		"":                                       `"" is none of discord://, generic://`,
		"topsecret":                              "is none of",
		"topsecrettopsecret://x":                 `"it" is none of`,
		"http://topsecret/":                      "a webhook is generic+https://",
		"generic+ftp://topsecret/":               "a webhook is generic+https://",
		":%topsecret":                            "it is no URL",
		"telegram://topsecret":                   "BotFather",
		"telegram://1:topsecret00@telegram":      "no chat",
		telegramURL + "&topsecret=1":             "an option is none of chats, notification, preview",
		telegramURL + "&notification=topsecret":  "notification is neither yes nor no",
		"slack://topsecret":                      "not one of Slack's",
		"discord://topsecret@hook":               "discord://TOKEN@WEBHOOK_ID",
		"ntfy://h/":                              "ntfy://HOST/TOPIC",
		"ntfy://h/t?priority=topsecret":          "priority",
		"ntfy://h/t?scheme=ftp":                  "neither http nor https",
		"gotify://h":                             "gotify://HOST/TOKEN",
		"gotify://h/topsecret?priority=11":       "-2 to 10",
		"generic+https:///topsecret":             "generic+https://HOST/PATH",
		"generic+https://h/?template=x":          "the only template",
		"generic+https://h/?@A=b%0Atopsecret":    "on one line",
		"smtp://u:topsecret@h/":                  "from is no address",
		"smtp:///?from=a@b&to=c@d":               "no server",
		"smtp://h/?from=a@b&to=topsecret":        "to is no address",
		"smtp://h/?from=a@b&to=c@d&auth=x":       "none, plain, crammd5",
		"smtp://h/?from=a@b&to=c@d&encryption=x": "encryption is none of",
		"smtp://h/?from=a@b&to=c@d&usehtml=yes":  "an option is none of",
		"file:/nowhere/at/all":                   "cannot be read",
	} {
		if _, err := New(url); err == nil || strings.Contains(err.Error(), "topsecret") && !strings.HasPrefix(url, "topsecret") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", url, err, want)
		}
	}
}

// A URL can stand in a file, which hides it from those who list processes.
func TestURLInFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "url")
	for text, want := range map[string]string{telegramURL + "\n": "", "": "has to hold one URL", "a\nb": "has to hold one URL", "file:" + path: "has to hold one URL"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := New("file:" + path)
		if want == "" && (err != nil || p.Name != "telegram") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What a replica wrote before it ended reaches nobody's terminal, and nothing is
// longer than the places take.
func TestText(t *testing.T) {
	by := answering(t, 200, "")
	p := open(t, discordURL, by)
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("s%d: \x1b[31m%s\x00\ttab", i, strings.Repeat("ы", 100)))
	}
	for _, text := range []string{strings.Join(lines, "\n"), strings.Repeat("ж", 5000)} {
		if err := p.Send(t.Context(), Message{Title: "t\x07", Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	first, second := by.asked[0].body["content"].(string), by.asked[1].body["content"].(string)
	if strings.ContainsAny(first, "\x1b\x00\x07\t") || !strings.HasSuffix(first, "\n… and 25 lines more") || !strings.HasSuffix(second, "ж…") {
		t.Errorf("%q, %q", first, second)
	}
	for _, text := range []string{first, second} {
		if n := len([]rune(text)); n > 2000 {
			t.Errorf("%d characters", n)
		}
	}
}

// silentServer accepts connections and says nothing.
func silentServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // until the other side ends it
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	return l.Addr().String()
}

// A server that hangs is left as soon as the time is over, with nothing going on.
func TestHangingServer(t *testing.T) {
	addr := silentServer(t)
	for _, url := range []string{
		"generic+http://" + addr + "/", "telegram://1:0123456789@" + addr + "?chats=@a&scheme=http",
		"smtp://" + addr + "/?from=a@b&to=c@d", "smtp://" + addr + "/?from=a@b&to=c@d&encryption=ImplicitTLS",
	} {
		p, err := New(url)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := p.Send(ctx, note); err == nil || !strings.Contains(err.Error(), "not sent within 5s") {
			t.Errorf("%s: %v", url, err)
		}
		cancel()
	}
}

// fake is a place of a test.
func fake(name string, d deliver) *Place { return &Place{Name: name, deliver: d} }

// One place that hangs costs five seconds, and delays no other.
func TestSendAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reached := time.Duration(-1)
		began := time.Now()
		errs := SendAll(t.Context(), []*Place{
			fake("slow", func(ctx context.Context, _ Message) error { <-ctx.Done(); return ctx.Err() }),
			fake("quick", func(context.Context, Message) error { reached = time.Since(began); return nil }),
		}, note)
		if took := time.Since(began); took != Within || reached != 0 || errs[0] == nil || errs[0].Error() != "slow: not sent within 5s" || errs[1] != nil {
			t.Errorf("after %s: %v; the quick one after %s", took, errs, reached)
		}
	})
}

// FuzzURL: any text is a place or an error that shows no password.
func FuzzURL(f *testing.F) {
	for _, url := range []string{telegramURL, slackURL, discordURL, "ntfy://u:p@h/t?tags=a", "gotify://h/p/t", "generic+https://h/?@a=b", "smtp://u:p@h:1/?from=a@b&to=c@d"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if strings.HasPrefix(raw, "file:") {
			return // whatever lies there
		}
		p, err := newPlace(raw, broken{})
		if err == nil {
			if p.Name == "smtp" {
				return // that would look the host up
			}
			err = p.Send(t.Context(), note)
			if err == nil {
				t.Fatal("sent by a network that is not there")
			}
		}
		u, failed := url.Parse(raw)
		if failed != nil {
			return
		}
		if password, _ := u.User.Password(); len(password) >= 6 && password != u.Scheme && strings.Contains(err.Error(), password) && !strings.Contains(errorOf(u.Scheme), password) {
			t.Errorf("%v shows %q", err, password)
		}
	})
}

// errorOf is what is said of a place of that kind that is wrong all over.
func errorOf(scheme string) string {
	var all []string
	for _, rest := range []string{"", "://", "://h", "://a:b@h/c", "://h/c?d=e", "://1:2@h/?chats=a"} {
		if _, err := newPlace(scheme+rest, broken{}); err != nil {
			all = append(all, err.Error())
		}
	}
	return strings.Join(all, " ")
}
