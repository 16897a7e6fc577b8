//go:build e2e

package page

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/store"
)

// remember fills a history with a week of a hundred services, a step a minute, of
// which each brings a move now and then.
func remember(t *testing.T, houses []*house) {
	t.Helper()
	const week = 7 * 24 * time.Hour
	now := time.Now()
	random := rand.New(rand.NewPCG(1, 2))
	for i, at := 0, now.Add(-week); at.Before(now); i, at = i+1, at.Add(time.Minute) {
		for _, h := range houses {
			n := max(1, h.policy.ReplicasFor(h.load(at)))
			d := autoscale.Decision{
				At: at, From: n, To: n, Want: n, Load: h.load(at), Verdict: autoscale.OK, Reason: autoscale.DesiredWithinRange,
				Steps: []autoscale.Step{{Stage: autoscale.StageJudge, To: n, Reason: autoscale.ReadingTrusted, Detail: autoscale.RPS(h.load(at))}},
			}
			if random.IntN(200) == 0 {
				d.To, d.Want, d.Reason = n+1, n+1, autoscale.LoadAboveTarget
			}
			record := store.Record{Time: at, Decision: d, Workload: store.Key{Provider: h.provider, Project: h.project, Service: h.name}, Outcome: store.Outcome{Result: "unchanged", Count: d.To}}
			if err := h.past.Append(h.name, record); err != nil {
				t.Fatal(err)
			}
		}
		if i%20 == 0 || at.Add(time.Minute).After(now) {
			houses[len(houses)-1].settle(t, at)
		}
	}
}

// A hundred services with a week of history are shown at once. How soon is a
// figure of the machine's: it is told, and nothing is held against it.
func TestMany(t *testing.T) {
	ctx := browser(t)
	past := openPast(t)
	var houses []*house
	for i := range 100 {
		h := built(past, fmt.Sprintf("service-%02d", i), daily(fmt.Sprint(i), 10+float64(i), 150))
		h.interval = 5 * time.Second
		houses = append(houses, h)
	}
	began := time.Now()
	remember(t, houses)
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
