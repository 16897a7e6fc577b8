package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
)

// standings are one service of each kind, and so every metric.
func standings(now time.Time) *known {
	return &known{shots: []control.Snapshot{doubtful("doubtful", now), failing("failing", now), fresh("fresh", now), sound("sound", now)}}
}

// scraped is the text of one scrape.
func scraped(t *testing.T, s *Server) string {
	t.Helper()
	w := ask(s.Handler(), "GET", "/metrics", "")
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := served(t, standings(time.Now()), nil)
		s.Reloaded(nil)
		time.Sleep(10 * time.Second)
		s.Reloaded(errors.New("unknown key"))
		text := scraped(t, s)
		for _, line := range []string{
			`autoscale_service_info{service="sound",provider="compose",project="shop",target="app"} 1`,
			`autoscale_service_info{service="fresh",provider="compose",project="",target="app"} 1`,
			`autoscale_interval_seconds{service="sound"} 15`,
			`autoscale_replicas{service="sound"} 3`,
			`autoscale_replicas{service="failing"} 3`,
			`autoscale_replicas_wanted{service="sound"} 3`,
			`autoscale_replicas_min{service="failing"} 1`,
			`autoscale_replicas_max{service="sound"} 8`,
			`autoscale_replica_cpu_seconds_total{service="sound",replica="app-1"} 90`,
			`autoscale_replica_memory_bytes{service="sound",replica="app-1"} 5.24288e+07`,
			`autoscale_load_requests_per_second{service="sound"} 110`,
			`autoscale_target_requests_per_second{service="sound"} 40`,
			`autoscale_reading_age_seconds{service="sound"} 15`,
			`autoscale_reading_age_seconds{service="doubtful"} 100`,
			`autoscale_reading_doubtful{service="sound"} 0`,
			`autoscale_reading_doubtful{service="doubtful"} 1`,
			`autoscale_reading_verdict{service="doubtful",verdict="unreachable"} 1`,
			`autoscale_steps_total{service="fresh"} 0`,
			`autoscale_steps_failed_total{service="sound"} 2`,
			`autoscale_steps_doubtful_total{service="sound"} 1`,
			`autoscale_step_failing{service="sound"} 0`,
			`autoscale_step_failing{service="failing"} 1`,
			`autoscale_step_age_seconds{service="sound"} 15`,
			`autoscale_step_age_seconds{service="fresh"} 11`,
			`autoscale_evaluation_age_seconds{service="failing"} 1210`,
			`autoscale_evaluation_age_seconds{service="fresh"} 11`,
			`autoscale_decisions_total{service="sound",reason="DesiredWithinRange"} 230`,
			`autoscale_moves_total{service="sound",direction="up"} 4`,
			`autoscale_moves_total{service="sound",direction="down"} 3`,
			`autoscale_step_duration_seconds_sum{service="sound"} 60`,
			`autoscale_step_duration_seconds_count{service="sound"} 240`,
			`autoscale_reading_duration_seconds_sum{service="sound"} 30`,
			`autoscale_move_duration_seconds_count{service="sound"} 7`,
			`autoscale_paused{service="sound"} 0`,
			`autoscale_paused{service="doubtful"} 1`,
			`autoscale_paused_until_timestamp_seconds{service="doubtful"} 9.466884e+08`,
			`autoscale_paused_since_timestamp_seconds{service="doubtful"} 9.4668474e+08`,
			`autoscale_services 4`,
			`autoscale_config_last_reload_successful 0`,
			`autoscale_config_last_reload_success_timestamp_seconds 9.466848e+08`,
			`autoscale_stream_readers 0`,
		} {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("lacks %s", line)
			}
		}
		for _, none := range []string{
			`autoscale_replicas{service="fresh"`, `autoscale_replicas_wanted{service="failing"`, `autoscale_replicas_max{service="fresh"`,
			`autoscale_load_requests_per_second{service="doubtful"`, `autoscale_load_requests_per_second{service="failing"`,
			`autoscale_reading_age_seconds{service="fresh"`, `autoscale_reading_doubtful{service="failing"`, `autoscale_step_failing{service="fresh"`,
			`autoscale_paused_until_timestamp_seconds{service="sound"`, `replica="app-2"`,
		} {
			if strings.Contains(text, none) {
				t.Errorf("has %s", none)
			}
		}
		for _, part := range []string{`host="web1"`, `version="1.2.3"`, "go_goroutines ", "process_start_time_seconds "} {
			if !strings.Contains(text, part) {
				t.Errorf("lacks %s", part)
			}
		}
	})
}

