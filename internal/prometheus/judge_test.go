package prometheus

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

func TestFallbackNames(t *testing.T) {
	for _, test := range []struct {
		metric, page string
		found        string
		value        float64
	}{
		{"", "rps 1\nhttp_requests_rps 2\nrequests_per_second 3\nhttp_requests_per_second 4\n", "http_requests_per_second", 4},
		{"", "rps 1\nhttp_requests_rps 2\nrequests_per_second 3\n", "requests_per_second", 3},
		{"", "rps 1\nhttp_requests_rps 2\n", "http_requests_rps", 2},
		{"http_requests_per_second", "rps 1\n", "rps", 1},
		{"", "x 1\n", "", 0},
		{`http_requests_per_second{a="b"}`, "rps 1\n", "", 0}, // a selector is meant as it stands
		{"requests_per_second", "rps 1\n", "", 0},
	} {
		r, s := read(t, Config{URLs: []string{serve(t, answer(test.page))}, Metric: test.metric})
		if r.Metric != test.found || s.Value != test.value {
			t.Errorf("%q on %q: %q with %v, want %q with %v", test.metric, test.page, r.Metric, s.Value, test.found, test.value)
		}
		want := fmt.Sprintf("no page has http_requests_per_second; %s is used", test.found)
		if fell := test.found != "" && test.found != DefaultMetric; fell != (len(r.Notes) == 1 && r.Notes[0] == want) {
			t.Errorf("%q: notes %q", test.page, r.Notes)
		}
		if (s.Verdict == autoscale.OK) != (test.found != "") || (r.Kind == autoscale.Gauge) != (s.Verdict == autoscale.OK || test.metric != "rps") {
			t.Errorf("%q: kind %q, %+v", test.page, r.Kind, s)
		}
	}
	// The name that one page has goes before the ones that another has.
	a, b := serve(t, answer("rps 1\n")), serve(t, answer("requests_per_second 2\n"))
	r := source(t, Config{URLs: []string{a, b}}).Read(t.Context(), nil)
	for _, s := range r.Samples {
		if s.Name == a && (s.Verdict != autoscale.Absent || s.Detail != "the page has no requests_per_second; name one that is there with --rps-metric") || s.Name == b && s.Value != 2 {
			t.Errorf("%+v", s)
		}
	}
}

