// Package config reads the daemon's autoscale.yaml: strictly, and with all that
// is wrong in it at once, each with its place and its remedy.
//
// The structs of this file say everything about the keys. Reading, the JSON
// Schema, what is printed as in force and the tables of docs/config.md are made
// from their tags:
//
//	yaml      the key
//	help      what it means
//	default   the value where none is stated, as it is written in the file
//	unset     such a value that nobody writes; it means "not stated"
//	zero      the word for the zero value: "hold", "off"
//	enum      the words that there are
//	atleast,
//	atmost    bounds
//	provider  the only providers that it is for
//	needed    in a list: at least one
//	mask      what String shows of a Secret: "url", "header" or "scheme"; else nothing
package config

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"reflect"
	"time"

	"github.com/five-keys/autoscale"
)

// File is what an autoscale.yaml says, defaults filled in.
type File struct {
	// Path is where it was read from.
	Path string `yaml:"-"`
	// Interval is the time from one step to the next of services that state none.
	Interval time.Duration `yaml:"interval" default:"15s" atleast:"1s" help:"Time from one step to the next, of services that state none."`
	// State is an absolute path.
	State string `yaml:"state" default:"autoscale-state" help:"Folder of what must be remembered. A relative path counts from this file's folder."`
	// Listen and MetricsListen are host:port; empty for none.
	Listen        string `yaml:"listen" default:"127.0.0.1:9292" zero:"off" help:"Address of page, API and metrics; any but a loopback address needs a token."`
	MetricsListen string `yaml:"metrics-listen" zero:"off" help:"Address of /metrics and /healthz alone, read-only: any address."`
	// Token is empty where none is stated.
	Token Secret `yaml:"token" help:"What those must show who change anything through the API. Without it nobody can."`
	// History is where charts come from.
	History History `yaml:"history" help:"What charts and autoscale explain are drawn from. No decision needs it."`
	// Services are in the order of the file.
	Services []Service `yaml:"-"`

	places places
}

// History is where the past is kept for people.
type History struct {
	// File is an absolute path.
	File string `yaml:"file" help:"The database. A relative path counts from this file's folder; default: history.db in the state folder."`
	// Keep is the age at which entries go.
	Keep time.Duration `yaml:"keep" default:"30d" atleast:"1h" help:"How long it goes back."`
	// Size is the most bytes that File may take.
	Size int64 `yaml:"size" default:"512MiB" atleast:"1MiB" help:"The most it may take of the disk; the oldest goes first."`
}

