package store

import (
	"context"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestFollow: every record that comes is told once, through a rotation, a line
// written in two parts, and a journal that is only made later.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journal(t)
		ctx, cancel := context.WithCancel(t.Context())
		var got []float64
		done := make(chan error)
		go func() {
			var failed error
			for r, err := range j.Follow(ctx, time.Second) {
				if err != nil {
					failed = err
					continue
				}
				got = append(got, r.Reading.Samples[0].Value)
			}
			done <- failed
		}()
		wait := func(want ...float64) {
			t.Helper()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if !slices.Equal(got, want) {
				t.Fatalf("told %v, want %v", got, want)
			}
		}
		wait()
		add(t, j, 0, 1)
		wait(0, 1)
		add(t, j, 2)
		if err := os.Rename(j.path, j.path+".1"); err != nil {
			t.Fatal(err)
		}
		add(t, j, 3)
		wait(0, 1, 2, 3)
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
		wait(0, 1, 2, 3)
		appendTo(string(line[20:]))
		wait(0, 1, 2, 3, 4)
		write(t, j.path, was[:0]) // cut
		add(t, j, 5)
		wait(0, 1, 2, 3, 4, 5)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
