//go:build e2e

package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/five-keys/autoscale"
)

// axe has axe-core look at what the tab shows.
func axe(t *testing.T, b *tab, what string) {
	t.Helper()
	path := os.Getenv("AUTOSCALE_AXE")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run this through e2e/run", err)
	}
	if !value[bool](b, `typeof axe === "object"`) {
		b.do(chromedp.Evaluate[chromedp.Void](string(text)))
	}
	type violation struct {
		ID, Impact, Help string
		Nodes            []struct{ HTML, FailureSummary string }
	}
	found := value[[]violation](b, `axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations)`)
	for _, v := range found {
		for _, n := range v.Nodes {
			t.Errorf("%s: axe finds %s (%s): %s\n%s\n%s", what, v.ID, v.Impact, v.Help, n.HTML, n.FailureSummary)
		}
	}
}

// Everything that is shown can be read by everybody, in the light and in the dark,
// on a screen and on a phone, where nothing has to be scrolled to the side.
func TestReadable(t *testing.T) {
	ctx := browser(t)
	houses := street(t)
	c := found(t, houses[0].past, houses...)
	c.settled()
	none := found(t, openPast(t))
	c.server.Reloaded(errors.New("autoscale.yaml:12:5: services.shop.rps-taget: unknown key; did you mean rps-target?"))
	for name, how := range map[string][]look{"light": {wide(1280, 900)}, "dark": {wide(1280, 900), dark()}, "phone": {phone()}} {
		b := open(t, ctx, how...)
		for _, v := range []struct{ hash, ready string }{
			{"#/", "shop"}, {"#/services/shop", "Why"}, {"#/services/search", "unreachable"}, {"#/services/mail", "Resume"},
			{"#/services/reports", "docker compose ps"}, {"#/services/images", "starting"}, {"#/services/checkout", "at maximum"}, {"#/services/nobody", "not, or no longer"},
		} {
			b.goTo("about:blank")
			b.goTo(c.url() + v.hash)
			b.untilText("main", v.ready)
			axe(t, b, name+" "+v.hash)
			if over := value[int](b, `document.scrollingElement.scrollWidth - innerWidth`); over > 0 {
				t.Errorf("%s %s is %d pixels too wide", name, v.hash, over)
			}
			if small := value[string](b, `[...document.querySelectorAll("button, a, select, input")].filter((e) => e.checkVisibility() && !e.closest(".skip, .events, .name, .warning")).filter((e) => Math.min(e.getBoundingClientRect().width, e.getBoundingClientRect().height) < 24).map((e) => e.outerHTML).join("\n")`); name == "phone" && small != "" {
				t.Errorf("%s: too small for a finger:\n%s", v.hash, small)
			}
		}
		b.goTo(c.url() + "#/services/shop")
		b.untilText("main", "Why")
		b.button("Table")
		b.untilText(".past .scroll table", "reading")
		b.button("Hold at…")
		b.untilText("dialog", "Replicas")
		axe(t, b, name+" dialog")
		b.keys(kb.Escape)
		b.press("#help")
		b.untilText("dialog", "look for a service")
		axe(t, b, name+" keys")
		b.keys(kb.Escape)
		b.goTo(none.url())
		b.untilText("main", "No service")
		axe(t, b, name+" none")
		b.close()
	}
}

// get asks the API, and reads what it answers.
func get[T any](t *testing.T, c *town, path string) (v T) {
	t.Helper()
	r, err := http.Get(c.url() + "api/v1/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %v: %s", path, r.Status, err, text)
	}
	return v
}

