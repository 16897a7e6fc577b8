package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/history"
	"github.com/five-keys/autoscale/internal/trace"
)

// simulatedLoad is where the load comes from, and what is made up of it.
type simulatedLoad struct {
	Trace  string   `group:"load" placeholder:"FILE" help:"Recorded load: CSV of seconds_since_start,rps or of time,method,path; NDJSON; an access log."`
	URL    string   `group:"load" name:"prometheus-url" placeholder:"URL" help:"A Prometheus server that knows it."`
	Query  string   `group:"load" name:"prometheus-query" placeholder:"QUERY" help:"Gives requests/s there; several series are added up."`
	Header []string `group:"load" name:"metrics-header" sep:"none" placeholder:"NAME: VALUE" help:"Request header for it; repeatable, never printed."`
	Step   seconds  `group:"load" name:"query-step" default:"15" placeholder:"15" help:"For which instants it is asked."`

	Config  string `group:"load" placeholder:"FILE" help:"A daemon's configuration: the policy is that of --service, and so is the load, from the daemon's history, where nothing else says it."`
	Service string `group:"load" placeholder:"NAME" help:"The service in it, by its label."`
	Last    span   `group:"load" default:"7d" placeholder:"7d" help:"How far back the load goes, of a Prometheus server or a history."`

	Scale   rate   `group:"load" default:"1" placeholder:"1" help:"How many times the recorded load."`
	Between string `group:"load" enum:"linear,constant" default:"linear" placeholder:"linear" help:"The rate between the recorded ones: linear, constant (it stays until the next)."`
	Noise   rate   `group:"load" default:"0.05" placeholder:"0.05" help:"By what share the rate varies from second to second; recorded requests are taken as they came."`
	Poisson bool   `group:"load" default:"true" negatable:"" help:"Requests come as chance has it."`
	Seed    uint64 `group:"load" default:"1" placeholder:"1" help:"Of what is made up: the same seed gives the same figures."`
}

// check looks for what is wrong in the flags themselves.
func (c *simulatedLoad) check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case c.Trace != "" && c.URL != "":
		wrong("--trace and --prometheus-url: the load comes from one of the two; leave the other away")
	case (c.URL != "") != (c.Query != ""):
		wrong("--prometheus-url and --prometheus-query go together")
	case c.Trace == "" && c.URL == "" && c.Config == "":
		wrong("no load: name a recording with --trace, a server with --prometheus-url, or a daemon's configuration with --config")
	}
	if !(c.Scale > 0 && c.Scale <= 1e6) {
		wrong("--scale=%v: give a number above 0, up to a million", float64(c.Scale))
	}
	if !(c.Noise >= 0 && c.Noise <= 1) {
		wrong("--noise=%v: give a share from 0 to 1", float64(c.Noise))
	}
	if c.Step < seconds(time.Second) {
		wrong("--query-step=%s: give at least a second", time.Duration(c.Step))
	}
	if c.Last < span(time.Minute) {
		wrong("--last=%s: give at least a minute", time.Duration(c.Last))
	}
	return errors.Join(errs...)
}

// span reads a time that may have days.
type span time.Duration

// UnmarshalText reads "14d", "12h", "90".
func (d *span) UnmarshalText(text []byte) error {
	days, ok := strings.CutSuffix(string(text), "d")
	if !ok {
		return (*seconds)(d).UnmarshalText(text)
	}
	var n float64
	if _, err := fmt.Sscanf(days+" ", "%g ", &n); err != nil || !(n >= 0 && n <= 36500) {
		return fmt.Errorf("%q is no time: give days (14d), or a number with its unit (12h, 90m)", text)
	}
	*d = span(n * 24 * float64(time.Hour))
	return nil
}

// loadFrom is where a load comes from.
type loadFrom struct {
	name string
	// rates may be asked for more than once. Read is told of bytes, where it reads
	// any.
	rates func(read func(bytes int)) trace.Rates
	// bytes is how many it has, or length how long it is; 0 where nobody knows.
	bytes  int64
	length time.Duration
	// exact tells that it has each request.
	exact bool
	ends  []func() error
}

func (l *loadFrom) close() {
	for _, end := range l.ends {
		_ = end() // it was only read
	}
}

// open finds the load.
func (c *simulatedLoad) open(ctx context.Context, now time.Time) (*loadFrom, error) {
	length := time.Duration(c.Last)
	l := &loadFrom{length: length}
	var rates trace.Rates
	switch {
	case c.Trace != "":
		return c.openTrace()
	case c.URL != "":
		l.name = "query " + c.Query
		now = now.Truncate(time.Duration(c.Step))
		rates = trace.Range{URL: c.URL, Headers: c.Header, Query: c.Query, From: now.Add(-length), To: now, Step: time.Duration(c.Step)}.Rates(ctx)
	default:
		log, err := c.openHistory()
		if err != nil {
			return nil, err
		}
		l.name = "service " + log.service
		l.ends = append(l.ends, log.store.Close)
		rates = recorded(log.store, log.service, now.Add(-length), now)
	}
	rates = scaled(rates, float64(c.Scale))
	l.rates = func(func(int)) trace.Rates { return rates }
	return l, nil
}