// A daemon whose steps end no more is seen: the ages grow at each scrape. They
// never are negative, also where the clock was set back.
func TestMetricsAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := served(t, standings(time.Now()), nil)
		time.Sleep(time.Hour)
		text := scraped(t, s)
		for _, line := range []string{`autoscale_step_age_seconds{service="sound"} 3605`, `autoscale_evaluation_age_seconds{service="sound"} 3605`, `autoscale_reading_age_seconds{service="sound"} 3605`, `autoscale_paused{service="doubtful"} 0`} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("lacks %s", line)
			}
		}
		ahead := served(t, standings(time.Now().Add(time.Hour)), nil)
		if text := scraped(t, ahead); strings.Contains(text, "age_seconds{service=\"sound\"} -") || !strings.Contains(text, `autoscale_step_age_seconds{service="sound"} 0`+"\n") {
			t.Error("a negative age")
		}
	})
}

// The names follow Prometheus's conventions, and what is gathered without a
// registry is as a registry would have it: no sample twice, no family twice.
func TestMetricsAreSound(t *testing.T) {
	s := served(t, standings(time.Now()), nil)
	s.Reloaded(nil)
	var names []string
	for line := range strings.Lines(scraped(t, s)) {
		if name, ok := strings.CutPrefix(line, "# HELP "); ok {
			names = append(names, strings.Fields(name)[0])
		}
	}
	if len(names) < 40 || !slices.IsSorted(names) {
		t.Errorf("not in order: %q", names)
	}
	problems, err := promlint.New(strings.NewReader(scraped(t, s))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	if _, err := (prometheus.Gatherers{s.gatherer()}).Gather(); err != nil {
		t.Error(err)
	}
}

// Scrapes that pile up are turned away.
func TestMetricsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := many(1, time.Now())
		d.block = make(chan struct{})
		h := served(t, d, nil).MetricsHandler()
		codes := make(chan int, maxScrapes)
		for range maxScrapes {
			go func() { codes <- ask(h, "GET", "/metrics", "").Code }()
		}
		synctest.Wait()
		if w := ask(h, "GET", "/metrics", ""); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%d", w.Code)
		}
		close(d.block)
		for range maxScrapes {
			if code := <-codes; code != http.StatusOK {
				t.Errorf("%d", code)
			}
		}
	})
}

// A service has so many series and no more, however many replicas and samples
// it has.
func TestMetricsAreBounded(t *testing.T) {
	count := func(d *known) int {
		series := 0
		for _, f := range gather(d.shots, time.Now()) {
			series += len(f.Metric)
		}
		return series
	}
	d := many(1, time.Now())
	before := count(d)
	shot := &d.shots[0]
	shot.Replicas = 1000
	for range 1000 {
		shot.Last.Report.Reading.Samples = append(shot.Last.Report.Reading.Samples, autoscale.Sample{Name: "app-1", Verdict: autoscale.OK})
		shot.Last.Report.Warnings = append(shot.Last.Report.Warnings, "a warning")
	}
	if after := count(d); after != before || before > 40 {
		t.Errorf("%d series, then %d", before, after)
	}
}

var metricName = regexp.MustCompile(`\bautoscale_[a-z_]+`)

// docs/api.md names every metric, and it, the alert rules and the dashboard name
// no other.
func TestMetricsAreDocumented(t *testing.T) {
	s := served(t, standings(time.Now()), nil)
	s.Reloaded(nil)
	families, err := s.gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	known := map[string]bool{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "autoscale_") {
			all = append(all, f.GetName())
			for _, suffix := range []string{"", "_sum", "_count"} {
				known[f.GetName()+suffix] = true
			}
		}
	}
	for _, f := range dates() {
		known["autoscale_"+f.name] = true
	}
	for _, path := range []string{"../../docs/api.md", "../../deploy/prometheus/alerts.yaml", "../../deploy/grafana/autoscale.json"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		named := metricName.FindAllString(string(text), -1)
		for _, name := range named {
			if !known[name] {
				t.Errorf("%s names %s, which there is not", path, name)
			}
		}
		if strings.HasSuffix(path, ".md") {
			for _, name := range all {
				if !slices.Contains(named, name) {
					t.Errorf("%s lacks %s", path, name)
				}
			}
		}
	}
}

// One scrape of 500 services, as Prometheus asks for it.
func BenchmarkScrape(b *testing.B) {
	s, err := New(Config{Listen: "127.0.0.1:9292"}, many(500, time.Now()), nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, encoding := range []string{"identity", "gzip"} {
		b.Run(encoding, func(b *testing.B) {
			h := s.MetricsHandler()
			size := 0
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
				r.Header.Set("Accept-Encoding", encoding)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				size = w.Body.Len()
			}
			b.ReportMetric(float64(size), "B/scrape")
		})
	}
}

// All services once, as the page asks for them.
func BenchmarkServices(b *testing.B) {
	s, err := New(Config{Listen: "127.0.0.1:9292"}, many(500, time.Now()), nil)
	if err != nil {
		b.Fatal(err)
	}
	h := s.Handler()
	var w *httptest.ResponseRecorder
	for b.Loop() {
		w = ask(h, "GET", "/api/v1/services", "")
	}
	if !json.Valid(w.Body.Bytes()) {
		b.Fatal("no JSON")
	}
}
