package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// model is what matters of the project as Compose resolves it.
type model struct {
	unset    []string // variables that the files use and nothing sets
	Name     string   `json:"name"`
	Networks map[string]struct {
		Name string `json:"name"`
	} `json:"networks"`
	Services map[string]service `json:"services"`
}

// pinPrefix begins the name of every temporary Compose file of ours. Compose
// writes file names into its containers' labels, where they are known by it.
const pinPrefix = "autoscale-pin-"

func withoutPins(files []string) []string {
	return slices.DeleteFunc(files, func(f string) bool { return strings.HasPrefix(filepath.Base(f), pinPrefix) })
}

// saying is a Compose file that says something more of the service, and
// whatever more stands in further, YAML on the top level.
func (w *Workload) saying(settings map[string]any, further string) (string, error) {
	of, err := json.Marshal(map[string]any{w.cfg.Service: settings})
	return fmt.Sprintf("services: %s\n%s", of, further), err
}

// temporary writes a Compose file, into memory where the disk is full; the
// returned function removes it.
func temporary(text string) (path string, remove func(), err error) {
	var errs []error
	for _, dir := range []string{os.TempDir(), "/dev/shm"} {
		path, err := writeTemporary(dir, text)
		if err == nil {
			return path, func() { os.Remove(path) }, nil
		}
		errs = append(errs, err)
	}
	return "", nil, fmt.Errorf("compose: no temporary file can be written: %w", errors.Join(errs...))
}

func writeTemporary(dir, text string) (string, error) {
	f, err := os.CreateTemp(dir, pinPrefix+"*.yaml")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
	}
	return f.Name(), err
}

// projectArgs are the project's arguments.
func (w *Workload) projectArgs() []string { return w.existing(w.project).args() }

// existing is p without an override file that does not exist yet, or that says
// nothing yet: Compose 2.20 rejects one of comments only.
func (w *Workload) existing(p project) project {
	override := resolve(p.dir, w.cfg.OverrideFile)
	p.files = slices.Clone(p.files)
	if text, err := os.ReadFile(override); errors.Is(err, os.ErrNotExist) || err == nil && saysNothing(string(text)) {
		p.files = slices.DeleteFunc(p.files, func(f string) bool { return samePath(f, override) })
	}
	if len(p.files) == 0 {
		// Compose would look in the parent folders too; the folder is meant.
		p.files = defaultFiles(p.dir)
	}
	return p
}

// based reports whether there is a Compose file besides the override, which alone
// makes no project.
func (w *Workload) based() bool {
	override := resolve(w.project.dir, w.cfg.OverrideFile)
	return slices.ContainsFunc(w.existing(w.project).files, func(f string) bool { return !samePath(f, override) })
}

// unsetVariable is what Compose says of a variable that the project's files use
// and nothing sets.
var unsetVariable = regexp.MustCompile(`The \\?"(\w+)\\?" variable is not set`)

// saysNothing reports whether a YAML file has nothing but comments.
func saysNothing(text string) bool {
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		if line = strings.TrimSpace(line); line != "" && line != "---" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

// resolve asks Compose what it makes of the project with count replicas.
func (w *Workload) resolve(ctx context.Context, count int) (m model, err error) {
	text, err := w.saying(map[string]any{"deploy": map[string]any{"replicas": count}}, "")
	if err != nil {
		return m, err
	}
	// Through its standard input: a full disk must not stop a raise.
	return w.config(ctx, append(w.projectArgs(), "-f", "-"), text, count)
}

// uncounted asks Compose what it makes of the project without any count of ours,
// neither the override file's nor another one.
func (w *Workload) uncounted(ctx context.Context) (model, error) {
	p, override := w.project, resolve(w.project.dir, w.cfg.OverrideFile)
	p.files = slices.DeleteFunc(slices.Clone(p.files), func(f string) bool { return samePath(f, override) })
	return w.config(ctx, w.existing(p).args(), "", 1)
}

// config has Compose resolve the project by these arguments and that input, which
// brings it to count replicas.
func (w *Workload) config(ctx context.Context, project []string, text string, count int) (m model, err error) {
	args := slices.Concat(w.compose.words, project, []string{"config", "--format", "json"})
	out, said, err := runTold(ctx, w.project.dir, text, args)
	switch {
	case ctx.Err() != nil:
		return m, context.Cause(ctx)
	case err != nil:
		return m, w.rejected(err, count)
	}
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		return m, fmt.Errorf("compose: what Compose says of the project cannot be read: %w", err)
	}
	for _, found := range unsetVariable.FindAllStringSubmatch(said, -1) {
		if !slices.Contains(m.unset, found[1]) {
			m.unset = append(m.unset, found[1])
		}
	}
	return m, nil
}

