package doctor

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/prometheus"
)

// TestNoReplica: where no replica is known the address of each cannot be checked,
// and the advice is the finding's before it.
func TestNoReplica(t *testing.T) {
	for url, remedy := range map[string]string{
		"http://{replica}:8000/metrics": "this follows from the finding before it",
		"http://127.0.0.1:1/metrics":    "check the address with curl",
	} {
		s := Setup{Metrics: prometheus.Config{URLs: []string{url}}}
		source, err := prometheus.New(s.Metrics)
		if err != nil {
			t.Fatal(err)
		}
		var r Report
		s.metrics(t.Context(), &r, source, nil, nil)
		if got := remedies(r); len(got) != 1 || !strings.HasPrefix(got[CodeUnreachable], remedy) {
			t.Errorf("%s: %q", url, got)
		}
	}
}

// TestWrongPort: where no replica listens on the port, the ports that the
// container exposes are named.
func TestWrongPort(t *testing.T) {
	s := Setup{Metrics: prometheus.Config{URLs: []string{"http://{replica}:1/metrics"}}}
	source, err := prometheus.New(s.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	s.metrics(t.Context(), &r, source, []autoscale.Replica{{ID: "1", Name: "app-1", Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}}, []uint16{8000, 9000})
	if got := remedies(r)[CodeUnreachable]; !strings.HasPrefix(got, "the port in the URL is the one inside the container: ") || !strings.HasSuffix(got, "The container exposes 8000, 9000") {
		t.Errorf("%q", got)
	}
}

// TestAbsent: what to do about an absent metric is said once.
func TestAbsent(t *testing.T) {
	var r Report
	r.ill(autoscale.Reading{}, autoscale.Sample{Name: "page", Verdict: autoscale.Absent, Detail: "the page has no m; name one that is there with --rps-metric"}, nil)
	r.ill(autoscale.Reading{}, autoscale.Sample{Name: "other", Verdict: autoscale.Absent, Detail: "the page has no n; is it n_total?"}, nil)
	if got := r.Findings; got[0].Remedy != "name one that is there with --rps-metric" || got[1].Remedy != "name one that is there with --rps-metric: is it n_total?" {
		t.Errorf("%+v", got)
	}
}
