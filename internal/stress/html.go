package stress

import (
	"fmt"
	"io"
	"time"

	"github.com/five-keys/autoscale/internal/chart"
)

// WriteHTML writes the report as one self-contained page.
func (r *Report) WriteHTML(out io.Writer, when time.Time) error {
	page := chart.Page{
		Title:    "Load on " + r.URL,
		Subtitle: fmt.Sprintf("%s, for %s", when.Format("2 January 2006 15:04:05 -0700"), time.Duration(r.Duration*float64(time.Second)).Round(100*time.Millisecond)),
		Warnings: r.Warnings(),
		Facts: []chart.Fact{
			{Name: "p99 latency", Value: Milliseconds(r.Latency.P99), About: "p50 " + Milliseconds(r.Latency.P50)},
			{Name: "requests", Value: fmt.Sprint(r.Requests), About: rate(r.RateDone) + "/s done"},
			{Name: "failed", Value: fmt.Sprint(r.Failed()), About: "requests" + share(r.Failed(), r.Requests)},
		},
		Charts: []chart.Chart{r.rateChart(), r.latencyChart(), r.spectrumChart()},
	}
	if r.RateAsked != nil {
		page.Facts = append(page.Facts,
			chart.Fact{Name: "rate", Value: fmt.Sprintf("%.4g%%", 100*r.Reached()), About: fmt.Sprintf("asked %s/s, sent %s/s", rate(*r.RateAsked), rate(r.RateSent))},
			chart.Fact{Name: "dropped", Value: fmt.Sprint(r.Dropped), About: "due and never sent"})
	}
	if len(r.Errors) > 0 {
		t := chart.Table{Title: "Errors", Head: []string{"kind", "requests", "the first one"}}
		for _, kind := range r.kinds() {
			t.Rows = append(t.Rows, []string{kind, fmt.Sprint(r.Errors[kind]), r.Examples[kind]})
		}
		page.Tables = append(page.Tables, t)
	}
	return page.Write(out)
}

// column picks one figure of each second.
func (r *Report) column(pick func(Second) float64) []chart.Number {
	all := make([]chart.Number, len(r.Seconds))
	for i, s := range r.Seconds {
		all[i] = chart.Number(pick(s))
	}
	return all
}

func (r *Report) times() []float64 {
	all := make([]float64, len(r.Seconds))
	for i, s := range r.Seconds {
		all[i] = s.At
	}
	return all
}

func (r *Report) rateChart() chart.Chart {
	c := chart.Chart{
		Title: "Rate", Hint: "Requests per second that were sent, and those that failed.", XName: "time", X: r.times(), Unit: "requests/s",
		Series: []chart.Series{{Name: "sent", Colour: "load", Fill: true, Values: r.column(func(s Second) float64 { return s.Sent })}},
	}
	if r.RateAsked != nil {
		c.Series = append(c.Series, chart.Series{Name: "asked", Colour: "want", Dashed: true, Values: r.column(func(s Second) float64 { return missing(s.Asked) })})
	}
	c.Series = append(c.Series, chart.Series{Name: "failed", Colour: "bad", Values: r.column(func(s Second) float64 { return s.Failed })})
	for _, s := range r.Seconds {
		if s.Replicas != nil {
			c.Right = "replicas"
			c.Series = append(c.Series, chart.Series{
				Name: "replicas", Colour: "replicas", Right: true, Steps: true, Values: r.column(func(s Second) float64 { return missing(s.Replicas) }),
			})
			break
		}
	}
	return c
}

func (r *Report) latencyChart() chart.Chart {
	hint := "Of the requests that ended in each second."
	if r.RateAsked != nil {
		hint = "Of the requests that ended in each second, counted from when each was due."
	}
	return chart.Chart{
		Title: "Latency", Hint: hint, XName: "time", X: r.times(), Unit: "ms",
		Series: []chart.Series{
			{Name: "p50", Colour: "fast", Values: r.column(func(s Second) float64 { return s.P50 })},
			{Name: "p90", Colour: "load", Values: r.column(func(s Second) float64 { return s.P90 })},
			{Name: "p99", Colour: "slow", Values: r.column(func(s Second) float64 { return s.P99 })},
		},
	}
}

func (r *Report) spectrumChart() chart.Chart {
	c := chart.Chart{
		Title: "Latency spectrum", Hint: "So large a share of the requests took at most so long.", XName: "share of the requests", Quantiles: true, Unit: "ms",
		Series: []chart.Series{{Name: "latency", Colour: "load", Fill: true}},
	}
	for _, p := range r.Spectrum {
		c.X = append(c.X, p.Quantile)
		c.Series[0].Values = append(c.Series[0].Values, chart.Number(p.MS))
	}
	return c
}
