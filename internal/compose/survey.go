package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// leastAPI is the oldest API of an engine that was tried: Docker Engine 20.10's.
var leastAPI = [2]int{1, 41}

// Survey is how a service stands with a view to scaling it.
type Survey struct {
	Engine   string // the engine's version; empty where it was not asked
	Compose  string // Compose's version; empty where it was not found
	Replicas int    // that run
	Problems []Problem
}

func (s *Survey) add(problems ...*Problem) {
	for _, p := range problems {
		if p != nil {
			s.Problems = append(s.Problems, *p)
		}
	}
}

// Survey looks for everything that speaks against up to Config.Max replicas, and
// changes nothing. An error is only returned where the looking itself failed;
// what is wrong with the set-up is among the Problems. It must follow Observe.
func (w *Workload) Survey(ctx context.Context) (Survey, error) {
	s := Survey{Replicas: len(w.seen.replicas)}
	if w.engine == nil {
		if w.cfg.Apply == ApplyAuto {
			s.add(w.noDocker())
		}
		return s, nil
	}
	if err := w.surveyEngine(ctx, &s); err != nil {
		return s, err
	}
	if _, _, err := w.edited(1); err != nil {
		s.add(&Problem{CodeOverride, trimmed(err), "a count must be able to stand there as a plain number: mend the file, or name another one with --compose-file"})
	}
	s.add(w.uncarried())
	s.add(w.unlisted(ctx)...)
	compose, err := findCompose(ctx, w.engine.docker)
	if problem, ok := errors.AsType[*Problem](err); ok {
		s.add(problem)
		return s, nil
	}
	if err != nil {
		return s, err
	}
	w.compose, s.Compose = compose, compose.version
	if len(w.existing(w.project).files) == 0 {
		return s, nil // told as not running
	}
	return s, w.surveyProject(ctx, &s)
}

func (w *Workload) noDocker() *Problem {
	return &Problem{
		CodeNoDocker,
		fmt.Sprintf("%q is not on the PATH (%s), so only %s would be written and nothing moved", w.cfg.Docker, os.Getenv("PATH"), w.cfg.OverrideFile),
		"install docker, name it with --docker, or say --apply=never",
	}
}

// trimmed is an error of this package as a problem's fact.
func trimmed(err error) string { return strings.TrimPrefix(err.Error(), "compose: ") }

// FindProblem is the problem for which Find or Observe failed; nil where the
// failure is none of the set-up's.
func FindProblem(err error) *Problem {
	if problem, ok := errors.AsType[*Problem](err); ok {
		return problem
	}
	said := trimmed(err)
	fact, remedy, ok := strings.Cut(said, "; ")
	if !ok {
		fact, remedy = said, "see what it says"
	}
	switch {
	case errors.Is(err, ErrNoDocker):
		return &Problem{CodeNoDocker, fact, remedy}
	case errors.Is(err, ErrEngine) && strings.Contains(said, "permission denied"):
		return &Problem{
			CodeSocketDenied, fmt.Sprintf("this user (uid %d) may not use the Docker Engine: %s", os.Geteuid(), fact),
			"run as a user that may: root, or a member of the group docker (usermod -aG docker USER; that makes it as powerful as root)",
		}
	case errors.Is(err, ErrEngine):
		return &Problem{CodeEngineSilent, fact, remedy}
	case errors.Is(err, ErrNotRunning):
		return &Problem{CodeNotRunning, fact, remedy}
	}
	return &Problem{CodeRefused, fact, remedy}
}

// surveyEngine looks at the engine's version.
func (w *Workload) surveyEngine(ctx context.Context, s *Survey) error {
	var version struct{ Version, APIVersion string }
	if err := w.engine.get(ctx, "/version", nil, &version); err != nil {
		return err
	}
	s.Engine = version.Version
	major, minor := number(version.APIVersion)
	if major < leastAPI[0] || major == leastAPI[0] && minor < leastAPI[1] {
		s.add(&Problem{CodeEngineOld, fmt.Sprintf("Docker Engine %s (API %s) is older than any that was tried: 20.10 (API %d.%d)", version.Version, version.APIVersion, leastAPI[0], leastAPI[1]), "update it"})
	}
	return nil
}

// uncarried is notCarried where there is a project that could be started without
// the override.
func (w *Workload) uncarried() *Problem {
	if w.project.carried || !w.based() {
		return nil
	}
	return w.notCarried()
}

// modelled is what Compose makes of the project, or nil, and the problem for which
// it rejects a count of ours. Where nothing but that count is in the way, the model
// is the project's without one, so that all else can be found in the same run.
func (w *Workload) modelled(ctx context.Context) (*model, *Problem, error) {
	count := 1
	if w.cfg.Max > 1 { // not one that may stand there: two that differ are what is looked for
		count = 1<<20 + 7
	}
	var m model
	err := w.unknownService(ctx)
	if err == nil {
		m, err = w.resolve(ctx, count)
	}
	rejected, ok := errors.AsType[*Problem](err)
	switch {
	case !ok:
		return &m, nil, err
	case rejected.Code != CodeScale && rejected.Code != CodeContainerName:
		return nil, rejected, nil
	}
	m, err = w.uncounted(ctx)
	if _, ok := errors.AsType[*Problem](err); ok {
		rejected.Remedy += "; then run this again: what else there is could not be looked at before"
		return nil, rejected, nil
	}
	return &m, rejected, err
}

