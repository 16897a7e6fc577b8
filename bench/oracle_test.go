package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/prometheus"
)

// answer is what textparse says about one selector on one page.
type answer struct {
	sum             float64
	selected, named int
	oldest          int64 // ms
	timed           bool
	kind            string
	// twice is a series, or a label of one, that stands there twice: textparse lets
	// it pass, Prometheus itself does not.
	twice, faulty bool
}

// query is a selector as both sides know it.
type query struct {
	text     string
	name     string
	matchers []*labels.Matcher
}

func queries() []query {
	return []query{
		{text: `http_requests_total`, name: "http_requests_total"},
		{text: `http_requests_total{code="200"}`, name: "http_requests_total",
			matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "code", "200")}},
		{text: `http_requests_total{code!~"5..",method!=""}`, name: "http_requests_total",
			matchers: []*labels.Matcher{
				labels.MustNewMatcher(labels.MatchNotRegexp, "code", "5.."),
				labels.MustNewMatcher(labels.MatchNotEqual, "method", ""),
			}},
		{text: `{"http.requests", "the.path"=~"/a.*|"}`, name: "http.requests",
			matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "the.path", "/a.*|")}},
		{text: `rps`, name: "rps"},
		{text: `request_seconds_count`, name: "request_seconds_count"},
	}
}

// ask lets textparse read the page; the error says that it does not accept it.
func ask(page []byte, openMetrics bool, q query) (answer, error) {
	var p textparse.Parser
	if openMetrics {
		p = textparse.NewOpenMetricsParser(page, labels.NewSymbolTable())
	} else {
		p = textparse.NewPromParser(page, labels.NewSymbolTable(), false)
	}
	a := answer{oldest: math.MaxInt64}
	seen := map[string]bool{}
	for {
		entry, err := p.Next()
		switch {
		case errors.Is(err, io.EOF):
			return a, nil
		case err != nil:
			return a, err
		case entry == textparse.EntryType:
			if name, kind := p.Type(); string(name) == q.name && a.kind == "" {
				a.kind = string(kind)
			}
		case entry == textparse.EntrySeries:
			a.take(p, q, seen)
		}
	}
}

func (a *answer) take(p textparse.Parser, q query, seen map[string]bool) {
	var series labels.Labels
	p.Labels(&series)
	// Of an indented line textparse takes the blanks into the name, which the
	// format says are to be ignored.
	if strings.TrimLeft(series.Get(model.MetricNameLabel), " \t") != q.name {
		return
	}
	a.named++
	if repeats(series) {
		a.twice = true
		return
	}
	for _, m := range q.matchers {
		if !m.Matches(series.Get(m.Name)) {
			return
		}
	}
	_, millis, value := p.Series()
	if id := identity(series); seen[id] {
		a.twice = true
		return
	} else {
		seen[id] = true
	}
	a.selected++
	a.sum += value
	a.faulty = a.faulty || math.IsNaN(value) || value < 0 || math.IsInf(value, 0) || math.IsInf(a.sum, 0)
	if millis != nil {
		a.timed = true
		a.oldest = min(a.oldest, *millis)
	}
}

// repeats reports whether a label stands twice in a series.
func repeats(series labels.Labels) bool {
	seen := map[string]bool{}
	twice := false
	series.Range(func(l labels.Label) {
		twice = twice || seen[l.Name]
		seen[l.Name] = true
	})
	return twice
}

// identity is the same for series that differ in labels without a value only.
func identity(series labels.Labels) string {
	var id strings.Builder
	series.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel && l.Value != "" {
			fmt.Fprintf(&id, "%q=%q,", l.Name, l.Value)
		}
	})
	return id.String()
}

