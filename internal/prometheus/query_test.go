package prometheus

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// asks reads once from a server that answers as h does.
func asks(t *testing.T, c QueryConfig, h http.HandlerFunc) autoscale.Reading {
	t.Helper()
	if h != nil {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		c.URL = s.URL
	}
	if c.Query == "" {
		c.Query = "sum(rate(http_requests_total[1m]))"
	}
	q, err := NewQuery(c)
	if err != nil {
		t.Fatal(err)
	}
	r := q.Read(t.Context(), nil)
	if r.Metric != c.Query || r.Kind != autoscale.Gauge || r.Scope != autoscale.ScopeService || len(r.Samples) == 0 {
		t.Fatalf("%+v", r)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	return r
}

// says answers every query with one text, in which NOW is the time.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "NOW", fmt.Sprintf("%.3f", float64(time.Now().UnixMilli())/1000)))
	}
}

// vector is the answer of a query.
func vector(values ...string) string {
	var all []string
	for i, v := range values {
		all = append(all, fmt.Sprintf(`{"metric":{"i":"%d"},"value":[NOW,%q]}`, i, v))
	}
	return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(all, ",") + `]}}`
}

// TestQueryVerdicts is the fault table: what a server may answer, and what it is
// called.
func TestQueryVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		h       http.HandlerFunc
		verdict autoscale.Verdict
		value   float64
		detail  string
	}{
		"a vector":           {says(200, vector("1.5", "2", "3")), autoscale.OK, 6.5, ""},
		"a scalar":           {says(200, `{"status":"success","data":{"resultType":"scalar","result":[NOW,"7"]}}`), autoscale.OK, 7, ""},
		"nothing":            {says(200, vector()), autoscale.Absent, 0, "the query gives nothing"},
		"NaN":                {says(200, vector("1", "NaN")), autoscale.NotFinite, 0, "one of 2 values is NaN"},
		"infinite":           {says(200, vector("+Inf")), autoscale.NotFinite, 0, "+Inf"},
		"too much":           {says(200, vector("1e308", "1e308")), autoscale.NotFinite, 0, "the sum of 2"},
		"negative":           {says(200, vector("5", "-1")), autoscale.Negative, 0, "is -1"},
		"a matrix":           {says(200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`), autoscale.Malformed, 0, "the query gives a matrix"},
		"a string":           {says(200, `{"status":"success","data":{"resultType":"string","result":[NOW,"x"]}}`), autoscale.Malformed, 0, "the query gives a string"},
		"a histogram":        {says(200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"histogram":[NOW,{"count":"1","sum":"2","buckets":[]}]}]}}`), autoscale.Malformed, 0, "histogram_count"},
		"of an hour ago":     {says(200, strings.ReplaceAll(vector("5"), "NOW", fmt.Sprint(time.Now().Add(-time.Hour).Unix()))), autoscale.Stale, 0, "1h0m"},
		"a bad query":        {says(400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error"}`), autoscale.Malformed, 0, "1:5: parse error"},
		"a query that fails": {says(422, `{"status":"error","errorType":"execution","error":"many-to-many matching not allowed"}`), autoscale.Malformed, 0, "many-to-many"},
		"too slow for it":    {says(503, `{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`), autoscale.Late, 0, "recording rule"},
		"not allowed":        {says(401, ""), autoscale.Unreachable, 0, "HTTP 401 Unauthorized; user:password@"},
		"forbidden":          {says(403, ""), autoscale.Unreachable, 0, "--metrics-header give access"},
		"denied in words":    {says(401, `{"status":"error","error":"no org id"}`), autoscale.Unreachable, 0, "HTTP 401 Unauthorized"},
		"no server":          {says(404, "404 page not found"), autoscale.Unreachable, 0, "is http://127.0.0.1"},
		"broken":             {says(502, "<html>"), autoscale.Unreachable, 0, "HTTP 502 Bad Gateway"},
		"a page":             {says(200, "<html>\n"), autoscale.Malformed, 0, "is none of Prometheus's API"},
		"cut":                {says(200, vector("1")[:60]), autoscale.Malformed, 0, "is none of Prometheus's API"},
		"an odd answer":      {says(200, `{"status":"success","data":{"resultType":"vector","result":7}}`), autoscale.Malformed, 0, "is none of Prometheus's API"},
		"empty":              {says(200, `{"status":"success"}`), autoscale.Malformed, 0, "is none of Prometheus's API (it has no data)"},
		"a null":             {says(200, `{"status":"success","data":{"resultType":"scalar","result":null}}`), autoscale.Malformed, 0, "is none of Prometheus's API"},
		"redirect":           {http.RedirectHandler("https://prometheus.example/api", http.StatusFound).ServeHTTP, autoscale.Unreachable, 0, "it redirects to https://prometheus.example; name that"},
		"too large":          {says(200, vector(strings.Repeat("1", 70_000))), autoscale.TooLarge, 0, "larger than 65536 bytes"},
		"closed":             {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, autoscale.Unreachable, 0, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			r := asks(t, QueryConfig{MaxBytes: 1 << 16}, c.h)
			s := r.Samples[0]
			if len(r.Samples) != 1 || s.Verdict != c.verdict || s.Value != c.value || !strings.Contains(s.Detail, c.detail) || s.Detail == "" && s.Verdict != autoscale.OK || s.Time.IsZero() {
				t.Errorf("%+v", r)
			}
		})
	}
}

