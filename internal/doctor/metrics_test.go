package doctor

import (
	"context"
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
	r.ill(autoscale.Reading{}, autoscale.Sample{Name: "page", Verdict: autoscale.Absent, Detail: "the page has no m; name one that is there with --rps-metric"}, ailments(autoscale.Absent), nil)
	r.ill(autoscale.Reading{}, autoscale.Sample{Name: "other", Verdict: autoscale.Absent, Detail: "the page has no n; is it n_total?"}, ailments(autoscale.Absent), nil)
	if got := r.Findings; got[0].Remedy != "name one that is there with --rps-metric" || got[1].Remedy != "name one that is there with --rps-metric: is it n_total?" {
		t.Errorf("%+v", got)
	}
}

// said is a source that gives one verdict.
type said struct {
	verdict autoscale.Verdict
	detail  string
}

func (s said) Read(context.Context, []autoscale.Replica) autoscale.Reading {
	return autoscale.Reading{Metric: "m", Kind: autoscale.Gauge, Samples: []autoscale.Sample{{Name: "place", Value: 30, Verdict: s.verdict, Detail: s.detail}}}
}

// TestInstead: what is read in place of pages has findings and remedies of its own.
func TestInstead(t *testing.T) {
	open := func(string) (Source, error) { return nil, nil }
	for _, c := range []struct {
		log          bool
		said         said
		code, remedy string
	}{
		{true, said{autoscale.Unreachable, "there is no such file; name the log"}, CodeLogMissing, "name the log"},
		{true, said{autoscale.Unreachable, "input/output error"}, CodeLogMissing, "name a log that this user may read with --access-log"},
		{true, said{autoscale.Malformed, "3 lines"}, CodeLogMalformed, "have the proxy write the combined format"},
		{true, said{autoscale.Stale, "silence; does the proxy run?"}, CodeLogSilent, "does the proxy run?"},
		{true, said{autoscale.Late, "slow"}, CodeLate, "read it more often, or have it rotated more often"},
		{false, said{autoscale.Malformed, "parse error; try it"}, CodeQuery, "try it"},
		{false, said{autoscale.Partial, "a warning"}, CodePartial, "mend what the server warns of: while it does nothing is lowered"},
		{false, said{autoscale.Unreachable, "connection refused"}, CodeUnreachable, "check --prometheus-url with curl"},
		{false, said{autoscale.Absent, "nothing"}, CodeAbsent, "mend the query, or what it asks for"},
		{false, said{autoscale.NotFinite, "NaN"}, CodeNoNumber, "mend the query, or what it asks for"},
	} {
		var r Report
		s := Setup{Instead: open, Log: c.log}
		s.metrics(t.Context(), &r, c.said, []autoscale.Replica{{ID: "1"}}, nil)
		if got := remedies(r); len(got) != 1 || got[c.code] != c.remedy {
			t.Errorf("%+v: %q", c, got)
		}
	}
	for log, want := range map[bool]string{true: "metrics: m, counted in place", false: "metrics: m, a gauge, says 30 rps on place"} {
		var r Report
		s := Setup{Instead: open, Log: log}
		s.metrics(t.Context(), &r, said{autoscale.OK, ""}, nil, nil)
		if len(r.Facts) != 1 || !strings.HasPrefix(r.Facts[0], want) || len(r.Findings) > 0 {
			t.Errorf("%+v", r)
		}
	}
}
