//go:build e2e

package page

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// street are houses of every kind, as they were for a day.
func street(t *testing.T) []*house {
	t.Helper()
	past := openPast(t)
	now := time.Now()
	shop := built(past, "shop", daily("shop", 30, 190))
	mail := built(past, "mail", daily("mail", 10, 120))
	full := built(past, "checkout", steady(505))
	doubts := built(past, "search", daily("search", 40, 100))
	fails := built(past, "reports", daily("reports", 5, 60))
	wiki := built(past, "wiki", daily("wiki", 5, 30))
	api := built(past, "api", daily("api", 300, 500))
	fresh := built(past, "images", steady(1))
	doubts.kind, doubts.trouble = doubtful, now.Add(-11*time.Minute)
	fails.kind, fails.trouble = failing, now.Add(-4*time.Minute)
	fresh.kind = starting
	wiki.policy.Mode, wiki.policy.Max = autoscale.Observe, 3
	api.policy.Max, api.policy.Min = 40, 4
	houses := []*house{shop, mail, full, doubts, fails, wiki, api, fresh}
	for _, h := range houses {
		if h.kind != starting {
			h.live(t, now.Add(-24*time.Hour), now.Add(-time.Hour), time.Minute)
			h.live(t, now.Add(-time.Hour), now, 5*time.Second)
		}
		h.interval = 5 * time.Second
	}
	mail.state.Pause = &autoscale.Pause{Since: now.Add(-7 * time.Minute), Until: now.Add(23 * time.Minute), By: "anna", Reason: "database migration"}
	mail.event(t, now.Add(-7*time.Minute), "paused", mail.state.Pause.String(), "anna")
	doubts.event(t, now.Add(-11*time.Minute), "held-on-doubt", "3 replicas kept: at least 41 rps, partial (shop-search-2 is unreachable: connection refused)", "")
	return houses
}

// TestPictures takes pictures of the page, for people to look at, into the folder
// that AUTOSCALE_PICTURES names.
func TestPictures(t *testing.T) {
	folder := os.Getenv("AUTOSCALE_PICTURES")
	if folder == "" {
		t.Skip("AUTOSCALE_PICTURES names no folder")
	}
	ctx := browser(t)
	houses := street(t)
	c := found(t, houses[0].past, houses...)
	c.settled()
	none := found(t, openPast(t))
	for name, how := range map[string][]look{
		"light": {wide(1280, 900)}, "dark": {wide(1280, 900), dark()}, "phone": {phone()}, "phone-dark": {phone(), dark()},
	} {
		take := func(view string) string { return filepath.Join(folder, view+"-"+name+".png") }
		for _, v := range []struct{ name, hash, ready string }{
			{"many", "#/", "shop"}, {"one", "#/services/shop", "Why"}, {"day", "#/services/shop?range=24h", "Why"}, {"full", "#/services/checkout", "Why"},
			{"doubt", "#/services/search", "Why"}, {"paused", "#/services/mail", "Why"}, {"failing", "#/services/reports", "failing"},
			{"observed", "#/services/wiki", "Why"}, {"large", "#/services/api", "Why"}, {"new", "#/services/images", "starting"},
		} {
			b := open(t, ctx, how...)
			b.goTo(c.url() + v.hash)
			b.untilText("main", v.ready)
			time.Sleep(400 * time.Millisecond) // what is drawn last
			b.picture(take(v.name), false)
			if v.name == "many" {
				b.do(wide(1160, 720)) // as in the README
				b.picture(take("few"), false)
			}
			if v.name == "one" {
				b.untilText(".panel .number", "%") // what the replicas use
				b.picture(take("whole"), true)
				b.button("Pause…")
				b.untilText("dialog", "Your name")
				b.picture(take("dialog"), false)
			}
			b.close()
		}
		b := open(t, ctx, how...)
		b.meant("ERR_")
		b.goTo(none.url())
		b.untilText("main", "No service")
		b.picture(take("none"), false)
		c.server.Reloaded(errors.New("autoscale.yaml:12:5: services.shop.rps-taget: unknown key; did you mean rps-target?"))
		b.goTo(c.url())
		b.untilText(".banner", "unknown key")
		time.Sleep(400 * time.Millisecond)
		b.picture(take("wrong"), false)
		c.server.Reloaded(nil)
		c.stop()
		b.untilText(".banner", "The daemon is gone")
		b.picture(take("gone"), false)
		c.start()
		c.settled()
		b.untilText("#live", "live")
		b.close()
	}
}