// FuzzAgainstTextparse asks Scan and textparse, which is what Prometheus reads
// pages with, the same: on every page that textparse accepts they must agree.
// Three things are left out, as Scan is stricter there by intent: a page whose
// last line has no line feed, series or labels that stand there twice, and bytes
// of zero, at which textparse ends as if the page ended.
func FuzzAgainstTextparse(f *testing.F) {
	for _, page := range seeds(f) {
		for i := range queries() {
			f.Add(page, false, uint8(i))
			f.Add(page, true, uint8(i))
		}
	}
	all := queries()
	f.Fuzz(func(t *testing.T, page []byte, openMetrics bool, which uint8) {
		q := all[int(which)%len(all)]
		if bytes.IndexByte(page, 0) >= 0 || bytes.Contains(page, []byte("__name__")) {
			return
		}
		selector, err := prometheus.ParseSelector(q.text)
		if err != nil {
			t.Fatal(err)
		}
		found, scanErr := prometheus.Scan(bytes.NewReader(page), openMetrics, selector)
		want, err := ask(slices.Clone(page), openMetrics, q)
		if err != nil {
			return
		}
		if !openMetrics && len(page) > 0 && page[len(page)-1] != '\n' {
			if scanErr == nil {
				t.Fatalf("the last line has no line feed, and Scan took it")
			}
			return
		}
		if scanErr != nil {
			t.Fatalf("textparse accepts the page; Scan: %v", scanErr)
		}
		compare(t, found[0], want)
	})
}

func compare(t *testing.T, got prometheus.Found, want answer) {
	t.Helper()
	if want.twice {
		if got.Fault != autoscale.Malformed {
			t.Fatalf("a series or label stands twice: fault %q", got.Fault)
		}
		return
	}
	if got.Fault == autoscale.Malformed || (got.Fault != autoscale.OK) != want.faulty {
		t.Fatalf("fault %q (%s); a value is faulty: %v", got.Fault, got.Detail, want.faulty)
	}
	if math.Float64bits(got.Sum) != math.Float64bits(want.sum) && !(math.IsNaN(got.Sum) && math.IsNaN(want.sum)) {
		t.Fatalf("sum %v, textparse %v", got.Sum, want.sum)
	}
	if got.Selected != want.selected || got.Named != want.named {
		t.Fatalf("selected %d of %d, textparse %d of %d", got.Selected, got.Named, want.selected, want.named)
	}
	if want.timed == got.Oldest.IsZero() {
		t.Fatalf("oldest %v, textparse has a timestamp: %v", got.Oldest, want.timed)
	}
	if year := int64(1) << 50; want.timed && want.oldest > -year && want.oldest < year && got.Oldest.UnixMilli() != want.oldest {
		t.Fatalf("oldest %d, textparse %d", got.Oldest.UnixMilli(), want.oldest)
	}
	if kind := strings.Replace(got.Type, "untyped", "unknown", 1); want.kind != "" && kind != want.kind {
		t.Fatalf("type %q, textparse %q", kind, want.kind)
	}
}

// seeds are the pages that the package's own tests read, and textparse's.
func seeds(f *testing.F) [][]byte {
	f.Helper()
	pages := [][]byte{bigPage(4 << 10)}
	for _, text := range seedTexts() {
		pages = append(pages, []byte(text))
	}
	return pages
}

func seedTexts() []string {
	return []string{
		"",
		"\n",
		"# EOF\n",
		"# EOF",
		"rps 5\n",
		" \trps\t5 \n",
		"rps 5 1700000000000\n",
		"rps +Inf\nother NaN\n",
		"rps-5\n",
		"rps{}5\n",
		"rps{a=\"b\"c=\"d\"} 0x1\n",
		"# TYPE http_requests counter\nhttp_requests_total{code=\"200\"} 5 1700000000.5 # {trace_id=\"a b\"} 0.5 1.5\n# EOF\n",
		"# HELP rps \"quoted\n# TYPE rps gauge\nrps 1e3\n",
		"# TYPE \"http.requests\" counter\n{\"http.requests\",\"the.path\"=\"/a\"} 3\n{\"the.path\"=\"\\\"\",\"http.requests\"} 3\n",
		"x{a=\"1\nrps 7\n\"} 2\nrps 5\n",
		"x{a=\"\\\\\"} 1\nrps{a=\"C:\\\\dir\\n\\\"\"} 5\n",
		"x{a=\"b\"c\"} 1\nrps 5\n",
		"#comment \"\nrps 5\n#\n# \n",
		"request_seconds_bucket{le=\"1\"} 4\n# TYPE request_seconds histogram\nrequest_seconds_count 5\nrequest_seconds_sum 1.5\n",
		fmt.Sprintf("x %s\nrps 5\n", strings.Repeat("1", 100)),
	}
}