// against is what keeps the service from --max replicas: the obstacles, and what
// Compose rejects a count for where that is not among them.
func (w *Workload) against(m model, rejected *Problem) []*Problem {
	problems := w.obstacles(m, w.cfg.Max)
	if rejected == nil || slices.ContainsFunc(problems, func(p *Problem) bool { return p.Code == rejected.Code }) {
		return problems
	}
	return append([]*Problem{rejected}, problems...)
}

// surveyProject looks at what Compose makes of the project.
func (w *Workload) surveyProject(ctx context.Context, s *Survey) error {
	m, rejected, err := w.modelled(ctx)
	if err != nil {
		return err
	}
	if m == nil {
		s.add(rejected)
		return nil
	}
	s.add(w.against(*m, rejected)...)
	service, ok := m.Services[w.cfg.Service]
	if !ok {
		return nil
	}
	if len(m.unset) > 0 {
		s.add(&Problem{
			CodeUnset, "the project uses variables that are not set: " + strings.Join(m.unset, ", "),
			fmt.Sprintf("put them into %s: cron and systemd have no others, and new replicas would start without them", filepath.Join(w.project.dir, ".env")),
		})
	}
	if w.cfg.Max < 2 {
		return nil
	}
	s.add(w.healthCheck(ctx, service), w.gracePeriod(service), w.restart(service))
	s.add(w.volumes(service)...)
	fit, err := w.fit(ctx, service)
	if err != nil {
		return err
	}
	s.add(fit...)
	all, names, err := w.neighbours(ctx)
	if err != nil {
		return err
	}
	proxies, err := w.proxies(ctx, all, names)
	s.add(proxies...)
	return err
}

// healthCheck is the problem of a service whose new replicas nobody can tell
// from healthy ones.
func (w *Workload) healthCheck(ctx context.Context, service service) *Problem {
	check := service.HealthCheck
	has := check != nil && !check.Disable && !(len(check.Test) > 0 && check.Test[0] == "NONE")
	if check == nil { // the image may have one
		for _, r := range w.seen.replicas {
			own := r.found.Config.Healthcheck
			has = has || own != nil && len(own.Test) > 0 && own.Test[0] != "NONE"
		}
		if len(w.seen.replicas) == 0 {
			has = w.engine.imageHasCheck(ctx, service.Image)
		}
	}
	if has {
		return nil
	}
	return &Problem{
		CodeNoHealthCheck,
		fmt.Sprintf("service %q has no health check, so a new replica counts as up once it has run for 10 s, whether or not it answers", w.cfg.Service),
		"give it a healthcheck: that asks the service itself",
	}
}

// imageHasCheck reports whether an image brings a health check along; one that
// is not there has none.
func (e *engine) imageHasCheck(ctx context.Context, name string) bool {
	var image struct {
		Config struct{ Healthcheck *struct{ Test []string } }
	}
	err := e.get(ctx, "/images/"+name+"/json", nil, &image)
	return err == nil && image.Config.Healthcheck != nil
}

// gracePeriod is the problem of a service that a lowering would cut short.
func (w *Workload) gracePeriod(service service) *Problem {
	if service.StopGracePeriod != "" {
		return nil
	}
	return &Problem{
		CodeNoGracePeriod,
		fmt.Sprintf("service %q has no stop_grace_period, so a replica that leaves is killed after 10 s, with whatever it still works on", w.cfg.Service),
		"set stop_grace_period: to the longest that one of its requests takes",
	}
}

// restart is the problem of replicas that stay down with the engine.
func (w *Workload) restart(service service) *Problem {
	if service.Restart != "" && service.Restart != "no" {
		return nil
	}
	if policy := service.Deploy.RestartPolicy; policy != nil && policy.Condition != "none" {
		return nil
	}
	return &Problem{
		CodeNoRestart,
		fmt.Sprintf("service %q has no restart:, so its replicas stay down after a crash or a restart of the engine, and scaling does not start a service of which nothing runs", w.cfg.Service),
		"set restart: unless-stopped",
	}
}

// volumes are the places that replicas would write to together.
func (w *Workload) volumes(service service) (problems []*Problem) {
	for _, v := range service.Volumes {
		if v.ReadOnly || v.Source == "" || v.Type != "volume" && v.Type != "bind" {
			continue
		}
		if info, err := os.Stat(v.Source); v.Type == "bind" && err == nil && info.Mode().Type()&(os.ModeSocket|os.ModeDevice) != 0 {
			continue // nothing is stored in it
		}
		problems = append(problems, &Problem{
			CodeSharedVolume,
			fmt.Sprintf("all replicas of service %q would write to one %s: %s (%s)", w.cfg.Service, map[string]string{"volume": "volume", "bind": "folder"}[v.Type], v.Source, v.Target),
			"mount it read-only (:ro), keep such data in a service of its own, or make sure that the program is made for that",
		})
	}
	return problems
}

// ExposedPorts are the TCP ports that the running replicas' images or settings
// name, in order.
func (w *Workload) ExposedPorts() []uint16 {
	ports := map[uint16]bool{}
	for _, r := range w.seen.replicas {
		for spec := range r.found.NetworkSettings.Ports {
			number, protocol, _ := strings.Cut(spec, "/")
			if n, err := strconv.ParseUint(number, 10, 16); err == nil && protocol == "tcp" {
				ports[uint16(n)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(ports))
}
