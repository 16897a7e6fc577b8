package sim

import (
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"text/tabwriter"
)

// trailing are the blanks that a table leaves behind its lines.
var trailing = regexp.MustCompile(`(?m) +$`)

// WriteText writes the report for people.
func (r *Report) WriteText(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s requests, %s at the mean\n%s\n\n", r.Source, long(r.Length), count(r.Requests), rps(r.Requests/r.Length.Seconds()), r.model())
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tviolated\treplica-hours\t× clairvoyant\tchanges/day\treversals/day\t")
	for _, s := range r.shown() {
		fmt.Fprintf(table, "%s\t%s\t%.1f\t%.2f\t%.1f\t%.1f\t\n", s.Name, percent(s.ViolatedShare), s.ReplicaHours, s.CostRatio, s.ChangesPerDay, s.ReversalsPerDay)
	}
	_ = table.Flush() // a Builder takes all
	r.writeWorst(&b)
	if r.Choice != nil {
		r.writeChoice(&b)
	}
	if len(r.Tried) > 0 {
		b.WriteString("\nWhat it costs to violate less:\n\n")
		fmt.Fprintln(table, "violated\treplica-hours\t× clairvoyant\t\t")
		for _, t := range r.front() {
			fmt.Fprintf(table, "%s\t%.1f\t%.2f\t%s\t\n", percent(t.Score.ViolatedShare), t.Score.ReplicaHours, t.Score.CostRatio, t.Name)
		}
		_ = table.Flush()
	}
	for _, w := range r.Warnings() {
		fmt.Fprintf(&b, "\nwarning: %s\n", w)
	}
	_, err := io.WriteString(out, trailing.ReplaceAllString(b.String(), ""))
	return err
}

// writeWorst writes the worst minutes of each.
func (r *Report) writeWorst(b *strings.Builder) {
	for _, s := range r.shown() {
		if len(s.Worst) == 0 {
			continue
		}
		fmt.Fprintf(b, "\nWorst minutes, %s:\n", s.Name)
		for _, m := range s.Worst {
			fmt.Fprintf(b, "  %s: %s of %s requests violated, at most %d replicas\n", moment(m.At), count(m.Violated), count(m.Requests), m.Most)
		}
	}
}

// writeChoice writes what is recommended.
func (r *Report) writeChoice(b *strings.Builder) {
	c := r.Choice
	if c.Keeps {
		fmt.Fprintf(b, "\nFor at most %s violated:\n\n  %s\n\n", percent(r.Recommend), c.Flags())
		fmt.Fprintf(b, "On what was seen it violates %s at %.2f times the clairvoyant's cost.\nHow sure is that? %s.\n", percent(c.Score.ViolatedShare), c.Score.CostRatio, upper(c.sureness(r.Recommend)))
		return
	}
	fmt.Fprintf(b, "\nNone of the settings tried keeps %s. The nearest is\n\n  %s\n\nand violates %s. %s.\n", percent(r.Recommend), c.Flags(), percent(c.Score.ViolatedShare), r.remedy())
}

// remedy is what helps where no setting does.
func (r *Report) remedy() string {
	return "Replicas that start faster, shorter steps (--interval), more of them from the beginning (--min), or a longer --slo-latency would help"
}

// model says in a line what the service is taken to be.
func (r *Report) model() string {
	s := r.Service
	text := fmt.Sprintf("A replica answers %s at most and starts in %s; an answer that takes longer than %s, or none, is violated.", rps(s.Capacity), short(s.Startup), s.Limit)
	if r.Load.Noise > 0 || r.Load.Poisson {
		shape := "constant within each recorded stretch"
		if r.Load.Linear {
			shape = "linear between the recorded ones"
		}
		text += fmt.Sprintf("\nRates are %s, with noise of %s from second to second, seed %d.", shape, percent(r.Load.Noise), r.Load.Seed)
	}
	return text
}

// Warnings are what a reader of the figures must know.
func (r *Report) Warnings() (all []string) {
	if v := r.Clairvoyant.ViolatedShare; v > 0 {
		all = append(all, fmt.Sprintf("%s are violated even with all --max replicas: they are too few for this load", percent(v)))
	}
	for _, s := range r.Settings {
		if above := s.Target * (1 + s.Tolerance); !r.Service.Metrics.Offered && r.Service.Signs == (Signs{}) && above >= r.Service.Capacity {
			all = append(all, fmt.Sprintf("%s raises above %s a replica, and one answers %s at most: with --rps-target=%v it hardly ever raises; give less than %.3g",
				s.Name, rps(above), rps(r.Service.Capacity), s.Target, r.Service.Capacity*(1-spare)/(1+s.Tolerance)))
		}
	}
	if r.Choice != nil && r.Choice.Keeps && !r.Choice.Unseen.Holds(r.Recommend) {
		all = append(all, "the recommendation held only on what it was chosen by; see how sure it is")
	}
	return all
}

// count writes a number of requests.
func count(n float64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.3g billion", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.3g million", n/1e6)
	case n >= 999.5:
		whole := int(math.Round(n))
		return fmt.Sprintf("%d,%03d", whole/1000, whole%1000)
	case n >= 9.5:
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.2g", n)
}

// rps writes a rate.
func rps(v float64) string { return fmt.Sprintf("%.4g rps", v) }

// upper begins with a capital letter.
func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
