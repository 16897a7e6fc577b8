package config

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/command"
	"github.com/five-keys/autoscale/internal/upstream"
)

// report notes what is wrong with a part of the file, in the words of flags or
// keys.
func (r *reader) report(at, format string, args ...any) {
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		if p, ok := r.locate(at, line); ok {
			r.problems = append(r.problems, p)
		}
	}
}

// stated reports whether a service, or the defaults, have a key.
func (r *reader) stated(path, key string) bool {
	return r.spots[join(path, key)] != nil || r.spots[join("defaults", key)] != nil
}

// add notes a problem at a path.
func (r *reader) add(path, format string, args ...any) {
	if !r.bad[path] {
		r.problems = append(r.problems, r.problem(path, fmt.Sprintf(format, args...)))
	}
}

// sourceAt is the part of the file that states a source of a service: the service
// itself where that has only one.
func (r *reader) sourceAt(path string, i int) string {
	list := r.from(path, "sources")
	if r.spots[list] == nil || list != join(path, "sources") && r.ownSource(path) != "" {
		return path
	}
	return r.item(list, i)
}

// check looks for what is wrong in a service as a whole.
func (r *reader) check(s Service, path string) {
	for _, needed := range []struct{ key, example string }{
		{"provider", "what runs it: provider: compose, provider: k8s, or provider: process"},
		{"min", "the fewest replicas, such as min: 1"},
		{"max", "the most replicas, such as max: 5"},
	} {
		if !r.stated(path, needed.key) {
			r.add(path, "%s is missing; write %s", needed.key, needed.example)
		}
	}
	policy := s.Policy()
	if !r.stated(path, "max") {
		policy.Max = math.MaxInt32
	}
	if !r.stated(path, "rps-target") {
		policy.Target = 1
		if slices.ContainsFunc(s.Sources, func(s Source) bool { return s.RPSTarget == 0 }) {
			r.add(path, "rps-target is missing; write the requests per second that one replica should carry, such as rps-target: 40")
		}
	}
	if err := policy.Validate(); err != nil {
		r.report(path, "%v", err)
	}
	r.checkProvider(s, path)
	r.checkFront(s, path)
	if s.InFlight > 0 && !slices.ContainsFunc(s.Sources, func(s Source) bool { return s.InFlightMetric != "" || s.OfProxy() }) {
		r.report(path, "--inflight-target=%v: write inflight-metric as well, the gauge that it is of", s.InFlight)
	}
	for i, source := range s.Sources {
		r.checkSource(s, source, path, r.sourceAt(path, i))
	}
	for i, window := range s.Schedule {
		r.checkWindow(s, window, r.item(r.from(path, "schedule"), i))
	}
}

// checkProvider looks for what a service's provider does not have.
func (r *reader) checkProvider(s Service, path string) {
	for _, f := range fields(typeOf[Service]()) {
		if at := join(path, f.key); !f.isFor(s.Provider) && r.spots[at] != nil {
			r.add(at, "is for provider: %s, and this service has provider: %s; leave it away", strings.Join(f.providers(), " or "), s.Provider)
		}
	}
	switch s.Provider {
	case "process":
		r.checkProcess(s, path)
		return
	case "k8s":
	default:
		return
	}
	if s.Mode == autoscale.RaiseOnly {
		r.report(path, "--mode=raise-only: on Kubernetes the HPA decides; write --mode=auto, or --mode=observe")
	}
	if s.SLOViolations != 0 {
		r.report(path, "--slo-violations=%s: on Kubernetes the HPA decides; leave it away", s.SLOViolations)
	}
	if s.Min == 0 && r.stated(path, "min") {
		r.report(path, "--min=0: an HPA that counts requests per pod sees none without a pod, and would never start one; write --min=1")
	}
	if s.Cooldown > time.Hour {
		r.report(path, "--cooldown=%s: an HPA's stabilization window is at most an hour; write --cooldown=1h or less", showDuration(s.Cooldown))
	}
}

