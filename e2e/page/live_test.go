//go:build e2e

package page

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// build builds one of our programs, as it is shipped.
func build(t *testing.T, folder, name, pkg string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	c := exec.CommandContext(t.Context(), "go", "build", "-tags", "e2e", "-o", path, pkg)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return path
}

// free is an address that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// real is the daemon itself, with a service of real processes.
type real struct {
	t                    *testing.T
	folder, binary       string
	listen, proxy, token string
	process              *exec.Cmd
}

// settle writes the configuration and builds what runs.
func settle(t *testing.T) *real {
	t.Helper()
	folder := t.TempDir()
	r := &real{t: t, folder: folder, listen: free(t), proxy: free(t), token: secret}
	r.binary = build(t, folder, "autoscale", "../../cmd/autoscale")
	app := build(t, folder, "app", "../../examples/compose/app")
	r.write(fmt.Sprintf(`interval: 1s
listen: %s
token: %q
services:
  app:
    provider: process
    command: [%s]
    proxy: %s
    health-path: /healthz
    min: 1
    max: 5
    rps-target: 20
    cooldown: 4s
    drain: 1s
`, r.listen, r.token, app, r.proxy))
	r.start()
	t.Cleanup(r.end)
	return r
}

func (r *real) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.folder, "autoscale.yaml"), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// start starts the daemon.
func (r *real) start() {
	r.t.Helper()
	log, err := os.OpenFile(filepath.Join(r.folder, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	r.process = exec.Command(r.binary, "run")
	r.process.Dir, r.process.Stdout, r.process.Stderr = r.folder, log, log
	if err := r.process.Start(); err != nil {
		r.t.Fatal(err)
	}
}

// end ends the daemon as systemd does.
func (r *real) end() {
	if r.process == nil {
		return
	}
	_ = r.process.Process.Signal(syscall.SIGTERM) // it may have ended
	if err := r.process.Wait(); err != nil {
		r.t.Errorf("the daemon ended: %v", err)
	}
	r.process = nil
	if r.t.Failed() {
		text, _ := os.ReadFile(filepath.Join(r.folder, "log")) // what there is of it
		r.t.Logf("the daemon said:\n%s", text)
	}
}

func (r *real) url() string { return "http://" + r.listen + "/" }

// load sends so many requests a second until it is ended.
func (r *real) load(rps int) (end func()) {
	r.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, r.binary, "stress", "--url", "http://"+r.proxy+"/", "--rate", fmt.Sprint(rps), "--duration", "120", "--json")
	if err := c.Start(); err != nil {
		r.t.Fatal(err)
	}
	return func() {
		stop()
		_ = c.Wait() // it was killed
	}
}

// The page shows a scaling as it happens, on a real daemon with real processes
// under a real load, and goes on after the daemon was started anew.
func TestLive(t *testing.T) {
	r := settle(t)
	ctx := browser(t)
	b := open(t, ctx, wide(1280, 900))
	b.until(`true`)
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // until somebody listens
		if c, err := net.Dial("tcp", r.listen); err == nil {
			_ = c.Close()
			break
		}
		if time.Since(began) > within {
			t.Fatal("nobody listens")
		}
	}
	b.goTo(r.url())
	b.untilText(".row", "1 to 5")
	b.until(`document.querySelector(".row .figure b").textContent === "1"`)

	// What the page shows is noted with its time, and held against the stream's.
	const note = `
		window.shown = []; window.told = [];
		new MutationObserver(() => shown.push([document.querySelector(".row .figure b").textContent, Date.now()]))
			.observe(document.querySelector(".row .figure b"), {childList: true, characterData: true, subtree: true});
		fetch("api/v1/stream").then(async (r) => {
			const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
			for (let text = ""; ; ) {
				const {done, value} = await reader.read();
				if (done) return;
				text += value;
				const messages = text.split("\n\n");
				text = messages.pop();
				for (const m of messages) {
					const step = /^event: step\ndata: (.*)$/.exec(m);
					if (!step) continue;
					const s = JSON.parse(step[1]);
					if (s.replicas !== s.decision?.from) told.push([String(s.replicas), Date.parse(s.step.ended)]);
				}
			}
		}).catch(() => {});`
	b.do(chromedp.Evaluate[chromedp.Void](note))
	stop := r.load(70)
	b.until(`Number(document.querySelector(".row .figure b").textContent) >= 4`)
	// The two streams are two connections: either may be the later one.
	b.until(`shown.length > 0 && told.length > 0 && shown.at(-1)[0] === told.at(-1)[0]`)
	late := value[float64](b, `shown.at(-1)[1] - told.at(-1)[1]`)
	t.Logf("figure: a scaling was shown %.0f ms after its step had ended", late)

	// One service: why, and the chart grows.
	b.press("a.name")
	b.untilText(".headline", "kept") // the scaling is one before the last by now
	b.untilText(".events", "scaled")
	b.until(`document.querySelector(".u-over") !== null`)
	b.button("Earlier change")
	b.untilText(".decision .chain", "LoadAboveTarget")
	b.button("Now")
	stop()
	b.untilText(".service-head h1", "app")
	b.until(`Number(document.querySelector(".service .facts dd span").textContent) < 4`) // and down again

	// The daemon is gone, and comes again.
	b.meant("ERR_CONNECTION_REFUSED")
	b.meant("ERR_INCOMPLETE_CHUNKED_ENCODING")
	r.end()
	b.untilText(".banner", "The daemon is gone")
	time.Sleep(time.Second)
	before := time.Now()
	r.start()
	b.untilText("#live", "live")
	t.Logf("figure: %d ms after it was started the page follows the new daemon", time.Since(before).Milliseconds())
	b.until(`document.querySelector(".banner") === null`)
	end := r.load(70)
	defer end()
	b.until(`Number(document.querySelector(".service .facts dd span").textContent) >= 3`)
	for _, host := range b.asked() {
		if host != r.listen {
			t.Errorf("%s was asked for something", host)
		}
	}

	// A configuration that is wrong stands at the top, until it is mended.
	text, err := os.ReadFile(filepath.Join(r.folder, "autoscale.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r.write(strings.Replace(string(text), "rps-target", "rps-taget", 1))
	b.untilText(".banner", "did you mean rps-target")
	r.write(string(text))
	b.until(`document.querySelector(".banner") === null`)
}

// paused is what a service's pause is, by the API.
func paused(t *testing.T, c *town) string {
	t.Helper()
	s := get[struct {
		Pause *struct {
			By, Reason string
			Replicas   int
		}
	}](t, c, "services/shop")
	if s.Pause == nil {
		return ""
	}
	return fmt.Sprint(s.Pause.By, " ", s.Pause.Reason, " ", s.Pause.Replicas)
}

// Only who has the token changes something; it is asked for once.
func TestHandsOff(t *testing.T) {
	ctx := browser(t)
	past := openPast(t)
	c := found(t, past, built(past, "shop", steady(100)))
	c.settled()
	b := open(t, ctx, wide(1280, 900))
	b.meant("401 (Unauthorized)") // a wrong token is one that the browser tells of
	b.goTo(c.url() + "#/services/shop")
	b.untilText("main", "Why")
	ask := func() {
		t.Helper()
		b.button("Pause…")
		b.untilText("dialog", "What for")
		b.do(chromedp.SetValue(chromedp.CSS("#reason"), "database migration"), chromedp.SetValue(chromedp.CSS("#by"), "anna"))
		b.button("Pause")
		b.untilText("dialog", "Only who has the token")
	}
	ask()
	b.press("dialog:last-of-type button[type=button]") // Cancel
	b.untilText(".fault", "nothing was changed")
	b.keys(kb.Escape)
	b.until(`document.querySelector("dialog") === null`)
	if now := paused(t, c); now != "" {
		t.Fatalf("without the token: %s", now)
	}
	ask()
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), "open barley"))
	b.button("Go on")
	b.untilText("dialog", "the wrong one")
	if now := paused(t, c); now != "" {
		t.Fatalf("with a wrong token: %s", now)
	}
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), secret))
	b.button("Go on")
	b.untilText(".service-head", "by anna: database migration")
	b.untilText(".badge", "paused")
	b.until(`document.querySelector("dialog") === null`)
	if now := paused(t, c); now != "anna database migration 0" {
		t.Errorf("it is paused: %s", now)
	}
	// The token is known now, and kept.
	b.do(chromedp.Reload())
	b.untilText(".service-head", "database migration")
	b.button("Hold at…")
	b.untilText("dialog", "Replicas")
	b.do(chromedp.SetValue(chromedp.CSS("#replicas"), "6"))
	b.button("Hold")
	b.untilText(".badge", "held at 6")
	b.until(`document.querySelector(".service .facts dd span").textContent === "6"`)
	b.button("Resume")
	b.until(`!document.querySelector(".pause").checkVisibility()`)
	if now := paused(t, c); now != "" {
		t.Errorf("it is paused still: %s", now)
	}
	if kept := value[int](b, `localStorage.length`); kept != 1 { // the name, and nothing else
		t.Errorf("%d things are kept for longer than the tab", kept)
	}
}

