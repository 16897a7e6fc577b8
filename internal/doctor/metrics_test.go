package doctor

import (
	"strings"
	"testing"

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
