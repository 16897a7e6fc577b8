package autoscale

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Sentence says the decision in words a person can read in a log: what was
// seen, what follows, why, and what would change it next.
func (d Decision) Sentence() string {
	var b strings.Builder
	if d.To == d.From {
		fmt.Fprintf(&b, "%s kept", replicas(d.To))
	} else {
		fmt.Fprintf(&b, "%d -> %s", d.From, replicas(d.To))
	}
	if d.Want != d.To {
		fmt.Fprintf(&b, " (%d wanted)", d.Want)
	}
	for i, s := range d.Steps {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep + s.Detail)
	}
	if next := d.Next.String(); next != "" {
		b.WriteString(". Next: " + next)
	}
	return b.String()
}

// String says what would change the number: "6 replicas above 220 rps; 4 at
// 144 rps or less, held until 14:05:10".
func (n Next) String() string {
	var parts []string
	if n.Up != nil {
		parts = append(parts, fmt.Sprintf("%s above %s", replicas(n.Up.To), RPS(n.Up.RPS)))
	}
	if n.Down != nil {
		to := strconv.Itoa(n.Down.To)
		if n.Up == nil {
			to = replicas(n.Down.To)
		}
		parts = append(parts, fmt.Sprintf("%s at %s or less%s", to, RPS(n.Down.RPS), until(n.Down.HeldUntil)))
	}
	return strings.Join(parts, "; ")
}

func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	// A run at the second that is named must not find it still held.
	return ", held until " + clock(t.Add(time.Second-1).Truncate(time.Second))
}

// RPS writes a load in requests/s the way people do: 0.25 rps, 7.5 rps, 180 rps.
func RPS(v float64) string {
	digits := 0
	switch {
	case v != 0 && math.Abs(v) < 1:
		digits = 2
	case math.Abs(v) < 100 && snap(v) != math.Trunc(snap(v)):
		digits = 1
	}
	return strconv.FormatFloat(snap(v), 'f', digits, 64) + " rps"
}

func replicas(n int) string { return plural(n, "replica") }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func percent(share float64) string {
	return strconv.FormatFloat(share*100, 'g', 4, 64) + " %"
}

// clock is the time of day; dates stand at the head of a log line.
func clock(t time.Time) string { return t.Format(time.TimeOnly) }

// short writes whole minutes and seconds without empty parts: 2m, 90s.
func short(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		return strconv.Itoa(int(d/time.Minute)) + "m"
	}
	return d.String()
}
