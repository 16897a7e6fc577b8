package history

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/store"
)

const month = 30 * 24 * time.Hour

// quiet opens a Store that writes only when the test has it written.
func quiet(t testing.TB, path string, keep time.Duration, size int64) *Store {
	t.Helper()
	s, err := openStore(path, keep, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// step is a steady step of a service: a record as it is in life.
func step(at time.Time, service string, load float64) store.Record {
	return store.Record{
		Version: 1, Time: at.Add(31 * time.Millisecond),
		Workload: store.Key{Provider: "compose", Engine: "7133cc55-24a4", Project: "shop", Service: service, Dir: "/srv/shop"},
		Reading: autoscale.Reading{Metric: "http_requests_total", Kind: autoscale.Counter, Scope: autoscale.ScopeReplica, Samples: []autoscale.Sample{
			{Process: "93f1c7fa7a5ae0", Name: service + "-1", Time: at.Add(-21 * time.Millisecond), Value: 1000 * load, Started: start, Verdict: autoscale.OK},
			{Process: "8b7da0c5be0f12", Name: service + "-2", Time: at.Add(-17 * time.Millisecond), Value: 1100 * load, Started: start, Verdict: autoscale.OK},
		}},
		Decision: autoscale.Decision{At: at, From: 2, To: 2, Want: 2, Load: load, Verdict: autoscale.OK, Reason: autoscale.DesiredWithinRange,
			Steps: []autoscale.Step{
				{Stage: autoscale.StageJudge, To: 2, Reason: autoscale.ReadingTrusted, Detail: autoscale.RPS(load)},
				{Stage: autoscale.StageRecommend, To: 2, Reason: autoscale.DesiredWithinRange, Detail: "2 replicas carry it"},
			},
			Next: autoscale.Next{Up: &autoscale.Change{To: 3, RPS: 88}, Down: &autoscale.Change{To: 1, RPS: 36}}},
		Outcome: store.Outcome{Result: "unchanged", Count: 2},
	}
}

func appendTo(t testing.TB, s *Store, service string, records ...store.Record) {
	t.Helper()
	for _, r := range records {
		if err := s.Append(service, r); err != nil {
			t.Fatal(err)
		}
	}
}

// collect takes all records, which are to come without an error.
func collect(t testing.TB, from iter.Seq2[store.Record, error]) (all []store.Record) {
	t.Helper()
	for r, err := range from {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func points(t testing.TB, s *Store, service string, from, to time.Time, step time.Duration) []Point {
	t.Helper()
	all, err := s.Points(service, from, to, step)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func noWarnings(t testing.TB, s *Store) {
	t.Helper()
	if w := s.Warnings(); len(w) > 0 {
		t.Error(w)
	}
}

// TestRecords: what was appended comes back whole, newest first; of steady steps
// one a minute, and all that tell something.
func TestRecords(t *testing.T) {
	s := quiet(t, filepath.Join(t.TempDir(), "new", "history.db"), month, 64<<20)
	var want []store.Record
	for n := range 40 {
		at := start.Add(time.Duration(n) * 15 * time.Second)
		r := step(at, "app", float64(n))
		switch {
		case n == 9:
			r.Outcome.Result = "observed"
		case n == 17:
			r.Decision.To, r.Decision.Want, r.Outcome = 3, 3, store.Outcome{Result: "scaled", Count: 3}
		case n == 19:
			r.Reading.Samples[0].Value, r.Reading.Samples[0].Verdict, r.Decision.Verdict = math.NaN(), autoscale.NotFinite, autoscale.Partial
		case n == 21:
			r.Decision, r.Outcome = autoscale.Decision{}, store.Outcome{Error: "no engine"}
		}
		appendTo(t, s, "shop", r)
		appendTo(t, s, "web", step(at, "web", 1))
		// One a minute; and those that tell, or differ from the one before.
		if slices.Contains([]int{0, 4, 8, 9, 10, 14, 17, 18, 19, 20, 21, 22, 26, 30, 34, 38}, n) {
			if n == 19 {
				r.Reading.Samples[0].Value = 0
			}
			want = append(want, r)
		}
	}
	slices.Reverse(want)
	got := collect(t, s.Records("shop", time.Time{}, time.Time{}, 0, false))
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", loads(got), loads(want))
	}
	for i := range want {
		if fmt.Sprintf("%+v", got[i].Decision.Steps) != fmt.Sprintf("%+v", want[i].Decision.Steps) || got[i].Decision.Load != want[i].Decision.Load ||
			fmt.Sprint(got[i].Reading) != fmt.Sprint(want[i].Reading) || got[i].Outcome != want[i].Outcome || !got[i].Time.Equal(want[i].Time) {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
	at := func(n int) time.Time { return start.Add(time.Duration(n) * 15 * time.Second) }
	for name, c := range map[string]struct {
		records iter.Seq2[store.Record, error]
		want    []float64
	}{
		"changes":         {s.Records("shop", time.Time{}, time.Time{}, 0, true), []float64{0, 19, 17}},
		"limit":           {s.Records("shop", time.Time{}, time.Time{}, 2, false), []float64{38, 34}},
		"from":            {s.Records("shop", at(34), time.Time{}, 0, false), []float64{38, 34}},
		"to":              {s.Records("shop", time.Time{}, at(4), 0, false), []float64{0}},
		"just after to":   {s.Records("shop", time.Time{}, at(4).Add(1), 0, false), []float64{4, 0}},
		"changes, bound":  {s.Records("shop", at(17), at(19), 0, true), []float64{17}},
		"all":             {s.Records("", at(0), at(4), 0, false), []float64{1, 0}},
		"all, limit":      {s.Records("", time.Time{}, at(8), 3, false), []float64{1, 4, 1}},
		"none":            {s.Records("none", time.Time{}, time.Time{}, 0, false), nil},
		"none in between": {s.Records("shop", at(5), at(8), 0, false), nil},
	} {
		if got := loads(collect(t, c.records)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	noWarnings(t, s)
	// Its reader may stop.
	for range s.Records("shop", time.Time{}, time.Time{}, 0, false) {
		break
	}
}

// TestManyRecords: an answer of several pages leaves nothing out, also where many
// are of one moment.
func TestManyRecords(t *testing.T) {
	s := quiet(t, filepath.Join(t.TempDir(), "history.db"), month, 64<<20)
	const n = 2*pageRows + 7
	for i := range n {
		r := step(start.Add(time.Duration(i/100)*time.Second), "app", float64(i))
		r.Outcome.Error = "it failed" // is kept
		appendTo(t, s, "shop", r)
	}
	for _, service := range []string{"shop", ""} {
		for _, limit := range []int{0, pageRows, pageRows + 1, n + 1} {
			got := loads(collect(t, s.Records(service, time.Time{}, time.Time{}, limit, limit%2 == 0)))
			want := limit
			if limit == 0 || limit > n {
				want = n
			}
			if len(got) != want {
				t.Fatalf("%q, limit %d: %d, want %d", service, limit, len(got), want)
			}
			for i := range got {
				if got[i] != float64(n-1-i) {
					t.Fatalf("%q, limit %d: place %d has %v", service, limit, i, got[i])
				}
			}
		}
	}
}

// TestPoints: the numbers of all steps, as wide as was asked for, whether they wait,
// are recent, or were sorted in.
func TestPoints(t *testing.T) {
	s := quiet(t, filepath.Join(t.TempDir(), "history.db"), month, 64<<20)
	for n := range 12 {
		r := step(start.Add(time.Duration(n)*15*time.Second), "app", float64(n))
		if n == 5 {
			r.Decision.From, r.Decision.To, r.Decision.Want, r.Outcome.Count = 2, 3, 4, 3
		}
		if n == 6 {
			r.Decision.Verdict = autoscale.Unreachable
		}
		if r.Decision.Min, r.Decision.Max = 1, 8; n < 4 {
			r.Decision.Min, r.Decision.Max = 0, 0 // an earlier version's
		} else if n == 9 {
			r.Decision.Min = 4 // a schedule's
		}
		if n == 7 {
			r.Decision.Verdict = "of the future"
		}
		appendTo(t, s, "shop", r)
		appendTo(t, s, "web", step(start.Add(time.Duration(n)*15*time.Second), "web", 1000))
		if n == 3 {
			if err := s.gather(); err != nil { // nothing is there yet
				t.Fatal(err)
			}
			if err := errors.Join(s.flush(), s.gather()); err != nil {
				t.Fatal(err)
			}
		}
	}
	end := start.Add(time.Hour)
	want := []Point{
		{start, 3, 2, 2, 2, autoscale.OK, 0, 0},
		{start.Add(time.Minute), 7, 2, 3, 4, autoscale.Unreachable, 1, 8},
		{start.Add(2 * time.Minute), 11, 2, 2, 2, autoscale.OK, 4, 8},
	}
	if got := points(t, s, "shop", start, end, time.Minute); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := points(t, s, "shop", start, end, 0); len(got) != 12 || got[7].Verdict != autoscale.Partial || got[6].RPS != 6 {
		t.Errorf("%v", got)
	}
	if got := points(t, s, "shop", start.Add(15*time.Second), start.Add(45*time.Second), time.Second); len(got) != 2 {
		t.Errorf("%v", got)
	}
	if got := points(t, s, "shop", start.Add(15*time.Second), start.Add(45*time.Second+1), time.Second); len(got) != 3 {
		t.Errorf("%v", got)
	}
	// A long time has few points, which are as wide as so many of those asked for.
	got := points(t, s, "shop", start.Add(-3650*24*time.Hour), end, 15*time.Second)
	if len(got) != 1 || got[0].RPS != 11 || got[0].Time.Unix()%15 != 0 {
		t.Errorf("%v", got)
	}
	for _, none := range [][]Point{points(t, s, "none", start, end, 0), points(t, s, "shop", end, start, 0), points(t, s, "shop", start, start, 0)} {
		if len(none) > 0 {
			t.Errorf("%v", none)
		}
	}
	// A clock that goes back: what is of the same second is one point.
	appendTo(t, s, "shop", step(start, "app", 50))
	if got := points(t, s, "shop", start, end, time.Second); len(got) != 12 || got[0].RPS != 50 {
		t.Errorf("%v", got)
	}
	if err := s.gather(); err != nil {
		t.Fatal(err)
	}
	if got := points(t, s, "shop", start, end, time.Second); len(got) != 12 || got[0].RPS != 50 || got[11].RPS != 11 {
		t.Errorf("%v", got)
	}
}

// TestRollUp: after a day the minute is known, after a week ten of them, after the
// time to keep nothing; the highest stays the highest.
func TestRollUp(t *testing.T) {
	const keep = 10 * 24 * time.Hour
	s := quiet(t, filepath.Join(t.TempDir(), "history.db"), keep, 256<<20)
	days := 12
	peak := start.Add(3*24*time.Hour + 10*time.Minute + 30*time.Second)
	// Three steps each ten minutes, two of them in one minute.
	for n := range days * 24 * 6 {
		at := start.Add(time.Duration(n) * 10 * time.Minute)
		if day := n / 24 / 6; day != 0 && day != 3 && day != 9 && day != 11 {
			continue // it rested
		}
		second := step(at.Add(30*time.Second), "app", 10)
		if second.Decision.At.Equal(peak) {
			second.Decision.Load, second.Decision.Verdict = 1000, autoscale.Late
			second.Decision.Min, second.Decision.Max = 3, 9
		}
		appendTo(t, s, "shop", step(at, "app", 10), second, step(at.Add(5*time.Minute), "app", 10))
		if n%6 == 0 {
			s.settle(at)
		}
	}
	now := start.Add(time.Duration(days) * 24 * time.Hour)
	if _, err := s.AddEvent(Event{Time: start, Kind: "old"}); err != nil {
		t.Fatal(err)
	}
	s.settle(now.Add(time.Hour))
	for _, c := range []struct {
		from, to int // hours before now
		want     int
	}{{10, 0, 10 * 18}, {72, 48, 24 * 12}, {216, 192, 24 * 6}, {12 * 24, 10 * 24, 0}} {
		got := points(t, s, "shop", now.Add(-time.Duration(c.from)*time.Hour), now.Add(-time.Duration(c.to)*time.Hour), time.Second)
		if len(got) != c.want {
			t.Errorf("%d to %d hours ago: %d points, want %d", c.from, c.to, len(got), c.want)
		}
	}
	got := points(t, s, "shop", now.Add(-9*24*time.Hour), now, 24*time.Hour)
	if len(got) < 3 || got[0].RPS != 1000 || got[0].Verdict != autoscale.Late || got[0].Min != 3 || got[0].Max != 9 || !got[0].Time.Equal(peak.Truncate(24*time.Hour)) {
		t.Errorf("%v", got)
	}
	if got := collect(t, s.Records("shop", time.Time{}, now.Add(-keep), 0, false)); len(got) != 0 {
		t.Errorf("%d records are too old", len(got))
	}
	if got, err := s.Events("", time.Time{}, 0); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	noWarnings(t, s)
}

// TestSize: over a month of steps that all tell something the files stay below the
// size, and the newest is there.
func TestSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	const size = 1 << 20
	s := quiet(t, path, month, size)
	now := start
	for n := range 1440 {
		now = start.Add(time.Duration(n) * 30 * time.Minute)
		r := step(now, "app", float64(n))
		r.Outcome.Error = noise(1200)
		appendTo(t, s, fmt.Sprint("shop", n%7), r)
		if n%5 == 0 {
			if _, err := s.AddEvent(Event{Time: now, Kind: "test", Text: r.Outcome.Error}); err != nil {
				t.Fatal(err)
			}
		}
		if n%24 != 23 {
			continue
		}
		s.settle(now)
		if used := sizeOf(t, path); used > size {
			t.Fatalf("after %d steps: %d bytes", n, used)
		}
	}
	noWarnings(t, s)
	if got := collect(t, s.Records("", time.Time{}, time.Time{}, 1, true)); len(got) != 1 || got[0].Decision.Load != 1439 {
		t.Errorf("%v", loads(got))
	}
	first := points(t, s, "shop0", start, now, time.Hour)
	records := collect(t, s.Records("shop0", time.Time{}, time.Time{}, 0, false))
	reach, pointsReach := now.Sub(records[len(records)-1].Time), now.Sub(first[0].Time)
	if len(records) < 20 || pointsReach < 2*reach || pointsReach > 5*reach {
		t.Errorf("%d records are left, which reach back %s, and %d points, which reach back %s", len(records), reach, len(first), pointsReach)
	}
	if all, _, err := s.pages(); err != nil || all < s.bounds.pages/2 {
		t.Errorf("of %d pages %d are used; %v", s.bounds.pages, all, err)
	}
}

// TestSmallerSize: a file that is larger than it may be now becomes smaller.
func TestSmallerSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s, err := openStore(path, month, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 900 {
		r := step(start.Add(time.Duration(n)*time.Minute), "app", float64(n))
		r.Outcome.Error = noise(3000)
		appendTo(t, s, "shop", r)
		if n%300 == 0 {
			s.settle(start)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if sizeOf(t, path) < 2<<20 {
		t.Fatalf("the file has %d bytes only", sizeOf(t, path))
	}
	s = quiet(t, path, month, 1<<20)
	now := start.Add(900 * time.Minute)
	for range 3 {
		now = now.Add(gatherEvery)
		s.settle(now)
	}
	noWarnings(t, s)
	if used := sizeOf(t, path); used > 1<<20 {
		t.Errorf("%d bytes", used)
	}
	if got := collect(t, s.Records("shop", time.Time{}, time.Time{}, 1, false)); len(got) != 1 || got[0].Decision.Load != 899 {
		t.Errorf("%v", loads(got))
	}
}

// noise is text of so many characters that does not become shorter when packed.
func noise(n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(' ' + rand.IntN(95))
	}
	return string(text)
}

// sizeOf is what a database takes of the disk, in bytes.
func sizeOf(t testing.TB, path string) (size int64) {
	t.Helper()
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
	}
	return size
}

// TestFull: while nothing can be written the steps wait, the oldest are dropped and
// counted, nobody is held up; and it goes on by itself.
func TestFull(t *testing.T) {
	s := quiet(t, filepath.Join(t.TempDir(), "history.db"), month, 64<<20)
	appendTo(t, s, "shop", step(start, "app", 1))
	s.settle(start)
	if _, err := s.writer.Exec("PRAGMA max_page_count = 1"); err != nil { // as many as there are
		t.Fatal(err)
	}
	n := 0
	for range 2 * longestQueue {
		n++
		appendTo(t, s, "shop", step(start.Add(time.Duration(n)*time.Millisecond), "app", float64(n)))
		if n%1000 == 0 {
			s.settle(start)
		}
	}
	s.settle(start)
	warnings := strings.Join(s.Warnings(), "\n")
	if !strings.Contains(warnings, "cannot be written: database or disk is full") || !strings.Contains(warnings, "are missing") {
		t.Error(warnings)
	}
	if len(s.queue) > longestQueue {
		t.Errorf("%d wait", len(s.queue))
	}
	// What was written before can be read.
	if got := collect(t, s.Records("shop", time.Time{}, start.Add(1), 0, false)); len(got) != 1 {
		t.Errorf("%v", loads(got))
	}
	if _, err := s.writer.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", s.bounds.pages)); err != nil {
		t.Fatal(err)
	}
	s.settle(start)
	if s.staged < longestQueue || uint64(s.staged)+s.dropped != uint64(n) {
		t.Errorf("%d were written, %d dropped of %d", s.staged, s.dropped, n)
	}
	if got := points(t, s, "shop", start, start.Add(time.Minute), time.Minute); len(got) != 1 || got[0].RPS != float64(n) {
		t.Errorf("%v", got)
	}
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "are missing") {
		t.Error(w)
	}
}

// TestOutOfSize: where the size is used up within minutes, the oldest goes.
func TestOutOfSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := quiet(t, path, month, 1<<20)
	for n := range 1500 {
		r := step(start.Add(time.Duration(n)*time.Second), "app", float64(n))
		r.Outcome.Error = noise(900)
		appendTo(t, s, "shop", r)
		if n%300 == 299 { // a third of the size: more than is freed at once
			s.settle(start) // no time passes: nothing is due
		}
	}
	if got := collect(t, s.Records("shop", time.Time{}, time.Time{}, 1, false)); len(got) != 1 || got[0].Decision.Load != 1499 {
		t.Errorf("%v", loads(got))
	}
	if used := sizeOf(t, path); used > 1<<20 {
		t.Errorf("%d bytes", used)
	}
	noWarnings(t, s)
}

// TestDamaged: a file that is no database, is damaged, or of the future, is put
// aside, and it is said; at the beginning and in the middle.
func TestDamaged(t *testing.T) {
	spoil := map[string]func(t *testing.T, path string){
		"not one": func(t *testing.T, path string) { write(t, path, strings.Repeat("not a database ", 1000)) },
		"cut":     func(t *testing.T, path string) { write(t, path, read(t, path)[:5000]) },
		"newer": func(t *testing.T, path string) {
			db, err := open(path, "rw")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec("PRAGMA user_version = 99"); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		},
		"zeros": func(t *testing.T, path string) {
			text := []byte(read(t, path))
			for i := range text[4096:] {
				text[4096+i] = 0
			}
			write(t, path, string(text))
		},
	}
	for name, spoil := range spoil {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "odd [name]? 100%.db")
			for range 2 {
				s, err := openStore(path, month, 8<<20)
				if err != nil {
					t.Fatal(err)
				}
				appendTo(t, s, "shop", step(start, "app", 1))
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				spoil(t, path)
			}
			write(t, path+".corrupt-20200101T000000Z", "of long ago")
			s := quiet(t, path, month, 8<<20)
			appendTo(t, s, "shop", step(start, "app", 2))
			s.settle(start)
			appendTo(t, s, "shop", step(start.Add(time.Hour), "app", 3))
			s.settle(start.Add(time.Hour))
			if got := loads(collect(t, s.Records("shop", time.Time{}, time.Time{}, 1, false))); !slices.Equal(got, []float64{3}) {
				t.Errorf("%v", got)
			}
			aside, err := filepath.Glob(escape(path) + ".corrupt-*")
			if w := s.Warnings(); err != nil || len(w) != 1 || len(aside) != 1 || !strings.Contains(w[0], "put aside as "+aside[0]) {
				t.Errorf("%v, %v, %v", w, aside, err)
			}
		})
	}
}

// TestRemoved: somebody removes the file while it is in use, or its folder, where
// for a while none can be made.
func TestRemoved(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(folder, "history.db")
	s := quiet(t, path, month, 8<<20)
	now := start
	pass := func() {
		now = now.Add(gatherEvery)
		s.settle(now)
	}
	look := func(want int) {
		t.Helper()
		other, err := ReadStore(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := collect(t, other.Records("shop", time.Time{}, time.Time{}, 0, false)); len(got) != want {
			t.Errorf("%v", loads(got))
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}
	pass()
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	pass()
	appendTo(t, s, "shop", step(start, "app", 1))
	pass()
	look(1)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	write(t, folder, "in the way")
	pass()
	appendTo(t, s, "shop", step(start.Add(time.Hour), "app", 2), step(start.Add(2*time.Hour), "app", 3))
	pass()
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "cannot be written") {
		t.Error(w)
	}
	if _, err := s.Points("shop", start, now, time.Second); err == nil {
		t.Error("there is a history where there is no file")
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	pass()
	look(2)
	noWarnings(t, s)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOpen: what cannot be is refused with the remedy, and the file is nobody
// else's.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for want, open := range map[string]func() (*Store, error){
		"keep: 0s: give a time above 0": func() (*Store, error) { return OpenStore(filepath.Join(dir, "a"), 0, 1<<20) },
		"size: 1000 bytes are too few":  func() (*Store, error) { return OpenStore(filepath.Join(dir, "a"), month, 1000) },
		"name another history file":     func() (*Store, error) { return OpenStore(dir, month, 1<<20) },
		"none cannot be read":           func() (*Store, error) { return ReadStore(filepath.Join(dir, "none")) },
	} {
		if s, err := open(); err == nil || s != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	path := filepath.Join(dir, "history.db")
	s, err := OpenStore(path, month, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, s, "shop", step(start, "app", 1))
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if err := s.Append("shop", step(start, "app", 1)); !errors.Is(err, errClosed) {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	reader, err := ReadStore(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.AddEvent(Event{}); !errors.Is(err, errClosed) {
		t.Error(err)
	}
	if got := collect(t, reader.Records("shop", time.Time{}, time.Time{}, 0, false)); len(got) != 1 {
		t.Errorf("what waited when it was closed is not there: %v", got)
	}
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
}

// TestMigrate: a database gets the steps that it lacks, once, each whole or not at
// all.
func TestMigrate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	write(t, path, "")
	db, err := open(path, "rw")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	steps := []string{"CREATE TABLE a (x); INSERT INTO a VALUES (1)", "UPDATE a SET x = x + 1; CREATE TABLE b (y)", "CREATE TABLE c (z); SELECT wrong FROM nowhere"}
	for _, n := range []int{1, 2, 2, 3} {
		if err := migrate(db, steps[:n]); (err != nil) != (n == 3) {
			t.Fatalf("%d: %v", n, err)
		}
	}
	var x, version, tables int
	if err := db.QueryRow("SELECT x, (SELECT count(*) FROM sqlite_schema), (SELECT user_version FROM pragma_user_version) FROM a").Scan(&x, &tables, &version); err != nil || x != 2 || tables != 2 || version != 2 {
		t.Errorf("x %d, tables %d, version %d; %v", x, tables, version, err)
	}
	if err := migrate(db, steps[:1]); !errors.Is(err, errNewer) {
		t.Error(err)
	}
}

// TestMigrateOld: what a version wrote that knew no bounds is kept, and goes on.
func TestMigrateOld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	write(t, path, "")
	db, err := open(path, "rw")
	if err == nil {
		err = migrate(db, schema[:1])
	}
	if err == nil {
		_, err = db.Exec("INSERT INTO service VALUES (1, 'shop'); INSERT INTO recent VALUES (1, ?1, 5, 2, 2, 2, 0); INSERT INTO point VALUES (1, 1, ?1 - 60, 4, 2, 2, 2, 0)", start.Unix())
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	s := quiet(t, path, month, 8<<20)
	r := step(start.Add(time.Minute), "app", 6)
	r.Decision.Min, r.Decision.Max = 1, 8
	appendTo(t, s, "shop", r)
	got := points(t, s, "shop", start.Add(-time.Hour), start.Add(time.Hour), time.Second)
	want := []Point{
		{start.Add(-time.Minute), 4, 2, 2, 2, autoscale.OK, 0, 0}, {start, 5, 2, 2, 2, autoscale.OK, 0, 0}, {start.Add(time.Minute), 6, 2, 2, 2, autoscale.OK, 1, 8},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	noWarnings(t, s)
}

// TestEvents: newest first, with IDs that grow, also over another process's.
func TestEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s, other := quiet(t, path, month, 8<<20), quiet(t, path, month, 8<<20)
	var ids []int64
	for n, to := range []*Store{s, s, other, s} {
		e, err := to.AddEvent(Event{Time: start.Add(time.Duration(n) * time.Minute), Service: []string{"shop", ""}[n%2], Kind: "pause", Text: fmt.Sprint(n), By: "me"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
		if err := to.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(ids, []int64{1, 2, 1, 3}) {
		t.Error(ids)
	}
	texts := func(all []Event, err error) (texts string) {
		if err != nil {
			t.Error(err)
		}
		for _, e := range all {
			texts += e.Text
		}
		return texts
	}
	if got := texts(s.Events("", time.Time{}, 0)); got != "3210" {
		t.Error(got)
	}
	if got := texts(s.Events("shop", time.Time{}, 1)); got != "2" {
		t.Error(got)
	}
	if got := texts(s.Events("", start.Add(2*time.Minute), 0)); got != "32" {
		t.Error(got)
	}
	all, err := other.Events("", start.Add(3*time.Minute), 5)
	want := Event{ID: 4, Time: start.Add(3 * time.Minute), Kind: "pause", Text: "3", By: "me"}
	if err != nil || len(all) != 1 || !all[0].Time.Equal(want.Time) {
		t.Fatalf("%v, %v", all, err)
	}
	if all[0].Time = want.Time; all[0] != want {
		t.Errorf("%+v, want %+v", all[0], want)
	}
}
