package web

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/store"
)

// get asks and reads the JSON that is answered.
func get(t *testing.T, s *Server, path string, status int) map[string]any {
	t.Helper()
	w := ask(s.Handler(), "GET", path, "")
	var v map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != status {
		t.Fatalf("%s: %d %v: %s", path, w.Code, err, w.Body)
	}
	return v
}

// at is the value at a path of keys: "config.error".
func at(v any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func TestServices(t *testing.T) {
	now := time.Now()
	s := served(t, &known{shots: []control.Snapshot{doubtful("doubtful", now), failing("failing", now), fresh("fresh", now), sound("sound", now)}}, nil)
	s.Reloaded(nil)
	s.Reloaded(errors.New("autoscale.yaml:3:1: unknown key"))
	v := get(t, s, "/api/v1/services", 200)
	if at(v, "version") != "1.2.3" || at(v, "host") != "web1" || at(v, "config.error") != "autoscale.yaml:3:1: unknown key" || at(v, "config.loaded") == nil {
		t.Errorf("%v", v)
	}
	services := at(v, "services").([]any)
	for i, want := range []map[string]any{
		{"name": "doubtful", "standing": "doubt", "replicas": 3.0, "pause.replicas": 3.0, "pause.by": "deploy@web1", "decision.verdict": "unreachable", "decision.rps": 0.0},
		{"name": "failing", "standing": "failing", "replicas": 3.0, "decision": nil, "error": "docker ps: no answer", "policy.max": 8.0},
		{"name": "fresh", "standing": "new", "replicas": nil, "policy": nil, "decision": nil, "pause": nil, "succeeded": nil, "counts.steps": 0.0},
		{
			"name": "sound", "standing": "ok", "provider": "compose", "project": "shop", "service": "app", "interval_s": 15.0, "decision.rps": 110.0,
			"policy.cooldown_s": 120.0, "policy.mode": "auto", "step.took_s": 0.25, "counts.reasons.DesiredWithinRange": 230.0, "error": nil,
			"decision.text": "3 replicas kept: 110 rps",
		},
	} {
		for path, value := range want {
			if got := at(services[i], path); got != value {
				t.Errorf("%s: %s is %v, want %v", want["name"], path, got, value)
			}
		}
	}
	for _, v := range services {
		if list, ok := at(v, "warnings").([]any); !ok || len(list) != 0 {
			t.Errorf("%s: warnings %v, want an empty list", at(v, "name"), at(v, "warnings"))
		}
	}
	one := get(t, s, "/api/v1/services/sound", 200)
	if at(one, "name") != "sound" || at(one, "last.reading.metric") != "http_requests_per_second" || at(one, "last.decision.reason") != "DesiredWithinRange" || at(one, "last.outcome") != nil {
		t.Errorf("%v", one)
	}
	if one = get(t, s, "/api/v1/services/failing", 200); at(one, "last.decision") != nil || at(one, "last.reading") != nil {
		t.Errorf("%v", one)
	}
}

// Values that JSON does not have are none that count; the answer is good all the
// same, and the snapshot stays as it is.
func TestServicesNotFinite(t *testing.T) {
	shot := sound("shop", time.Now())
	shot.Last.Report.Reading.Samples[0].Value = math.NaN()
	shot.Last.Report.Decision.Load = math.Inf(1)
	s := served(t, &known{shots: []control.Snapshot{shot}}, nil)
	v := get(t, s, "/api/v1/services/shop", 200)
	if at(v, "decision.rps") != 0.0 || at(v, "last.decision.rps") != 0.0 {
		t.Errorf("%v", v)
	}
	if !math.IsNaN(shot.Last.Report.Reading.Samples[0].Value) {
		t.Error("the snapshot was changed")
	}
	shot.Last.Report.Reading.Samples = nil
	v = get(t, served(t, &known{shots: []control.Snapshot{shot}}, nil), "/api/v1/services/shop", 200)
	if list, ok := at(v, "last.reading.samples").([]any); !ok || len(list) != 0 {
		t.Errorf("%v", v)
	}
}

// A pause that has ended is shown no more, also before a step has seen it.
func TestServicesPauseOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := served(t, &known{shots: []control.Snapshot{doubtful("shop", time.Now())}}, nil)
		time.Sleep(time.Hour)
		if v := get(t, s, "/api/v1/services/shop", 200); at(v, "pause") != nil {
			t.Errorf("%v", v)
		}
	})
}

