package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/prometheus"
	"github.com/five-keys/autoscale/internal/stress"
	"github.com/five-keys/autoscale/internal/trace"
)

// stressCommand sends load to an HTTP server and measures what comes of it.
type stressCommand struct {
	URL      string   `group:"load" required:"" placeholder:"URL" help:"What to ask, as in http://localhost:8000/."`
	Workers  int      `group:"load" placeholder:"8" help:"Connections: all at once without a rate, at most as many with one (default then: 256)."`
	Duration *seconds `group:"load" placeholder:"10" help:"For how long; bare numbers are seconds. Default: 10 s, or as long as the profile or the recording lasts."`
	Requests int64    `group:"load" placeholder:"N" help:"Send so many and end."`
	Think    seconds  `group:"load" name:"think-time" placeholder:"SECONDS" help:"How long a worker waits between a response and its next request."`

	Rate     *float64 `group:"open" xor:"load" placeholder:"RPS" help:"Requests per second, whatever the server does: latency counts from when each was due."`
	Profile  string   `group:"open" xor:"load" sep:"none" placeholder:"PROFILE" help:"A rate that changes: const:200/30s, ramp:10..500/5m, step:50,100,200/1m, sine:mean=200,amplitude=150,period=10m, spike:base=50,peak=500,at=1m,for=10s/3m; joined with ,then,"`
	Replay   string   `group:"open" xor:"load" placeholder:"FILE" help:"Recorded load: CSV of seconds_since_start,rps or of time,method,path,body, NDJSON, or an access log."`
	Speed    float64  `group:"open" default:"1" placeholder:"1" help:"How many times as fast the recording runs."`
	Scale    float64  `group:"open" default:"1" placeholder:"1" help:"How many times its requests are sent."`
	Arrivals string   `group:"open" enum:"uniform,poisson" default:"uniform" placeholder:"uniform" help:"How requests follow one another: uniform, or poisson (as of people who know nothing of each other)."`
	Seed     uint64   `group:"open" default:"1" placeholder:"1" help:"Of poisson: the same seed gives the same load."`
	MaxQueue int      `group:"open" default:"10000" placeholder:"10000" help:"How many requests may wait for a free connection; what comes on top is dropped, and counted."`

	Method    string   `group:"http" placeholder:"GET" help:"Request method."`
	Header    []string `group:"http" short:"H" sep:"none" placeholder:"NAME: VALUE" help:"Request header; repeatable."`
	Body      string   `group:"http" placeholder:"TEXT" help:"Request body; @FILE reads it from a file."`
	User      string   `group:"http" short:"u" placeholder:"NAME:PASSWORD" help:"Basic authentication."`
	Host      string   `group:"http" placeholder:"NAME" help:"The Host header, and the name in TLS."`
	Timeout   seconds  `group:"http" default:"10" placeholder:"10" help:"How long one request may take, connecting included."`
	KeepAlive bool     `group:"http" default:"true" negatable:"" help:"Use a connection again."`
	HTTP2     bool     `group:"http" name:"http2" help:"Speak HTTP/2."`
	Redirects int      `group:"http" placeholder:"N" help:"Follow so many redirects; default: a redirect is the answer."`
	Insecure  bool     `group:"http" help:"Take any certificate."`
	CA        string   `group:"http" name:"ca" placeholder:"FILE" help:"Certificates to trust, as PEM."`
	Socket    string   `group:"http" name:"unix-socket" placeholder:"FILE" help:"Connect to this Unix socket."`
	Resolve   seconds  `group:"http" name:"resolve-every" default:"5" placeholder:"5" help:"Look the name up again, so that new replicas get traffic; 0 for once."`
	Reconnect seconds  `group:"http" name:"reconnect-every" placeholder:"SECONDS" help:"Open each connection anew after that time, some all the time: how a balancer sees new replicas."`

	FindCapacity bool    `group:"capacity" help:"Find the highest rate that the server carries, and propose an --rps-target."`
	Step         seconds `group:"capacity" default:"5" placeholder:"5" help:"For how long each rate is held."`
	P99          seconds `group:"capacity" name:"p99" placeholder:"SECONDS" help:"The latency that a rate may not exceed (p99); default: five times the unloaded one, at least 10 ms."`
	Errors       float64 `group:"capacity" name:"max-errors" default:"0.01" placeholder:"0.01" help:"The share of failed requests that it may not exceed."`
	ScaleWith    quoted  `group:"capacity" sep:"none" placeholder:"FLAGS" help:"The flags of a decision, in quotes: measure with 1, 2 and --max replicas of that service, and bring it back."`
	Yes          bool    `group:"capacity" short:"y" help:"Do not ask before that."`

	JSON   bool   `group:"report" name:"json" help:"Print one JSON object to the standard output."`
	NDJSON string `group:"report" name:"ndjson" placeholder:"FILE" help:"Write a line of JSON each second."`
	HTML   string `group:"report" name:"html" placeholder:"FILE" help:"Write the report as one self-contained page."`
	Fail   string `group:"report" sep:"none" placeholder:"LIMITS" help:"Exit with 1 where one is broken: p99<300ms,errors<1%,rate>=0.99 (also p50, p90, p999, max, mean, dropped, rps)."`
	Watch  string `group:"report" placeholder:"URL" help:"A page of metrics that tells the number of replicas, shown beside the load."`
	Metric string `group:"report" name:"watch-metric" default:"autoscale_replicas" placeholder:"autoscale_replicas" help:"The gauge in it; all its series are summed."`
}

