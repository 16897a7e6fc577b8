package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/command"
	"github.com/five-keys/autoscale/internal/compose"
	"github.com/five-keys/autoscale/internal/store"
	"github.com/five-keys/autoscale/internal/upstream"
)

// flags are the contract's, of one decision. The commands beside it take them
// too, so that a line that works can be given to each.
type flags struct {
	Provider provider `required:"" placeholder:"compose|k8s" help:"What runs the service: compose, k8s; with autoscale run also process."`
	Service  string   `default:"app" placeholder:"app" help:"The Compose service, or the Deployment, or what processes are called."`

	Min       whole     `group:"number" required:"" placeholder:"N" help:"Fewest replicas."`
	Max       whole     `group:"number" required:"" placeholder:"N" help:"Most replicas."`
	RPSTarget rate      `group:"number" name:"rps-target" required:"" placeholder:"RPS" help:"Requests per second one replica should carry."`
	Cooldown  seconds   `group:"number" default:"120" help:"How long the load must have stayed low before replicas go; bare numbers are seconds, 0 lowers at once."`
	Tolerance rate      `group:"number" default:"0.1" help:"Share of the load above the target without a raise, and to spare after a lowering."`
	MaxUp     limit     `group:"number" placeholder:"N|N%" help:"Most replicas, or share of the current ones, that one raise adds."`
	MaxDown   limit     `group:"number" placeholder:"N|N%" help:"Most replicas, or share of the current ones, that go in one cooldown."`
	OnDoubt   safeCount `group:"number" default:"hold" placeholder:"hold|N" help:"Replicas to raise to after three doubtful runs in a row."`

	MaxReversals whole `group:"number" default:"6" placeholder:"6" help:"Changes of direction in an hour before the cooldown is lengthened; 0: any number."`
	InFlight     rate  `group:"number" name:"inflight-target" placeholder:"N" help:"Requests one replica may be answering at once, before it counts as saturated."`

	SLOViolations autoscale.Share `group:"number" name:"slo-violations" placeholder:"0.1%" help:"New: the share of the requests that may meet an overloaded service. With --capacity, settings are learned from the service's own load (docs/adaptive.md)."`
	Capacity      rate            `group:"number" placeholder:"RPS" help:"Requests per second at which one replica is overloaded; autoscale stress --find-capacity measures it."`
	ChangeCost    rate            `group:"number" name:"change-cost" default:"60" placeholder:"60" help:"What a change of the count costs, in replica-seconds, beside --slo-violations."`

	MetricsURL     []string `group:"readings" name:"metrics-url" sep:"none" placeholder:"http://localhost:8000/metrics" help:"Prometheus text or OpenMetrics; repeatable, readings are summed; {replica} stands for the address of each running replica."`
	MetricsScope   string   `group:"readings" enum:"auto,service,replica" default:"auto" placeholder:"auto" help:"What one URL speaks for: auto, service, replica."`
	RPSMetric      string   `group:"readings" name:"rps-metric" default:"${rps_metric}" placeholder:"${rps_metric}" help:"Gauge of current requests/s, or counter of requests; a selector narrows it: http_requests_total{code!~\"5..\"}."`
	RPSMetricType  string   `group:"readings" name:"rps-metric-type" enum:",gauge,counter" default:"" placeholder:"gauge|counter" help:"What the metric is, where the page does not say."`
	InFlightMetric string   `group:"readings" name:"inflight-metric" placeholder:"NAME" help:"Gauge of the requests that are being answered, on the same pages."`
	MetricsHeader  []string `group:"readings" sep:"none" placeholder:"NAME: VALUE" help:"Request header for the metrics page, or the Prometheus server; repeatable, never printed."`

	PrometheusURL   string `group:"readings" name:"prometheus-url" placeholder:"URL" help:"Prometheus server to ask instead of reading pages."`
	PrometheusQuery string `group:"readings" name:"prometheus-query" placeholder:"QUERY" help:"What to ask it, in requests/s; the series of the answer are summed: sum(rate(http_requests_total[1m]))."`
	AccessLog       string `group:"readings" name:"access-log" placeholder:"FILE" help:"Log of the proxy in front to read instead; rotation is followed. --rps-metric='requests{path!=\"/healthz\"}' picks some of its requests."`

	ComposeFile string   `group:"compose" default:"deploy/compose.override.yml" placeholder:"deploy/compose.override.yml" help:"Override file that carries the count."`
	File        []string `group:"compose" short:"f" sep:"none" placeholder:"FILE" help:"Compose file, as the running project was started with; repeatable."`
	ProjectName string   `group:"compose" short:"p" placeholder:"NAME" help:"Compose project, where the folder does not tell."`
	EnvFile     []string `group:"compose" sep:"none" placeholder:"FILE" help:"Environment file, as the running project was started with; repeatable."`
	Profile     []string `group:"compose" sep:"none" placeholder:"NAME" help:"Compose profile; repeatable."`
	Docker      string   `group:"compose" default:"docker" placeholder:"docker" help:"The docker command."`
	Wait        *seconds `group:"compose" placeholder:"SECONDS" help:"How long a new replica may take to be healthy; default: by its health check, at least 60 s."`

	UpstreamFile    string  `group:"compose" placeholder:"FILE" help:"List of the replicas that take traffic, kept for the proxy in front."`
	UpstreamFormat  string  `group:"compose" enum:",nginx,haproxy,traefik,json" default:"" placeholder:"nginx|haproxy|traefik|json" help:"What --upstream-file is written for."`
	UpstreamPort    int     `group:"compose" placeholder:"PORT" help:"Port inside the replicas that the proxy sends requests to; default: the only one that they expose."`
	UpstreamNetwork string  `group:"compose" placeholder:"NAME|host" help:"The service's network that the proxy is on, or host: the published ports; default: the first address that answers."`
	OnChange        string  `group:"compose" placeholder:"CMD" help:"Command that has the proxy read the list, before a lowering and after a raise; no shell reads it."`
	Drain           seconds `group:"compose" default:"10" placeholder:"10s" help:"From then until a replica that leaves is stopped."`

	Namespace  string `group:"k8s" short:"n" placeholder:"NAME" help:"The Deployment's namespace; default: the context's own."`
	Context    string `group:"k8s" placeholder:"NAME" help:"The context in kubectl's configuration; default: the current one."`
	Kubeconfig string `group:"k8s" placeholder:"FILE" help:"kubectl's configuration; default: its own."`
	CPUTarget  int    `group:"k8s" name:"cpu-target" default:"75" placeholder:"75" help:"Average CPU utilisation, per cent, in the HPA; 0 leaves CPU out."`
	HPAFile    string `group:"k8s" name:"hpa-file" default:"k8s/hpa.yaml" placeholder:"k8s/hpa.yaml" help:"Where the HorizontalPodAutoscaler's manifest is written."`
	Kubectl    string `group:"k8s" default:"kubectl" placeholder:"kubectl" help:"The kubectl command."`

	ProjectDir string `group:"run" default:"." placeholder:"." help:"The project's folder; relative paths count from it."`
	Start      bool   `group:"run" help:"Start --min replicas where none runs."`
	Apply      string `group:"run" enum:"auto,always,never" default:"auto" placeholder:"auto" help:"Whether engine or cluster are changed: auto (where docker or kubectl is), always, never (only the file is written)."`

	Mode      autoscale.Mode `group:"run" enum:"auto,raise-only,observe" default:"auto" placeholder:"auto" help:"How much of a decision is acted on: auto, raise-only, observe (nothing)."`
	StateFile string         `group:"run" default:"tools/.autoscale_state.json" placeholder:"tools/.autoscale_state.json" help:"What must be remembered between runs."`
	Notify    []string       `group:"run" sep:"none" placeholder:"URL" help:"Where to tell what happens: telegram://…, slack://…, discord://…, smtp://…, ntfy://…, generic+https://…; repeatable, never printed."`
	Textfile  string         `group:"run" placeholder:"FILE" help:"Own metrics for node_exporter's textfile collector; ends in .prom, one file for each service."`
	DryRun    bool           `group:"run" help:"Decide and explain; write and change nothing."`
	Output    string         `group:"run" enum:"text,json" default:"text" placeholder:"text" help:"text: one dated line; json: one documented object."`

	tell   func(text string)        // what is about to be done; nil writes dated lines
	record func(store.Record) error // takes what the journal would; nil for the journal
	clocks clocks                   // nil for the machine's
	anyDir bool                     // ProjectDir is where to look first, not what was asked for
	people string                   // what the service is called where people are told; empty for nobody
	alone  bool                     // StateFile is this service's alone, wherever its project lies
}