// check refuses a project in which count replicas could not start.
func (w *Workload) check(m model, count int) error {
	if problems := w.obstacles(m, count); len(problems) > 0 {
		return problems[0]
	}
	return nil
}

// obstacles are what keeps count replicas of the service from starting.
func (w *Workload) obstacles(m model, count int) (problems []*Problem) {
	service, ok := m.Services[w.cfg.Service]
	if !ok {
		return []*Problem{w.noService(slices.Collect(maps.Keys(m.Services)))}
	}
	if count < 2 {
		return nil
	}
	if service.ContainerName != "" {
		problems = append(problems, w.containerName(service.ContainerName))
	}
	if service.NetworkMode == "host" {
		problems = append(problems, &Problem{
			Code:   CodeHostNetwork,
			Fact:   fmt.Sprintf("service %q has network_mode: host, so its replicas would fight for one port", w.cfg.Service),
			Remedy: "give it a network of its own",
		})
	}
	for _, port := range service.Ports {
		if p := w.checkPort(port.Published, port.Target, count); p != nil {
			problems = append(problems, p)
		}
	}
	return problems
}

func (w *Workload) noService(known []string) *Problem {
	slices.Sort(known)
	return &Problem{
		Code:   CodeNoService,
		Fact:   fmt.Sprintf("the project in %s has no service %q", w.project.dir, w.cfg.Service),
		Remedy: "it has " + strings.Join(known, ", "),
	}
}

// checkPort refuses a port, or a range of ports, on the host that is too small
// for count replicas; nil where it will do.
func (w *Workload) checkPort(published string, target, count int) *Problem {
	if published == "" || published == "0" {
		return nil
	}
	of := fmt.Sprintf("service %q publishes host port", w.cfg.Service)
	first, last, isRange := strings.Cut(published, "-")
	from, err := strconv.Atoi(first)
	if err != nil {
		return &Problem{CodePortRange, fmt.Sprintf("%s %q, which is no port", of, published), "mend it in the Compose file"}
	}
	if !isRange {
		return &Problem{
			CodeFixedPort, fmt.Sprintf("%s %d, so only one replica can start", of, from),
			fmt.Sprintf("use a range (%d-%d:%d) and read every replica with {replica}, or drop the port and put a proxy in front", from, from+10, target),
		}
	}
	to, err := strconv.Atoi(last)
	if err != nil || to < from {
		return &Problem{CodePortRange, fmt.Sprintf("%ss %q, which is no range", of, published), "mend it in the Compose file"}
	}
	if size := to - from + 1; size < count {
		return &Problem{
			CodePortRange, fmt.Sprintf("%ss %s, enough for %d replicas, but %d are wanted", of, published, size, count),
			fmt.Sprintf("widen the range to %d-%d, or lower --max", from, from+count-1),
		}
	}
	return nil
}

func (w *Workload) containerName(name string) *Problem {
	return &Problem{
		Code:   CodeContainerName,
		Fact:   fmt.Sprintf("service %q has container_name: %s, so only one replica can start", w.cfg.Service, strings.TrimSpace(name)),
		Remedy: fmt.Sprintf("remove container_name (other services reach it as %q all the same)", w.cfg.Service),
	}
}