func TestKind(t *testing.T) {
	for _, test := range []struct {
		metric, page, flag string
		kind               autoscale.Kind
		verdict            autoscale.Verdict
		says               string
	}{
		{"m", "# TYPE m gauge\nm 5\n", "", autoscale.Gauge, autoscale.OK, ""},
		{"m", "# TYPE m counter\nm 5\n", "", autoscale.Counter, autoscale.OK, ""},
		{"m", "#\tTYPE  m\tcounter\nm 5\n", "", autoscale.Counter, autoscale.OK, ""},
		{"m_total", "m_total 5\n", "", autoscale.Counter, autoscale.OK, ""},
		{"m_total", "# TYPE m_total untyped\nm_total 5\n", "", autoscale.Counter, autoscale.OK, ""},
		{"m_total", "# TYPE m_total gauge\nm_total 5\n", "", autoscale.Gauge, autoscale.OK, ""},
		{"m_total", "# TYPE m counter\nm_total 5\n", "", autoscale.Counter, autoscale.OK, ""},
		{"m_total", "# TYPE m gauge\nm_total 5\n", "", autoscale.Counter, autoscale.OK, ""}, // another metric's
		{"m_count", "# TYPE m histogram\nm_count 5\n", "", autoscale.Counter, autoscale.OK, ""},
		{"m_count", "# TYPE m summary\nm_count 5\n", "", autoscale.Counter, autoscale.OK, ""},
		{"m_count", "# TYPE m_count gauge\nm_count 5\n", "", autoscale.Gauge, autoscale.OK, ""},
		{"m_count", "m_count 5\n", "", "", autoscale.Malformed, "says whether m_count is a gauge or a counter; state --rps-metric-type"},
		{"m", "m 5\n", "", "", autoscale.Malformed, "state --rps-metric-type"},
		{"m", "# TYPE m nonsense\nm 5\n", "", "", autoscale.Malformed, "state --rps-metric-type"},
		{"m", "# TYPE m stateset\nm 5\n", "", "", autoscale.Malformed, "state --rps-metric-type"},
		{"m_rps", "m_rps 5\n", "", autoscale.Gauge, autoscale.OK, ""},
		{"m_per_second", "# TYPE m_per_second counter\nm_per_second 5\n", "", autoscale.Counter, autoscale.OK, ""},
		{"m", "m 5\n", "gauge", autoscale.Gauge, autoscale.OK, ""},
		{"m", "m 5\n", "counter", autoscale.Counter, autoscale.OK, ""},
		{"m", "# TYPE m counter\nm 5\n", "gauge", autoscale.Gauge, autoscale.OK, "by page and name m is a counter; --rps-metric-type=gauge is followed"},
		{"m_total", "m_total 5\n", "gauge", autoscale.Gauge, autoscale.OK, "m_total is a counter"},
		{"m", "# TYPE m gauge\nm 5\n", "gauge", autoscale.Gauge, autoscale.OK, ""},
	} {
		r, s := read(t, Config{URLs: []string{serve(t, answer(test.page))}, Metric: test.metric, Type: test.flag})
		said := strings.Join(append(r.Notes, s.Detail), "")
		if r.Kind != test.kind || s.Verdict != test.verdict || !strings.Contains(said, test.says) || (said == "") != (test.says == "") {
			t.Errorf("%q, flag %q: kind %q, %s, %q; want %q, %s, %q", test.page, test.flag, r.Kind, s.Verdict, said, test.kind, test.verdict, test.says)
		}
	}
}

func TestKindsDiffer(t *testing.T) {
	a := serve(t, answer("# TYPE m counter\nm 5\n"))
	b := serve(t, answer("# TYPE m gauge\nm 5\n"))
	c := Config{URLs: []string{a, b}, Metric: "m"}
	r := source(t, c).Read(t.Context(), nil)
	for _, s := range r.Samples {
		if s.Name == b && (s.Verdict != autoscale.Malformed || s.Detail != "m is a gauge here and a counter on another page; state --rps-metric-type") ||
			s.Name == a && s.Verdict != autoscale.OK {
			t.Errorf("%+v", s)
		}
	}
	c.Type = "counter"
	for _, s := range source(t, c).Read(t.Context(), nil).Samples {
		if s.Verdict != autoscale.OK {
			t.Errorf("with the flag: %+v", s)
		}
	}
}

func TestAbsent(t *testing.T) {
	for _, test := range []struct{ metric, page, want string }{
		{"m", "x 1\n", "the page has no m; name one that is there with --rps-metric"},
		{"m", "# TYPE m counter\nm_total 1\n", "the page has no m; is it m_total?"},
		{"m_total", "# TYPE m counter\nm 1\n", "the page has no m_total; is it m?"},
		{"m", "# TYPE m summary\nm_count 1\n", "the page has no m; it has m_count"},
		{`m{a="b"}`, "m 1\nm{a=\"c\"} 1\n", "none of the 2 series of m fits the selector"},
	} {
		r, s := read(t, Config{URLs: []string{serve(t, answer(test.page))}, Metric: test.metric})
		if s.Verdict != autoscale.Absent || s.Detail != test.want || r.Metric != "" {
			t.Errorf("%s on %q: %s: %s, want %s", test.metric, test.page, s.Verdict, s.Detail, test.want)
		}
	}
}

func TestMaxAge(t *testing.T) {
	url := serve(t, answer(fmt.Sprintf("rps 5 %d\n", time.Now().Add(-20*time.Second).UnixMilli())))
	for age, want := range map[time.Duration]autoscale.Verdict{15 * time.Second: autoscale.Stale, time.Minute: autoscale.OK} {
		if _, s := read(t, Config{URLs: []string{url}, MaxAge: age}); s.Verdict != want {
			t.Errorf("20 s old, limit %v: %+v", age, s)
		}
	}
}