// Service is one service to scale. Its fields are the flags of one decision.
type Service struct {
	// Name is its label in the file, unique in it.
	Name string `yaml:"-"`
	// Provider is "compose", "k8s" or "process".
	Provider string `yaml:"provider" enum:"compose,k8s,kubernetes,process" help:"What runs the service; process: this daemon itself. Required."`
	Service  string `yaml:"service" help:"The Compose service, or the Deployment, or what processes are called; default: the label it stands under."`
	// Interval is the time from one step to the next.
	Interval time.Duration `yaml:"interval" atleast:"1s" help:"Time from one step to the next; default: the interval above all services."`

	Min int `yaml:"min" help:"Fewest replicas. Required."`
	Max int `yaml:"max" help:"Most replicas. Required."`
	// RPSTarget is the first source's where only the sources state one.
	RPSTarget float64       `yaml:"rps-target" help:"Requests per second one replica should carry. Required, unless each source has its own."`
	Tolerance float64       `yaml:"tolerance" default:"0.1" help:"Share of the load above the target without a raise, and to spare after a lowering."`
	Cooldown  time.Duration `yaml:"cooldown" default:"2m" help:"How long the load must have stayed low before replicas go; 0 lowers at once."`
	// MaxUp and MaxDown do not bound where they are zero.
	MaxUp   autoscale.Limit `yaml:"max-up" zero:"none" help:"Most replicas, or share of the current ones, that one raise adds."`
	MaxDown autoscale.Limit `yaml:"max-down" zero:"none" help:"Most replicas, or share of the current ones, that go in one cooldown."`
	// OnDoubt is a number of replicas; 0 holds what is there.
	OnDoubt int `yaml:"on-doubt" zero:"hold" help:"Replicas to raise to after three doubtful steps in a row."`
	// MaxReversals is 0 for any number.
	MaxReversals int     `yaml:"max-reversals" default:"6" atleast:"0" help:"Changes of direction in an hour before the cooldown is lengthened; 0: any number."`
	InFlight     float64 `yaml:"inflight-target" atleast:"0" help:"Requests that one replica may be answering at once, by inflight-metric, before it counts as saturated."`
	// SLOViolations and Capacity go together; 0 for neither.
	SLOViolations autoscale.Share `yaml:"slo-violations" zero:"none" help:"New: the share of the requests that may meet an overloaded service, such as 0.1%. With capacity, settings are learned from the service's own load; see adaptive.md. Not on Kubernetes, where the HPA decides."`
	Capacity      float64         `yaml:"capacity" atleast:"0" help:"Requests per second at which one replica is overloaded, beside slo-violations; autoscale stress --find-capacity measures it."`
	ChangeCost    float64         `yaml:"change-cost" default:"60" atleast:"0" help:"What a change of the count costs, in replica-seconds, beside slo-violations."`
	Mode          autoscale.Mode  `yaml:"mode" default:"auto" enum:"auto,raise-only,observe" help:"How much of a decision is acted on; observe changes nothing."`
	// Apply is "always", "auto" or "never".
	Apply string `yaml:"apply" default:"always" enum:"always,auto,never" help:"Whether engine or cluster are changed: always (docker or kubectl must be there), auto (where they are), never (only the file is written)."`

	// Notify are the places to tell, by the URLs that internal/notify reads.
	Notify []Secret `yaml:"notify" mask:"scheme" help:"Where to tell what happens: telegram://…, slack://…, discord://…, smtp://…, ntfy://…, gotify://…, generic+https://…; see notify.md."`

	// Sources are at least one. Several have names of their own.
	Sources []Source `yaml:"sources" needed:"" help:"Several places that the load is read from; the highest number wins, and one that fails only holds or raises. Takes the place of metrics-url and the keys that belong to it."`
	// Schedule are the windows, in the order of the file.
	Schedule []Window `yaml:"schedule" help:"Windows of time that raise min or set max."`

	// ProjectDir is an absolute path: the file's folder, unless DirGiven.
	ProjectDir string `yaml:"project-dir" default:"." help:"The project's folder. A relative path counts from this file's folder, and other files of the service count from it."`
	// DirGiven tells that ProjectDir was stated.
	DirGiven    bool     `yaml:"-"`
	ComposeFile string   `yaml:"compose-file" default:"deploy/compose.override.yml" provider:"compose" help:"Override file that carries the count."`
	File        []string `yaml:"file" provider:"compose" help:"Compose files, as the running project was started with."`
	ProjectName string   `yaml:"project-name" provider:"compose" help:"Compose project, where the folder does not tell."`
	EnvFile     []string `yaml:"env-file" provider:"compose" help:"Environment files, as the running project was started with."`
	Profile     []string `yaml:"profile" provider:"compose" help:"Compose profiles."`
	Docker      string   `yaml:"docker" default:"docker" provider:"compose" help:"The docker command."`
	// Wait is nil where the health check tells.
	Wait  *time.Duration `yaml:"wait" zero:"auto" atleast:"0s" provider:"compose,process" help:"How long a new replica may take to be healthy; auto: by its health check, at least 60 s."`
	Start bool           `yaml:"start" provider:"compose" help:"Start min replicas where none runs."`

	UpstreamFile   string `yaml:"upstream-file" provider:"compose" help:"List of the replicas that take traffic, kept for the proxy in front."`
	UpstreamFormat string `yaml:"upstream-format" enum:"nginx,haproxy,traefik,json" provider:"compose" help:"What upstream-file is written for."`
	// UpstreamPort is 0 where the replicas expose only one.
	UpstreamPort    int    `yaml:"upstream-port" zero:"auto" atleast:"1" atmost:"65535" provider:"compose" help:"Port inside the replicas that the proxy sends requests to; auto: the only one that they expose."`
	UpstreamNetwork string `yaml:"upstream-network" provider:"compose" help:"The service's network that the proxy is on, or host: the published ports; default: the first address that answers."`
	OnChange        string `yaml:"on-change" provider:"compose" help:"Command that has the proxy read the list, before a lowering and after a raise. It runs in the project's folder, for 30 s at most; no shell reads it."`

	// Command is the program and its arguments.
	Command []string `yaml:"command" provider:"process" help:"The program that each replica runs, and its arguments, as a list; no shell reads them. {port} in them, and PORT in the environment, say where it is to listen, at 127.0.0.1. Required."`
	// Proxy is host:port.
	Proxy string `yaml:"proxy" default:"127.0.0.1:8080" provider:"process" help:"Address of the proxy in front of the replicas."`
	// HealthPath is empty where a connection is enough.
	HealthPath string `yaml:"health-path" provider:"process" help:"What a healthy replica answers with a status from 200 to 399, such as /healthz; default: it is healthy once it accepts a connection."`
	// Drain is used with UpstreamFile or OnChange only, where the provider is compose.
	Drain time.Duration `yaml:"drain" default:"10s" atleast:"0s" provider:"compose,process" help:"With upstream-file or on-change: from when the proxy was told until a replica that leaves is stopped. With provider: process: how long such a one may take to finish its requests, streams included."`
	Grace time.Duration `yaml:"grace" default:"10s" atleast:"0s" provider:"process" help:"How long a replica may take to end after SIGTERM, until it is killed."`

	Namespace string `yaml:"namespace" provider:"k8s" help:"The Deployment's namespace; default: the context's own."`
	Context   string `yaml:"context" provider:"k8s" help:"The context in kubectl's configuration; default: the current one."`
	// Kubeconfig is an absolute path, or empty for kubectl's own.
	Kubeconfig string `yaml:"kubeconfig" provider:"k8s" help:"kubectl's configuration; default: its own. A relative path counts from this file's folder."`
	CPUTarget  int    `yaml:"cpu-target" default:"75" atleast:"0" provider:"k8s" help:"Average CPU utilisation, per cent, in the HPA; 0 leaves CPU out."`
	HPAFile    string `yaml:"hpa-file" default:"k8s/hpa.yaml" provider:"k8s" help:"Where the HorizontalPodAutoscaler's manifest is written."`
	Kubectl    string `yaml:"kubectl" default:"kubectl" provider:"k8s" help:"The kubectl command."`
}

