package sim

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale/internal/chart"
)

// colour is that of a setting's lines.
func colour(s Score, place int) string {
	switch s.Name {
	case "clairvoyant":
		return "quiet"
	case "recommended":
		return "fast"
	}
	return [...]string{"replicas", "slow", "want", "bad"}[place%4]
}

// WriteHTML writes the report as one self-contained page.
func (r *Report) WriteHTML(out io.Writer, when time.Time) error {
	page := chart.Page{
		Title:    "What it would have cost: " + r.Source,
		Subtitle: fmt.Sprintf("Simulated on %s: %s of load. %s", when.Format("2 January 2006 15:04 -0700"), long(r.Length), r.model()),
		Warnings: r.Warnings(),
		Facts:    r.facts(),
		Charts:   []chart.Chart{r.replicasChart()},
		Tables:   []chart.Table{r.scoreTable()},
	}
	if r.anyViolated() {
		page.Charts = append(page.Charts, r.violatedChart())
	} else {
		page.Notes = append(page.Notes, "No request was violated by what is compared.")
	}
	if c := r.Choice; c != nil {
		page.Notes = append(page.Notes, r.choiceNotes()...)
	}
	if len(r.Tried) > 0 {
		page.Charts = append(page.Charts, r.curveChart())
		page.Tables = append(page.Tables, r.triedTable())
	}
	if worst := r.worstTable(); len(worst.Rows) > 0 {
		page.Tables = append(page.Tables, worst)
	}
	page.Tables = append(page.Tables, r.modelTable())
	return page.Write(out)
}

// anyViolated reports whether any request was, by what is compared.
func (r *Report) anyViolated() bool {
	return slices.ContainsFunc(r.shown(), func(s Score) bool { return s.ViolatedShare > 0 })
}

// choiceNotes say what is recommended, and how sure that is.
func (r *Report) choiceNotes() []string {
	c := r.Choice
	if !c.Keeps {
		return []string{fmt.Sprintf("None of the settings tried keeps %s. The nearest is %s, with %s violated. %s.", percent(r.Recommend), c.Flags(), percent(c.Score.ViolatedShare), r.remedy())}
	}
	return []string{
		fmt.Sprintf("For at most %s violated: %s", percent(r.Recommend), c.Flags()),
		"How sure is that? " + upper(c.sureness(r.Recommend)) + ".",
	}
}

// facts are the most important figures.
func (r *Report) facts() []chart.Fact {
	all := []chart.Fact{
		{Name: "requests", Value: count(r.Requests), About: rps(r.Requests/r.Length.Seconds()) + " at the mean"},
		{Name: "clairvoyant", Value: fmt.Sprintf("%.0f", r.Clairvoyant.ReplicaHours), About: "replica-hours, knowing the future"},
	}
	for _, s := range r.shown() {
		if s.Name != "clairvoyant" {
			all = append(all, chart.Fact{Name: s.Name, Value: percent(s.ViolatedShare), About: fmt.Sprintf("violated, at %.2f × the clairvoyant's cost", s.CostRatio)})
		}
	}
	return all
}

// column picks one figure of each stretch.
func column(t Timeline, pick func(Bucket) float64) []chart.Number {
	all := make([]chart.Number, len(t.Buckets))
	for i, b := range t.Buckets {
		all[i] = chart.Number(pick(b))
	}
	return all
}

// times are the beginnings of the stretches, in seconds.
func times(t Timeline) []float64 {
	all := make([]float64, len(t.Buckets))
	for i := range all {
		all[i] = (time.Duration(i) * t.Width).Seconds()
	}
	return all
}

