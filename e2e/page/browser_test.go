//go:build e2e

// Package page looks at the daemon's page, and clicks through it, in a real
// Chromium.
package page

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// within is how long anything that is waited for may take.
const within = 60 * time.Second

// browser starts a Chromium that ends with the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := os.Getenv("AUTOSCALE_CHROMIUM")
	if path == "" {
		t.Fatal("AUTOSCALE_CHROMIUM is not set: run this through e2e/run")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1280, 900), chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("hide-scrollbars", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// tab is one tab of a browser, and all that it complained of or asked for.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	faults []string
	hosts  map[string]bool
	// mild are parts of complaints that a test brings about on purpose.
	mild []string
}

// open opens a tab that looks as it is told to.
func open(t *testing.T, ctx context.Context, looks ...look) *tab {
	t.Helper()
	b := &tab{t: t, hosts: map[string]bool{}}
	ctx, end := chromedp.NewContext(ctx, chromedp.WithListener(b.heard))
	t.Cleanup(end)
	b.ctx = ctx
	if err := chromedp.Do(ctx); err != nil { // opens it, for longer than one action may take
		t.Fatal(err)
	}
	// One that is behind another would be asked for nothing, as pages that nobody sees.
	b.do(append([]look{command(page.BringToFront, cdp.Empty{})}, looks...)...)
	t.Cleanup(b.quiet)
	return b
}

// look is something that a browser is told to do, or to look like.
type look = chromedp.Action[chromedp.Void]

// dark, phone and wide are how a tab may look.
func dark() look {
	return media("prefers-color-scheme", "dark")
}

func media(name, value string) look {
	return command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: name, Value: value}}})
}

func phone() look { return size(390, 844, 2, true) }

func wide(width, height int64) look { return size(width, height, 1, false) }

func size(width, height int64, scale float64, mobile bool) look {
	return command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: scale, Mobile: mobile})
}

// command is a command of the browser's own protocol.
func command[P any](c cdp.Command[P, cdp.Empty], params P) look {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, c, params)
		return err
	})
}

// heard notes what goes wrong in the tab, and whom it asks.
func (b *tab) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		b.faults = append(b.faults, text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var text []string
			for _, arg := range e.Args {
				text = append(text, string(arg.Value)+arg.Description)
			}
			b.faults = append(b.faults, strings.Join(text, " "))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.faults = append(b.faults, fmt.Sprint(e.Entry.Source, " ", e.Entry.Text, " ", e.Entry.URL))
		}
	case *network.EventRequestWillBeSent:
		if at, err := url.Parse(e.Request.URL); err == nil && at.Host != "" {
			b.hosts[at.Host] = true
		}
	}
}

// quiet holds that nothing went wrong but what was meant to.
func (b *tab) quiet() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fault := range b.faults {
		// An interface of this machine came or went, which is no fault of the page's.
		meant := strings.Contains(fault, "ERR_NETWORK_CHANGED")
		for _, part := range b.mild {
			meant = meant || strings.Contains(fault, part)
		}
		if !meant {
			b.t.Errorf("the console says: %s", fault)
		}
	}
}

// meant has complaints that contain a text passed over.
func (b *tab) meant(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mild = append(b.mild, part)
}

// asked are the hosts that anything was asked of.
func (b *tab) asked() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for host := range b.hosts {
		all = append(all, host)
	}
	return all
}

// do does what the browser is to do.
func (b *tab) do(steps ...look) {
	b.t.Helper()
	ctx, end := context.WithTimeout(b.ctx, within)
	defer end()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%v; the page shows:\n%s", err, b.shows())
	}
}

// shows is the text that the page shows.
func (b *tab) shows() string {
	ctx, end := context.WithTimeout(b.ctx, time.Second)
	defer end()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%.1500s", text)
}

// goTo opens an address.
func (b *tab) goTo(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

// value is what an expression comes to in the page.
func value[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, end := context.WithTimeout(b.ctx, within)
	defer end()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v; the page shows:\n%s", expression, err, b.shows())
	}
	return v
}

// until waits until an expression is true in the page.
func (b *tab) until(expression string) {
	b.t.Helper()
	for began := time.Now(); !value[bool](b, expression); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > within {
			b.t.Fatalf("%s does not come true; the page shows:\n%s", expression, b.shows())
		}
	}
}

// untilText waits until an element shows a text.
func (b *tab) untilText(selector, text string) {
	b.t.Helper()
	b.until(fmt.Sprintf(`[...document.querySelectorAll(%q)].some((e) => e.checkVisibility() && e.innerText.includes(%q))`, selector, text))
}

// press presses what a selector finds, as a mouse does.
func (b *tab) press(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// button presses the button that says a text.
func (b *tab) button(text string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.Search(fmt.Sprintf(`//button[normalize-space()=%q and not(@hidden)]`, text)), chromedp.NodeVisible))
}

// keys types keys, into whatever has the focus: a character is no more than what
// its key does by itself.
func (b *tab) keys(text string) {
	b.t.Helper()
	for _, r := range text {
		if r < ' ' || r > '~' {
			b.do(chromedp.KeyEvent(string(r)))
			continue
		}
		b.do(command(input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: string(r), Text: string(r)}),
			command(input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: string(r)}))
	}
}

// picture takes one of what the tab shows, or of all of the page.
func (b *tab) picture(path string, whole bool) {
	b.t.Helper()
	ctx, end := context.WithTimeout(b.ctx, within)
	defer end()
	take := chromedp.CaptureScreenshot()
	if whole {
		take = chromedp.FullScreenshot(100)
	}
	picture, err := chromedp.Run(ctx, take)
	if err == nil {
		err = os.WriteFile(path, picture, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// close closes the tab, once nothing went wrong in it.
func (b *tab) close() {
	b.t.Helper()
	b.quiet()
	b.faults = nil
	if err := chromedp.Cancel(b.ctx); err != nil {
		b.t.Error(err)
	}
}