// Source is one place that the load is read from.
type Source struct {
	// Name is unique in its service; it may be empty where there is one only.
	Name string `yaml:"name" help:"What it is called, and remembered under; default: its rps-metric, its query, or its log's name."`
	// MetricsURL are at least one; readings are summed. None stands for what is
	// read instead, or the requests at the proxy where the provider is process.
	MetricsURL   []Secret `yaml:"metrics-url" default:"http://localhost:8000/metrics" needed:"" mask:"url" help:"Prometheus text or OpenMetrics; readings of several are summed; {replica} stands for the address of each running replica. Default with provider: process: none, since the proxy counts the requests."`
	MetricsScope string   `yaml:"metrics-scope" default:"auto" enum:"auto,service,replica" help:"What one URL speaks for."`
	RPSMetric    string   `yaml:"rps-metric" default:"http_requests_per_second" help:"Gauge of current requests/s, or counter of requests; a selector narrows it: http_requests_total{code!~\"5..\"}."`
	// RPSMetricType is "gauge", "counter", or empty where the page says it.
	RPSMetricType  string `yaml:"rps-metric-type" zero:"auto" enum:"auto,gauge,counter" help:"What the metric is; auto: as the page says."`
	InFlightMetric string `yaml:"inflight-metric" help:"Gauge of the requests that are being answered, on the same pages."`
	// PrometheusURL and PrometheusQuery are both stated, or none.
	PrometheusURL   Secret `yaml:"prometheus-url" mask:"url" help:"Prometheus server to ask in place of reading pages."`
	PrometheusQuery string `yaml:"prometheus-query" help:"What to ask it, in requests/s; the series of the answer are summed: sum(rate(http_requests_total[1m]))."`
	AccessLog       string `yaml:"access-log" help:"Log of the proxy in front to read in place of pages; rotation is followed. A relative path counts from project-dir. rps-metric may pick some of its requests: requests{path!=\"/healthz\"}."`
	// MetricsHeader are "Name: value".
	MetricsHeader []Secret `yaml:"metrics-header" mask:"header" help:"Request headers for the metrics page, each as \"Name: value\"; the values are never printed."`
	// RPSTarget is the load of this source that one replica should carry.
	RPSTarget float64 `yaml:"rps-target" help:"What one replica should carry of this source's load, in its own unit; default: the service's."`
}