// Warnings say that something is missing: what there is may raise all the same.
// Remarks say nothing of the kind, whichever list they stand in.
func TestQueryWarnings(t *testing.T) {
	body := strings.Replace(vector("30"), `{"status"`, `{"warnings":["store-2 is down","PromQL info: metric might not be a counter"],"infos":["PromQL info: another"],"status"`, 1)
	r := asks(t, QueryConfig{}, says(200, body))
	if len(r.Samples) != 2 || r.Samples[0].Verdict != autoscale.OK || r.Samples[1].Verdict != autoscale.Partial || !strings.Contains(r.Samples[1].Detail, "store-2 is down") || len(r.Notes) != 2 {
		t.Errorf("%+v", r)
	}
	d, _ := autoscale.Decide(autoscale.Policy{Min: 1, Max: 5, Target: 10, Mode: autoscale.Auto}, autoscale.State{}, autoscale.Observation{At: autoscale.Instant{Time: time.Now()}, Current: 1, Reading: r})
	if d.To != 3 || d.Verdict != autoscale.Partial || d.Load != 30 {
		t.Errorf("%+v", d)
	}
}

// What is asked, and how; none of what is secret comes back.
func TestQueryRequest(t *testing.T) {
	const password, token = "pa55word", "t0ken-of-mine"
	var got *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		got.Form = nil
		_ = r.ParseForm()
		got.Form = r.Form
		says(400, fmt.Sprintf(`{"status":"error","errorType":"bad_data","error":"%s and %s are secret"}`, password, token))(w, r)
	}))
	defer s.Close()
	c := QueryConfig{URL: strings.Replace(s.URL, "://", "://me:"+password+"@", 1) + "/prometheus/", Query: " up ", Headers: []string{"X-Token: " + token, "Host: other.example"}}
	q, err := NewQuery(c)
	if err != nil {
		t.Fatal(err)
	}
	r := q.Read(t.Context(), nil)
	user, sent, _ := got.BasicAuth()
	if got.URL.Path != "/prometheus/api/v1/query" || got.Form.Get("query") != "up" || got.Form.Get("timeout") != "5s" || user != "me" || sent != password || got.Header.Get("X-Token") != token || got.Host != "other.example" {
		t.Errorf("%s %v %v", got.URL, got.Form, got.Header)
	}
	text := fmt.Sprintf("%+v %s", r, q.Identity())
	if strings.Contains(text, password) || strings.Contains(text, token) || !strings.Contains(text, "*** and *** are secret") {
		t.Error(text)
	}
	if want := "prometheus " + s.URL + "/prometheus/ up"; q.Identity() != want {
		t.Errorf("%q, want %q", q.Identity(), want)
	}
}

// Series as they were scraped have times of their own, which the server tells when
// it is asked.
func TestQueryOld(t *testing.T) {
	for name, c := range map[string]struct {
		query   string
		at      string
		verdict autoscale.Verdict
	}{
		"fresh":                  {`requests_per_second{job="app"}`, fmt.Sprint(time.Now().Unix()), autoscale.OK},
		"old":                    {`requests_per_second{job="app"}`, fmt.Sprint(time.Now().Add(-6 * time.Minute).Unix()), autoscale.Stale},
		"of another kind":        {`sum(requests_per_second)`, fmt.Sprint(time.Now().Add(-6 * time.Minute).Unix()), autoscale.OK},
		"it does not know times": {`requests_per_second`, "", autoscale.OK},
	} {
		var asked []string
		r := asks(t, QueryConfig{Query: c.query}, func(w http.ResponseWriter, r *http.Request) {
			query := r.FormValue("query")
			asked = append(asked, query)
			switch {
			case query == c.query:
				says(200, vector("5"))(w, r)
			case c.at == "":
				says(422, `{"status":"error","errorType":"execution","error":"unknown function"}`)(w, r)
			default:
				says(200, vector(c.at))(w, r)
			}
		})
		if r.Samples[0].Verdict != c.verdict {
			t.Errorf("%s: %+v", name, r)
		}
		if name == "old" && (len(asked) != 2 || asked[1] != "min(timestamp("+c.query+"))") {
			t.Errorf("%q", asked)
		}
	}
}

