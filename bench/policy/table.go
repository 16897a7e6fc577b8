package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
)

// meanSD is the mean and the standard deviation.
func meanSD(values []float64) (mean, sd float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		sd += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(sd / max(1, float64(len(values)-1)))
}

// print writes the table of one recording.
func (o outcome) print(out io.Writer) {
	shape := "piecewise-constant"
	if o.linear {
		shape = "linear"
	}
	hours, _ := meanSD(o.hours)
	fmt.Fprintf(out, "\n%s, %s, %s: the clairvoyant pays %.0f replica-hours\n", o.name, shape, o.length.Round(time.Minute), hours)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer table.Flush()
	fmt.Fprintln(table, "\tcost\t±\tviolated %\t±\tchanges/day\t")
	for _, r := range o.rows {
		cost, costSD := meanSD(r.cost)
		violated, violatedSD := meanSD(r.violated)
		changes, _ := meanSD(r.changes)
		fmt.Fprintf(table, "%s\t%.2f\t%.3f\t%.3f\t%.4f\t%.0f\t\n", r.name(), cost, costSD, violated, violatedSD, changes)
	}
}

// summarize writes the means over all recordings, those of a day and more apart.
func summarize(out io.Writer, all []outcome) {
	for _, long := range []bool{true, false} {
		some := slices.DeleteFunc(slices.Clone(all), func(o outcome) bool { return (o.length >= 24*time.Hour) != long })
		if len(some) == 0 {
			continue
		}
		what := "shorter than a day"
		if long {
			what = "of a day and more"
		}
		fmt.Fprintf(out, "\nMean over the %d loads %s\n", len(some), what)
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "\tcost\tviolated %\tworst load %\tchanges/day\t")
		for i, r := range some[0].rows {
			var cost, violated, changes, worst float64
			for _, o := range some {
				c, _ := meanSD(o.rows[i].cost)
				v, _ := meanSD(o.rows[i].violated)
				n, _ := meanSD(o.rows[i].changes)
				cost, violated, changes, worst = cost+c/float64(len(some)), violated+v/float64(len(some)), changes+n/float64(len(some)), max(worst, v)
			}
			fmt.Fprintf(table, "%s\t%.2f\t%.3f\t%.3f\t%.0f\t\n", r.name(), cost, violated, worst, changes)
		}
		_ = table.Flush() // as the lines before it
	}
}