func (r *Report) replicasChart() chart.Chart {
	line := r.Clairvoyant.Timeline
	seconds := line.Width.Seconds()
	c := chart.Chart{
		Title: "Load and replicas",
		Hint:  fmt.Sprintf("The load, and the most replicas there were, in each %s; a replica is as high as what it carries. Drag over a stretch to look closer, a double click shows all again.", stretchName(line.Width)),
		XName: "time since the beginning", X: times(line), Unit: "requests/s", Right: "replicas", PerRight: r.Service.Capacity,
		Series: []chart.Series{{Name: "load", Colour: "load", Fill: true, Values: column(line, func(b Bucket) float64 { return b.Requests / seconds })}},
	}
	most := func(b Bucket) float64 { return float64(b.Most) }
	for i, s := range r.shown() {
		c.Series = append(c.Series, chart.Series{
			Name: s.Name, Colour: colour(s, i), Right: true, Steps: true, Dashed: s.Name == "clairvoyant", Values: column(s.Timeline, most),
		})
	}
	return c
}

func (r *Report) violatedChart() chart.Chart {
	line := r.Clairvoyant.Timeline
	c := chart.Chart{
		Title: "Violated", Hint: fmt.Sprintf("The share of the requests of each %s that were answered later than %s, or not at all.", stretchName(line.Width), r.Service.Limit),
		XName: "time since the beginning", X: times(line), Unit: "%",
	}
	for i, s := range r.shown() {
		if s.Name == "clairvoyant" {
			continue
		}
		c.Series = append(c.Series, chart.Series{Name: s.Name, Colour: colour(s, i), Fill: true, Values: column(s.Timeline, func(b Bucket) float64 {
			return 100 * b.Violated / max(b.Requests, 1e-9)
		})})
	}
	return c
}

// curveFloor is what stands for less, in per cent: a share of 0 has no place on an
// axis of powers.
const curveFloor = 1e-4

// onCurve is a share on the axis of the curve.
func onCurve(share float64) chart.Number { return chart.Number(math.Max(curveFloor, 100*share)) }

// curveChart has the settings that were tried as a curve, and those that are
// compared as a point each.
func (r *Report) curveChart() chart.Chart {
	c := chart.Chart{
		Title: "Cost against violations",
		Hint: "Each point of the curve is a setting than which none that was tried is both cheaper and violates less; the others are what is compared. " +
			fmt.Sprintf("What violates %v %% or less, or nothing, stands on that line.", curveFloor),
		XName: "cost, as a multiple of the clairvoyant's", Unit: "% violated", Log: true,
	}
	type point struct {
		Score
		series int
	}
	var points []point
	add := func(name, colour string, dots ...Score) {
		for _, s := range dots {
			points = append(points, point{s, len(c.Series)})
		}
		c.Series = append(c.Series, chart.Series{Name: name, Colour: colour, Joined: true})
	}
	var front []Score
	for _, t := range r.front() {
		front = append(front, t.Score)
	}
	add("tried", "load", front...)
	for i, s := range r.shown() {
		if s.Name != "clairvoyant" {
			add(s.Name, colour(s, i), s)
		}
	}
	slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.CostRatio, b.CostRatio) })
	for _, p := range points {
		last := len(c.X) - 1
		if last < 0 || c.X[last] != p.CostRatio {
			last++
			c.X = append(c.X, p.CostRatio)
			for i := range c.Series {
				c.Series[i].Values = append(c.Series[i].Values, chart.Number(math.NaN()))
			}
		}
		c.Series[p.series].Values[last] = onCurve(p.ViolatedShare)
	}
	if r.Recommend > 0 {
		asked := chart.Series{Name: "asked for", Colour: "bad", Dashed: true, Steps: true}
		for range c.X {
			asked.Values = append(asked.Values, onCurve(r.Recommend))
		}
		c.Series = append(c.Series, asked)
	}
	return c
}

func (r *Report) scoreTable() chart.Table {
	t := chart.Table{Title: "What is compared", Head: []string{"", "violated", "dropped", "replica-hours", "× clairvoyant", "changes/day", "reversals/day", "flags"}}
	for i, s := range r.shown() {
		flags := ""
		switch {
		case i < len(r.Settings):
			flags = twoLines(r.Settings[i])
		case s.Name == "recommended":
			flags = twoLines(r.Choice.Setting)
		}
		t.Rows = append(t.Rows, []string{
			s.Name, percent(s.ViolatedShare), percent(s.DroppedShare), fmt.Sprintf("%.1f", s.ReplicaHours), fmt.Sprintf("%.2f", s.CostRatio),
			fmt.Sprintf("%.1f", s.ChangesPerDay), fmt.Sprintf("%.1f", s.ReversalsPerDay), flags,
		})
	}
	return t
}