// provider is what runs the service.
type provider string

// The providers that there are.
const (
	composed  provider = "compose"
	k8s       provider = "k8s"
	processes provider = "process"
)

// UnmarshalText reads a provider's name.
func (p *provider) UnmarshalText(text []byte) error {
	switch *p = provider(text); *p {
	case composed, k8s, processes:
	case "kubernetes":
		*p = k8s
	default:
		return fmt.Errorf("%q: give compose or k8s, or process with autoscale run", text)
	}
	return nil
}

// policy is the flags' part of the decision.
func (c *flags) policy() autoscale.Policy {
	return autoscale.Policy{
		Min: int(c.Min), Max: int(c.Max), Target: float64(c.RPSTarget), Tolerance: float64(c.Tolerance), Cooldown: time.Duration(c.Cooldown),
		MaxUp: c.MaxUp.Limit, MaxDown: c.MaxDown.Limit, OnDoubt: int(c.OnDoubt), Mode: c.Mode,
		MaxReversals: int(c.MaxReversals), InFlight: float64(c.InFlight), SLO: autoscale.AskFor(c.SLOViolations, float64(c.Capacity), float64(c.ChangeCost)),
	}
}

// check looks for what is wrong in the flags themselves. It is not kong's
// Validate, which would complain of zeros before it says which flags are missing.
func (c *flags) check() error {
	if c.Provider == processes {
		return errors.New("--provider=process: the replicas end with the program that started them, so that one decision would leave none; use: autoscale run --provider=process … -- ./app")
	}
	return c.checkLine()
}

