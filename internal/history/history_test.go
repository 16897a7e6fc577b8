package history

import (
	"path/filepath"
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // whether or not this machine has it

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/store"
)

var start = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// record is the n-th run, of a service, two minutes after the one before.
func record(n int, service string) store.Record {
	at := start.Add(time.Duration(n) * 2 * time.Minute)
	return store.Record{
		Time: at.Add(time.Second), Workload: store.Key{Provider: "compose", Project: "bot", Service: service},
		Decision: autoscale.Decision{At: at, From: 1, To: 1, Want: 1, Load: float64(n), Verdict: autoscale.OK},
		Outcome:  store.Outcome{Result: "unchanged", Count: 1},
	}
}

func journal(t *testing.T, records ...store.Record) *store.Journal {
	t.Helper()
	j := store.Open(filepath.Join(t.TempDir(), "state.json")).Journal()
	for _, r := range records {
		if err := j.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

// loads are the loads of records, which number them.
func loads(records []store.Record) (all []float64) {
	for _, r := range records {
		all = append(all, r.Decision.Load)
	}
	return all
}

func TestLast(t *testing.T) {
	var records []store.Record
	for n := range 7 {
		records = append(records, record(n, map[bool]string{true: "web", false: "app"}[n == 5]))
	}
	j := journal(t, records...)
	for _, c := range []struct {
		n    int
		keep Filter
		want []float64
	}{
		{3, nil, []float64{4, 5, 6}},
		{3, Of("app"), []float64{3, 4, 6}},
		{1, Of("web"), []float64{5}},
		{100, nil, []float64{0, 1, 2, 3, 4, 5, 6}},
		{7, nil, []float64{0, 1, 2, 3, 4, 5, 6}},
		{0, nil, nil},
		{3, Of("none"), nil},
		{3, Of("app").And(Told), nil},
	} {
		got, err := Last(j, c.keep, c.n)
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%d: %v, %v, want %v", c.n, loads(got), err, c.want)
			continue
		}
		for i, load := range loads(got) {
			if load != c.want[i] {
				t.Errorf("%d: %v, want %v", c.n, loads(got), c.want)
				break
			}
		}
	}
	newest, err := Workloads(j, nil)
	if got := loads(newest); err != nil || len(got) != 2 || got[0] != 6 || got[1] != 5 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestTold(t *testing.T) {
	for name, spoil := range map[string]func(*store.Record){
		"moved":  func(r *store.Record) { r.Decision.To = 2 },
		"wanted": func(r *store.Record) { r.Decision.Want = 2 },
		"failed": func(r *store.Record) { r.Outcome.Error = "x" },
		"fewer":  func(r *store.Record) { r.Outcome.Count = 0 },
		"doubt":  func(r *store.Record) { r.Decision.Verdict = autoscale.Absent },
	} {
		r := record(1, "app")
		if Told(r) {
			t.Fatal("an even run tells something")
		}
		if spoil(&r); !Told(r) {
			t.Errorf("%s tells nothing", name)
		}
	}
}

// TestAt: what stood, of each workload for itself.
func TestAt(t *testing.T) {
	j := journal(t, record(0, "app"), record(1, "web"), record(2, "app"), record(3, "app"))
	for _, c := range []struct {
		at   string
		keep Filter
		want [][2]float64 // the one in force, the next; -1 for none
	}{
		{"09:59", Of("app"), [][2]float64{{-1, 0}}},
		{"10:00", Of("app"), [][2]float64{{0, 2}}},
		{"10:02", Of("app"), [][2]float64{{0, 2}}},
		{"10:03:59", Of("app"), [][2]float64{{0, 2}}},
		{"10:04", Of("app"), [][2]float64{{2, 3}}},
		{"10:06", Of("app"), [][2]float64{{3, -1}}},
		{"11:00", Of("app"), [][2]float64{{3, -1}}},
		{"10:00", nil, [][2]float64{{0, 2}, {-1, 1}}},
		{"10:05", nil, [][2]float64{{2, 3}, {1, -1}}},
		{"10:05", Of("none"), nil},
	} {
		moment, err := ParseMoment(c.at, start.Add(12*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		all, err := At(j, c.keep, moment)
		var got [][2]float64
		for _, one := range all {
			pair := [2]float64{-1, -1}
			for i, r := range []*store.Record{one.In, one.Next} {
				if r != nil {
					pair[i] = r.Decision.Load
				}
			}
			got = append(got, pair)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", c.at, got, err, c.want)
		}
	}
}

func TestParseMoment(t *testing.T) {
	zone := time.FixedZone("x", 3*3600)
	now := time.Date(2026, 11, 24, 10, 5, 20, 0, zone)
	for text, want := range map[string]string{
		"10:05":                "2026-11-24T10:05:59+03:00",
		"10:06":                "2026-11-23T10:06:59+03:00",
		"10:05:20":             "2026-11-24T10:05:20+03:00",
		"10:05:21":             "2026-11-23T10:05:21+03:00",
		"2026-11-20 09:00":     "2026-11-20T09:00:59+03:00",
		"2026-11-20 09:00:01":  "2026-11-20T09:00:01+03:00",
		"2026-11-20T09:00":     "2026-11-20T09:00:59+03:00",
		"2026-11-20T09:00:01":  "2026-11-20T09:00:01+03:00",
		"2026-11-20T09:00:01Z": "2026-11-20T09:00:01Z",
	} {
		got, err := ParseMoment(text, now)
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v, want %s", text, got.Format(time.RFC3339), err, want)
		}
	}
	for _, text := range []string{"", "10", "25:00", "10:65", "tomorrow", "2026-13-01 00:00"} {
		if got, err := ParseMoment(text, now); err == nil {
			t.Errorf("%q read as %s", text, got)
		}
	}
}

// TestParseMomentAutumn: of a time that comes twice the later is taken, unless it
// is still to come and the day is not said; on either side of Greenwich.
func TestParseMomentAutumn(t *testing.T) {
	for _, c := range []struct{ zone, text, now, want string }{
		{"Europe/Berlin", "2026-10-25 02:30", "2026-11-01T00:00:00Z", "2026-10-25T02:30:59+01:00"},
		{"Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-11-01T00:00:00Z", "2026-10-25T02:30:00+02:00"},
		{"Europe/Berlin", "2026-10-25 01:59", "2026-11-01T00:00:00Z", "2026-10-25T01:59:59+02:00"},
		{"Europe/Berlin", "2026-10-25 03:00", "2026-11-01T00:00:00Z", "2026-10-25T03:00:59+01:00"},
		{"Europe/Berlin", "02:30", "2026-10-25T02:40:00+01:00", "2026-10-25T02:30:59+01:00"},
		{"Europe/Berlin", "02:30", "2026-10-25T02:10:00+01:00", "2026-10-25T02:30:59+02:00"},
		{"Europe/Berlin", "02:30", "2026-10-25T02:40:00+02:00", "2026-10-25T02:30:59+02:00"},
		{"Europe/Berlin", "02:30", "2026-10-25T02:10:00+02:00", "2026-10-24T02:30:59+02:00"},
		{"Europe/Berlin", "02:30", "2026-10-26T01:00:00+01:00", "2026-10-25T02:30:59+01:00"},
		{"America/New_York", "2026-11-01 01:30:10", "2026-11-20T00:00:00Z", "2026-11-01T01:30:10-05:00"},
		{"America/New_York", "01:30", "2026-11-01T01:40:00-04:00", "2026-11-01T01:30:59-04:00"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseMoment(c.text, now.In(zone))
		if err != nil || got.Format(time.RFC3339) != c.want {
			t.Errorf("%s in %s at %s: %s, %v, want %s", c.text, c.zone, c.now, got.Format(time.RFC3339), err, c.want)
		}
	}
}

// FuzzParseMoment: whatever it takes lies not in the future, unless a date was
// given.
func FuzzParseMoment(f *testing.F) {
	f.Add("10:05")
	f.Add("2026-11-24T10:05:00Z")
	f.Fuzz(func(t *testing.T, text string) {
		now := start.Add(5 * time.Hour)
		got, err := ParseMoment(text, now)
		if err == nil && len(text) <= 8 && got.After(now.Add(time.Minute)) {
			t.Errorf("%q is %s", text, got)
		}
	})
}

// BenchmarkLast reads a journal as large as one grows.
func BenchmarkLast(b *testing.B) {
	j := store.Open(filepath.Join(b.TempDir(), "state.json")).Journal()
	for n := range 20000 {
		if err := j.Append(record(n, "app")); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if got, err := Last(j, nil, 10); err != nil || len(got) != 10 {
			b.Fatal(err)
		}
	}
}

// TestRhythm: even gaps are a schedule's; uneven ones, too few of them, and
// seconds are not.
func TestRhythm(t *testing.T) {
	for name, c := range map[string]struct {
		gaps []time.Duration
		want time.Duration
	}{
		"even":    {[]time.Duration{time.Hour, 15 * time.Second, 17 * time.Second, 15 * time.Second}, 17 * time.Second},
		"uneven":  {[]time.Duration{15 * time.Second, 40 * time.Second, 15 * time.Second}, 0},
		"few":     {[]time.Duration{time.Minute, time.Minute}, 0},
		"seconds": {[]time.Duration{time.Second, time.Second, time.Second}, 0},
	} {
		records := []store.Record{record(0, "app")}
		for _, gap := range c.gaps {
			r := record(0, "app")
			r.Decision.At = records[len(records)-1].Decision.At.Add(gap)
			records = append(records, r)
		}
		if got, err := Rhythm(journal(t, records...), nil); err != nil || got != c.want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, c.want)
		}
	}
}
