package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	Services map[string]struct {
		ContainerName string `json:"container_name"`
		NetworkMode   string `json:"network_mode"`
		Image         string `json:"image"`
		Ports         []struct {
			HostIP    string `json:"host_ip"`
			Published string `json:"published"`
			Target    int    `json:"target"`
			Protocol  string `json:"protocol"`
		} `json:"ports"`
	} `json:"services"`
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
	args := slices.Concat(w.compose.words, w.projectArgs(), []string{"-f", "-", "config", "--format", "json"})
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
	service, ok := m.Services[w.cfg.Service]
	if !ok {
		known := make([]string, 0, len(m.Services))
		for name := range m.Services {
			known = append(known, name)
		}
		slices.Sort(known)
		return fmt.Errorf("compose: the project in %s has no service %q; it has %s", w.project.dir, w.cfg.Service, strings.Join(known, ", "))
	}
	if count < 2 {
		return nil
	}
	switch {
	case service.ContainerName != "":
		return w.containerName(service.ContainerName)
	case service.NetworkMode == "host":
		return fmt.Errorf("compose: service %q has network_mode: host, so its replicas would fight for one port; give it a network of its own", w.cfg.Service)
	}
	for _, port := range service.Ports {
		if err := w.checkPort(port.Published, port.Target, count); err != nil {
			return err
		}
	}
	return nil
}

// checkPort refuses a port, or a range of ports, on the host that is too small
// for count replicas.
func (w *Workload) checkPort(published string, target, count int) error {
	if published == "" || published == "0" {
		return nil
	}
	first, last, isRange := strings.Cut(published, "-")
	from, err := strconv.Atoi(first)
	if err != nil {
		return fmt.Errorf("compose: service %q publishes host port %q, which is no port; mend it in the Compose file", w.cfg.Service, published)
	}
	if !isRange {
		return fmt.Errorf("compose: service %q publishes host port %d, so only one replica can start; use a range (%d-%d:%d) and read every replica with {replica}, or drop the port and put a proxy in front",
			w.cfg.Service, from, from, from+10, target)
	}
	to, err := strconv.Atoi(last)
	if err != nil || to < from {
		return fmt.Errorf("compose: service %q publishes host ports %q, which is no range; mend it in the Compose file", w.cfg.Service, published)
	}
	if size := to - from + 1; size < count {
		return fmt.Errorf("compose: service %q publishes host ports %s, enough for %d replicas, but %d are wanted; widen the range to %d-%d, or lower --max",
			w.cfg.Service, published, size, count, from, from+count-1)
	}
	return nil
}

func (w *Workload) containerName(name string) error {
	return fmt.Errorf("compose: service %q has container_name: %s, so only one replica can start; remove container_name (other services reach it as %q all the same)",
		w.cfg.Service, strings.TrimSpace(name), w.cfg.Service)
}

// rejected is the error for a project that Compose rejects, with our own remedy
// for what scaling brings up.
func (w *Workload) rejected(err error, count int) error {
	switch said := err.Error(); {
	case strings.Contains(said, "distinct values on 'scale'"):
		return fmt.Errorf("compose: service %q has scale: beside deploy.replicas, and Compose rejects two different values; remove scale: and keep the count in %s",
			w.cfg.Service, w.cfg.OverrideFile)
	case count > 1 && strings.Contains(said, "container name must be unique"):
		return w.containerName("…")
	}
	return fmt.Errorf("compose: Docker Compose rejects the project in %s: %w; mend it (docker compose config shows the same), then run again", w.project.dir, err)
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