// The chart can be looked at closer with the mouse and with keys; a click shows the
// decision of that moment; the table has the same figures.
func TestChart(t *testing.T) {
	ctx := browser(t)
	past := openPast(t)
	shop := built(past, "shop", daily("shop", 30, 190))
	now := time.Now()
	shop.live(t, now.Add(-24*time.Hour), now, 15*time.Second)
	shop.interval = 15 * time.Second
	c := found(t, past, shop)
	b := open(t, ctx, wide(1280, 1400))
	b.goTo(c.url() + "#/services/shop?range=24h")
	b.untilText("main", "Why")
	b.until(`document.querySelector(".u-over") !== null`)
	pressed := func(text string) {
		t.Helper()
		b.until(fmt.Sprintf(`[...document.querySelectorAll(".chip[aria-pressed=true]")].some((e) => e.textContent === %q)`, text))
	}
	pressed("24 hours")

	// Drawn closer with the mouse: from a quarter to a half of the day.
	type box struct{ X, Y, Width, Height float64 }
	over := value[box](b, `document.querySelector(".u-over").getBoundingClientRect().toJSON()`)
	y := over.Y + over.Height/2
	b.do(chromedp.DragAndDropXY(over.X+over.Width/4, y, over.X+over.Width/2, y, 8))
	b.untilText("button", "Until now")
	label := value[string](b, `document.querySelector(".plot").getAttribute("aria-label")`)
	b.button("Table")
	b.untilText(".past .scroll table", "reading")
	rows := value[[][]string](b, `[...document.querySelectorAll(".past .scroll tbody tr")].map((r) => [...r.cells].map((c) => c.textContent))`)
	if len(rows) < 200 || len(rows) > 420 {
		t.Errorf("%s: %d rows", label, len(rows))
	}
	b.button("Until now")
	b.until(`![...document.querySelectorAll(".chip")].find((e) => e.textContent === "Until now").checkVisibility()`)
	pressed("24 hours")

	// The figures are the API's.
	if head := value[string](b, `[...document.querySelectorAll(".past .scroll thead th")].map((e) => e.textContent).join(" ")`); head != "time load minimum maximum wanted replicas fewest replicas reading" {
		t.Errorf("the table has %s", head)
	}
	type point struct {
		Time        time.Time
		RPS         float64
		MaxReplicas int `json:"max_replicas"`
	}
	const width = 216 // of 24 hours, for at most 400 points
	points := get[struct{ Points []point }](t, c, fmt.Sprintf("services/shop/history?from=24h&step=%d", width)).Points
	if len(points) < 396 {
		t.Fatalf("%d points of 24 hours", len(points))
	}
	// Until the table is the whole day's, with an hour that was not in the part before.
	const as = "2 Jan, 15:04:05"
	b.until(fmt.Sprintf(`[...document.querySelectorAll(".past .scroll tbody tr")].some((r) => r.cells[0].textContent === %q)`, points[len(points)*3/4].Time.Local().Format(as)))
	shown := map[string]string{}
	for _, row := range value[[][]string](b, `[...document.querySelectorAll(".past .scroll tbody tr")].map((r) => [...r.cells].map((c) => c.textContent))`) {
		shown[row[0]] = row[5]
	}
	same := 0
	for _, p := range points {
		if shown[p.Time.Local().Format(as)] == fmt.Sprint(p.MaxReplicas) {
			same++
		}
	}
	if same < len(points)-2 { // the ends move on meanwhile
		t.Errorf("of %d points %d are in the table", len(points), same)
	}
	b.keys("t")
	b.until(`!document.querySelector(".past .scroll").checkVisibility()`)

	// A click shows the decision of that moment, and from there the ones before.
	over = value[box](b, `document.querySelector(".u-over").getBoundingClientRect().toJSON()`)
	b.do(chromedp.MouseClickXY(over.X+over.Width/2, over.Y+20))
	b.untilText("#decision-title", "An earlier decision")
	when := value[string](b, `document.querySelector(".decision .when").textContent`)
	if !strings.Contains(when, now.Add(-12*time.Hour).Format("15:")) && !strings.Contains(when, now.Add(-12*time.Hour-10*time.Minute).Format("15:")) && !strings.Contains(when, now.Add(-12*time.Hour+10*time.Minute).Format("15:")) {
		t.Errorf("a click in the middle shows the decision of %s", when)
	}
	b.button("Earlier change")
	b.until(fmt.Sprintf(`document.querySelector(".decision .when").textContent !== %q`, when))
	b.untilText(".decision .headline", "→")
	b.button("Later")
	b.until(fmt.Sprintf(`document.querySelector(".decision .when").textContent === %q`, when))
	b.button("Now")
	b.untilText("#decision-title", "Decision")

	// The same with keys.
	b.keys("3")
	pressed("7 days")
	b.keys("+")
	b.untilText("button", "Until now")
	b.keys("1")
	pressed("1 hour")
	if hash := value[string](b, `location.hash`); hash != "#/services/shop" {
		t.Errorf("the address says %s", hash)
	}
}