// checkLine is check for those that may own replicas.
func (c *flags) checkLine() error {
	var errs []error
	if c.Service == "" {
		errs = append(errs, errors.New("--service is empty; name the Compose service, or the Deployment"))
	}
	errs = append(errs, c.policy().Validate())
	each := slices.ContainsFunc(c.MetricsURL, func(u string) bool { return strings.Contains(u, "{replica}") })
	if c.Provider == k8s {
		errs = append(errs, c.checkKubernetes())
	}
	if c.Provider != k8s && c.Min == 0 && !c.seesNoReplica() {
		errs = append(errs, errors.New("--min=0: without a replica nobody would see the load come back; set --min=1, or read a proxy's metrics and say --metrics-scope=service, or give --prometheus-url or --access-log"))
	}
	if each && c.MetricsScope == "service" {
		errs = append(errs, errors.New("--metrics-scope=service: a URL with {replica} speaks for one replica; leave one of the two away"))
	}
	if c.Provider == composed && each && c.Apply == "never" {
		errs = append(errs, errors.New("--apply=never: {replica} needs the engine, which is not asked; give a URL that speaks for the whole service"))
	}
	errs = append(errs, c.checkFront())
	if c.Wait != nil && *c.Wait < 0 {
		errs = append(errs, fmt.Errorf("--wait=%v: a time cannot be below 0; leave it away to derive it from the health check", time.Duration(*c.Wait)))
	}
	if c.proxyCounts() {
		return errors.Join(errs...)
	}
	if (c.InFlight > 0) != (c.InFlightMetric != "") {
		errs = append(errs, errors.New("--inflight-metric and --inflight-target belong together: the gauge, and how much of it one replica may have"))
	}
	_, err := placesOf("--notify", c.Notify)
	errs = append(errs, c.checkSource(), c.checkTextfile())
	return errors.Join(append(errs, err)...)
}

