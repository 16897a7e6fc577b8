package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"mvdan.cc/sh/v3/shell"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/config"
	"github.com/five-keys/autoscale/internal/sim"
)

// simulateCommand replays recorded load against policies.
type simulateCommand struct {
	simulatedLoad
	simulatedService
	numberFlags
	Policy []string `group:"number" sep:"none" placeholder:"NAME: FLAGS" help:"One more policy to compare, by the flags in which it differs: 'gentle: --rps-target=25 --cooldown=10m'; repeatable."`

	Recommend     bool             `group:"report" help:"Look for the cheapest --rps-target and --cooldown that keep --slo-violations, and say how sure that is."`
	SLOViolations *autoscale.Share `group:"report" name:"slo-violations" placeholder:"0.1%" help:"The share of the requests that may be violated: answered later than --slo-latency, or dropped."`
	Sweep         bool             `group:"report" help:"Try many targets, and show what it costs to violate less; --html and --recommend do so, too."`
	HTML          string           `group:"report" name:"html" placeholder:"FILE" help:"Write the report as one self-contained page."`
	Output        string           `group:"report" enum:"text,json" default:"text" placeholder:"text" help:"text, or json: one documented object."`
}

// simulatedService is the model.
type simulatedService struct {
	Capacity     rate     `group:"model" required:"" placeholder:"RPS" help:"Requests per second at which one replica is overloaded; autoscale stress --find-capacity measures it."`
	Startup      seconds  `group:"model" default:"30" placeholder:"30" help:"Time from asking for a replica to its first answer."`
	SLOLatency   seconds  `group:"model" name:"slo-latency" default:"0.5" placeholder:"0.5" help:"How long an answer may take; later ones are violated."`
	Latency      seconds  `group:"model" default:"0" placeholder:"0" help:"How long an answer takes that waits for nothing."`
	Queue        *rate    `group:"model" placeholder:"N" help:"Requests that may wait for each replica, others are dropped; default: what it answers in two seconds."`
	Drain        seconds  `group:"model" default:"10" placeholder:"10" help:"How long a replica that leaves may finish what it holds."`
	Moves        string   `group:"model" enum:"wait,at-once" default:"wait" placeholder:"wait" help:"When a raise ends: wait (its replicas answer, as on Compose), at-once (they were asked for, as on Kubernetes)."`
	Retries      int      `group:"model" default:"1" placeholder:"1" help:"How often a dropped request is sent again."`
	RetryAfter   seconds  `group:"model" default:"1" placeholder:"1" help:"How much later."`
	Metrics      string   `group:"model" enum:"counter,gauge" default:"counter" placeholder:"counter" help:"How the service tells its load: counter, gauge (over --metrics-window)."`
	MetricsOf    string   `group:"model" name:"metrics-scope" enum:"service,replica" default:"service" placeholder:"service" help:"What a page speaks for: service, replica."`
	Offered      bool     `group:"model" help:"The load is counted as it comes, as at a proxy in front, not as it is answered."`
	MetricsEvery seconds  `group:"model" default:"0" placeholder:"0" help:"Time from one scrape to the next; 0: each step reads the page itself."`
	MetricsAge   seconds  `group:"model" default:"0" placeholder:"0" help:"How old a value is when it can be seen."`
	Signs        []string `group:"model" name:"saturation" enum:"cpu,errors,inflight,none" default:"errors" placeholder:"errors" help:"What shows that replicas are at their end: cpu (of what each may use), errors (dropped requests, on the page), inflight (requests, on the page), none; several with commas."`
	Window       seconds  `group:"model" name:"metrics-window" default:"15" placeholder:"15" help:"What a gauge is a rate over."`
}

// service is the model that the flags ask for.
func (c *simulatedService) service() sim.Service {
	s := sim.Service{
		Capacity: float64(c.Capacity), Startup: time.Duration(c.Startup), AtOnce: c.Moves == "at-once", Drain: time.Duration(c.Drain),
		Limit: time.Duration(c.SLOLatency), Latency: time.Duration(c.Latency), Queue: 2 * float64(c.Capacity),
		Retries: c.Retries, RetryAfter: time.Duration(c.RetryAfter),
		Metrics: sim.Metrics{Each: c.MetricsOf == "replica", Offered: c.Offered, Every: time.Duration(c.MetricsEvery), Age: time.Duration(c.MetricsAge)},
	}
	s.Signs = sim.Signs{CPU: slices.Contains(c.Signs, "cpu"), Errors: slices.Contains(c.Signs, "errors"), InFlight: slices.Contains(c.Signs, "inflight")}
	if c.Queue != nil {
		s.Queue = float64(*c.Queue)
	}
	if c.Metrics == "gauge" {
		s.Metrics.Gauge, s.Metrics.Window = true, time.Duration(c.Window)
	}
	return s
}

