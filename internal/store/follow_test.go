package store

import (
	"context"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// follower is what a Tail tells, in a synctest bubble.
type follower struct {
	got  []float64 // the values that number the records
	stop func() error
}

// follow starts to follow a journal.
func follow(t *testing.T, tail *Tail) *follower {
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{}
	done := make(chan error)
	go func() {
		var failed error
		for r, err := range tail.Follow(ctx, time.Second) {
			if err != nil {
				failed = err
				continue
			}
			f.got = append(f.got, r.Reading.Samples[0].Value)
		}
		done <- failed
	}()
	f.stop = func() error {
		cancel()
		defer tail.Close()
		return <-done
	}
	return f
}

// want checks what was told until now.
func (f *follower) want(t *testing.T, want ...float64) {
	t.Helper()
	time.Sleep(2 * time.Second)
	synctest.Wait()
	if !slices.Equal(f.got, want) {
		t.Fatalf("told %v, want %v", f.got, want)
	}
}

// tailOf opens a journal's tail.
func tailOf(t *testing.T, j *Journal) *Tail {
	t.Helper()
	tail, err := j.Tail()
	if err != nil {
		t.Fatal(err)
	}
	return tail
}

// TestFollow: every record that comes is told once, through a rotation, a line
// written in two parts, and a journal that is only made later.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journal(t)
		f := follow(t, tailOf(t, j))
		f.want(t)
		add(t, j, 0, 1)
		f.want(t, 0, 1)
		add(t, j, 2)
		if err := os.Rename(j.path, j.path+".1"); err != nil {
			t.Fatal(err)
		}
		add(t, j, 3)
		f.want(t, 0, 1, 2, 3)
		line, err := record(4).line()
		if err != nil {
			t.Fatal(err)
		}
		was := read(t, j.path)
		appendTo := func(text string) {
			t.Helper()
			f, err := os.OpenFile(j.path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(text); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		appendTo(string(line[:20]))
		f.want(t, 0, 1, 2, 3)
		appendTo(string(line[20:]))
		f.want(t, 0, 1, 2, 3, 4)
		write(t, j.path, was[:0]) // cut
		add(t, j, 5)
		f.want(t, 0, 1, 2, 3, 4, 5)
		if err := f.stop(); err != nil {
			t.Error(err)
		}
	})
}

// addOf appends the n-th record, of a service, at the time by the clock.
func addOf(t *testing.T, j *Journal, name string, n int) {
	t.Helper()
	time.Sleep(time.Millisecond)
	r := record(n)
	r.Workload, r.Time = service(name), time.Now()
	if err := j.Append(r); err != nil {
		t.Fatal(err)
	}
}

// TestFollowForget: what stands in a journal that Forget replaced is not told
// again, and what came with that is not lost.
func TestFollowForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journal(t)
		forget := func(name string) {
			t.Helper()
			if err := j.Forget(service(name)); err != nil {
				t.Fatal(err)
			}
		}
		addOf(t, j, "web", 0)
		addOf(t, j, "app", 1)
		addOf(t, j, "old", 2)
		f := follow(t, tailOf(t, j))
		addOf(t, j, "web", 3)
		f.want(t, 3)
		addOf(t, j, "app", 4)
		addOf(t, j, "web", 5)
		forget("app")
		addOf(t, j, "web", 6)
		f.want(t, 3, 4, 5, 6)
		forget("old")
		f.want(t, 3, 4, 5, 6)
		forget("web") // and the file with it
		f.want(t, 3, 4, 5, 6)
		addOf(t, j, "new", 7)
		f.want(t, 3, 4, 5, 6, 7)
		if err := f.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestTailRead: a record that is written while the ones before are read is told
// once: by Read or by Follow.
func TestTailRead(t *testing.T) {
	for _, there := range []bool{true, false} { // the journal, when the tail is opened
		synctest.Test(t, func(t *testing.T) {
			j := journal(t)
			if there {
				addOf(t, j, "app", 0)
			}
			tail := tailOf(t, j)
			addOf(t, j, "app", 1)
			var got []float64
			for r, err := range tail.Read() {
				if err != nil {
					t.Fatal(err)
				}
				if len(got) == 0 {
					addOf(t, j, "app", 2)
					addOf(t, j, "web", 3)
				}
				got = append(got, r.Reading.Samples[0].Value)
			}
			want := []float64{0, 1}
			if !there {
				want = want[1:]
			}
			if !slices.Equal(got, want) {
				t.Errorf("read %v, want %v", got, want)
			}
			f := follow(t, tail)
			f.want(t, 2, 3)
			if err := f.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