// rejected is the error for a project that Compose rejects, with our own remedy
// for what scaling brings up.
func (w *Workload) rejected(err error, count int) *Problem {
	switch said := err.Error(); {
	case strings.Contains(said, "distinct values on 'scale'"):
		return w.scaleBeside()
	case count > 1 && strings.Contains(said, "container name must be unique"):
		return w.containerName("…")
	}
	return &Problem{
		Code:   CodeRejected,
		Fact:   fmt.Sprintf("Docker Compose rejects the project in %s: %v", w.project.dir, err),
		Remedy: "mend it (docker compose config shows the same), then run again",
	}
}

func (w *Workload) scaleBeside() *Problem {
	return &Problem{
		Code:   CodeScale,
		Fact:   fmt.Sprintf("service %q has scale: beside deploy.replicas, and Compose rejects two different values", w.cfg.Service),
		Remedy: "remove scale: and keep the count in " + w.cfg.OverrideFile,
	}
}

// skew tells in words where new replicas will differ from the running ones,
// because somebody changed settings since those were started. Each replica is
// held against the files it was started with: an override that came later is no
// change of settings.
func (w *Workload) skew(ctx context.Context, m model) (string, error) {
	hashes := map[string]string{}
	var differ []string
	for _, r := range w.seen.replicas {
		label, hash := r.listed.Labels[labelFiles], r.listed.Labels[labelHash]
		files := list(label)
		if hash == "" || len(withoutPins(slices.Clone(files))) != len(files) {
			continue // a pinned replica has settings of its own
		}
		if _, known := hashes[label]; !known {
			now, err := w.hash(ctx, files)
			if err != nil {
				return "", err
			}
			hashes[label] = now
		}
		if hash != hashes[label] {
			differ = append(differ, r.Name)
		}
	}
	if len(differ) == 0 {
		return "", nil
	}
	if len(m.unset) > 0 {
		return fmt.Sprintf("settings of service %q differ from those that %s started with, and new replicas get them: the project uses variables that are not set here (%s); put them into %s, since cron and systemd have no others",
			w.cfg.Service, strings.Join(differ, ", "), strings.Join(m.unset, ", "), filepath.Join(w.project.dir, ".env")), nil
	}
	return fmt.Sprintf("settings of service %q changed since %s started, and new replicas get the new ones; once that is right for all, deploy them with docker compose up -d",
		w.cfg.Service, strings.Join(differ, ", ")), nil
}

// hash is what Compose would label a container of the service with now, by
// these files.
func (w *Workload) hash(ctx context.Context, files []string) (string, error) {
	p := w.project
	p.files = files
	out, err := run(ctx, p.dir, slices.Concat(w.compose.words, w.existing(p).args(), []string{"config", "--hash", w.cfg.Service}))
	if err != nil {
		return "", fmt.Errorf("compose: Docker Compose cannot tell the settings of service %q: %w", w.cfg.Service, err)
	}
	fields := strings.Fields(out)
	if len(fields) != 2 {
		return "", fmt.Errorf("compose: Docker Compose answers %q when asked for the settings of service %q", out, w.cfg.Service)
	}
	return fields[1], nil
}

// pin is the image that the healthy replicas run, where the name in the project
// stands for another one by now; empty where it does not. New replicas are
// pinned to it, so that scaling deploys nothing. Where nothing moved no pin is
// needed, and the new replicas' settings hash stays equal to the old ones', so
// that a later "docker compose up -d" leaves them alone.
func (w *Workload) pin(ctx context.Context, m model) (string, error) {
	var runs *replica
	for i, r := range w.seen.replicas {
		if runs == nil || r.healthy() && !runs.healthy() || r.healthy() == runs.healthy() && r.listed.Created > runs.listed.Created {
			runs = &w.seen.replicas[i]
		}
	}
	if runs == nil {
		return "", nil
	}
	image := m.Services[w.cfg.Service].Image
	if image == "" {
		image = w.project.name + "-" + w.cfg.Service // what Compose names an image that it builds
	}
	id, err := w.engine.imageID(ctx, image)
	if err != nil {
		return "", err
	}
	if id == runs.found.Image {
		return "", nil
	}
	return runs.found.Image, nil
}