func TestSamplesInOrderOfTime(t *testing.T) {
	s := source(t, Config{URLs: []string{"http://localhost/"}})
	targets := []target{{process: "a"}, {process: "b"}, {process: "c"}}
	pages := []page{{time: time.Unix(3, 0)}, {time: time.Unix(1, 0)}, {time: time.Unix(2, 0)}}
	var order strings.Builder
	for _, sample := range s.judge(targets, pages).Samples {
		order.WriteString(sample.Process)
	}
	if order.String() != "bca" {
		t.Errorf("order %s, want bca", order.String())
	}
}

func TestPerProcess(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	const ok, late, absent = autoscale.OK, autoscale.Late, autoscale.Absent
	page := func(process string, v autoscale.Verdict, value float64, time int64) autoscale.Sample {
		return autoscale.Sample{Process: process, Verdict: v, Value: value, Time: at(time), Started: at(time - 100), Detail: strings.TrimPrefix(string(v), "ok")}
	}
	for _, test := range []struct {
		in   []autoscale.Sample
		want string
	}{
		{[]autoscale.Sample{page("a", ok, 1, 1), page("b", ok, 2, 2)}, "a=1/ok//1 b=2/ok//2"},
		{[]autoscale.Sample{page("a", ok, 1, 3), page("b", ok, 2, 2), page("a", ok, 4, 1)}, "a=5/ok//3 b=2/ok//2"},
		{[]autoscale.Sample{page("a", ok, 1, 1), page("a", late, 0, 5)}, "a=1/late/late/5"},
		{[]autoscale.Sample{page("a", late, 0, 1), page("a", ok, 1, 5)}, "a=1/late/late/5"},
		{[]autoscale.Sample{page("a", absent, 0, 1), page("a", ok, 1, 5)}, "a=1/partial/one of the process's pages: absent/5"},
		{[]autoscale.Sample{page("a", ok, 1, 1), page("a", absent, 0, 5)}, "a=1/partial/one of the process's pages: absent/5"},
		{[]autoscale.Sample{page("a", absent, 0, 1), page("a", absent, 0, 5)}, "a=0/absent/absent/5"},
		{[]autoscale.Sample{page("a", late, 0, 1), page("a", absent, 0, 5)}, "a=0/late/late/5"},
		{[]autoscale.Sample{page("a", ok, 1e308, 1), page("a", ok, 1e308, 5)}, "a=0/not-finite/the sum of the process's pages is not finite/5"},
	} {
		var got []string
		for _, s := range perProcess(test.in) {
			got = append(got, fmt.Sprintf("%s=%v/%s/%s/%d", s.Process, s.Value, s.Verdict, s.Detail, s.Time.Unix()))
			if s.Started.Unix() != s.Time.Unix()-100 {
				t.Errorf("%s: started %v, of the younger of its pages at %v", s.Process, s.Started, s.Time)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestTwoPagesPerReplica(t *testing.T) {
	url := serve(t, answer(gauge5))
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/metrics")
	replica := autoscale.Replica{ID: "id1", Name: "app-1", Ports: []autoscale.Port{published8000(address)}}
	_, s := read(t, Config{URLs: []string{"http://{replica}:8000/a", "http://{replica}:8000/b"}}, replica)
	if s.Value != 10 || s.Verdict != autoscale.OK {
		t.Errorf("%+v", s)
	}
}

// TestReadingIsJSON: whatever a page says, the reading can be written down.
func TestReadingIsJSON(t *testing.T) {
	for _, page := range []string{"rps NaN\n", "rps +Inf\n", "rps{a=\"1\"} 1e308\nrps 1e308\n", "rps 1\nprocess_start_time_seconds 1e300\n", "rps 1\nprocess_start_time_seconds NaN\n", "rps 1 9223372036854775807\n"} {
		r, _ := read(t, Config{URLs: []string{serve(t, answer(page))}})
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%q: %v", page, err)
		}
	}
}
