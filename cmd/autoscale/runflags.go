package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/five-keys/autoscale/internal/accesslog"
	"github.com/five-keys/autoscale/internal/config"
	"github.com/five-keys/autoscale/internal/prometheus"
	"github.com/five-keys/autoscale/internal/store"
)

// ofFlags are the flags of the daemon that only matter where there is no file.
type ofFlags struct {
	Interval   seconds  `default:"15" help:"Time from one step to the next; at least 1s."`
	Listen     string   `default:"127.0.0.1:9292" placeholder:"127.0.0.1:9292" help:"Address of page, API and metrics, on this machine; off: none."`
	Proxy      string   `group:"process" default:"127.0.0.1:8080" placeholder:"127.0.0.1:8080" help:"Address of the proxy in front of the replicas."`
	HealthPath string   `group:"process" placeholder:"PATH" help:"What a healthy replica answers with a status from 200 to 399; default: it is healthy once it accepts a connection."`
	Grace      seconds  `group:"process" default:"10" placeholder:"10s" help:"How long a replica may take to end after SIGTERM, until it is killed."`
	Args       []string `arg:"" optional:"" passthrough:"" placeholder:"-- CMD…" help:"The program that each replica runs, and its arguments, behind --; {port} in them, and PORT in the environment, say where it is to listen, at 127.0.0.1."`
}

// stated are the flags of a service, those that make a file needless, that stand
// in the line.
func (c *runCommand) stated(line *kong.Context) (names []string) {
	for _, at := range line.Path {
		if at.Flag != nil && !slices.Contains([]string{"config", "check", "dry-run", "log"}, at.Flag.Name) {
			names = append(names, at.Flag.Name)
		}
	}
	return names
}

// byFlags is the file that says what the flags do.
func (c *runCommand) byFlags(stated []string) (*config.File, error) {
	words := ofLine{c.Args}.words()
	has := func(flag string) bool { return slices.Contains(stated, flag) }
	if c.Config != "" {
		return nil, usage(errors.New("--config names a file that says all; leave it, or the flags of a service, away"))
	}
	if !has("provider") && len(words) > 0 {
		if len(stated) == 0 {
			return nil, usage(fmt.Errorf("unexpected argument %q; a configuration is named with --config=%s, and a command is run with --provider=process --min=1 --max=5 --rps-target=40 -- %s", words[0], words[0], strings.Join(words, " ")))
		}
		c.Provider = processes
	}
	if err := c.checkStated(words, has); err != nil {
		return nil, usage(err)
	}
	dir, err := c.dir()
	if err != nil {
		return nil, usage(err)
	}
	s := c.serviceOf(dir, words)
	s.DirGiven = has("project-dir")
	errs := []error{c.checkLine()}
	if c.Provider == processes {
		errs = append(errs, processConfig(s).Check())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, usage(err)
	}
	f := config.With(s)
	f.Interval, f.Listen = s.Interval, c.Listen
	if c.Listen == "off" {
		f.Listen = ""
	}
	f.State = filepath.Dir(c.statePath(dir))
	f.History.File = strings.TrimSuffix(c.statePath(dir), ".json") + ".history.db"
	return f, nil
}