// openTrace finds a recording.
func (c *simulatedLoad) openTrace() (*loadFrom, error) {
	recording, err := trace.Find(c.Trace, 1, float64(c.Scale))
	if err != nil {
		return nil, fmt.Errorf("--trace: %w", err)
	}
	l := &loadFrom{name: filepath.Base(c.Trace), exact: recording.Exact()}
	if info, err := os.Stat(c.Trace); err == nil && info.Mode().IsRegular() {
		l.bytes = info.Size()
	}
	l.rates = func(read func(int)) trace.Rates { return recording.Rates(time.Second, read) }
	return l, nil
}

// openHistory opens a daemon's history.
func (c *simulatedLoad) openHistory() (*daemonLog, error) {
	f, err := daemonFile(c.Config)
	if err != nil {
		return nil, err
	}
	label := c.Service
	if label == "" && len(f.Services) == 1 {
		label = f.Services[0].Name
	}
	if _, err := labelled(f, label); err != nil {
		return nil, err
	}
	if _, err := os.Stat(f.History.File); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the daemon of %s has not run yet; let it run for a day, or name a recording with --trace", history.ErrNone, f.Path)
	}
	return openLog(c.Config, label)
}

// historyPage is how much of a history is read at a time: less than it sums up in
// one answer.
const historyPage = 6 * time.Hour

// recorded is what a daemon saw of a service's load. Of what is older than a day it
// knows the highest of each minute, and later of each ten.
func recorded(s *history.Store, service string, from, to time.Time) trace.Rates {
	return trace.Stretches(recordedPoints(s, service, from, to))
}

func recordedPoints(s *history.Store, service string, from, to time.Time) iter.Seq2[trace.Rate, error] {
	return func(yield func(trace.Rate, error) bool) {
		found := false
		last := time.Time{}
		for page := from; page.Before(to); page = page.Add(historyPage) {
			end := page.Add(historyPage)
			if end.After(to) {
				end = to
			}
			points, err := s.Points(service, page, end, 0)
			if err != nil {
				yield(trace.Rate{}, err)
				return
			}
			for _, p := range points {
				if p.Verdict.Doubtful() || p.Verdict == autoscale.Warming || !p.Time.After(last) {
					continue
				}
				found, last = true, p.Time
				if !yield(trace.Rate{At: p.Time.Sub(from), RPS: p.RPS}, nil) {
					return
				}
			}
		}
		if !found {
			yield(trace.Rate{}, fmt.Errorf("%w of service %s since %s", history.ErrNone, service, from.Format(time.DateTime)))
		}
	}
}

// scaled is load with so many times the requests.
func scaled(all trace.Rates, scale float64) trace.Rates {
	return func(yield func(trace.Rate, error) bool) {
		for r, err := range all {
			r.RPS *= scale
			if !yield(r, err) {
				return
			}
		}
	}
}

// first is the mean rate of the first minute.
func (l *loadFrom) first() (float64, error) {
	requests, passed := 0.0, time.Duration(0)
	for r, err := range l.rates(nil) {
		if err != nil {
			return 0, err
		}
		requests += r.RPS * r.For.Seconds()
		if passed += r.For; passed >= time.Minute {
			break
		}
	}
	if passed == 0 {
		return 0, fmt.Errorf("%s: there is no load in it", l.name)
	}
	return requests / passed.Seconds(), nil
}

// bar shows a person how far a long simulation is.
type bar struct {
	out   io.Writer // nil where nobody looks
	from  *loadFrom
	began time.Time
	bytes int64
	shown time.Time
}

const (
	// barAfter is how long a simulation takes before there is a bar.
	barAfter = time.Second
	barWidth = 30
)

// newBar looks where a person looks.
func newBar(s streams, from *loadFrom) *bar {
	b := &bar{from: from, began: time.Now()}
	if file, ok := s.err.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		b.out = file
	}
	return b
}

// read counts what was read.
func (b *bar) read(bytes int) { b.bytes += int64(bytes) }

// show is told up to when the load was simulated.
func (b *bar) show(at time.Duration) {
	now := time.Now()
	if b.out == nil || now.Sub(b.began) < barAfter || now.Sub(b.shown) < 100*time.Millisecond {
		return
	}
	b.shown = now
	part := 0.0
	switch {
	case b.from.bytes > 0:
		part = float64(b.bytes) / float64(b.from.bytes)
	case b.from.length > 0:
		part = float64(at) / float64(b.from.length)
	}
	part = min(part, 1)
	full := int(part * barWidth)
	left := ""
	if part > 0.02 {
		left = ", " + cmp.Or(time.Duration(float64(now.Sub(b.began))*(1-part)/part).Round(time.Second), time.Second).String() + " left"
	}
	// Who does not look misses nothing but this.
	_, _ = fmt.Fprintf(b.out, "\r%s%s %3.0f %%  %.1f days%s\x1b[K", strings.Repeat("█", full), strings.Repeat("░", barWidth-full), 100*part, at.Hours()/24, left)
}

// end takes the bar away.
func (b *bar) end() {
	if b.out != nil && !b.shown.IsZero() {
		_, _ = fmt.Fprint(b.out, "\r\x1b[K")
	}
}
