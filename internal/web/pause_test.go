package web

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
)

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for _, c := range []struct {
			body string
			want autoscale.Pause
		}{
			{`{"for": "30m"}`, autoscale.Pause{Until: now.Add(30 * time.Minute), By: "api@192.0.2.1"}},
			{`{"for": "90", "replicas": 4, "reason": "sale", "by": "deploy@web1"}`, autoscale.Pause{Replicas: 4, Until: now.Add(90 * time.Second), By: "deploy@web1", Reason: "sale"}},
			{`{"until": "2000-01-01T05:00:00+01:00", "reason": "für später – ja"}`, autoscale.Pause{Until: now.Add(4 * time.Hour), By: "api@192.0.2.1", Reason: "für später – ja"}},
		} {
			d := &known{shots: []control.Snapshot{sound("shop", now)}}
			w := ask(served(t, d, nil).Handler(), "POST", pausePath, c.body, bearer)
			c.want.Since = now
			if w.Code != 200 || d.name != "shop" || d.paused == nil || !d.paused.Until.Equal(c.want.Until) {
				t.Fatalf("%s: %d %s, %+v", c.body, w.Code, w.Body, d.paused)
			}
			d.paused.Until = c.want.Until
			if *d.paused != c.want || !strings.Contains(w.Body.String(), `"by":"`+c.want.By) {
				t.Errorf("%s: %+v, want %+v: %s", c.body, *d.paused, c.want, w.Body)
			}
		}
		d := &known{shots: []control.Snapshot{sound("shop", now)}, paused: &autoscale.Pause{}}
		w := ask(served(t, d, nil).Handler(), "DELETE", pausePath, "", bearer)
		if w.Code != 200 || d.paused != nil || d.calls != 1 || w.Body.String() != `{"service":"shop","pause":null}`+"\n" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestPauseRefuses(t *testing.T) {
	long := strings.Repeat("x", 201)
	d := &known{shots: []control.Snapshot{sound("shop", time.Now())}}
	h := served(t, d, nil).Handler()
	for _, c := range []struct {
		body   string
		status int
		says   string
	}{
		{``, 400, "give an object such as"},
		{`{}`, 400, "a pause needs an end"},
		{`{"for": "30m", "until": "2100-01-01T00:00:00Z"}`, 400, "contradict"},
		{`{"for": "soon"}`, 400, `for: "soon"`},
		{`{"for": "-5m"}`, 400, "above 0"},
		{`{"for": "0"}`, 400, "above 0"},
		{`{"for": 30}`, 400, "cannot be read"},
		{`{"until": "2001-01-01T00:00:00Z"}`, 400, "has passed"},
		{`{"for": "800h"}`, 400, "30 days"},
		{`{"for": "30m", "replicas": -1}`, 400, "replicas: -1"},
		{`{"for": "30m", "replicas": 1.5}`, 400, "cannot be read"},
		{`{"for": "30m", "reson": "typo"}`, 400, "reson"},
		{`{"for": "30m"} {"for": "1h"}`, 400, "follows the object"},
		{`{"for": "30m", "reason": "two\nlines"}`, 400, "reason: give one line"},
		{`{"for": "30m", "by": "\u001b[31mred"}`, 400, "by: give one line"},
		{`{"for": "30m", "reason": "` + long + `"}`, 400, "at most 200 characters"},
		{`{"for": "30m", "reason": "` + strings.Repeat(long, 400) + `"}`, 413, "larger than 65536 bytes"},
	} {
		if w := ask(h, "POST", pausePath, c.body, bearer); w.Code != c.status || !strings.Contains(w.Body.String(), strings.ReplaceAll(c.says, `"`, `\"`)) {
			t.Errorf("%.100s: %d %s", c.body, w.Code, w.Body)
		}
	}
	if w := ask(h, "POST", "/api/v1/services/other/pause", `{"for": "30m"}`, bearer); w.Code != 404 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if d.calls != 0 {
		t.Errorf("%d changes", d.calls)
	}
}

// A step that does not end is waited for, but not for ever.
func TestPauseWhileStepping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &known{shots: []control.Snapshot{sound("shop", time.Now())}}
		d.pause = func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("a step of service %q is under way: %w", "shop", context.Cause(ctx))
		}
		began := time.Now()
		w := ask(served(t, d, nil).Handler(), "POST", pausePath, `{"for": "30m"}`, bearer)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "under way") || time.Since(began) != 30*time.Second {
			t.Errorf("%d after %s: %s", w.Code, time.Since(began), w.Body)
		}
		d.pause = func(context.Context) error { return errors.New("disk full") }
		if w = ask(served(t, d, nil).Handler(), "POST", pausePath, `{"for": "30m"}`, bearer); w.Code != 500 || !strings.Contains(w.Body.String(), "disk full") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
