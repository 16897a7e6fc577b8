//go:build e2e

package observe

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale/internal/trace"
)

// TestRange: what a real Prometheus knows of three days, more than it gives in one
// answer, comes to the load that its counters were made of.
func TestRange(t *testing.T) {
	const step = 15 * time.Second
	end := time.Now().Add(-time.Hour).Truncate(step)
	begin := end.Add(-3 * 24 * time.Hour)
	rate := func(at time.Time) float64 { return 100 + 50*math.Sin(2*math.Pi*at.Sub(begin).Hours()/24) }
	var b strings.Builder
	b.WriteString("# TYPE http_requests counter\n")
	for _, replica := range []string{"a", "b"} {
		total := 0.0
		for at := begin.Add(-time.Minute); !at.After(end); at = at.Add(step) {
			total += rate(at) / 2 * step.Seconds()
			fmt.Fprintf(&b, "http_requests_total{replica=%q} %.3f %d\n", replica, total, at.Unix())
		}
	}
	b.WriteString("# EOF\n")
	dir := t.TempDir()
	file := filepath.Join(dir, "load.txt")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := tool(t, "promtool", "tsdb", "create-blocks-from", "openmetrics", file, filepath.Join(dir, "data")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := startIn(t, dir)
	n, last := 0, time.Duration(0)
	for r, err := range (trace.Range{URL: p.base, Query: "sum by (replica) (rate(http_requests_total[1m]))", From: begin, To: end, Step: step}).Rates(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if want := rate(begin.Add(r.At - 30*time.Second)); r.At != last || r.For != step || math.Abs(r.RPS/want-1) > 0.02 {
			t.Fatalf("%+v after %s, want %g", r, last, want)
		}
		last = r.At + r.For
		n++
	}
	if want := int(end.Sub(begin)/step) + 1; n != want {
		t.Errorf("%d rates, want %d", n, want)
	}
	for _, err := range (trace.Range{URL: p.base, Query: "sum(", From: begin, To: end, Step: step}).Rates(t.Context()) {
		if err == nil || !strings.Contains(err.Error(), "parse error") {
			t.Errorf("a query that is none: %v", err)
		}
	}
}