func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is 2000-01-01T00:00:00Z
		now := time.Now()
		record := store.Record{Time: now, Decision: autoscale.Decision{From: 2, To: 3, Reason: autoscale.LoadAboveTarget}, Outcome: store.Outcome{Result: "scaled", Count: 3}}
		record.Reading.Samples = []autoscale.Sample{{Value: math.NaN()}}
		h := &remembered{
			points:  []Point{{Time: now, RPS: 110, MinReplicas: 2, MaxReplicas: 3, Want: 3, Verdict: autoscale.OK}},
			records: []store.Record{record, record, record},
			events:  []Event{{ID: 17, Time: now, Service: "shop", Kind: "paused", Text: "paused by deploy", By: "deploy"}},
		}
		s := served(t, &known{shots: []control.Snapshot{sound("shop", now)}}, h)
		for _, c := range []struct{ path, asked, key string }{
			{"/api/v1/services/shop/decisions", "shop 1999-12-31T00:00:00Z 2000-01-01T00:00:00Z 100 false", "decisions"},
			{"/api/v1/services/shop/decisions?from=6h&to=1h&limit=7&changes=true", "shop 1999-12-31T18:00:00Z 1999-12-31T23:00:00Z 7 true", "decisions"},
			{"/api/v1/services/shop/decisions?from=946598400&to=1999-12-31T12:00:00%2B01:00", "shop 1999-12-31T00:00:00Z 1999-12-31T11:00:00Z 100 false", "decisions"},
			{"/api/v1/services/shop/history", "shop 1999-12-31T18:00:00Z 2000-01-01T00:00:00Z 44s", "points"},
			{"/api/v1/services/shop/history?from=5m", "shop 1999-12-31T23:55:00Z 2000-01-01T00:00:00Z 1s", "points"},
			{"/api/v1/services/shop/history?step=5m", "shop 1999-12-31T18:00:00Z 2000-01-01T00:00:00Z 5m0s", "points"},
			{"/api/v1/services/shop/history?step=90", "shop 1999-12-31T18:00:00Z 2000-01-01T00:00:00Z 1m30s", "points"},
			{"/api/v1/services/gone/history", "gone 1999-12-31T18:00:00Z 2000-01-01T00:00:00Z 44s", "points"},
			{"/api/v1/events", `"" 1999-12-31T00:00:00Z 100`, "events"},
			{"/api/v1/events?service=shop&since=1h&limit=1000", `"shop" 1999-12-31T23:00:00Z 1000`, "events"},
		} {
			v := get(t, s, c.path, 200)
			if list, _ := v[c.key].([]any); h.asked != c.asked || len(list) == 0 {
				t.Errorf("%s: asked for %s: %v", c.path, h.asked, v)
			}
		}
		if v := get(t, s, "/api/v1/services/shop/decisions?limit=2", 200); len(v["decisions"].([]any)) != 2 {
			t.Errorf("%v", v)
		}
		// A service that is gone may have a history; one that never was has none.
		h.points = nil
		get(t, s, "/api/v1/services/gone/history", 404)
		if v := get(t, s, "/api/v1/services/shop/history", 200); v["points"] == nil {
			t.Error("no list of points")
		}
		h.err = errors.New("disk I/O error")
		for _, path := range []string{"/api/v1/services/shop/decisions", "/api/v1/services/shop/history", "/api/v1/events"} {
			if v := get(t, s, path, 500); !strings.Contains(v["error"].(string), "disk I/O error") {
				t.Errorf("%s: %v", path, v)
			}
		}
	})
}

func TestHistoryRefuses(t *testing.T) {
	s := served(t, many(1, time.Now()), &remembered{})
	for _, c := range []struct{ query, says string }{
		{"decisions?from=yesterday", "from=yesterday: give a time"},
		{"decisions?to=-5m", "to=-5m"},
		{"decisions?from=1e300", "from=1e300"},
		{"decisions?from=NaN", "from=NaN"},
		{"decisions?from=1h&to=2h", "give a time before to"},
		{"decisions?limit=0", "from 1 to 1000"},
		{"decisions?limit=1001", "from 1 to 1000"},
		{"decisions?changes=perhaps", "true or false"},
		{"history?step=1s&from=48h", "at most 5000 points"},
		{"history?step=-1s", "step=-1s"},
		{"history?step=often", "step=often"},
		{"history?step=0", "step=0"},
		{"history?from=x&step=y", "\nstep=y"},
	} {
		v := get(t, s, "/api/v1/services/service-0000/"+c.query, 400)
		if text, _ := v["error"].(string); !strings.Contains(text, c.says) {
			t.Errorf("%s: %s", c.query, text)
		}
	}
	get(t, served(t, many(1, time.Now()), nil), "/api/v1/events", 503)
}

func TestHealth(t *testing.T) {
	now := time.Now()
	d := &known{shots: []control.Snapshot{fresh("api", now), failing("shop", now)}}
	s := served(t, d, nil)
	if w := ask(s.Handler(), "GET", "/healthz", ""); w.Code != 200 || w.Body.String() != "ok\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wants := func(status int, says ...string) {
		t.Helper()
		v := get(t, s, "/readyz", status)
		reasons, _ := v["reasons"].([]any)
		if v["ready"] != (status == 200) || len(reasons) != len(says) {
			t.Fatalf("%v", v)
		}
		for i, text := range says {
			if !strings.Contains(reasons[i].(string), text) {
				t.Errorf("%v", v)
			}
		}
	}
	wants(503, "has not been read", "service api has not ended")
	s.Reloaded(errors.New("no such file"))
	wants(503, "cannot be used: no such file", "service api")
	s.Reloaded(nil)
	wants(503, "service api")
	d.shots[0].Steps = 1
	wants(200)
	// An invalid file later keeps the one before in force.
	s.Reloaded(errors.New("unknown key"))
	wants(200)
}
