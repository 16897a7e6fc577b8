package process

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// told keeps what a workload says.
type told struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *told) say(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(&l.text, text)
}

func (l *told) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// open opens a workload of this binary's own app.
func open(t *testing.T, change func(*Config), words ...string) (*Workload, *told) {
	t.Helper()
	log := &told{}
	cfg := Config{
		Service: "app", Command: append([]string{os.Args[0], "app"}, words...), Dir: t.TempDir(), Listen: "127.0.0.1:0", HealthPath: "/healthz",
		Wait: 20 * time.Second, Drain: 10 * time.Second, Grace: 10 * time.Second,
		Output: func(replica, line string) { log.say(replica + " | " + line) }, Tell: log.say,
	}
	if change != nil {
		change(&cfg)
	}
	w, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.Close(ctx); err != nil && err != errClosed {
			t.Error(err)
		}
		t.Logf("it said:\n%s", log)
	})
	return w, log
}

func set(t *testing.T, w *Workload, count int) autoscale.Outcome {
	t.Helper()
	o, err := w.Set(t.Context(), count)
	if err != nil || o.Count != count {
		t.Fatalf("set to %d: %+v, %v", count, o, err)
	}
	return o
}

// get asks the proxy.
func get(t *testing.T, w *Workload, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + w.Addr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestUpAndDown(t *testing.T) {
	w, _ := open(t, nil)
	set(t, w, 3)
	seen, err := w.Observe(t.Context())
	if err != nil || seen.Current != 3 || len(seen.Running) != 3 || seen.Settings == "" {
		t.Fatalf("%+v, %v", seen, err)
	}
	pids := map[string]bool{}
	for range 6 {
		_, text := get(t, w, "/")
		pids[text] = true
	}
	if len(pids) != 3 {
		t.Errorf("answered by %v, want 3", pids)
	}
	set(t, w, 1)
	set(t, w, 1)
}

// A command's words are its own, {port} among them; its environment is this one's
// less what systemd means for this process.
func TestEnvironment(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/nowhere")
	t.Setenv("PORT", "1")
	w, log := open(t, func(c *Config) {
		c.Command = []string{"sh", "-c", `echo "in $(pwd), $0 $1, ${NOTIFY_SOCKET-none}, $EXTRA"; exec "$2" app`, "{port}", "a b", os.Args[0]}
		c.Env = []string{"EXTRA=more"}
	})
	set(t, w, 1)
	_, text := get(t, w, "/")
	_, port, _ := strings.Cut(text, " ")
	if want := fmt.Sprintf("app-1 | in %s, %s a b, none, more\n", w.config().Dir, port); !strings.Contains(log.String(), want) {
		t.Errorf("no %q in\n%s", want, log)
	}
}

// What cannot be started, fails, or never listens is said, with its last words.
func TestCannotStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/broken", []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		words []string
		says  string
	}{
		"no interpreter": {[]string{"./broken"}, "new replica app-1 could not be started: "},
		"it fails":       {[]string{os.Args[0], "app", "fails"}, "new replica app-1 exited with status 1 and was given up; it said: "},
		"no listener":    {[]string{"sleep", "100"}, "new replica app-1 was not healthy within 500ms (Get "},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := open(t, func(c *Config) { c.Command, c.Dir, c.Wait = test.words, dir, 500*time.Millisecond })
			o, err := w.Set(t.Context(), 1)
			if err == nil || o.Count != 0 || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	good := Config{Service: "app", Command: []string{"sh"}, Dir: "/", Listen: "127.0.0.1:0"}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for says, change := range map[string]func(*Config){
		"the command is missing":                        func(c *Config) { c.Command = nil },
		"the command ./nowhere cannot be run":           func(c *Config) { c.Command = []string{"./nowhere"} },
		"--proxy=8080: give host:port":                  func(c *Config) { c.Listen = "8080" },
		"--proxy=http://a:1: give host:port":            func(c *Config) { c.Listen = "http://a:1" },
		"--health-path=healthz: it has to begin with /": func(c *Config) { c.HealthPath = "healthz" },
		"--drain=-1s: a time cannot be below 0":         func(c *Config) { c.Drain = -time.Second },
	} {
		c := good
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %s", err, says)
		}
	}
	w, _ := open(t, nil)
	second := good
	second.Listen = w.Addr().String()
	if _, err := Open(second); err == nil || !strings.Contains(err.Error(), "something else listens there") {
		t.Error(err)
	}
}

// Long lines are told in parts, and the last line without its end.
func TestRelay(t *testing.T) {
	var got []int
	l := launch{output: func(line string) { got = append(got, len(line)) }}
	l.relay(strings.NewReader("one\r\n" + strings.Repeat("x", longestLine+5) + "\n\nlast"))
	if want := []int{3, longestLine, 5, 0, 4}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
