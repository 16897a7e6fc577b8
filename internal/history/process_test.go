package history

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// childFile names the file to a process that is to write until it is killed.
const childFile = "AUTOSCALE_TEST_HISTORY"

// TestMain is also the process that is killed.
func TestMain(m *testing.M) {
	path, isChild := os.LookupEnv(childFile)
	if !isChild {
		os.Exit(m.Run())
	}
	fmt.Println(writeForEver(path))
	os.Exit(1)
}

// writeForEver writes steps and events, and tells the number of each batch once it
// is written.
func writeForEver(path string) error {
	s, err := openStore(path, month, 4<<20)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		for i := range 33 {
			r := step(start.Add(time.Duration(n)*time.Minute), "app", float64(n))
			if err := s.Append(fmt.Sprint("shop", i), r); err != nil {
				return err
			}
		}
		if _, err := s.AddEvent(Event{Time: start.Add(time.Duration(n) * time.Minute), Kind: "batch", Text: strconv.Itoa(n)}); err != nil {
			return err
		}
		if s.settle(start.Add(time.Duration(n) * time.Minute)); s.trouble != nil {
			return s.trouble
		}
		fmt.Println(n)
	}
}

// TestKilled: killed at any moment, what was written is there, whole batches of it,
// and the next process goes on.
func TestKilled(t *testing.T) {
	for range 4 {
		path := filepath.Join(t.TempDir(), "history.db")
		done := killed(t, path)
		s := quiet(t, path, month, 4<<20)
		events, err := s.Events("", time.Time{}, 1)
		if err != nil || len(events) != 1 {
			t.Fatalf("%v, %v", events, err)
		}
		last, err := strconv.Atoi(events[0].Text)
		if err != nil || last < done || last > done+1 {
			t.Errorf("batch %d was written, the file ends with %d; %v", done, last, err)
		}
		for i := range 33 {
			service := fmt.Sprint("shop", i)
			got := points(t, s, service, start, start.Add(24*time.Hour), time.Minute)
			records := collect(t, s.Records(service, time.Time{}, time.Time{}, 1, false))
			if len(got) != last || len(records) != 1 || records[0].Decision.Load != float64(last) {
				t.Fatalf("%s: %d points, %v, want %d", service, len(got), loads(records), last)
			}
		}
		var sound string
		if err := s.writer.QueryRow("PRAGMA integrity_check").Scan(&sound); err != nil || sound != "ok" {
			t.Errorf("%s, %v", sound, err)
		}
		appendTo(t, s, "shop0", step(start.Add(month), "app", 1))
		if s.settle(start.Add(month)); len(s.Warnings()) > 0 {
			t.Error(s.Warnings())
		}
	}
}