// checkProcess looks for what is wrong with a service whose replicas are processes.
func (r *reader) checkProcess(s Service, path string) {
	switch {
	case !r.stated(path, "command"):
		r.add(path, "command is missing; write the program of one replica and its arguments, such as command: [./app, --verbose]")
	case len(s.Command) == 1 && strings.ContainsAny(s.Command[0], " \t") && r.spots[r.from(path, "command")+"[0]"] == nil:
		r.add(r.from(path, "command"), "is one text, and no shell takes it apart; write a list of words: [%s]", strings.Join(strings.Fields(s.Command[0]), ", "))
	}
	if s.Apply != "always" {
		r.report(path, "--apply=%s: the processes are the daemon's own; leave it away, or write mode: observe to have their number left alone", s.Apply)
	}
}

// checkFront looks for what is wrong with what is said of the proxy in front.
func (r *reader) checkFront(s Service, path string) {
	if s.Provider != "compose" {
		return
	}
	err := upstream.Settings{
		File: s.UpstreamFile, Format: s.UpstreamFormat, Network: s.UpstreamNetwork, OnChange: s.OnChange, Port: s.UpstreamPort, Blind: s.Apply == "never",
	}.Check()
	if err != nil {
		r.report(path, "%v", err)
	}
	if _, err := command.Words(s.OnChange); err != nil && s.OnChange != "" {
		r.report(path, "--on-change: %v", err)
	}
}

// checkTarget looks at a source's own target.
func (r *reader) checkTarget(source Source, at string) {
	if t := source.RPSTarget; r.spots[join(at, "rps-target")] != nil && (!(t > 0) || math.IsInf(t, 0)) {
		r.report(at, "--rps-target=%v: give what one replica should carry of this source's load, a number above 0", t)
	}
}

// checkSource looks for what is wrong with a source of the service at path; at is
// the part of the file that states it.
func (r *reader) checkSource(s Service, source Source, path, at string) {
	each := false
	for i, url := range source.MetricsURL {
		text := url.Reveal()
		each = each || strings.Contains(text, "{replica}")
		if text != "" && !strings.HasPrefix(text, "http://") && !strings.HasPrefix(text, "https://") {
			r.add(r.item(r.from(at, "metrics-url"), i), "has to begin with http:// or https://, such as http://localhost:8000/metrics; write all of the URL")
		}
	}
	for i, header := range source.MetricsHeader {
		name, value, ok := strings.Cut(header.Reveal(), ":")
		if header.Reveal() != "" && (!ok || strings.TrimSpace(name) == "" || strings.ContainsAny(name+value, "\r\n\x00")) {
			r.add(r.item(r.from(at, "metrics-header"), i), `has to read "Name: value", on one line; write it so (it is not shown, as it may be secret)`)
		}
	}
	if source.InFlightMetric != "" && s.InFlight == 0 {
		r.report(at, "--inflight-metric: write inflight-target as well, how much of it one replica may have before it counts as saturated")
	}
	if each && source.MetricsScope == "service" {
		r.report(at, "--metrics-scope=service: a URL with {replica} speaks for one replica; leave one of the two away")
	}
	if s.Provider == "process" {
		r.checkProcessSource(source, at)
	}
	if s.Provider == "k8s" || len(source.MetricsURL) == 0 {
		return
	}
	if s.Min == 0 && r.stated(path, "min") && (each || source.MetricsScope != "service") {
		r.report(path, "--min=0: without a replica nobody would see the load come back; write --min=1, or read a proxy's metrics and write metrics-scope: service, or write prometheus-query or access-log")
	}
	if each && s.Apply == "never" && s.Provider == "compose" {
		r.report(path, "--apply=never: {replica} needs the engine, which is not asked; give a URL that speaks for the whole service")
	}
}

// checkProcessSource looks for what a source of a service of processes cannot have.
func (r *reader) checkProcessSource(source Source, at string) {
	for i, url := range source.MetricsURL {
		if strings.Contains(url.Reveal(), "{replica}:") {
			r.add(r.item(r.from(at, "metrics-url"), i), "{replica} stands for address and port of a process; write it without a port: http://{replica}/metrics")
		}
	}
	if !source.OfProxy() {
		return
	}
	for _, key := range []string{"metrics-scope", "rps-metric", "rps-metric-type", "inflight-metric", "metrics-header"} {
		if path := join(at, key); r.spots[path] != nil {
			r.add(path, "is about a metrics page, and the proxy's own count is read; write metrics-url, or leave it away")
		}
	}
}