// A server that does not answer in time, and one that is not there.
func TestQueryLate(t *testing.T) {
	over := make(chan struct{})
	r := asks(t, QueryConfig{Timeout: 50 * time.Millisecond}, func(http.ResponseWriter, *http.Request) { <-over })
	close(over)
	if s := r.Samples[0]; s.Verdict != autoscale.Late || !strings.Contains(s.Detail, "within 50ms") {
		t.Errorf("%+v", s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if s := asks(t, QueryConfig{URL: url}, nil).Samples[0]; s.Verdict != autoscale.Unreachable || !strings.Contains(s.Detail, "connection refused") || strings.Contains(s.Detail, "query") {
		t.Errorf("%+v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q, err := NewQuery(QueryConfig{URL: url, Query: "up"})
	if err != nil {
		t.Fatal(err)
	}
	if s := q.Read(ctx, nil).Samples[0]; s.Verdict != autoscale.Unreachable || s.Detail != "interrupted" {
		t.Errorf("%+v", s)
	}
}

func TestNewQuery(t *testing.T) {
	for _, c := range []struct{ url, query, says string }{
		{"http://localhost:9090", "sum(rate(http_requests_total[1m]))", ""},
		{"https://me:secret@prometheus.example/prometheus", "sum(app:http_requests_total:rate1m)", ""},
		{"http://[::1]:9090", `sum(requests_per_second{job="a_total"})`, ""},
		{"http://localhost:9090", "http_requests_total", "'sum(rate(http_requests_total[1m]))'"},
		{"http://localhost:9090", `sum by (x) (http_requests_count{a="b"})`, "http_requests_count is a counter"},
		{"http://localhost:9090", "", "--prometheus-query is empty"},
		{"localhost:9090", "up", "--prometheus-url: it has to be the server's URL"},
		{"ftp://localhost", "up", "such as http://localhost:9090"},
		{"http://:9090", "up", "such as"},
		{"http://localhost:0", "up", "port has to be"},
		{"http://me:secret@local host", "up", "such as"},
		{"http://prometheus.example/prometheus/api/v1/query", "up", "give the server's URL alone, http://prometheus.example/prometheus, and"},
		{"http://me:secret@localhost:9090/graph?g0.expr=up&token=secret", "up", "give the server's URL alone, http://localhost:9090, and"},
	} {
		_, err := NewQuery(QueryConfig{URL: c.url, Query: c.query})
		if (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s %s: %v", c.url, c.query, err)
		}
	}
	if _, err := NewQuery(QueryConfig{URL: "http://localhost", Query: "up", Headers: []string{"secret"}}); err == nil || !strings.Contains(err.Error(), "--metrics-header number 1") || strings.Contains(err.Error(), "secret\"") {
		t.Error(err)
	}
}

// FuzzQuery: whatever a server answers, the reading can be used and written.
func FuzzQuery(f *testing.F) {
	for _, body := range []string{vector("1"), vector("NaN", "1"), `{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}`, `{"status":"error","errorType":"timeout"}`, "{", ""} {
		f.Add(200, []byte(body))
		f.Add(503, []byte(body))
	}
	var status int
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	f.Cleanup(s.Close)
	q, err := NewQuery(QueryConfig{URL: s.URL, Query: "sum(x)"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, code int, text []byte) {
		if status, body = code, text; code < 200 || code > 599 {
			return
		}
		r := q.Read(t.Context(), nil)
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
		for _, s := range r.Samples {
			if s.Value < 0 || math.IsNaN(s.Value) || s.Verdict == autoscale.OK && code/100 != 2 || (s.Detail == "") != (s.Verdict == autoscale.OK) {
				t.Errorf("%d %q: %+v", code, text, s)
			}
		}
	})
}