// checkStated looks for what is wrong with which flags there are.
func (c *runCommand) checkStated(words []string, has func(flag string) bool) error {
	var missing []string
	for _, flag := range []string{"provider=compose|k8s|process", "min=N", "max=N", "rps-target=RPS"} {
		name, _, _ := strings.Cut(flag, "=")
		if !has(name) && (name != "provider" || c.Provider == "") {
			missing = append(missing, "--"+flag)
		}
	}
	var errs []error
	if len(missing) > 0 {
		errs = append(errs, fmt.Errorf("missing flags: %s", strings.Join(missing, ", ")))
	}
	if c.Provider != processes && c.Provider != "" {
		if len(words) > 0 {
			errs = append(errs, fmt.Errorf("--provider=%s: it runs no command; leave %s away", c.Provider, strings.Join(words, " ")))
		}
		for _, flag := range []string{"proxy", "health-path", "grace"} {
			if has(flag) {
				errs = append(errs, fmt.Errorf("--%s is for --provider=process; leave it away", flag))
			}
		}
	}
	if c.Provider == processes {
		for _, flag := range []string{"apply", "start", "compose-file", "file", "project-name", "env-file", "profile", "docker", "upstream-file", "upstream-format", "upstream-port", "upstream-network", "on-change", "namespace", "context", "kubeconfig", "cpu-target", "hpa-file", "kubectl"} {
			if has(flag) {
				errs = append(errs, fmt.Errorf("--%s means nothing with --provider=process; leave it away", flag))
			}
		}
		if c.DryRun {
			errs = append(errs, errDryProcesses)
		}
		for _, flag := range []string{"metrics-scope", "rps-metric", "rps-metric-type", "inflight-metric", "metrics-header"} {
			if has(flag) && !has("metrics-url") && c.instead() == "" {
				errs = append(errs, fmt.Errorf("--%s is about a metrics page, and the proxy's own count is read; give --metrics-url, or leave it away", flag))
			}
		}
	}
	if has("textfile") {
		errs = append(errs, errors.New("--textfile is of one decision; a daemon serves its metrics itself, at /metrics of --listen"))
	}
	if has("output") {
		errs = append(errs, errors.New("--output is of one decision; a daemon has --log=json"))
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if ip, fail := netip.ParseAddr(host); c.Listen != "off" && (err != nil || host != "localhost" && (fail != nil || !ip.IsLoopback())) {
		errs = append(errs, fmt.Errorf("--listen=%s: give an address of this machine alone, such as 127.0.0.1:9292, or off; one that others can reach needs a token, and so a file (--check prints it)", c.Listen))
	}
	if c.Interval < seconds(time.Second) {
		errs = append(errs, fmt.Errorf("--interval=%s: at least 1s", time.Duration(c.Interval)))
	}
	return errors.Join(errs...)
}

// serviceOf is the service of the file that says what the flags do.
func (c *runCommand) serviceOf(dir string, words []string) config.Service {
	s := config.Service{
		Name: c.Service, Provider: string(c.Provider), Service: c.Service, Interval: time.Duration(c.Interval),
		Min: int(c.Min), Max: int(c.Max), RPSTarget: float64(c.RPSTarget), Tolerance: float64(c.Tolerance), Cooldown: time.Duration(c.Cooldown),
		MaxUp: c.MaxUp.Limit, MaxDown: c.MaxDown.Limit, OnDoubt: int(c.OnDoubt), Mode: c.Mode, Apply: c.Apply,
		MaxReversals: int(c.MaxReversals), InFlight: float64(c.InFlight), SLOViolations: c.SLOViolations, Capacity: float64(c.Capacity), ChangeCost: float64(c.ChangeCost),
		ProjectDir: dir, ComposeFile: c.ComposeFile, File: c.File, ProjectName: c.ProjectName, EnvFile: c.EnvFile, Profile: c.Profile, Docker: c.Docker, Start: c.Start,
		Command: words, Proxy: c.Proxy, HealthPath: c.HealthPath, Drain: time.Duration(c.Drain), Grace: time.Duration(c.Grace),
		UpstreamFile: c.UpstreamFile, UpstreamFormat: c.UpstreamFormat, UpstreamPort: c.UpstreamPort, UpstreamNetwork: c.UpstreamNetwork, OnChange: c.OnChange,
		Namespace: c.Namespace, Context: c.Context, Kubeconfig: c.Kubeconfig, CPUTarget: c.CPUTarget, HPAFile: c.HPAFile, Kubectl: c.Kubectl,
	}
	if c.Provider == processes {
		s.Apply = "always"
	}
	if c.Wait != nil {
		wait := time.Duration(*c.Wait)
		s.Wait = &wait
	}
	for _, url := range c.Notify {
		s.Notify = append(s.Notify, config.SecretPlace(url))
	}
	source := config.Source{MetricsScope: c.MetricsScope, RPSMetric: c.RPSMetric, RPSMetricType: c.RPSMetricType, InFlightMetric: c.InFlightMetric, RPSTarget: float64(c.RPSTarget)}
	if c.asks() {
		source.PrometheusURL, source.PrometheusQuery = config.SecretURL(c.PrometheusURL), c.PrometheusQuery
	}
	if source.AccessLog = c.AccessLog; c.AccessLog != "" && c.RPSMetric == prometheus.DefaultMetric {
		source.RPSMetric = accesslog.Metric
	}
	urls := c.MetricsURL
	if c.instead() == "" && !c.proxyCounts() {
		urls = c.urls()
	}
	for _, url := range urls {
		source.MetricsURL = append(source.MetricsURL, config.SecretURL(url))
	}
	for _, header := range c.MetricsHeader {
		source.MetricsHeader = append(source.MetricsHeader, config.SecretHeader(header))
	}
	s.Sources = []config.Source{source}
	return s
}

// remembers has a stepper remember where one decision does, and write the same
// journal besides.
func (c *runCommand) remembers(x *stepper) {
	x.StateFile, x.alone = c.statePath(x.ProjectDir), false
	keep, journal := x.record, store.Open(x.StateFile).Journal()
	x.record = func(r store.Record) error { return errors.Join(keep(r), journal.Append(r)) }
}
