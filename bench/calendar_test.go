package bench

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/adhocore/gronx"

	"github.com/five-keys/autoscale/internal/calendar"
)

// TestCronAgrees: a window of a minute is open when gronx says that its
// expression is due. Around changes of the clocks we differ on purpose: gronx
// passes over what was skipped, and begins twice what comes twice.
func TestCronAgrees(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	field := func(low, high int) string {
		a := low + r.IntN(high-low+1)
		b := a + r.IntN(high-a+1)
		return []string{"*", "*", fmt.Sprint(a), fmt.Sprintf("%d-%d", a, b), fmt.Sprintf("%d,%d", a, b), fmt.Sprintf("*/%d", max(1, a)), fmt.Sprintf("%d-%d/%d", a, b, 1+r.IntN(3))}[r.IntN(7)]
	}
	const trials = 200_000
	due := 0
	for range trials {
		cron := fmt.Sprintf("%s %s %s %s %s", field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6))
		at := time.Unix(1_700_000_000+r.Int64N(1e9), 0).UTC().Truncate(time.Minute)
		want, err := gronx.New().IsDue(cron, at)
		if err != nil {
			t.Fatalf("%s: %v", cron, err)
		}
		got := calendar.Calendar{{Cron: cron, For: time.Minute, Min: 2, Max: calendar.Unstated}}.Bounds(1, 8, at)
		if (got.Min == 2) != want {
			t.Fatalf("%s at %s: %+v, gronx says %v", cron, at, got, want)
		}
		if want {
			due++
		}
	}
	if due < trials/100 {
		t.Errorf("only %d of %d were due", due, trials)
	}
}

// BenchmarkCalendar is the whole answer for one window, against gronx's search for
// the beginning before.
func BenchmarkCalendar(b *testing.B) {
	const cron = "30 7 * * 1-5"
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		c := calendar.Calendar{{Cron: cron, For: time.Hour, Min: 2, Max: calendar.Unstated}}
		for b.Loop() {
			c.Bounds(1, 8, now)
		}
	})
	b.Run("gronx", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := gronx.PrevTickBefore(cron, now, true); err != nil {
				b.Fatal(err)
			}
		}
	})
}