// checkWindow looks for what is wrong with a window of a schedule.
func (r *reader) checkWindow(s Service, w Window, at string) {
	has := func(key string) bool { return r.spots[join(at, key)] != nil }
	switch fields := strings.Fields(w.Cron); {
	case !has("cron"):
		r.add(at, `cron is missing; write when the window begins, such as cron: "30 7 * * 1-5"`)
	case len(fields) != 5 && !(len(fields) == 1 && strings.HasPrefix(w.Cron, "@")):
		r.add(join(at, "cron"), `%q has %d fields; write five: minute, hour, day of month, month, day of week, as in "30 7 * * 1-5"`, shorten(w.Cron), len(fields))
	}
	if !has("for") {
		r.add(at, "for is missing; write how long the window lasts, such as for: 3h")
	}
	if _, err := time.LoadLocation(w.TimeZone); err != nil {
		r.add(join(at, "time-zone"), "there is no time zone %q on this machine; write one such as Europe/Berlin, or install tzdata", shorten(w.TimeZone))
	}
	switch {
	case !has("min") && !has("max"):
		r.add(at, "min and max are missing; write which bound holds in the window, such as min: 4")
	case has("max") && w.Min > w.Max:
		r.report(at, "--min=%d is above --max=%d; swap them, or raise max", w.Min, w.Max)
	case !has("max") && w.Min > s.Max && s.Max > 0:
		r.add(join(at, "min"), "%d is above the service's max: %d, which holds in windows as well; raise that, or lower this", w.Min, s.Max)
	}
	if w.Ramp > 0 && !has("min") {
		r.add(join(at, "ramp"), "there is no min: that could be reached gradually; write one, or leave ramp away")
	}
}

// checkListen looks at the addresses.
func (r *reader) checkListen(f *File) {
	for key, address := range map[string]string{"listen": f.Listen, "metrics-listen": f.MetricsListen} {
		host, port, err := net.SplitHostPort(address)
		if _, number := strconv.ParseUint(port, 10, 16); address != "" && (err != nil || number != nil) {
			r.add(key, "%q is no address; write host:port, such as 127.0.0.1:9292, or off", shorten(address))
			continue
		}
		ip, err := netip.ParseAddr(host)
		local := host == "localhost" || err == nil && ip.IsLoopback()
		if key == "listen" && address != "" && !local && r.spots["token"] == nil {
			r.add(key, "%s can be reached from other machines, so a token is needed; write token: {file: /etc/autoscale/token}, or listen: 127.0.0.1:%s", address, port)
		}
	}
	if f.Listen != "" && f.Listen == f.MetricsListen {
		r.add("metrics-listen", "%s is the address of listen: already, which has /metrics too; write another one, or leave it away", f.Listen)
	}
}

// checkTwins looks for services that scale the same workload, as far as that can
// be told.
func (r *reader) checkTwins(services []Service) {
	seen, proxies := map[string]string{}, map[string]string{}
	for _, s := range services {
		where := "in " + s.ProjectDir
		path := ofService(s.Name)
		if first := proxies[s.Proxy]; s.Provider == "process" {
			if first != "" {
				r.add(path, "has the same proxy: %s as %s on line %d; write another address for one of the two", s.Proxy, first, r.spots[first].Line)
			}
			proxies[s.Proxy] = path
		}
		switch {
		case s.Provider == "k8s":
			where = fmt.Sprintf("in namespace %s of context %s", cmp.Or(s.Namespace, "(default)"), cmp.Or(s.Context, "(default)"))
		case s.ProjectName != "":
			where = "of project " + s.ProjectName
		}
		workload := fmt.Sprintf("service %s %s", s.Service, where)
		key := strings.Join([]string{s.Provider, s.Kubeconfig, workload}, "\x00")
		if first := seen[key]; first != "" && s.Provider != "" {
			r.add(path, "is the same workload as %s on line %d: %s; leave one of the two away, or tell them apart by service, project-dir, project-name or namespace", first, r.spots[first].Line, workload)
			continue
		}
		seen[key] = path
	}
}