// quoted is a value that may begin with dashes, as flags in quotes do.
type quoted string

// Decode takes the next argument, whatever it looks like.
func (q *quoted) Decode(ctx *kong.DecodeContext) error {
	*q = quoted(ctx.Scan.Pop().String())
	return nil
}

// Help is what stands below the flags' summary.
func (c *stressCommand) Help() string {
	return `Without a rate each worker sends one request after another, at the server's
pace. With --rate, --profile or --replay requests are sent when they are due,
whatever the server does, and their latency counts from then.

  autoscale stress --url http://localhost:8000/ --workers 8 --duration 120
  autoscale stress --url http://localhost:8000/ --profile ramp:10..500/5m --html report.html
  autoscale stress --url http://localhost:8000/ --rate 200 --duration 1m --fail 'p99<300ms,errors<1%'
  autoscale stress --url http://localhost:8000/ --find-capacity

Ctrl-C ends it early, with the report of what was done.
Exit status: 0 done; 1 nothing succeeded, or a limit was broken; 2 flags wrong.`
}

// Run sends the load and reports.
func (c *stressCommand) Run(ctx context.Context, s streams) error {
	cfg, limits, err := c.config()
	if err != nil {
		return usage(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	if c.FindCapacity {
		return c.findCapacity(ctx, s, cfg, began)
	}
	show, err := c.progress(s, &cfg, cancel)
	if err != nil {
		return err
	}
	report, err := stress.Run(ctx, cfg)
	err = errors.Join(err, show.end())
	if report == nil {
		return err
	}
	return errors.Join(err, c.print(s, report, limits, began))
}

// config is what the flags ask for. Its errors are the flags'.
func (c *stressCommand) config() (stress.Config, []stress.Limit, error) {
	target, err := c.target()
	if err != nil {
		return stress.Config{}, nil, err
	}
	cfg := stress.Config{
		Target: target, Workers: c.Workers, Requests: c.Requests, Think: time.Duration(c.Think), Queue: c.MaxQueue,
		Resolve: time.Duration(c.Resolve), Reconnect: time.Duration(c.Reconnect),
	}
	if c.Duration != nil {
		cfg.Duration = time.Duration(*c.Duration)
	}
	if err := c.load(&cfg); err != nil {
		return cfg, nil, err
	}
	if cfg.Workers == 0 {
		cfg.Workers = 8
		if cfg.Load != nil || c.FindCapacity {
			cfg.Workers = 256
		}
	}
	if cfg.Replicas, err = c.watch(); err != nil {
		return cfg, nil, err
	}
	var limits []stress.Limit
	if c.Fail != "" {
		if limits, err = stress.ParseLimits(c.Fail); err != nil {
			return cfg, nil, fmt.Errorf("--fail: %w", err)
		}
	}
	return cfg, limits, cfg.Validate()
}

// load is the open loop's, where one is asked for.
func (c *stressCommand) load(cfg *stress.Config) error {
	const usual = 10 * time.Second
	var curve trace.Curve
	switch {
	case c.FindCapacity:
		cfg.Duration = time.Duration(c.Step) // of one trial
		if c.Step <= 0 || c.P99 < 0 || !(c.Errors >= 0 && c.Errors < 1) {
			return errors.New("--step is a time above 0, --p99 one of at least 0, --max-errors a share of 0 to 1")
		}
		if c.Rate != nil || c.Profile != "" || c.Replay != "" || c.Duration != nil || c.Requests != 0 || c.Fail != "" || c.NDJSON != "" || c.Watch != "" {
			return errors.New("--find-capacity chooses the load itself: leave --rate, --profile, --replay, --duration, --requests, --fail, --ndjson and --watch away")
		}
		return nil
	case c.Rate != nil:
		if !(*c.Rate > 0 && *c.Rate <= trace.MaxRate) {
			return fmt.Errorf("--rate=%g: above 0, and at most %.0f requests/s", *c.Rate, trace.MaxRate)
		}
		curve = trace.Constant(*c.Rate)
	case c.Profile != "":
		var err error
		if curve, err = trace.ParseProfile(c.Profile); err != nil {
			return fmt.Errorf("--profile: %w", err)
		}
	case c.Replay != "":
		if !(c.Speed > 0 && c.Speed <= 1e6) || !(c.Scale > 0 && c.Scale <= 1e6) {
			return errors.New("--speed and --scale are above 0")
		}
		recording, err := trace.Open(c.Replay, c.Speed, c.Scale)
		if err != nil {
			return fmt.Errorf("--replay: %w", err)
		}
		if recording.Curve == nil {
			cfg.Load = recording.Arrivals()
			return nil
		}
		curve = *recording.Curve
	default:
		if cfg.Duration == 0 && c.Duration == nil && c.Requests == 0 {
			cfg.Duration = usual
		}
		return nil
	}
	length, ends := curve.Length()
	switch {
	case ends && (cfg.Duration == 0 || cfg.Duration > length):
		cfg.Duration = length
	case !ends && c.Duration == nil && c.Requests == 0:
		cfg.Duration = usual
	}
	cfg.Due = curve.Count
	cfg.Load = trace.At(curve.Uniform())
	if c.Arrivals == "poisson" {
		cfg.Load = trace.At(curve.Poisson(c.Seed))
	}
	return nil
}

// watch tells the number of replicas, where a page does; nil where none is named.
func (c *stressCommand) watch() (func(context.Context) (float64, error), error) {
	if c.Watch == "" {
		return nil, nil
	}
	source, err := prometheus.New(prometheus.Config{
		URLs: []string{c.Watch}, Scope: "service", Metric: c.Metric, Type: string(autoscale.Gauge), Timeout: time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("--watch: %w", err)
	}
	return func(ctx context.Context) (sum float64, err error) {
		reading := source.Read(ctx, nil)
		for _, sample := range reading.Samples {
			if sample.Verdict != autoscale.OK {
				return 0, fmt.Errorf("%s: %s", c.Watch, sample.Verdict)
			}
			sum += sample.Value
		}
		return sum, nil
	}, nil
}

// target is what is asked.
func (c *stressCommand) target() (stress.Target, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return stress.Target{}, fmt.Errorf("--url: %w", err)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	t := stress.Target{
		URL: u, Method: c.Method, Host: c.Host, Timeout: time.Duration(c.Timeout), Close: !c.KeepAlive, HTTP2: c.HTTP2, Follow: c.Redirects,
		Socket: c.Socket, Header: http.Header{}, TLS: &tls.Config{InsecureSkipVerify: c.Insecure},
	}
	for _, header := range c.Header {
		name, value, ok := strings.Cut(header, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return t, fmt.Errorf("--header %q: give 'Name: value'", header)
		}
		t.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if host := t.Header.Get("Host"); host != "" && t.Host == "" {
		t.Host = host
		t.Header.Del("Host")
	}
	if c.User != "" {
		name, password, _ := strings.Cut(c.User, ":")
		r := http.Request{Header: t.Header}
		r.SetBasicAuth(name, password)
	}
	t.Body = []byte(c.Body)
	if file, ok := strings.CutPrefix(c.Body, "@"); ok {
		if t.Body, err = os.ReadFile(file); err != nil {
			return t, fmt.Errorf("--body: %w", err)
		}
	}
	if len(t.Body) > 0 && t.Method == "" {
		t.Method = http.MethodPost
	}
	if c.CA != "" {
		text, err := os.ReadFile(c.CA)
		if err != nil {
			return t, fmt.Errorf("--ca: %w", err)
		}
		t.TLS.RootCAs = x509.NewCertPool()
		if !t.TLS.RootCAs.AppendCertsFromPEM(text) {
			return t, fmt.Errorf("--ca=%s: no certificate in it; PEM begins with -----BEGIN CERTIFICATE-----", c.CA)
		}
	}
	return t, nil
}

// print reports, and gives the exit status.
func (c *stressCommand) print(s streams, report *stress.Report, limits []stress.Limit, began time.Time) error {
	var err error
	if c.HTML != "" {
		err = writeFile(c.HTML, func(out io.Writer) error { return report.WriteHTML(out, began) })
	}
	if c.JSON {
		encoder := json.NewEncoder(s.out)
		encoder.SetEscapeHTML(false)
		err = errors.Join(err, encoder.Encode(report))
	} else {
		err = errors.Join(err, report.WriteText(s.out))
	}
	var broken []string
	for _, l := range limits {
		if how := l.Check(report); how != "" {
			broken = append(broken, how)
		}
	}
	switch {
	case err != nil:
		return err
	case report.Requests == report.Failed():
		return errors.New("nothing succeeded")
	case len(broken) > 0:
		return fmt.Errorf("limit broken: %s", strings.Join(broken, "\nlimit broken: "))
	}
	return nil
}

// writeFile writes a file as a whole.
func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("the report: %w", err)
	}
	if err := errors.Join(write(file), file.Close()); err != nil {
		return fmt.Errorf("the report %s: %w", path, err)
	}
	return nil
}

// progress is what a person sees while it runs, and what is written each second.
type progress struct {
	ends []func() error
}

func (p *progress) end() error {
	var errs []error
	for _, end := range p.ends {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

// progress sets up what is told once a second.
func (c *stressCommand) progress(s streams, cfg *stress.Config, cancel context.CancelFunc) (*progress, error) {
	p := &progress{}
	var each []func(stress.Second)
	if c.NDJSON != "" {
		file, err := os.Create(c.NDJSON)
		if err != nil {
			return nil, fmt.Errorf("--ndjson: %w", err)
		}
		encoder := json.NewEncoder(file)
		var failed error
		each = append(each, func(second stress.Second) { failed = cmp.Or(failed, encoder.Encode(second)) })
		p.ends = append(p.ends, func() error { return errors.Join(failed, file.Close()) })
	}
	if s.terminal && !c.JSON {
		tell, end := follow(s, &live{url: cfg.Target.URL.Redacted(), duration: cfg.Duration, cancel: cancel})
		each = append(each, tell)
		p.ends = append(p.ends, end)
	} else {
		each = append(each, lines(s.err, 5))
	}
	cfg.Progress = func(second stress.Second) {
		for _, tell := range each {
			tell(second)
		}
	}
	return p, nil
}

// lines tells of every n-th second in a line.
func lines(out io.Writer, n int) func(stress.Second) {
	count := 0
	return func(s stress.Second) {
		if count++; count%n != 0 {
			return
		}
		asked := ""
		if s.Asked != nil {
			asked = fmt.Sprintf(" of %.4g asked", *s.Asked)
		}
		replicas := ""
		if s.Replicas != nil && !math.IsNaN(*s.Replicas) {
			replicas = fmt.Sprintf(", %.0f replicas", *s.Replicas)
		}
		// Who does not listen misses nothing but this.
		_, _ = fmt.Fprintf(out, "%5.0fs  %.4g/s%s, %d in flight, p50 %s, p99 %s, %.4g/s failed%s\n",
			s.At, s.Sent, asked, s.InFlight, stress.Milliseconds(s.P50), stress.Milliseconds(s.P99), s.Failed, replicas)
	}
}
