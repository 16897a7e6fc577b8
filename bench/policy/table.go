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

// at is what a peer costs where it violates as much, by the line between the two
// targets around that: the logarithm of the violations goes with it. A peer that
// cannot violate so little, or so much, has no cost there, and the nearest stands.
func (o outcome) at(peer string, violated float64) (cost float64, exact bool) {
	type point struct{ violated, cost float64 }
	var all []point
	for _, r := range o.rows {
		if r.peer == peer {
			v, _ := meanSD(r.violated)
			c, _ := meanSD(r.cost)
			all = append(all, point{math.Log(max(v, 1e-5)), c})
		}
	}
	want := math.Log(max(violated, 1e-5))
	best := math.Inf(1)
	for i := 1; i < len(all); i++ { // targets rise, violations do by and large
		a, b := all[i-1], all[i]
		if (a.violated-want)*(b.violated-want) <= 0 && a.violated != b.violated {
			best = min(best, a.cost+(b.cost-a.cost)*(want-a.violated)/(b.violated-a.violated))
		}
	}
	if !math.IsInf(best, 1) {
		return best, true
	}
	nearest := all[0]
	for _, p := range all {
		if math.Abs(p.violated-want) < math.Abs(nearest.violated-want) {
			nearest = p
		}
	}
	return nearest.cost, false
}

// equal writes what the adaptive policy costs against others that violate as much.
func equal(out io.Writer, all []outcome) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\nload\tshape\tasked %\tviolated %\t± \tcost\t±\tchanges/day\tof HPA's\tof KPA's\t")
	for _, o := range all {
		shape := "constant"
		if o.linear {
			shape = "linear"
		}
		for _, r := range o.rows {
			if r.peer != "asked %" {
				continue
			}
			v, vSD := meanSD(r.violated)
			c, cSD := meanSD(r.cost)
			n, _ := meanSD(r.changes)
			fmt.Fprintf(table, "%s\t%s\t%g\t%.4f\t%.4f\t%.3f\t%.3f\t%.0f\t", o.name, shape, r.target, v, vSD, c, cSD, n)
			for _, peer := range []string{"HPA", "KPA"} {
				if len(o.rows) == 0 || !o.has(peer) {
					fmt.Fprint(table, "-\t")
					continue
				}
				cost, exact := o.at(peer, v)
				about := ""
				if !exact {
					about = "~"
				}
				fmt.Fprintf(table, "%s%.2f\t", about, c/cost)
			}
			fmt.Fprintln(table)
		}
	}
	_ = table.Flush() // as the lines before it
}

func (o outcome) has(peer string) bool {
	for _, r := range o.rows {
		if r.peer == peer {
			return true
		}
	}
	return false
}
