package store

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/five-keys/autoscale"
)

func journal(t *testing.T) *Journal {
	t.Helper()
	return Open(filepath.Join(t.TempDir(), ".autoscale_state.json")).Journal()
}

func add(t *testing.T, j *Journal, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		if err := j.Append(record(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// upTo is from, from+1 … to-1.
func upTo(from, to int) (all []int) {
	for n := from; n < to; n++ {
		all = append(all, n)
	}
	return all
}

func TestJournal(t *testing.T) {
	j := Open(filepath.Join(t.TempDir(), "tools", ".autoscale_state.json")).Journal()
	if got := filepath.Base(j.Path()); got != ".autoscale_state.journal.ndjson" {
		t.Errorf("it lies at %s", got)
	}
	wantRecords(t, j)
	wantNames(t, filepath.Dir(filepath.Dir(j.path))) // reading made nothing
	add(t, j, upTo(0, 20)...)
	wantRecords(t, j, upTo(0, 20)...)
	wantNames(t, filepath.Dir(j.path), filepath.Base(j.path))
	if lines := strings.Count(read(t, j.path), "\n"); lines != 20 {
		t.Errorf("%d lines", lines)
	}
	for r, err := range j.Read() { // a reader may stop early
		if err != nil || r.Reading.Samples[0].Value != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		break
	}
}

func TestJournalIsBounded(t *testing.T) {
	j := journal(t)
	j.max = 100_000
	const last = 400
	add(t, j, upTo(0, last)...)
	for _, path := range []string{j.path, j.path + ".1"} {
		if size := len(read(t, path)); int64(size) > j.max {
			t.Errorf("%s has %d bytes", path, size)
		}
	}
	wantNames(t, filepath.Dir(j.path), filepath.Base(j.path), filepath.Base(j.path)+".1")
	all, err := records(j)
	if err != nil {
		t.Fatal(err)
	}
	size := len(read(t, j.path)) + len(read(t, j.path+".1"))
	if int64(size) <= j.max || len(all) < 20 {
		t.Errorf("%d bytes, %d records: the older half is gone", size, len(all))
	}
	wantRecords(t, j, upTo(last-len(all), last)...)

	// One that was let grow by something else is rotated away like any other.
	write(t, j.path, strings.Repeat("x", 300_000))
	add(t, j, 7)
	all, err = records(j)
	wantError(t, err, j.path, "passed over", "1")
	if len(all) != 1 {
		t.Errorf("%d records", len(all))
	}
}

// A line that was cut short anywhere costs that record only.
func TestJournalTornLine(t *testing.T) {
	j := journal(t)
	add(t, j, 1, 2, 3)
	text := read(t, j.path)
	third := strings.LastIndexByte(text[:len(text)-1], '\n') + 1
	for end := third; end < len(text); end++ {
		if end > third+2 && end < len(text)-3 && end%16 != 0 {
			continue
		}
		write(t, j.path, text[:end])
		lost := end > third && end < len(text)-1
		check := func(numbers ...int) {
			t.Helper()
			all, err := records(j)
			if lost {
				wantError(t, err, j.path, "passed over", "1")
			} else if err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, r := range all {
				got = append(got, int(r.Reading.Samples[0].Value))
			}
			if !slices.Equal(got, numbers) {
				t.Fatalf("cut at %d: records %v, want %v", end, got, numbers)
			}
		}
		want := []int{1, 2}
		if end == len(text)-1 {
			want = []int{1, 2, 3} // only the line feed is missing
		}
		check(want...)
		add(t, j, 4, 5)
		check(append(want, 4, 5)...)
	}
}

func TestJournalForeignLines(t *testing.T) {
	j := journal(t)
	add(t, j, 1)
	line := strings.TrimSpace(read(t, j.path))
	foreign := []string{
		"", "null", "{}", "7", "\x00\x00\x00", "{", line[1:], line + line,
		strings.Replace(line, `"version":1`, `"version":2`, 1),
		strings.Repeat("y", maxLine-1), strings.Repeat("y", maxLine), strings.Repeat("y", 3*maxLine+17),
	}
	text := line + "\n" + strings.Join(foreign, "\n") + "\n" + line + "\n" + strings.Repeat("z", 2*maxLine)
	write(t, j.path, text)
	all, err := records(j)
	wantError(t, err, "passed over", fmt.Sprint(len(foreign)+1))
	if len(all) != 2 {
		t.Errorf("%d records", len(all))
	}
	later := strings.Replace(line, `"outcome":{`, `"more":[1],"outcome":{"x":null,`, 1)
	write(t, j.path, later)
	wantRecords(t, j, 1)
}

// A value that is not to be used may be one that JSON lacks; one that is used
// may not.
func TestJournalNumbers(t *testing.T) {
	j := journal(t)
	r := record(1)
	r.Reading.Samples = []autoscale.Sample{{Name: "app-1", Value: math.NaN(), Verdict: autoscale.NotFinite}, {Name: "app-2", Value: math.Inf(1), Verdict: autoscale.NotFinite}}
	if err := j.Append(r); err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(r.Reading.Samples[0].Value) {
		t.Error("the caller's samples were changed")
	}
	all, err := records(j)
	if err != nil || len(all) != 1 || all[0].Reading.Samples[1].Verdict != autoscale.NotFinite {
		t.Fatalf("%+v, %v", all, err)
	}
	r.Decision.Load = math.NaN()
	wantError(t, j.Append(r), j.path, "not written")
	r = record(1)
	r.Outcome.Error = strings.Repeat("x", maxLine)
	wantError(t, j.Append(r), j.path, "not written", fmt.Sprint(maxLine))
	if all, err := records(j); err != nil || len(all) != 1 {
		t.Errorf("%d records, %v", len(all), err)
	}
}

func TestJournalNotAFile(t *testing.T) {
	for name, plant := range map[string]func(path string) error{
		"folder": func(p string) error { return os.Mkdir(p, 0o755) },
		"pipe":   func(p string) error { return syscall.Mkfifo(p, 0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			j := journal(t)
			if err := plant(j.path); err != nil {
				t.Fatal(err)
			}
			wantError(t, j.Append(record(1)), j.path)
			all, err := records(j)
			wantError(t, err, j.path)
			if len(all) > 0 {
				t.Errorf("%d records", len(all))
			}
		})
	}
}

// The user may keep the journal elsewhere.
func TestJournalLink(t *testing.T) {
	j := journal(t)
	j.max = 20_000
	elsewhere := t.TempDir()
	if err := os.Symlink(filepath.Join(elsewhere, "log"), j.path); err != nil {
		t.Fatal(err)
	}
	add(t, j, upTo(0, 100)...)
	wantNames(t, elsewhere, "log", "log.1")
	wantNames(t, filepath.Dir(j.path), filepath.Base(j.path))
	if all, err := records(j); err != nil || len(all) < 5 {
		t.Errorf("%d records, %v", len(all), err)
	}
}

// A rotation in the middle of reading takes nothing from the reader.
func TestJournalReadWhileRotated(t *testing.T) {
	j := journal(t)
	j.max = 30_000
	add(t, j, upTo(0, 40)...)
	before, err := records(j)
	if err != nil {
		t.Fatal(err)
	}
	var during []Record
	for r, err := range j.Read() {
		if err != nil {
			t.Fatal(err)
		}
		if len(during) == 2 {
			add(t, j, upTo(40, 140)...)
		}
		during = append(during, r)
	}
	if len(during) != len(before) || during[len(during)-1].Time != before[len(before)-1].Time {
		t.Errorf("%d records, want %d", len(during), len(before))
	}
}

func TestJournalTwoProcesses(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "state.json"))
	const each = 100
	var children []*child
	for range 2 {
		children = append(children, start(t, nil, "appendN", f.path, fmt.Sprint(each)))
	}
	for _, c := range children {
		c.done(t)
	}
	all, err := records(f.Journal())
	if err != nil || len(all) != 2*each {
		t.Errorf("%d records, %v", len(all), err)
	}
}

func FuzzJournal(f *testing.F) {
	line, err := record(1).line()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	f.Add(line)
	f.Add(line[:len(line)-1])
	f.Add(append(bytes.Repeat([]byte{0}, 10), line...))
	f.Add([]byte("{}\n\n[]\r\nnull"))
	dir := f.TempDir() // one worker runs one input at a time, each has its own
	f.Fuzz(func(t *testing.T, was []byte) {
		j := Open(filepath.Join(dir, "state.json")).Journal()
		j.max = 8192
		if err := errors.Join(os.WriteFile(j.path, was, 0o644), os.RemoveAll(j.path+".1")); err != nil {
			t.Fatal(err)
		}
		before, _ := records(j)
		add(t, j, 2, 3)
		after, _ := records(j)
		if len(after) != len(before)+2 {
			t.Fatalf("%d records became %d", len(before), len(after))
		}
		for i, want := range []int{2, 3} {
			if got := after[len(before)+i]; got.Reading.Samples[0].Value != float64(want) {
				t.Fatalf("record %d is %+v", want, got)
			}
		}
		var text string
		if _, err := os.Stat(j.path + ".1"); err == nil {
			text = read(t, j.path+".1")
		}
		if text += read(t, j.path); !strings.HasPrefix(text, string(was)) {
			t.Fatalf("what was there is gone: %q", text)
		}
	})
}
