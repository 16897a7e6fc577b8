package prometheus

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/five-keys/autoscale"
)

// What was answered with which status is counted whatever status the selector takes,
// but of nobody else's series.
func TestScanStatus(t *testing.T) {
	const page = `m{code="200"} 90
m{code="503"} 6
m{status="404",path="/"} 3
m{code="5xx"} 4
m{code="ok"} 1000
m{other="500"} 1000
m{code="500"} NaN
other{code="500"} 7
`
	found, err := Scan(strings.NewReader(page), false, selector(t, `m{code="200"}`), selector(t, "other"))
	if err != nil || found[0].Sum != 90 || found[0].Answered != 103 || found[0].Failed != 10 || found[1].Failed != 7 {
		t.Errorf("%+v (%v)", found, err)
	}
}

func TestScanStatusOfSeveral(t *testing.T) {
	const page = `m{service="shop",code="200"} 90
m{service="shop",code="500"} 10
m{service="mail",code="500"} 500
`
	found, err := Scan(strings.NewReader(page), false, selector(t, `m{service="shop",code!~"5.."}`))
	if err != nil || found[0].Sum != 90 || found[0].Answered != 100 || found[0].Failed != 10 {
		t.Errorf("%+v (%v)", found, err)
	}
}

// The requests being answered are read from the same page; a name that no page has
// is told.
func TestReadInFlight(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("http_requests_per_second{code=\"500\"} 2\nhttp_requests_per_second{code=\"200\"} 8\nflying{kind=\"a\"} 3\nflying{kind=\"b\"} 4\n"))
	}))
	defer server.Close()
	for metric, want := range map[string]float64{"flying": 7, `flying{kind="b"}`: 4, "nothing": 0} {
		s, err := New(Config{URLs: []string{server.URL}, InFlight: metric})
		if err != nil {
			t.Fatal(err)
		}
		r := s.Read(t.Context(), nil)
		if len(r.Samples) != 1 || r.Samples[0].Verdict != autoscale.OK || r.Samples[0].InFlight != want || r.Samples[0].Failed != 2 || r.Samples[0].Answered != 10 {
			t.Errorf("%s: %+v", metric, r)
		}
		if told := strings.Contains(strings.Join(r.Notes, ""), "--inflight-metric"); told != (metric == "nothing") {
			t.Errorf("%s: notes %q", metric, r.Notes)
		}
	}
	if _, err := New(Config{URLs: []string{server.URL}, InFlight: "a b"}); err == nil || !strings.Contains(err.Error(), "--inflight-metric") {
		t.Errorf("%v", err)
	}
}
