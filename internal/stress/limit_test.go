package stress

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func target(t testing.TB, text string) Target {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return Target{URL: u, Timeout: 10 * time.Second}
}

func limits(t testing.TB, text string) []Limit {
	t.Helper()
	all, err := ParseLimits(text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLimits(t *testing.T) {
	asked := 500.0
	r := &Report{
		Requests: 1000, Errors: map[string]int64{"refused": 10, "status 503": 10}, Dropped: 250, Duration: 2, RateAsked: &asked, RateSent: 495, RateDone: 500, RateGood: 490,
		Latency: Times{P50: 1, P90: 5, P99: 300, P999: 400, Max: 1500, Mean: 9},
	}
	for text, broken := range map[string]string{
		"p99<300ms":    "p99<300ms: it is 300ms",
		"p99<=300ms":   "",
		"p99<0.4s":     "",
		"p99.9 < 400":  "p99.9 < 400: it is 400ms",
		"max<1.5s":     "max<1.5s: it is 1500ms",
		"mean<10":      "",
		"errors<1%":    "errors<1%: it is 1.6%", // of what was due
		"errors<21":    "",
		"errors<=10":   "errors<=10: it is 20",
		"dropped<=20%": "",
		"dropped<1":    "dropped<1: it is 250",
		"rate>=0.99":   "",
		"rate>0.99":    "rate>0.99: it is 0.99",
		"rate>=99.5%":  "rate>=99.5%: it is 99%",
		"rps>400":      "",
		"rps>=500":     "rps>=500: it is 490",
		"p50<2,p90>4 ": "",
	} {
		var got []string
		for _, l := range limits(t, text) {
			if how := l.Check(r); how != "" {
				got = append(got, how)
			}
		}
		if strings.Join(got, "; ") != broken {
			t.Errorf("%s: %q, want %q", text, got, broken)
		}
	}
	for text, says := range map[string]string{"": "as in p99<300ms", "p99": "as in p99<300ms", "p98<1": `no measure "p98"`, "p99<x": "no value", "errors<-1": "no value", "rate>=NaN": "no value"} {
		if _, err := ParseLimits(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
