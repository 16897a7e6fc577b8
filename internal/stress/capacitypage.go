package stress

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/five-keys/autoscale/internal/chart"
)

// WriteCapacityHTML writes searches at one or more numbers of replicas as one
// page.
func WriteCapacityHTML(out io.Writer, url string, all []*Capacity, advice []string, when time.Time) error {
	page := chart.Page{
		Title: "What " + url + " can carry", Subtitle: when.Format("2 January 2006 15:04:05 -0700"), Notes: advice,
	}
	for _, c := range all {
		name := "capacity"
		if c.Replicas > 0 {
			name = inWords(c.Replicas)
		}
		page.Facts = append(page.Facts, chart.Fact{Name: name, Value: rate(c.Rate) + "/s", About: "p99 within " + Milliseconds(c.Limit)})
		page.Charts = append(page.Charts, c.chart(name))
		page.Tables = append(page.Tables, c.table(name))
	}
	return page.Write(out)
}

func inWords(n int) string {
	if n == 1 {
		return "1 replica"
	}
	return fmt.Sprintf("%d replicas", n)
}

func (c *Capacity) chart(name string) chart.Chart {
	trials := slices.SortedFunc(slices.Values(c.Trials), func(a, b Trial) int { return cmp.Compare(a.Asked, b.Asked) })
	out := chart.Chart{
		Title: "Latency by rate: " + name, XName: "requests/s", Unit: "ms",
		Hint:   fmt.Sprintf("At most %s (p99) was allowed; one request at a time took %s.", Milliseconds(c.Limit), Milliseconds(c.Unloaded.P99)),
		Series: []chart.Series{{Name: "p99", Colour: "slow"}, {Name: "p50", Colour: "fast"}, {Name: "limit", Colour: "bad", Dashed: true}},
		Marks:  []chart.Mark{{X: TargetShare * c.Rate, Name: "target"}, {X: c.Rate, Name: "carried"}},
	}
	for _, t := range trials {
		out.X = append(out.X, t.Asked)
		for i, v := range []float64{t.P99, t.P50, c.Limit} {
			// What has fallen over would flatten all the rest.
			out.Series[i].Values = append(out.Series[i].Values, chart.Number(min(v, 3*c.Limit)))
		}
	}
	return out
}

func (c *Capacity) table(name string) chart.Table {
	t := chart.Table{Title: "Rates tried: " + name, Head: []string{"asked", "sent", "p50", "p99", "failed", ""}}
	for _, one := range c.Trials {
		t.Rows = append(t.Rows, []string{
			rate(one.Asked) + "/s", rate(one.Sent) + "/s", Milliseconds(one.P50), Milliseconds(one.P99), fmt.Sprintf("%.2g%%", 100*one.Errors), cmp.Or(one.Why, "carried"),
		})
	}
	return t
}

// Advice says what follows from searches at several numbers of replicas, the
// smallest first.
func Advice(all []*Capacity) (lines []string) {
	last := all[len(all)-1]
	if last.Rate == 0 {
		return []string{"not even the lowest rate was carried: look at the service, or allow more with --p99"}
	}
	for i, c := range all {
		n := max(1, c.Replicas)
		if i > 0 && all[i-1].Rate > 0 {
			before := all[i-1]
			gain := c.Rate/before.Rate - 1
			ideal := float64(n)/float64(max(1, before.Replicas)) - 1
			if gain < ideal/2 {
				lines = append(lines, fmt.Sprintf("from %s to %s the rate rises by %.0f%% rather than %.0f%%: more of them help little here, since they share what is scarce (the cores, a database)", inWords(max(1, before.Replicas)), inWords(n), 100*gain, 100*ideal))
			}
		}
	}
	worst := weakest(all)
	at := max(1, worst.Replicas)
	each := rate(worst.Rate/float64(at)) + "/s"
	if at > 1 {
		each += " that each of " + inWords(at) + " carried"
	}
	lines = append(lines, fmt.Sprintf("proposed: --rps-target=%g (%.0f%% of %s)", worst.Target(at), 100*TargetShare, each))
	for _, c := range all {
		if c.Bound != "" {
			lines = append(lines, c.Bound)
		}
		if c.Cores > 0.1 {
			lines = append(lines, fmt.Sprintf("this program itself used %.2g cores at %s/s: on one machine with the service that is lost to the service", c.Cores, rate(c.Rate)))
			break
		}
	}
	return lines
}

// weakest is the search in which each replica carried the least.
func weakest(all []*Capacity) *Capacity {
	return slices.MinFunc(all, func(a, b *Capacity) int {
		return cmp.Compare(a.Rate/float64(max(1, a.Replicas)), b.Rate/float64(max(1, b.Replicas)))
	})
}

// Proposed is the --rps-target that follows from searches, in requests/s.
func Proposed(all []*Capacity) float64 {
	worst := weakest(all)
	return worst.Target(worst.Replicas)
}

// WriteText writes a search for people.
func (c *Capacity) WriteText(out io.Writer) error {
	name := ""
	if c.Replicas > 0 {
		name = inWords(c.Replicas) + ": "
	}
	_, err := fmt.Fprintf(out, "%s%s/s carried, with p99 within %s (unloaded: %s)\n", name, rate(c.Rate), Milliseconds(c.Limit), Milliseconds(c.Unloaded.P99))
	return err
}

// Line writes one trial for people.
func (t Trial) Line() string {
	return fmt.Sprintf("%8s/s  p50 %-9s p99 %-9s %s", rate(t.Asked), Milliseconds(t.P50), Milliseconds(t.P99), cmp.Or(t.Why, "carried"))
}