// All can be done with keys alone, and one always sees where one is.
func TestKeyboard(t *testing.T) {
	ctx := browser(t)
	past := openPast(t)
	c := found(t, past, built(past, "alpha", steady(30)), built(past, "beta", steady(60)), built(past, "gamma", steady(90)))
	c.settled()
	b := open(t, ctx, wide(1280, 900))
	b.goTo(c.url())
	b.untilText("main", "gamma")
	focus := func(selector string) {
		t.Helper()
		b.until(fmt.Sprintf(`document.activeElement.matches(%q)`, selector))
	}
	b.keys(kb.Tab)
	focus("#skip")
	if at := value[float64](b, `document.activeElement.getBoundingClientRect().top`); at < 0 {
		t.Errorf("the way past the head is at %v", at)
	}
	b.keys(kb.Enter)
	focus("main")
	b.keys("/")
	focus("#search")
	b.keys("et")
	b.until(`[...document.querySelectorAll(".row")].filter((e) => e.checkVisibility()).length === 1`)
	b.keys("j") // is typed, in a field
	b.until(`document.querySelector("#search").value === "etj"`)
	b.untilText(".empty", "No service is like that")
	b.keys(kb.Backspace + kb.Escape + "j")
	focus("a.name[href='#/services/beta']")
	if outline := value[string](b, `getComputedStyle(document.activeElement, "::after").outlineStyle`); outline != "solid" {
		t.Errorf("where one is shows as %s", outline)
	}
	b.keys(kb.Enter)
	b.untilText("h1", "beta")
	focus("main")
	if title := value[string](b, `document.title`); !strings.Contains(title, "beta") {
		t.Errorf("the title is %s", title)
	}
	b.keys("j")
	b.untilText("h1", "gamma")
	b.keys("k")
	b.untilText("h1", "beta")
	b.keys("o")
	b.until(`document.querySelector("#search")?.value === "et"`) // as it was left
	b.keys("?")
	b.untilText("dialog", "look for a service")
	b.press("#keys-on")
	b.keys(kb.Escape)
	b.until(`document.querySelector("dialog") === null`)
	b.keys("/")
	time.Sleep(100 * time.Millisecond)
	if value[bool](b, `document.activeElement.matches("#search")`) {
		t.Error("keys that were switched off do something")
	}
}

// What is chosen holds back the rest, and stands in the address.
func TestChoose(t *testing.T) {
	ctx := browser(t)
	past := openPast(t)
	now := time.Now()
	bad := built(past, "bad", steady(30))
	bad.kind, bad.trouble = failing, now
	held := built(past, "held", steady(30))
	held.state.Pause = &autoscale.Pause{Replicas: 4, Since: now, Until: now.Add(time.Hour), By: "anna"}
	full := built(past, "full", steady(700))
	c := found(t, past, bad, held, full, built(past, "plain", steady(200)), built(past, "quiet", steady(3)))
	c.settled()
	b := open(t, ctx, wide(1280, 900))
	b.goTo(c.url())
	b.untilText("main", "held at 4")
	b.untilText("main", "at maximum")
	rows := func(want ...string) {
		t.Helper()
		b.until(fmt.Sprintf(`[...document.querySelectorAll(".row")].filter((e) => e.checkVisibility()).map((e) => e.dataset.service).join(" ") === %q`, strings.Join(want, " ")))
	}
	b.do(chromedp.SetValue(chromedp.CSS("#order"), "name"), chromedp.Evaluate[chromedp.Void](`document.querySelector("#order").dispatchEvent(new Event("change"))`))
	rows("bad", "full", "held", "plain", "quiet")
	b.press("[data-kind=look]")
	rows("bad", "full")
	b.press("[data-kind=max]")
	rows("full")
	b.press("[data-kind=paused]")
	rows("held")
	if hash := value[string](b, `location.hash`); hash != "#/?sort=name&show=paused" {
		t.Errorf("%s", hash)
	}
	b.do(chromedp.Reload())
	rows("held")
	b.press("[data-kind=all]")
	b.do(chromedp.SetValue(chromedp.CSS("#order"), "load"), chromedp.Evaluate[chromedp.Void](`document.querySelector("#order").dispatchEvent(new Event("change"))`))
	rows("full", "plain", "held", "quiet", "bad")

	// A service that is gone from the configuration goes, one that is new comes.
	c.houses = append(c.houses[1:], built(past, "young", steady(10)))
	c.set()
	c.happened(historyEvent("config-reloaded", "5 services"))
	b.untilText(".rows", "young")
	b.until(`!document.querySelector(".rows").innerText.includes("bad")`)
}
