package trace

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// rated is what a trace file comes to as rates, in short.
func rated(t testing.TB, text string, speed, scale float64, step time.Duration) string {
	t.Helper()
	r, err := Find(recorded(t, text), speed, scale)
	if err != nil {
		return err.Error()
	}
	var all []string
	for one, err := range r.Rates(step, nil) {
		if err != nil {
			all = append(all, err.Error())
			continue
		}
		all = append(all, fmt.Sprintf("%g+%g %g", one.At.Seconds(), one.For.Seconds(), one.RPS))
	}
	return strings.Join(all, "; ")
}

func TestRates(t *testing.T) {
	for _, c := range []struct {
		name, text   string
		speed, scale float64
		want         string
	}{
		{"CSV", "seconds_since_start,rps\n100,2\n160,0\n220,1\n", 1, 1, "0+60 2; 60+60 0; 120+60 1"},
		{"CSV of times", "rps,time\n2,2026-11-24T10:05:00Z\n3,2026-11-24T10:05:15Z\n", 1, 1, "0+15 2; 15+15 3"},
		{"uneven", "seconds_since_start,rps\n0,2\n10,4\n40,1\n", 1, 1, "0+10 2; 10+30 4; 40+30 1"},
		{"faster and more", "seconds_since_start,rps\n0,2\n60,4\n", 2, 3, "0+30 12; 30+30 24"},
		{"NDJSON", `{"time": 5, "rps": 2}` + "\n\n" + `{"time": 20, "rps": 4.5}` + "\n", 1, 1, "0+15 2; 15+15 4.5"},
		{"NDJSON since its start", `{"seconds_since_start": 0, "rps": 2}` + "\n" + `{"seconds_since_start": 60, "rps": 4}` + "\n", 1, 1, "0+60 2; 60+60 4"},
		{"requests", "time,path\n0,/a\n1,/b\n1.5,/c\n6,/d\n11,/e\n", 1, 1, "0+2 1.5; 2+2 0; 4+2 0; 6+2 0.5; 8+2 0"},
		{"requests, scaled", "time\n0\n1\n2\n3\n4\n", 2, 2, "0+2 4"},
		{"one stretch of requests", "time\n0\n1\n", 1, 1, "0+2 1"},
		{"access log", `1.1.1.1 - - [24/Nov/2026:10:05:00 +0000] "GET / HTTP/1.1" 200 1` + "\n" + `1.1.1.1 - - [24/Nov/2026:10:05:02 +0000] "GET / HTTP/1.1" 200 1` + "\n", 1, 1, "0+2 0.5"},

		{"one line", "seconds_since_start,rps\n0,2\n", 1, 1, "two rates are needed at least"},
		{"not after", "seconds_since_start,rps\n0,2\n5,1\n5,1\n", 1, 1, "0+5 2; trace /: line 4: its time 5 is not after that of the line before"},
		{"no rate", `{"time": 5, "rps": 2}` + "\n" + `{"time": 6, "rps": "x"}` + "\n", 1, 1, "line 2"},
		{"no time", `{"rps": 2}` + "\n", 1, 1, "is no time"},
		{"too long", "time,rps\n1826-11-24T10:05:00Z,1\n2026-11-24T10:05:00Z,1\n", 1, 1, "more than a hundred years"},
		{"a log that is too long", `1.1.1.1 - - [24/Nov/1826:10:05:00 +0000] "GET / HTTP/1.1" 200 1` + "\n" + `1.1.1.1 - - [24/Nov/2026:10:05:02 +0000] "GET / HTTP/1.1" 200 1` + "\n", 1, 1, "more than a hundred years"},
		{"no request", `1.1.1.1 - - [24/Nov/2026:10:05:00 +0000] "x" 400 1` + "\n", 1, 1, "no request in it"},
	} {
		got := rated(t, c.text, c.speed, c.scale, 2*time.Second)
		if i := strings.Index(got, "trace /"); i >= 0 { // the file's name
			got = got[:i] + "trace /: " + strings.SplitN(got[i:], ": ", 2)[1]
		}
		if got != c.want && !strings.Contains(got, "trace /: ") || !strings.Contains(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestRatesTell: what was read is told, to the byte.
func TestRatesTell(t *testing.T) {
	text := "seconds_since_start,rps\n" + strings.Repeat("0,1\n", 1) + "1,1\n"
	r, err := Find(recorded(t, text), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for range r.Rates(time.Second, func(n int) { sum += n }) {
	}
	if sum != len(text) {
		t.Errorf("%d of %d bytes", sum, len(text))
	}
}

// FuzzRates: whatever the file, each stretch begins where the one before it ends,
// or there is an error.
func FuzzRates(f *testing.F) {
	f.Add("seconds_since_start,rps\n0,1\n1,2\n")
	f.Add("rps,time\n1,2026-11-24T10:05:00Z\n2,2026-11-24T10:06:00Z\n")
	f.Add(`{"time": 1, "rps": 1}` + "\n" + `{"time": 2, "rps": 1}`)
	f.Add("time\n0\n1\n20\n")
	f.Add(`1.1.1.1 - - [24/Nov/2026:10:05:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-"` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Find(recorded(t, text), 1, 1)
		if err != nil {
			return
		}
		n, end := 0, time.Duration(0)
		for one, err := range r.Rates(10*time.Second, nil) {
			if err != nil || n == 300 {
				break
			}
			if one.At != end || one.For <= 0 || !(one.RPS >= 0) {
				t.Fatalf("%+v after %s", one, end)
			}
			end = one.At + one.For
			n++
		}
	})
}