// checkFront looks for what is wrong with the proxy's flags.
func (c *flags) checkFront() error {
	errs := []error{upstream.Settings{
		File: c.UpstreamFile, Format: c.UpstreamFormat, Network: c.UpstreamNetwork, OnChange: c.OnChange, Port: c.UpstreamPort,
		Blind: c.Provider == composed && c.Apply == "never",
	}.Check()}
	if c.Provider == k8s && (c.UpstreamFile != "" || c.OnChange != "") {
		errs = append(errs, errors.New("--upstream-file and --on-change: on Kubernetes a Service knows which pods take traffic; leave them away"))
	}
	if c.Drain < 0 {
		errs = append(errs, fmt.Errorf("--drain=%v: a time cannot be below 0", time.Duration(c.Drain)))
	}
	if _, err := command.Words(c.OnChange); err != nil && c.OnChange != "" {
		errs = append(errs, fmt.Errorf("--on-change: %w", err))
	}
	return errors.Join(errs...)
}

// front is the flags' part of the proxy in front.
func (c *flags) front(dir string) compose.Front {
	f := compose.Front{
		File: c.UpstreamFile, Format: upstream.Format(c.UpstreamFormat), Port: uint16(c.UpstreamPort), Network: c.UpstreamNetwork,
		Drain: time.Duration(c.Drain), Untold: strings.TrimSuffix(c.statePath(dir), ".json") + ".untold-",
	}
	f.OnChange, _ = command.Words(c.OnChange) // checked, or none
	return f
}

// dir is the project folder, absolute.
func (c *flags) dir() (string, error) {
	dir, err := filepath.Abs(c.ProjectDir)
	if err != nil {
		return "", fmt.Errorf("--project-dir=%s: %w", c.ProjectDir, err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("--project-dir=%s is no folder; name the one that the project lies in", c.ProjectDir)
	}
	return dir, nil
}

// seconds reads a duration: bare numbers are seconds, others have a unit.
type seconds time.Duration

// UnmarshalText reads "120", "0.5", "3m", "1h30m".
func (d *seconds) UnmarshalText(text []byte) error {
	value := string(text)
	if number, err := strconv.ParseFloat(value, 64); err == nil {
		if !(math.Abs(number) <= 1e9) {
			return fmt.Errorf("%q is no time that can be waited for", value)
		}
		*d = seconds(number * float64(time.Second))
		return nil
	}
	parsed, err := time.ParseDuration(value)
	if err != nil {
		return fmt.Errorf("%q is no time: give seconds (120) or a number with its unit (90s, 3m, 1h)", value)
	}
	*d = seconds(parsed)
	return nil
}

// limit reads --max-up and --max-down.
type limit struct{ autoscale.Limit }

// UnmarshalText reads "2" or "50%".
func (l *limit) UnmarshalText(text []byte) (err error) {
	l.Limit, err = autoscale.ParseLimit(string(text))
	return err
}

// safeCount reads --on-doubt; 0 stands for hold.
type safeCount int

// UnmarshalText reads "hold" or a number of replicas.
func (n *safeCount) UnmarshalText(text []byte) error {
	if string(text) == "hold" {
		*n = 0
		return nil
	}
	count, err := strconv.Atoi(string(text))
	if err != nil || count < 1 {
		return fmt.Errorf("%q: give hold, or the number of replicas to raise to", text)
	}
	*n = safeCount(count)
	return nil
}

// whole reads a number of replicas.
type whole int

// UnmarshalText reads a whole number.
func (n *whole) UnmarshalText(text []byte) error {
	count, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil {
		return fmt.Errorf("%q is no whole number of replicas", text)
	}
	*n = whole(count)
	return nil
}

// rate reads a number that may have a fraction.
type rate float64

// UnmarshalText reads a number; whether it is a sensible one is the policy's to
// say.
func (r *rate) UnmarshalText(text []byte) error {
	number, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return fmt.Errorf("%q is no number", text)
	}
	*r = rate(number)
	return nil
}
