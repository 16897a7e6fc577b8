package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/five-keys/autoscale/internal/prometheus"
)

// FuzzAgainstPromQL reads selectors with Prometheus's own parser, too: what both
// accept must mean the same, and what PromQL accepts must be accepted, as far as
// it states one metric name and holds no comment.
func FuzzAgainstPromQL(f *testing.F) {
	for _, text := range []string{
		`http_requests_total{code!~"5..",method="get",}`, `{"http.requests",'my.code'=~"a|b"}`, "{__name__=\"up\",a!=`\\`}",
		`up { a = "\x41\u00e9\101\n" }`, `{a="b",__name__="m"}`, `up{a="'\""}`, `a:b{}`, `{"m"}`, `up{"a"="b"}`, "up{a=\"b\nc\"}",
	} {
		f.Add(text)
	}
	promQL := parser.NewParser(parser.Options{})
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || strings.ContainsAny(text, "#\x00") {
			return
		}
		matchers, err := promQL.ParseMetricSelector(text)
		if err != nil {
			return
		}
		plain, ok := spell(matchers)
		if !ok {
			return
		}
		got, err := prometheus.ParseSelector(text)
		if err != nil {
			t.Fatalf("PromQL reads it as %s: %v", plain, err)
		}
		want, err := prometheus.ParseSelector(plain)
		if err != nil || got.String() != want.String() {
			t.Fatalf("%s, PromQL %s, error %v", got, want, err)
		}
	})
}

// spell writes matchers so that nothing about them is left to the parser; not ok
// where they do not state one metric name.
func spell(matchers []*labels.Matcher) (string, bool) {
	var names, parts []string
	for _, m := range matchers {
		switch {
		case m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual && m.Value != "":
			names = append(names, fmt.Sprintf("%q", m.Value))
		case m.Name == model.MetricNameLabel || m.Name == "":
			return "", false
		default:
			parts = append(parts, fmt.Sprintf("%q%s%q", m.Name, m.Type, m.Value))
		}
	}
	if len(names) != 1 {
		return "", false
	}
	slices.Sort(parts)
	return "{" + strings.Join(append(names, parts...), ",") + "}", true
}