// numberFlags are those of a decision that make the number; nil where not given.
type numberFlags struct {
	Min       *whole   `group:"number" placeholder:"N" help:"Fewest replicas."`
	Max       *whole   `group:"number" placeholder:"N" help:"Most replicas."`
	RPSTarget *rate    `group:"number" name:"rps-target" placeholder:"RPS" help:"Requests per second one replica should carry."`
	Cooldown  *seconds `group:"number" placeholder:"120" help:"How long the load must have stayed low before replicas go."`
	Tolerance *rate    `group:"number" placeholder:"0.1" help:"Share of the load above the target without a raise, and to spare after a lowering."`
	MaxUp     *limit   `group:"number" placeholder:"N|N%" help:"Most replicas, or share of the current ones, that one raise adds."`
	MaxDown   *limit   `group:"number" placeholder:"N|N%" help:"Most replicas, or share of the current ones, that go in one cooldown."`
	Reversals *whole   `group:"number" name:"max-reversals" placeholder:"6" help:"Changes of direction in an hour before the cooldown is lengthened; 0: any number."`
	InFlight  *rate    `group:"number" name:"inflight-target" placeholder:"N" help:"Requests one replica may be answering at once, before it counts as saturated; with --saturation=inflight."`
	Interval  *seconds `group:"number" placeholder:"15" help:"Time from one step to the next."`
}

// policyFlags are those that one of several policies may have. The capacity is the
// model's.
type policyFlags struct {
	numberFlags
	SLOViolations *autoscale.Share `name:"slo-violations"`
	ChangeCost    rate             `name:"change-cost" default:"60"`
}

// over is s with what the flags say.
func (f numberFlags) over(s sim.Setting) sim.Setting {
	given(&s.Min, f.Min)
	given(&s.Max, f.Max)
	given(&s.Target, f.RPSTarget)
	given(&s.Cooldown, f.Cooldown)
	given(&s.Tolerance, f.Tolerance)
	given(&s.Every, f.Interval)
	given(&s.MaxReversals, f.Reversals)
	given(&s.InFlight, f.InFlight)
	if f.MaxUp != nil {
		s.MaxUp = f.MaxUp.Limit
	}
	if f.MaxDown != nil {
		s.MaxDown = f.MaxDown.Limit
	}
	return s
}

// given puts a flag's value in its place, if there is one.
func given[T, F int | whole | float64 | rate | time.Duration | seconds](into *T, flag *F) {
	if flag != nil {
		*into = T(*flag)
	}
}

// Help is what stands below the flags' summary.
func (c *simulateCommand) Help() string {
	return `What policies would have cost on load as it was, and how many requests would
have waited too long: by the code that decides when it is switched on, in virtual
time, on a model of the service (docs/simulation.md).

  autoscale simulate --trace load.csv --capacity=50 --min=1 --max=20 --rps-target=35
  autoscale simulate --trace access.log --capacity=50 --min=1 --max=20 --rps-target=35 \
    --policy 'gentle: --cooldown=10m' --html report.html
  autoscale simulate --trace load.csv --capacity=50 --min=1 --max=20 --recommend --slo-violations=0.1%
  autoscale simulate --prometheus-url http://prometheus:9090 \
    --prometheus-query 'sum(rate(http_requests_total[1m]))' --last 14d --capacity=50 …
  autoscale simulate --config autoscale.yaml --service app --capacity=50

Exit status: 0 simulated; 1 the load cannot be read; 2 flags wrong.`
}

// Run simulates and reports.
func (c *simulateCommand) Run(ctx context.Context, s streams) error {
	// Memory is flat, and little of it: collecting it half as often costs nothing.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	began := time.Now()
	ask, err := c.ask()
	if err != nil {
		return err
	}
	from, err := c.open(ctx, began)
	if err != nil {
		return err
	}
	defer from.close()
	ask.Source = from.name
	if from.exact {
		ask.Load.Noise, ask.Load.Poisson = 0, false
	}
	if ask.First, err = from.first(); err != nil {
		return err
	}
	bar := newBar(s, from)
	cfg := ask.Config()
	cfg.Progress = bar.show
	result, err := sim.Run(ctx, cfg, from.rates(bar.read))
	bar.end()
	if err != nil {
		return err
	}
	return c.print(s, sim.NewReport(ask, result), began)
}

