package stress

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// trailing are the blanks that a table leaves behind its lines.
var trailing = regexp.MustCompile(`(?m) +$`)

// WriteText writes the report for people.
func (r *Report) WriteText(out io.Writer) error {
	var b strings.Builder
	ended := ""
	if r.Ended {
		ended = " (ended early)"
	}
	fmt.Fprintf(&b, "%s for %s%s\n\n", r.URL, time.Duration(r.Duration*float64(time.Second)).Round(100*time.Millisecond), ended)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row("requests", "%d, of which %d failed%s", r.Requests, r.Failed(), share(r.Failed(), r.Requests))
	if r.RateAsked != nil {
		row("rate", "asked %s/s, sent %s/s (%.4g%%), done %s/s", rate(*r.RateAsked), rate(r.RateSent), 100*r.Reached(), rate(r.RateDone))
		row("dropped", "%d, which were due and could not be sent%s", r.Dropped, share(r.Dropped, r.Requests+r.Dropped))
	} else {
		row("rate", "%s/s", rate(r.RateDone))
	}
	row("received", "%s of bodies", size(r.Bytes))
	row("", "")
	row("", "p50\tp90\tp99\tp99.9\tmax\tmean")
	times := func(name string, t Times, about string) {
		row(name, "%s\t%s\t%s\t%s\t%s\t%s\t%s", Milliseconds(t.P50), Milliseconds(t.P90), Milliseconds(t.P99), Milliseconds(t.P999), Milliseconds(t.Max), Milliseconds(t.Mean), about)
	}
	if r.RateAsked != nil {
		times("latency", r.Latency, "from when each was due")
		times("service", r.Service, "from when it was sent")
		times("late", r.Late, "this program itself; in neither")
	} else {
		times("latency", r.Latency, "")
	}
	_ = table.Flush() // a Builder takes all
	if len(r.Errors) > 0 {
		b.WriteString("\nerrors\n")
		table.Init(&b, 0, 0, 2, ' ', 0)
		for _, kind := range r.kinds() {
			fmt.Fprintf(table, "  %s\t%d\t%s\n", kind, r.Errors[kind], r.Examples[kind])
		}
		_ = table.Flush()
	}
	for _, warning := range r.Warnings() {
		fmt.Fprintf(&b, "\nwarning: %s\n", warning)
	}
	_, err := io.WriteString(out, trailing.ReplaceAllString(b.String(), ""))
	return err
}

// kinds are the kinds of errors, the most frequent first.
func (r *Report) kinds() (kinds []string) {
	for kind := range r.Errors {
		kinds = append(kinds, kind)
	}
	slices.SortFunc(kinds, func(a, b string) int {
		if r.Errors[a] != r.Errors[b] {
			return int(r.Errors[b] - r.Errors[a])
		}
		return strings.Compare(a, b)
	})
	return kinds
}

// Warnings are what a reader of the figures must know.
func (r *Report) Warnings() (all []string) {
	if r.Reached() < 0.99 && !r.Ended {
		why := "every connection was busy; more --workers help where the server can do more"
		if kinds := r.kinds(); !r.busy && len(kinds) > 0 {
			why = "see the errors, of which most are " + kinds[0]
		}
		all = append(all, fmt.Sprintf("only %.4g%% of the asked rate was sent: %s", 100*r.Reached(), why))
	}
	if r.Dropped > 0 {
		all = append(all, fmt.Sprintf("what was due and never sent (%d) has no latency, and is in none of the figures", r.Dropped))
	}
	if r.Late.P99 > 10 {
		all = append(all, fmt.Sprintf("this program itself was late by up to %s (p99): this machine is too busy to send at such a rate", Milliseconds(r.Late.P99)))
	}
	return all
}

// share is n of all in words, where there are any.
func share(n, all int64) string {
	if n == 0 || all == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.3g%%)", 100*float64(n)/float64(all))
}

// rate writes requests/s.
func rate(r float64) string {
	switch {
	case r >= 1000:
		return fmt.Sprintf("%.0f", r)
	case r >= 100:
		return fmt.Sprintf("%.1f", r)
	}
	return fmt.Sprintf("%.3g", r)
}

// Milliseconds writes a time as people read it.
func Milliseconds(ms float64) string {
	switch {
	case ms == 0:
		return "-"
	case ms >= 10000:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 1:
		return fmt.Sprintf("%.3g ms", ms)
	}
	return fmt.Sprintf("%.2f ms", ms)
}

// size writes a number of bytes.
func size(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
