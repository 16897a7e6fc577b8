package prometheus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/five-keys/autoscale"
)

func selector(t testing.TB, text string) Selector {
	t.Helper()
	s, err := ParseSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// scanOne scans a page for one selector, at once and byte by byte.
func scanOne(t testing.TB, page string, openMetrics bool, text string) Found {
	t.Helper()
	found, err := Scan(strings.NewReader(page), openMetrics, selector(t, text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	slow, err := Scan(iotest.OneByteReader(strings.NewReader(page)), openMetrics, selector(t, text))
	if err != nil || fmt.Sprint(slow[0]) != fmt.Sprint(found[0]) {
		t.Fatalf("%s: byte by byte %+v, error %v; at once %+v", text, slow, err, found)
	}
	return found[0]
}

func TestScanPages(t *testing.T) {
	for _, test := range []struct {
		page, selector string
		sum            float64
		selected       int
		kind           autoscale.Kind
	}{
		{"go_client", `http_requests_total`, 1429, 3, autoscale.Counter},
		{"go_client", `http_requests_total{code!~"5.."}`, 1425, 2, autoscale.Counter},
		{"go_client", `http_request_duration_seconds_count`, 1429, 2, autoscale.Counter},
		{"go_client", `http_request_duration_seconds_bucket{le="0.1"}`, 1423, 2, autoscale.Counter},
		{"go_client", `go_gc_duration_seconds_count`, 62, 1, autoscale.Counter},
		{"go_client", `go_memstats_alloc_bytes`, 2.877688e+06, 1, autoscale.Gauge},
		{"go_client", `go_gc_duration_seconds`, 2.3294e-05 + 4.1208e-05 + 5.6542e-05 + 8.1418e-05 + 0.000237459, 5, ""},
		{"python_client", `http_requests_total`, 520, 2, autoscale.Counter},
		{"python_client", `http_requests_total{path="/café \"menu\""}`, 8, 1, autoscale.Counter},
		{"python_client", `http_requests_per_second`, 41.5, 1, autoscale.Gauge},
		{"micrometer", `http_server_requests_seconds_count{uri="/orders/{id}"}`, 2108, 2, autoscale.Counter},
		{"micrometer", `disk_free_bytes{path="C:\\app\\."}`, 1.2e10, 1, autoscale.Gauge},
		{"node_exporter", `rps`, 17, 1, autoscale.Gauge},
		{"node_exporter", `node_uname_info{version="#1 SMP \"debian\""}`, 1, 1, autoscale.Gauge},
		{"openmetrics", `http_requests_total`, 103, 2, autoscale.Counter},
		{"openmetrics", `request_seconds_count`, 9, 1, autoscale.Counter},
		{"openmetrics", `queue_gcount`, 4, 1, ""},
		// Of proxies: what docs/sources.md says of them.
		{"caddy", `caddy_http_requests_total{handler="reverse_proxy"}`, 3, 1, autoscale.Counter},
		{"traefik", `traefik_service_requests_total{service="app@file"}`, 3, 1, autoscale.Counter},
		{"haproxy", `haproxy_backend_http_requests_total{proxy="app"}`, 3, 1, autoscale.Counter},
		{"nginx_exporter", `nginx_http_requests_total`, 5, 1, autoscale.Counter},
		{"utf8", `{"http.requests"}`, 13, 2, autoscale.Counter},
		{"utf8", `{"http.requests","http.route"="/café"}`, 12, 1, autoscale.Counter},
		{"utf8", `plain{"quoted.label"="x"}`, 4, 1, autoscale.Gauge},
	} {
		b, err := os.ReadFile(filepath.Join("testdata", "pages", test.page+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		f := scanOne(t, string(b), test.page == "openmetrics", test.selector)
		if f.Sum != test.sum || f.Selected != test.selected || f.Fault != autoscale.OK {
			t.Errorf("%s, %s: %+v, want %v of %d series", test.page, test.selector, f, test.sum, test.selected)
		}
		if kind := kindOf(selector(t, test.selector).Name, f); kind != test.kind {
			t.Errorf("%s, %s: kind %q, want %q", test.page, test.selector, kind, test.kind)
		}
	}
}

// TestScanLines holds lines that are read, and the sum of the metric m.
func TestScanLines(t *testing.T) {
	const om = true
	for _, test := range []struct {
		openMetrics bool
		page        string
		sum         float64
	}{
		{!om, "m 5\n", 5},
		{!om, "\n\n  m\t 5 \t 1700000000000 \n", 5},
		{!om, "m{} 5\nm2 7\nm_ 7\nm: 7\n", 5},
		{!om, "m{a=\"b\",} 5\n", 5},
		{!om, "m { a = \"b\" , c = \"d\" } 5\n", 5},
		{!om, "{\"m\"} 5\n{ \"m\" , a=\"b\"} 6\n{\"n\"} 7\n{a=\"m\",\"n\"} 8\n", 11},
		{!om, "m 1e2\nm{a=\"1\"} +1.5\nm{a=\"2\"} .5\n", 102},
		{!om, "m -0\n", 0},
		{!om, "x{a=\"\nm 7\n\"} 1\nm 5\n", 5}, // a value that holds a whole line
		{!om, "x{a=\"b\"c\"} 1\nm 5\n", 5},    // others' faults are theirs
		{!om, "x{a=\"} 1\nm 5\n", 5},          // and end with the line
		{!om, "x{a=\"\\\"} 1\nm 5\n", 5},
		{!om, "x{a=\"\\\"\nm 7\n\"} 1\nm 5\n", 5},
		{!om, "# HELP \"x\ny\" \nm 5\n", 5},
		{!om, "# HELP \"x\nm 7\ny\" text\nm 5\n", 5}, // a quoted name that holds one
		{!om, "# HELP \"x\nm 5\n", 5},
		{!om, "garbage\n\xff\xfe\n}{\n=\nm 5\n0 1\n", 5},
		{!om, "#m 6\n# m 7\n# TYPE\n# TYPE \n#\nm 5\n", 5},
		{om, "m 5\n# EOF\n", 5},
		{om, "m 5\n# EOF", 5},
		{om, "m 5 1.5\n# EOF\n", 5},
		{om, "m 5 # {} 1\n# EOF\n", 5},
		{om, "m{a=\"b\"} 5 1.5 # {c=\"d\",\"e f\"=\"g\"} 1 2.5\n# EOF\n", 5},
		{om, "x{a=\"b\n\"} 1\nm 5\n\n# EOF\n", 5},
	} {
		f := scanOne(t, test.page, test.openMetrics, "m")
		if f.Sum != test.sum || f.Fault != autoscale.OK {
			t.Errorf("%q: %+v, want the sum %v", test.page, f, test.sum)
		}
	}
}

// TestScanBadLines holds lines of the wanted metric m that are not in the format,
// or say what cannot be used.
func TestScanBadLines(t *testing.T) {
	const om = true
	for _, test := range []struct {
		openMetrics bool
		page        string
		fault       autoscale.Verdict
		detail      string
	}{
		{!om, "m\n", autoscale.Malformed, `line 1: the value "" is not a number: "m"`},
		{!om, "a 1\n\nm x\n", autoscale.Malformed, `line 3: the value "x" is not a number: "m x"`},
		{!om, "m 5\r\n", autoscale.Malformed, "CR LF"},
		{!om, "m 0x10\n", autoscale.Malformed, "not a number"},
		{!om, "m 0x1p4\n", autoscale.Malformed, "not a number"},
		{!om, "m 1_000\n", autoscale.Malformed, "not a number"},
		{!om, "m 1e999\n", autoscale.Malformed, "not a number"},
		{!om, "m 1 2 3\n", autoscale.Malformed, "something else than a timestamp in ms"},
		{!om, "m 1 1.5\n", autoscale.Malformed, "something else than a timestamp"},
		{!om, "m 1 99999999999999999999\n", autoscale.Malformed, "something else than a timestamp"},
		{!om, "m{a=\"b\"} 1 # {} 1\n", autoscale.Malformed, "something else than a timestamp"},
		{!om, "m{a} 1\n", autoscale.Malformed, "no = after a label's name"},
		{!om, "m{a=b} 1\n", autoscale.Malformed, "no quote before a label's value"},
		{!om, "m{=\"b\"} 1\n", autoscale.Malformed, "no label name"},
		{!om, "m{,} 1\n", autoscale.Malformed, "no label name"},
		{!om, "m{a=\"b\"c\"} 1\n", autoscale.Malformed, "no = after"},
		{!om, "m{a=\"b\\\n\"} 1\n", autoscale.Malformed, "ends with a backslash"},
		{!om, "m{a=\"b} 1\nm 2\n", autoscale.Malformed, "line 1: the entry is cut short"},
		{!om, "m{a=\"\xff\"} 1\n", autoscale.Malformed, "not UTF-8"},
		{!om, "m{\"m\"} 1\n", autoscale.Malformed, "two metric names"},
		{!om, "{\"m\",a=b} 1\n", autoscale.Malformed, "no quote"},
		{!om, "{\"m\",\"m\"} 1\n", autoscale.Malformed, "two metric names"},
		{!om, "m{a=\"1\",a=\"2\"} 1\n", autoscale.Malformed, "line 1: a label stands twice"},
		{!om, "m{__name__=\"x\"} 1\n", autoscale.Malformed, "a label stands twice"},
		{!om, "m 1\nm 2\n", autoscale.Malformed, `line 2: the series stands twice on the page: "m 2"`},
		{!om, "m{a=\"1\",b=\"2\"} 1\nm{b=\"2\",a=\"1\",c=\"\"} 2\n", autoscale.Malformed, "line 2: the series stands twice"},
		{!om, "m NaN\n", autoscale.NotFinite, "line 1: the value is NaN"},
		{!om, "m +Inf\n", autoscale.NotFinite, "line 1: the value is +Inf"},
		{!om, "m{a=\"1\"} 1e308\nm{a=\"2\"} 1e308\n", autoscale.NotFinite, "line 2: the sum up to here"},
		{!om, "m -1\n", autoscale.Negative, "line 1: the value is -1"},
		{!om, "m{a=\"1\"} -1\nm NaN\nm x\n", autoscale.Malformed, "line 3"},
		{!om, "x{a=\"\n\n\"} 1\nm x\n", autoscale.Malformed, "line 4"},
		{!om, "m{a=\"\n\"} 1\nm x\n", autoscale.Malformed, "line 3"},
		{!om, "# HELP \"x\ny\" text\nm x\n", autoscale.Malformed, "line 3"},
		{om, " m 1\n# EOF\n", autoscale.Malformed, "no metric name"},
		{om, "m  1\n# EOF\n", autoscale.Malformed, "not a number"},
		{om, "m{a=\"b\"c=\"d\"} 1\n# EOF\n", autoscale.Malformed, "no comma"},
		{om, "m{a=\"b\n\"} 1\n# EOF\n", autoscale.Malformed, "a quote is not closed"},
		{om, "m{a=\"b\"}1\n# EOF\n", autoscale.Malformed, "no blank before the value"},
		{om, "m 1 \n# EOF\n", autoscale.Malformed, "the timestamp \"\" is not a number"},
		{om, "m 1 NaN\n# EOF\n", autoscale.Malformed, "the timestamp is not finite"},
		{om, "m 1 1 1\n# EOF\n", autoscale.Malformed, "no line feed after"},
		{om, "m 1 # {a=\"b\"}\n# EOF\n", autoscale.Malformed, "no blank before the exemplar's value"},
		{om, "m 1 # {\"a\"} 1\n# EOF\n", autoscale.Malformed, "exemplar: two metric names"},
		{om, "m 1 # {} x\n# EOF\n", autoscale.Malformed, "the exemplar's value \"x\""},
	} {
		f := scanOne(t, test.page, test.openMetrics, "m")
		if f.Fault != test.fault || !strings.Contains(f.Detail, test.detail) {
			t.Errorf("%q: %s, %s\nwant %s, %s", test.page, f.Fault, f.Detail, test.fault, test.detail)
		}
	}
}

func TestScanBadPages(t *testing.T) {
	const om = true
	for _, test := range []struct {
		openMetrics bool
		page, want  string
	}{
		{!om, "m 5", "line 1: the last line has no line feed: the page was cut short"},
		{!om, "m 5\n# TYPE x ga", "line 2: the last line has no line feed"},
		{om, "m 5\n", "line 1: the page ends without # EOF"},
		{om, "", "line 0: the page ends without # EOF"},
		{om, "m 5\n# EO", "line 2: the last line has no line feed"},
		{om, "m 5\n# EOF\nm 6\n", "line 3: there is more after # EOF"},
		{om, "m 5\n# EOF\n6", "line 3: there is more after # EOF"},
		{!om, "m 5\nx " + strings.Repeat("1", maxLine) + "\n", "line 2: the line is longer than 1048576 bytes"},
	} {
		for name, r := range map[string]io.Reader{
			"at once":             strings.NewReader(test.page),
			"by halves":           iotest.HalfReader(strings.NewReader(test.page)),
			"data with the error": iotest.DataErrReader(strings.NewReader(test.page)),
		} {
			found, err := Scan(r, test.openMetrics, selector(t, "m"))
			var bad *BadPage
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), test.want) || found != nil {
				t.Errorf("%.40q %s: error %v, want %s", test.page, name, err, test.want)
			}
		}
	}
}

func TestScanReadError(t *testing.T) {
	broken := errors.New("the cable is cut")
	for _, page := range []string{"", "m 5\n", "m{a=\"", "x{a=\"\n", "# TYPE \"x\n"} {
		_, err := Scan(io.MultiReader(strings.NewReader(page), iotest.ErrReader(broken)), false, selector(t, "m"))
		if !errors.Is(err, broken) {
			t.Errorf("%q: error %v", page, err)
		}
	}
	if _, err := Scan(stuck{}, false, selector(t, "m")); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: error %v", err)
	}
	nine := make([]Selector, maxWanted+1)
	if _, err := Scan(strings.NewReader(""), false, nine...); err == nil {
		t.Error("nine selectors: no error")
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// TestScanBoundaries moves a page byte by byte over the edge of the buffer.
func TestScanBoundaries(t *testing.T) {
	const tail = "x{a=\"\nm 7\n\"} 1\n# TYPE m counter\nm{code=\"200\",path=\"a\\\\b\"} 5\nm{code=\"500\"} 6\n"
	for shift := range len(tail) + 2 {
		filler := "# " + strings.Repeat("-", firstBuffer-shift-3) + "\n"
		f := scanOnce(t, filler+tail)
		if f.Sum != 11 || f.Selected != 2 || f.Type != "counter" {
			t.Fatalf("shifted by %d: %+v", shift, f)
		}
	}
}

func scanOnce(t *testing.T, page string) Found {
	t.Helper()
	found, err := Scan(strings.NewReader(page), false, selector(t, "m"))
	if err != nil {
		t.Fatal(err)
	}
	return found[0]
}

func TestScanLongLines(t *testing.T) {
	long := strings.Repeat("y", maxLine-100)
	f := scanOnce(t, "x{a=\""+long+"\"} 1\nm{a=\""+long+"\"} 5\nm 1\n")
	if f.Sum != 6 || f.Fault != autoscale.OK {
		t.Errorf("lines just short of the limit: %v, %s", f.Sum, f.Detail)
	}
	// A quote that is never closed: no longer looked for than one line may be.
	f = scanOnce(t, "x{a=\"\n"+strings.Repeat("y 1\n", maxLine/2)+"m 5\n")
	if f.Sum != 5 || f.Fault != autoscale.OK {
		t.Errorf("after a quote without end: %+v", f)
	}
}

func TestScanTimestamps(t *testing.T) {
	f := scanOne(t, "m{a=\"1\"} 1 1700000002000\nm{a=\"2\"} 1 1700000001000\nm 1\n", false, "m")
	if want := time.Unix(1700000001, 0); !f.Oldest.Equal(want) {
		t.Errorf("oldest %v, want %v", f.Oldest, want)
	}
	f = scanOne(t, "m 1 1700000001.25\n# EOF\n", true, "m")
	if want := time.UnixMilli(1700000001250); !f.Oldest.Equal(want) {
		t.Errorf("oldest %v, want %v", f.Oldest, want)
	}
	if f = scanOne(t, "m 1\n", false, "m"); !f.Oldest.IsZero() {
		t.Errorf("no timestamp: oldest %v", f.Oldest)
	}
}

func TestScanSeveralAtOnce(t *testing.T) {
	page := "rps 1\nrequests 2\nrps2 3\nr 4\n"
	found, err := Scan(strings.NewReader(page), false, selector(t, "r"), selector(t, "rps"), selector(t, "requests"), selector(t, "rps"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{4, 1, 2, 1} {
		if found[i].Sum != want || found[i].Selected != 1 {
			t.Errorf("%d: %+v, want %v", i, found[i], want)
		}
	}
}

// TestScanAllocations proves that neither the size of the page nor the number of
// wanted series that do not fit the selector costs allocations.
func TestScanAllocations(t *testing.T) {
	page := func(lines int) []byte {
		var b bytes.Buffer
		for i := range lines {
			fmt.Fprintf(&b, "# HELP x%d text\nx%d{a=\"b\\n\",c=\"%d\"} 1\nm{path=\"/a\\\\b\",n=\"%d\"} 1\n", i, i, i, i)
		}
		b.WriteString("m{n=\"last\"} 5\n")
		return b.Bytes()
	}
	s := selector(t, `m{n="last",code!="x"}`)
	count := func(b []byte) float64 {
		return testing.AllocsPerRun(5, func() {
			if found, err := Scan(bytes.NewReader(b), false, s); err != nil || found[0].Sum != 5 {
				t.Fatal(found, err)
			}
		})
	}
	if few, many := count(page(10)), count(page(2000)); many > few {
		t.Errorf("%v allocations on a small page, %v on a large one", few, many)
	}
}

// FuzzScan checks that no page makes Scan fail otherwise than by its error, that
// how the page arrives makes no difference, and that what it gives is consistent.
func FuzzScan(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "pages", "*.txt"))
	if err != nil || len(files) == 0 {
		f.Fatal("no pages to begin with", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, strings.Contains(file, "openmetrics"))
	}
	f.Add([]byte("x{a=\"\nrps 7\n\"} 1\nrps 5"), false)
	f.Add([]byte("{\"http.requests\",a=\"\\\"\"} 5 1.5 # {b=\"c\"} 1 2\n# EOF\n"), true)
	wanted := []Selector{
		selector(f, `http_requests_total{code!~"5.."}`), selector(f, "http_requests_total"),
		selector(f, "rps"), selector(f, `{"http.requests"}`), selector(f, "request_seconds_count"),
	}
	f.Fuzz(func(t *testing.T, page []byte, openMetrics bool) {
		found, err := Scan(bytes.NewReader(page), openMetrics, wanted...)
		slow, slowErr := Scan(iotest.OneByteReader(bytes.NewReader(page)), openMetrics, wanted...)
		if fmt.Sprint(found, err) != fmt.Sprint(slow, slowErr) {
			t.Fatalf("at once %v, %v\nbyte by byte %v, %v", found, err, slow, slowErr)
		}
		var bad *BadPage
		if err != nil && !errors.As(err, &bad) {
			t.Fatalf("error %v", err)
		}
		for _, x := range found {
			usable := x.Fault == autoscale.OK
			if x.Selected > x.Named || usable != (x.Detail == "") || usable && (x.Sum < 0 || math.IsNaN(x.Sum) || math.IsInf(x.Sum, 0)) {
				t.Fatalf("%+v", x)
			}
		}
		if err == nil && found[0].Selected > found[1].Selected {
			t.Fatalf("with a condition %+v, without %+v", found[0], found[1])
		}
	})
}