// Window is a time in which other bounds hold.
type Window struct {
	Cron string `yaml:"cron" jsonschema:"required" help:"When the window begins: minute, hour, day of month, month, day of week; or @daily and the like. Required."`
	// TimeZone is a name of the IANA's; empty for the machine's.
	TimeZone string        `yaml:"time-zone" help:"Where that is the time, such as Europe/Berlin; default: the machine's."`
	For      time.Duration `yaml:"for" jsonschema:"required" atleast:"1m" atmost:"7d" help:"How long it lasts. Required."`
	// Ramp is the time before the window in which Min is reached.
	Ramp time.Duration `yaml:"ramp" atleast:"0s" atmost:"7d" help:"Reach min gradually, in this time before the window begins."`
	// Min and Max are -1 where not stated.
	Min int `yaml:"min" unset:"-1" atleast:"0" help:"Fewest replicas in the window; this, max, or both are required."`
	Max int `yaml:"max" unset:"-1" atleast:"1" help:"Most replicas in the window, in place of the service's."`
}

// document is the file as it is written.
type document struct {
	File     `yaml:",inline"`
	Defaults Service            `yaml:"defaults" help:"Any key of a service: what holds where a service does not state it."`
	Services map[string]Service `yaml:"services" jsonschema:"required,minProperties=1" help:"The services to scale, each under a label of its own."`
}

// With is a file that has one service, and nothing else stated.
func With(s Service) *File {
	f := &File{}
	fill(reflect.ValueOf(f).Elem())
	f.Services = []Service{s}
	return f
}

// Policy is the service's part of its decisions.
func (s Service) Policy() autoscale.Policy {
	return autoscale.Policy{
		Min: s.Min, Max: s.Max, Target: s.RPSTarget, Tolerance: s.Tolerance, Cooldown: s.Cooldown,
		MaxUp: s.MaxUp, MaxDown: s.MaxDown, OnDoubt: s.OnDoubt, Mode: s.Mode,
		MaxReversals: s.MaxReversals, InFlight: s.InFlight, SLO: autoscale.AskFor(s.SLOViolations, s.Capacity, s.ChangeCost),
	}
}

// salt makes an Identity useless to those who would guess a secret from it.
var salt = rand.Text()

// Identity is the same for equal settings, secrets included, within one process.
// It gives none of them away.
func (s Service) Identity() string {
	hash := sha256.New()
	text, _ := show(s) // a buffer takes everything
	fmt.Fprintf(hash, "%s\n%s\n%s\n%s\n%t\n", salt, s.Name, text, s.Provider, s.DirGiven)
	lists := [][]Secret{s.Notify}
	for _, source := range s.Sources {
		lists = append(lists, source.MetricsURL, source.MetricsHeader, []Secret{source.PrometheusURL})
	}
	for _, secrets := range lists {
		for _, secret := range secrets {
			_, _ = io.WriteString(hash, secret.Reveal()+"\x00")
		}
		_, _ = io.WriteString(hash, "\x01")
	}
	return hex.EncodeToString(hash.Sum(nil))
}