// Without a token in the configuration nothing can be changed, and nothing is
// offered.
func TestOnlyShows(t *testing.T) {
	ctx := browser(t)
	past := openPast(t)
	c := &town{t: t, past: past, houses: []*house{built(past, "shop", steady(100))}}
	c.config.Listen, c.config.Version = "127.0.0.1:0", "test"
	c.start()
	t.Cleanup(func() { c.stop() })
	c.settled()
	b := open(t, ctx, wide(1280, 900))
	b.goTo(c.url() + "#/services/shop")
	b.untilText("main", "Why")
	if value[bool](b, `document.querySelector(".hands").checkVisibility()`) {
		t.Error("something is offered")
	}
	b.keys("p")
	time.Sleep(100 * time.Millisecond)
	if value[bool](b, `document.querySelector("dialog") !== null`) {
		t.Error("a key offers it")
	}
}

// Where others can reach the daemon, the page shows nothing without the token.
func TestClosed(t *testing.T) {
	ctx := browser(t)
	past := openPast(t)
	c := &town{t: t, past: past, houses: []*house{built(past, "shop", steady(100))}}
	c.config.Listen, c.config.Token, c.config.Version = "0.0.0.0:0", secret, "test"
	c.start()
	t.Cleanup(func() { c.stop() })
	c.settled()
	b := open(t, ctx, wide(1280, 900))
	b.meant("401 (Unauthorized)")
	_, port, err := net.SplitHostPort(c.config.Listen)
	if err != nil {
		t.Fatal(err)
	}
	b.goTo("http://127.0.0.1:" + port + "/")
	b.untilText("dialog", "from other machines")
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), "open barley"))
	b.button("Go on")
	b.untilText("dialog", "the wrong one")
	if value[bool](b, `document.body.innerText.includes("shop")`) {
		t.Error("it shows what there is")
	}
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), secret))
	b.button("Go on")
	b.untilText(".rows", "shop")
	b.untilText("#live", "live")
}