// killed has a process write, kills it in the middle, and gives the last batch that
// it called written.
func killed(t *testing.T, path string) (done int) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childFile+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for enough := 1 + rand.IntN(12); lines.Scan(); {
		if done, err = strconv.Atoi(lines.Text()); err != nil {
			t.Error(lines.Text())
		}
		if done == enough {
			for began, d := time.Now(), time.Duration(rand.Int64N(int64(5*time.Millisecond))); time.Since(began) < d; {
			}
			if err := child.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := child.Wait(); err == nil {
		t.Error("it ended by itself")
	}
	return done
}

// TestRun: what is appended is in the file a second later, for other processes too,
// and nothing is left running.
func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := OpenStore(path, month, 8<<20)
		if err != nil {
			t.Fatal(err)
		}
		other, err := ReadStore(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			appendTo(t, s, "shop", step(time.Now(), "app", float64(n)))
			time.Sleep(1100 * time.Millisecond) // of the bubble's clock
			synctest.Wait()
			if got := points(t, other, "shop", time.Now().Add(-time.Minute), time.Now(), time.Second); len(got) != n+1 {
				t.Errorf("step %d: %v", n, got)
			}
		}
		noWarnings(t, s)
		if err := errors.Join(other.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
}

// TestAtOnce: many append and read while the file is written, tidied up, removed
// and closed.
func TestAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := quiet(t, path, month, 8<<20)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			service := fmt.Sprint("shop", n)
			for i := 0; ctx.Err() == nil; i++ {
				at := start.Add(time.Duration(i) * time.Minute)
				appendTo(t, s, service, step(at, "app", 1))
				if i%10 != n {
					continue
				}
				if _, err := s.Points(service, start, at, time.Minute); err != nil {
					t.Error(err)
				}
				for _, err := range s.Records(service, start, at, 300, n%2 == 0) {
					if err != nil {
						t.Error(err)
					}
				}
				if _, err := s.Events(service, start, 5); err != nil {
					t.Error(err)
				}
				_ = s.Warnings()
			}
		})
	}
	for i := range 12 {
		if _, err := s.AddEvent(Event{Time: start}); err != nil {
			t.Error(err)
		}
		if i == 6 {
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
		}
		s.settle(start.Add(time.Duration(i) * 20 * time.Minute))
	}
	stop()
	all.Wait()
	if s.trouble != nil {
		t.Error(s.trouble)
	}
}

// BenchmarkAppend is 500 services with a step each 15 s: what one step costs, all in
// all, and takes of the disk.
func BenchmarkAppend(b *testing.B) {
	path := filepath.Join(b.TempDir(), "history.db")
	s := quiet(b, path, month, 1<<30)
	names := make([]string, 500)
	for i := range names {
		names[i] = fmt.Sprint("shop", i)
	}
	n := 0
	for b.Loop() {
		at := start.Add(time.Duration(n) * 30 * time.Millisecond)
		r := step(at.Add(time.Duration(rand.IntN(1000))*time.Microsecond), "app", float64(rand.IntN(1000))/7)
		if err := s.Append(names[n%len(names)], r); err != nil {
			b.Fatal(err)
		}
		if n++; n%33 == 0 {
			s.settle(at)
		}
	}
	if err := errors.Join(s.flush(), s.gather()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(sizeOf(b, path))/float64(n), "bytes/step")
}

// BenchmarkPoints draws a week, and a day, of one of 100 services.
func BenchmarkPoints(b *testing.B) {
	s := quiet(b, filepath.Join(b.TempDir(), "history.db"), month, 1<<30)
	now := start.Truncate(time.Hour)
	for i := range 100 {
		appendTo(b, s, fmt.Sprint("shop", i), step(now, "app", 1))
	}
	if err := s.flush(); err != nil {
		b.Fatal(err)
	}
	day := now.Add(-24 * time.Hour).Unix()
	if _, err := s.writer.Exec(`
		CREATE TEMP TABLE n AS WITH RECURSIVE n(value) AS (SELECT 0 UNION ALL SELECT value + 1 FROM n WHERE value < 8639) SELECT value FROM n;
		INSERT INTO point SELECT id, 1, ?1 + 15 * value, value % 97, 2, 3, 3, 0, 1, 8 FROM service, n WHERE value < 5760;
		INSERT INTO point SELECT id, 60, ?2 + 60 * value, value % 97, 2, 3, 3, 0, 1, 8 FROM service, n;
		INSERT INTO recent SELECT id, ?1 + 86400 - 300 + 15 * value, value % 97, 2, 3, 3, 0, 1, 8 FROM service, n WHERE value < 20`,
		day, day-6*86400); err != nil {
		b.Fatal(err)
	}
	for name, c := range map[string]struct{ length, step time.Duration }{"week": {7 * 24 * time.Hour, 5 * time.Minute}, "day": {24 * time.Hour, 15 * time.Second}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if got, err := s.Points("shop50", now.Add(-c.length), now, c.step); err != nil || len(got) < 1900 {
					b.Fatal(len(got), err)
				}
			}
		})
	}
}
