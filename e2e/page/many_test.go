//go:build e2e

package page

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/five-keys/autoscale/internal/history"
)

// remember opens a history with a week of a hundred services.
func remember(t *testing.T) (past *history.Store, houses []*house) {
	t.Helper()
	folder := t.TempDir()
	path := filepath.Join(folder, "history.db")
	if text, err := exec.CommandContext(t.Context(), build(t, folder, "fill", "./fill"), path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	past = reopen(t, path)
	for i := range 100 {
		h := built(past, fmt.Sprintf("service-%02d", i), daily(fmt.Sprint(i), 10+float64(i), 150))
		h.interval = 5 * time.Second
		houses = append(houses, h)
	}
	return past, houses
}

// A hundred services with a week of history are shown at once. How soon is a
// figure of the machine's: it is told, and nothing is held against it.
func TestMany(t *testing.T) {
	ctx := browser(t)
	began := time.Now()
	past, houses := remember(t)
	t.Logf("figure: %s to fill the history", time.Since(began).Round(time.Second))
	c := found(t, past, houses...)
	c.settled()

	const sparks = `[...document.querySelectorAll(".row")].filter((e) => { const r = e.getBoundingClientRect(); return r.bottom > 0 && r.top < innerHeight; }).every((e) => e.querySelector(".spark-load").getAttribute("d"))`
	for _, how := range []string{"first", "second"} {
		b := open(t, ctx, wide(1280, 900))
		b.do(chromedp.Navigate("about:blank"))
		began := time.Now()
		b.goTo(c.url())
		b.until(`document.querySelectorAll(".row").length === 100`)
		listed := time.Since(began)
		b.until(sparks)
		drawn := time.Since(began)
		paint := value[float64](b, `performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1`)
		largest := value[float64](b, `new Promise((done) => new PerformanceObserver((l) => done(l.getEntries().at(-1).startTime)).observe({type: "largest-contentful-paint", buffered: true}))`)
		t.Logf("figure: all services, %s load: first paint %.0f ms, largest %.0f ms, 100 rows after %d ms, those in sight drawn after %d ms", how, paint, largest, listed.Milliseconds(), drawn.Milliseconds())
		tasks := value[float64](b, `new Promise((done) => { let sum = 0; new PerformanceObserver((l) => { for (const e of l.getEntries()) sum += e.duration; }).observe({type: "longtask", buffered: true}); setTimeout(() => done(sum), 5000); })`)
		t.Logf("figure: tasks of 50 ms or more, loading and 5 s of 20 steps a second: %.0f ms in all", tasks)
		typed := value[float64](b, `(() => { const began = performance.now(); const s = document.querySelector("#search"); s.value = "service-7"; s.dispatchEvent(new Event("input")); document.querySelector(".rows").getBoundingClientRect(); return performance.now() - began; })()`)
		b.until(`[...document.querySelectorAll(".row")].filter((e) => e.checkVisibility()).length === 10`)
		t.Logf("figure: looking for a service takes %.1f ms", typed)
		b.close()
	}
	b := open(t, ctx, wide(1280, 900))
	for _, span := range []string{"1h", "24h", "7d"} {
		b.do(chromedp.Navigate("about:blank"))
		began := time.Now()
		b.goTo(c.url() + "#/services/service-42?range=" + span)
		b.until(`document.querySelector(".u-over") !== null`)
		drawn := time.Since(began)
		paint := value[float64](b, `performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1`)
		t.Logf("figure: one service, %s: first paint %.0f ms, its chart after %d ms", span, paint, drawn.Milliseconds())
	}
}