// A page of another origin reads nothing and changes nothing, even one that knows
// the token.
func TestForeign(t *testing.T) {
	ctx := browser(t)
	past := openPast(t)
	c := found(t, past, built(past, "shop", steady(100)))
	c.settled()
	foreign := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><iframe src="%s" id="framed"></iframe><form method="post" target="framed" action="%sapi/v1/services/shop/pause" enctype="text/plain"><input name='{"for": "1h", "reason": "' value='"}'></form>`, c.url(), c.url())
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- foreign.Serve(l) }()
	t.Cleanup(func() {
		if err := foreign.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// Another port, and another name of the same machine.
	for _, host := range []string{"127.0.0.1", "localhost"} {
		b := open(t, ctx)
		b.meant("") // everything that it tries is complained of
		b.goTo("http://" + host + ":" + port + "/")
		tried := value[[]string](b, fmt.Sprintf(`(async () => {
			const at = %q, answers = [];
			const body = JSON.stringify({for: "1h"}), headers = {Authorization: "Bearer " + %q};
			for (const [path, options] of [
				["pause", {method: "POST", body}],
				["pause", {method: "POST", body, headers}],
				["pause", {method: "POST", body, headers, mode: "no-cors"}],
				["pause", {method: "POST", body, mode: "no-cors", credentials: "include"}],
				["pause", {method: "DELETE", headers}],
				["", {}], ["", {headers}],
			]) {
				answers.push(await fetch(at + "api/v1/services/shop/" + path, options).then(
					(r) => r.type === "opaque" ? "" : r.text(), () => ""));
			}
			document.querySelector("form").submit();
			await new Promise((done) => setTimeout(done, 500));
			return answers;
		})()`, c.url(), secret))
		for i, answer := range tried {
			if answer != "" {
				t.Errorf("%s: try %d read %s", host, i, answer)
			}
		}
		if now := paused(t, c); now != "" {
			t.Errorf("%s paused it: %s", host, now)
		}
		b.faults = nil
		b.close()
	}
}