// ask is what the flags ask for, but for the load.
func (c *simulateCommand) ask() (sim.Ask, error) {
	a := sim.Ask{
		Service: c.service(),
		Load:    sim.Load{Linear: c.Between == "linear", Noise: float64(c.Noise), Poisson: c.Poisson, Seed: c.Seed},
	}
	base, err := c.base()
	if err != nil {
		return a, err
	}
	errs := []error{a.Service.Validate(), c.simulatedLoad.check()}
	if c.Recommend != (c.SLOViolations != nil) {
		errs = append(errs, errors.New("--recommend and --slo-violations go together: --recommend --slo-violations=0.1%"))
	}
	if c.SLOViolations != nil {
		a.Recommend = float64(*c.SLOViolations)
	}
	if c.Sweep || c.HTML != "" || c.Recommend {
		a.Sweep = &base
	}
	if base.Target > 0 || !c.Recommend {
		a.Settings = append(a.Settings, base)
	}
	for _, text := range c.Policy {
		s, err := policyOf(text, base, float64(c.Capacity))
		errs = append(errs, err)
		a.Settings = append(a.Settings, s)
	}
	if c.Recommend && base.Target == 0 {
		base.Target = a.Service.Capacity // it is swept
	}
	for _, s := range append([]sim.Setting{base}, a.Settings...) {
		errs = append(errs, checkSetting(s))
	}
	if err := errors.Join(errs...); err != nil {
		return a, usage(distinctLines(err))
	}
	return a, nil
}

// distinctLines is an error that says each thing once.
func distinctLines(err error) error {
	var all []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	return errors.New(strings.Join(all, "\n"))
}

// checkSetting looks for what is wrong in a policy.
func checkSetting(s sim.Setting) error {
	err := s.Policy.Validate()
	if s.Every < time.Second || s.Every > 24*time.Hour {
		err = errors.Join(err, fmt.Errorf("--interval=%s: give a time from a second to a day", s.Every))
	}
	return err
}

// base is the policy that the flags say, over that of the configuration.
func (c *simulateCommand) base() (sim.Setting, error) {
	base := sim.Setting{Name: "autoscale", Every: 15 * time.Second, Policy: autoscale.Policy{Tolerance: 0.1, Cooldown: 2 * time.Minute, MaxReversals: 6, Mode: autoscale.Auto}}
	if c.Config != "" {
		s, err := c.configured()
		if err != nil {
			return base, err
		}
		base = sim.Setting{Name: s.Name, Every: s.Interval, Policy: s.Policy()}
		base.Mode = autoscale.Auto // what is only observed is tried all the same
		base.Target = cmp.Or(s.Sources[0].RPSTarget, base.Target)
	}
	return c.over(base), nil
}

// configured is the service of the configuration that is meant.
func (c *simulateCommand) configured() (config.Service, error) {
	f, err := daemonFile(c.Config)
	if err != nil {
		return config.Service{}, err
	}
	if c.Service == "" && len(f.Services) == 1 {
		return f.Services[0], nil
	}
	return labelled(f, c.Service)
}

// policyOf reads "NAME: FLAGS", over base.
func policyOf(text string, base sim.Setting, capacity float64) (sim.Setting, error) {
	name, words, ok := strings.Cut(text, ":")
	if !ok || strings.TrimSpace(name) == "" {
		return base, fmt.Errorf("--policy %q: give a name, a colon and flags, as in 'gentle: --rps-target=25 --cooldown=10m'", text)
	}
	args, err := shell.Fields(words, os.Getenv)
	if err != nil {
		return base, fmt.Errorf("--policy %q: %w", text, err)
	}
	var f policyFlags
	parser, err := kong.New(&f, kong.Name("policy"), kong.Exit(func(int) {}), kong.Writers(io.Discard, io.Discard), kongGroups(), kong.NoDefaultHelp())
	if err != nil {
		return base, err
	}
	if _, err := parser.Parse(args); err != nil {
		return base, fmt.Errorf("--policy %q: %w; it may have --min, --max, --rps-target, --cooldown, --tolerance, --max-up, --max-down, --max-reversals, --inflight-target, --interval, --slo-violations and --change-cost", text, err)
	}
	s := f.over(base)
	if f.SLOViolations != nil {
		s.SLO = autoscale.AskFor(*f.SLOViolations, capacity, float64(f.ChangeCost))
	}
	s.Name = strings.TrimSpace(name)
	return s, nil
}

// print reports.
func (c *simulateCommand) print(s streams, r *sim.Report, began time.Time) error {
	var err error
	if c.HTML != "" {
		err = writeFile(c.HTML, func(out io.Writer) error { return r.WriteHTML(out, began) })
	}
	if c.Output == "json" {
		return errors.Join(err, r.WriteJSON(s.out))
	}
	return errors.Join(err, r.WriteText(s.out))
}
