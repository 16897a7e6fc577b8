package trace

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// recorded writes a trace file.
func recorded(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trace")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// played is what a trace file comes to, in short.
func played(t testing.TB, text string, speed, scale float64) string {
	t.Helper()
	r, err := Open(recorded(t, text), speed, scale)
	if err != nil {
		return err.Error()
	}
	var all []string
	for a, err := range r.Arrivals() {
		if err != nil {
			all = append(all, err.Error())
			continue
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%g %s %s %s", a.At.Seconds(), a.Method, a.Path, a.Body)))
	}
	return strings.Join(all, "; ")
}

// haproxyLine is one request's in HAProxy's HTTP log.
func haproxyLine(second, path string) string {
	return fmt.Sprintf("10.0.1.2:33317 [06/Feb/2026:12:14:%s] web app/app1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 \"GET %s HTTP/1.1\"\n", second, path)
}

func TestReplay(t *testing.T) {
	access := func(second int, request string) string {
		return fmt.Sprintf("10.0.0.1 - bob [24/Nov/2026:10:05:%02d +0000] \"%s\" 200 13 \"http://x/\" \"curl \\\"7\\\"\"\n", second, request)
	}
	for _, c := range []struct {
		name, text   string
		speed, scale float64
		want         string
	}{
		{"rates", "seconds_since_start,rps\n100,2\n101,0\n102,1\n", 1, 1, "0; 0.5; 2"},
		{"rates, faster and more", "seconds_since_start,rps\n0,2\n2,1\n", 2, 0.5, "0; 0.5; 1"},
		{"rates with a mark and other columns", "\ufeffid,rps,seconds_since_start\r\na,1,0\r\nb,1,1\r\n", 1, 1, "0; 1"},
		{"requests", "time,method,path,body\n5,GET,/a,\n5.5,POST,/b,\"x,\ny\"\n", 1, 1, "0 GET /a; 0.5 POST /b x,\ny"},
		{"times only", "time\n2026-11-24T10:05:00Z\n2026-11-24T10:05:01.25Z\n", 1, 1, "0; 1.25"},
		{"NDJSON", `{"time": 3, "path": "/a"}` + "\n\n" + `{"time": "2026-11-24T10:05:00Z", "path": "/a"}` + "\n", 1, 1, "0  /a; 1.795514697e+09  /a"},
		{"faster", "time,path\n0,/a\n1,/b\n3,/c\n", 2, 1, "0  /a; 0.5  /b; 1.5  /c"},
		{"more", "time,path\n0,/a\n1,/b\n3,/c\n", 1, 2, "0  /a; 0.5  /a; 1  /b; 2  /b; 3  /c; 3  /c"},
		{"fewer", "time,path\n0,/a\n1,/b\n2,/c\n3,/d\n", 1, 0.5, "1  /b; 3  /d"},
		{"a log as it is written", "time,path\n0,/a\n2,/b\n1,/c\n", 1, 1, "0  /a; 2  /b; 2  /c"},
		{"access log", access(0, "GET /a HTTP/1.1") + access(0, "GET /b?c=d HTTP/2.0") + access(2, "POST /c HTTP/1.0") + "rubbish\n" + access(2, `\x16\x03`) + access(1, "GET /late HTTP/1.1"), 1, 1,
			"0 GET /a; 0.5 GET /b?c=d; 2 POST /c; 2.5 GET /late"},
		{"HAProxy's log", haproxyLine("14.655", "/a") + haproxyLine("14.900", "/b") + haproxyLine("16.000", "/c"), 1, 1, "0 GET /a; 0.5 GET /b; 2 GET /c"},
	} {
		if got := played(t, c.text, c.speed, c.scale); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestReplayErrors(t *testing.T) {
	for text, says := range map[string]string{
		"":                                     "none of the known formats",
		"hello\n":                              "none of the known formats",
		"rps\n1\n":                             `"seconds_since_start" is missing`,
		"seconds_since_start,rps\n0,1\n":       "two rates are needed at least",
		"seconds_since_start,rps\n0,1\n0,1\n":  "line 3: its time 0 is not after",
		"seconds_since_start,rps\n0,1\n1,-1\n": "line 3",
		"seconds_since_start,rps\n0,1\n1\n":    "wrong number of fields",
		"time\n0\nnoon\n":                      `line 3: "noon" is no time`,
		`{"time": 1}` + "\n" + `{"time": tru}`: "line 2",
		`{"path": "/"}`:                        "is no time",
		`1.1.1.1 - - [24/Nov/2026:10:05:00 +0000] "x" 400 1` + "\n": "no request in it",
	} {
		if got := played(t, text, 1, 1); !strings.Contains(got, says) {
			t.Errorf("%q: %s, want %q", text, got, says)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), 1, 1); err == nil {
		t.Error("a file that is not there")
	}
}

// TestReplayRates: the requests of a recorded load follow its rates.
func TestReplayRates(t *testing.T) {
	var b strings.Builder
	b.WriteString("seconds_since_start,rps\n")
	for i := range 100 {
		fmt.Fprintf(&b, "%d,%g\n", i, 50+40*math.Sin(float64(i)/5))
	}
	r, err := Open(recorded(t, b.String()), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	counts := make([]float64, 100)
	for a, err := range r.Arrivals() {
		if err != nil {
			t.Fatal(err)
		}
		counts[a.At/time.Second]++
	}
	for i, n := range counts {
		if want := 50 + 40*math.Sin(float64(i)/5); math.Abs(n-want) > 1 {
			t.Errorf("second %d: %g requests, want %g", i, n, want)
		}
	}
}

// FuzzReplay: whatever the file, arrivals come in order or with an error.
func FuzzReplay(f *testing.F) {
	f.Add("seconds_since_start,rps\n0,1\n1,2\n")
	f.Add("time,method,path,body\n0,GET,/,x\n")
	f.Add(`{"time": 1, "path": "/"}`)
	f.Add(`1.1.1.1 - - [24/Nov/2026:10:05:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-"` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Open(recorded(t, text), 1, 1)
		if err != nil {
			return
		}
		n, last := 0, time.Duration(0)
		for a, err := range r.Arrivals() {
			if err != nil || n == 300 {
				break
			}
			if a.At < last {
				t.Fatalf("%s after %s", a.At, last)
			}
			last = a.At
			n++
		}
	})
}
