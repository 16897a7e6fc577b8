package trace

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// answering is a server that answers range queries as answer says, and keeps what
// it was asked for.
func answering(t *testing.T, answer func(from, to, step int64) string) (server string, asked *[]http.Header) {
	t.Helper()
	asked = &[]http.Header{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Header)
		number := func(name string) int64 {
			n, err := strconv.ParseFloat(r.FormValue(name), 64)
			if err != nil || r.URL.Path != "/api/v1/query_range" {
				t.Errorf("%s is asked for %s=%q", r.URL.Path, name, r.FormValue(name))
			}
			return int64(n)
		}
		fmt.Fprint(w, answer(number("start"), number("end"), number("step")))
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// matrix is an answer with series of values at instants.
func matrix(series ...map[int64]string) string {
	var all []any
	for _, one := range series {
		var values [][2]any
		for at, v := range one {
			values = append(values, [2]any{at, v})
		}
		all = append(all, map[string]any{"metric": map[string]string{}, "values": values})
	}
	text, err := json.Marshal(map[string]any{"status": "success", "data": map[string]any{"resultType": "matrix", "result": all}})
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(text)
}

// TestRange: pages follow one another, series are added up, gaps are passed over,
// and who asks says who it is.
func TestRange(t *testing.T) {
	begin := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	pages := 0
	address, asked := answering(t, func(from, to, step int64) string {
		pages++
		if (to-from)/step >= 11_000 {
			t.Errorf("%d instants at a time", (to-from)/step)
		}
		a, b := map[int64]string{}, map[int64]string{}
		for at := from; at <= to; at += step {
			a[at], b[at] = "2", "0.5"
			if n := (at - begin.Unix()) / step; n == 7 || n == 12_000 {
				a[at], b[at] = "NaN", "1"
			}
		}
		return matrix(a, b)
	})
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("bob", "secret")
	r := Range{URL: u.String(), Headers: []string{"X-Scope: one"}, Query: "sum(rate(x[1m]))", From: begin, To: begin.Add(25_000 * 15 * time.Second), Step: 15 * time.Second}
	n, end, long := 0, time.Duration(0), 0
	for one, err := range r.Rates(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if one.At != end || one.RPS != 2.5 {
			t.Fatalf("%+v after %s", one, end)
		}
		if one.For > r.Step {
			long++
		}
		end = one.At + one.For
		n++
	}
	if n != 25_001-2 || pages != 3 || long != 2 {
		t.Errorf("%d stretches in %d pages, %d with a gap", n, pages, long)
	}
	for _, h := range *asked {
		if h.Get("X-Scope") != "one" || !strings.HasPrefix(h.Get("Authorization"), "Basic ") {
			t.Errorf("asked with %v", h)
		}
	}
}

func TestRangeErrors(t *testing.T) {
	begin := time.Unix(1_800_000_000, 0)
	for answer, says := range map[string]string{
		matrix():                            "has no value from",
		matrix(map[int64]string{0: "2"}):    "two rates are needed",
		matrix(map[int64]string{0: "-1"}):   "no rate of 0 to",
		matrix(map[int64]string{0: "+Inf"}): "no rate of 0 to",
		`{"status":"error","errorType":"bad_data","error":"parse error"}`:                                "parse error",
		`{"status":"success","warnings":["a store is gone"],"data":{"resultType":"matrix","result":[]}}`: "not whole: a store is gone",
		`{"status":"success","data":{"resultType":"scalar","result":[0,"1"]}}`:                           "gives a scalar",
		`<html>`: "invalid character",
	} {
		address, _ := answering(t, func(int64, int64, int64) string { return answer })
		r := Range{URL: address, Query: "x", From: begin, To: begin.Add(time.Minute), Step: 15 * time.Second}
		failed := error(nil)
		for _, err := range r.Rates(t.Context()) {
			failed = err
		}
		if failed == nil || !strings.Contains(failed.Error(), says) {
			t.Errorf("%s: %v, want %q", answer, failed, says)
		}
	}
	r := Range{URL: "http://127.0.0.1:1", Headers: []string{"secret"}, Query: "x", From: begin, To: begin, Step: time.Second}
	for _, err := range r.Rates(t.Context()) {
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
	}
}

// TestRangeElsewhere: what may be secret goes to the server that was named, and to no
// other that it leads to.
func TestRangeElsewhere(t *testing.T) {
	begin := time.Unix(1_800_000_000, 0)
	elsewhere, asked := answering(t, func(from, to, step int64) string { return matrix(map[int64]string{from: "1", to: "1"}) })
	for _, status := range []int{http.StatusMovedPermanently, http.StatusTemporaryRedirect} {
		leads := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+r.URL.Path, status)
		}))
		r := Range{URL: leads.URL, Headers: []string{"X-Scope: secret"}, Query: "x", From: begin, To: begin.Add(time.Minute), Step: 15 * time.Second}
		var failed error
		for _, err := range r.Rates(t.Context()) {
			failed = err
		}
		if failed == nil || !strings.Contains(failed.Error(), "the server leads elsewhere") || strings.Contains(failed.Error(), "secret") || len(*asked) > 0 {
			t.Errorf("%d: %v, asked %v", status, failed, *asked)
		}
		leads.Close()
	}
}

// TestRangeDowngraded: what may be secret is not sent without TLS to a server that was
// named with it.
func TestRangeDowngraded(t *testing.T) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://prometheus.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := sending{http.Header{"X-Scope": {"secret"}}, "https", "prometheus.example"}.RoundTrip(r)
	if err == nil {
		response.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "leads elsewhere, to http://prometheus.example") {
		t.Error(err)
	}
}

// TestRangeHangs: a server that takes the question and never answers is given up.
func TestRangeHangs(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}))
	defer s.Close()
	begin := time.Unix(1_800_000_000, 0)
	r := Range{URL: s.URL, Query: "x", From: begin, To: begin.Add(time.Minute), Step: 15 * time.Second, within: time.Millisecond}
	var failed error
	for _, err := range r.Rates(t.Context()) {
		failed = err
	}
	if failed == nil || !strings.Contains(failed.Error(), "no whole answer within 2ms") {
		t.Error(failed)
	}
}