// twoLines are the flags of a setting, where there is little room.
func twoLines(s Setting) string { return strings.Replace(s.Flags(), " --min", "\n--min", 1) }

func (r *Report) triedTable() chart.Table {
	t := chart.Table{Title: "What it costs to violate less", Head: []string{"violated", "replica-hours", "× clairvoyant", "flags"}}
	for _, one := range r.front() {
		t.Rows = append(t.Rows, []string{percent(one.Score.ViolatedShare), fmt.Sprintf("%.1f", one.Score.ReplicaHours), fmt.Sprintf("%.2f", one.Score.CostRatio), one.Name})
	}
	return t
}

func (r *Report) worstTable() chart.Table {
	t := chart.Table{Title: "The worst minutes", Head: []string{"", "from", "violated", "of requests", "replicas at most"}}
	for _, s := range r.shown() {
		for _, m := range s.Worst {
			t.Rows = append(t.Rows, []string{s.Name, moment(m.At), count(m.Violated), count(m.Requests), fmt.Sprint(m.Most)})
		}
	}
	return t
}

// modelTable is all that the model rests on.
func (r *Report) modelTable() chart.Table {
	s, m := r.Service, r.Service.Metrics
	t := chart.Table{Title: "The model", Head: []string{"", ""}}
	row := func(name, format string, args ...any) {
		t.Rows = append(t.Rows, []string{name, fmt.Sprintf(format, args...)})
	}
	row("a replica answers at most", "%s", rps(s.Capacity))
	row("it starts in", "%s", s.Startup)
	row("a raise ends", "%s", choose(s.AtOnce, "at once (as on Kubernetes)", "when the new replicas answer"))
	row("it finishes what it holds within", "%s", s.Drain)
	row("an answer takes, without waiting", "%s", s.Latency)
	row("requests that may wait for each", "%.4g", s.Queue)
	row("a dropped request is sent again", "%s", sentAgain(s))
	row("the load is seen", "%s, %s", choose(m.Offered, "as it comes", "as it is answered"), choose(m.Each, "on the page of each replica", "on one page"))
	row("what shows replicas at their end", "%s", signs(s.Signs))
	row("as", "%s", choose(m.Gauge, fmt.Sprintf("a rate over %s", m.Window), "a counter"))
	row("scraped", "%s", choose(m.Every > 0, fmt.Sprintf("every %s, seen %s later", m.Every, m.Age), fmt.Sprintf("at each step, seen %s later", m.Age)))
	row("the rate between recorded ones", "%s", choose(r.Load.Linear, "changes evenly", "stays"))
	row("noise from second to second", "%s%s, seed %d", percent(r.Load.Noise), choose(r.Load.Poisson, " and Poisson arrivals", ""), r.Load.Seed)
	return t
}

// sentAgain says how often a dropped request is sent again, in words.
func sentAgain(s Service) string {
	switch s.Retries {
	case 0:
		return "never"
	case 1:
		return fmt.Sprintf("once, %s later", s.RetryAfter)
	}
	return fmt.Sprintf("%d times, each %s later", s.Retries, s.RetryAfter)
}

// signs are those that show, in words.
func signs(s Signs) string {
	var all []string
	for _, one := range []struct {
		shows bool
		name  string
	}{{s.CPU, "CPU"}, {s.Errors, "errors"}, {s.InFlight, "requests in flight"}} {
		if one.shows {
			all = append(all, one.name)
		}
	}
	if all == nil {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

func choose(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// stretchName is a length as in "in each minute".
func stretchName(d time.Duration) string {
	switch d {
	case time.Second:
		return "second"
	case time.Minute:
		return "minute"
	case 24 * time.Hour:
		return "day"
	}
	return "stretch of " + long(d)
}
