package compose

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/joho/godotenv"
)

// Labels that Compose puts on its containers
// (https://github.com/docker/compose/blob/main/pkg/api/labels.go).
const (
	labelProject     = "com.docker.compose.project"
	labelService     = "com.docker.compose.service"
	labelOneOff      = "com.docker.compose.oneoff"
	labelNumber      = "com.docker.compose.container-number"
	labelDir         = "com.docker.compose.project.working_dir"
	labelFiles       = "com.docker.compose.project.config_files"
	labelEnvironment = "com.docker.compose.project.environment_file"
	labelHash        = "com.docker.compose.config-hash"
)

// project is how a Compose project is addressed: what stands behind "docker
// compose".
type project struct {
	name     string   // empty: as Compose finds it in dir
	dir      string   // absolute
	files    []string // absolute, in order; the override is among them
	envFiles []string
	profiles []string
	// carried tells that a plain "docker compose up" reads the override too.
	carried bool
}

// args are the arguments between "compose" and its command.
func (p project) args() []string {
	args := []string{"--project-directory", p.dir}
	if p.name != "" {
		args = append(args, "-p", p.name)
	}
	for _, file := range p.files {
		args = append(args, "-f", file)
	}
	for _, file := range p.envFiles {
		args = append(args, "--env-file", file)
	}
	for _, profile := range p.profiles {
		args = append(args, "--profile", profile)
	}
	return args
}

// running reports whether a container counts as a replica.
func (c container) running() bool { return c.State == "running" || c.State == "restarting" }

// leftover reports whether a container is in the way of a raise: Compose counts
// it, though it carries nothing.
func (c container) leftover() bool {
	return c.State == "exited" || c.State == "created" || c.State == "dead"
}

// number is the container's place in the service.
func (c container) number() int {
	n, err := strconv.Atoi(c.Labels[labelNumber])
	if err != nil {
		return 0
	}
	return n
}

// display is how Compose's users call the container.
func (c container) display() string {
	if len(c.Names) == 0 {
		return c.ID[:min(12, len(c.ID))]
	}
	return strings.TrimPrefix(c.Names[0], "/")
}

// choose finds the one project that is meant among those that have containers
// of the service. It is the running one in the project folder, or the one that
// was named. Flags or environment that name another one than runs are refused:
// with the wrong name Compose would start a second copy.
func choose(cfg Config, all []container) (name string, err error) {
	// A project's containers may stem from several folders, as where each release
	// has one of its own; whichever they are, Compose takes them for one project.
	dirs := map[string]string{}
	var here []string
	for _, c := range all {
		p := c.Labels[labelProject]
		inside := samePath(c.Labels[labelDir], cfg.Dir)
		if dirs[p] == "" || inside {
			dirs[p] = c.Labels[labelDir]
		}
		if inside && (c.running() || p == cfg.ProjectName) && !slices.Contains(here, p) {
			here = append(here, p)
		}
	}
	slices.Sort(here)
	if named := cfg.ProjectName; named != "" {
		if _, known := dirs[named]; known {
			if cfg.DirGiven && !samePath(dirs[named], cfg.Dir) {
				return "", fmt.Errorf("compose: project %q was started in %s, but --project-dir says %s; leave one of the two away", named, dirs[named], cfg.Dir)
			}
			if len(here) > 0 && !samePath(dirs[named], cfg.Dir) {
				return "", fmt.Errorf("compose: %s says project %q, which runs in %s, but what runs in %s is project %q; say -p %s, or name the other folder with --project-dir",
					cfg.nameFrom(), named, dirs[named], cfg.Dir, here[0], here[0])
			}
			return named, nil
		}
		if len(here) > 0 {
			return "", fmt.Errorf("compose: %s says project %q, but what runs in %s is project %q; say -p %s", cfg.nameFrom(), named, cfg.Dir, here[0], here[0])
		}
		return named, nil
	}
	if len(here) > 1 {
		return "", fmt.Errorf("compose: projects %s both run service %q from %s; say which with -p", strings.Join(here, " and "), cfg.Service, cfg.Dir)
	}
	if len(here) == 1 {
		return here[0], nil
	}
	return "", nil
}

// fromLabels is the project as its newest container says it was started.
func fromLabels(cfg Config, name string, containers []container) (project, error) {
	newest := slices.MaxFunc(containers, func(a, b container) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.number(), b.number()))
	})
	p := project{name: name, dir: newest.Labels[labelDir], profiles: cfg.Profiles}
	p.files = withoutPins(list(newest.Labels[labelFiles]))
	p.envFiles = list(newest.Labels[labelEnvironment])
	override := resolve(p.dir, cfg.OverrideFile)
	if err := contradicts("--file", resolveAll(cfg.Dir, cfg.Files), p.files, override); err != nil {
		return project{}, err
	}
	envFiles := p.envFiles
	if len(envFiles) == 0 { // Compose's own default has no label
		envFiles = []string{filepath.Join(p.dir, ".env")}
	}
	if err := contradicts("--env-file", resolveAll(cfg.Dir, cfg.EnvFiles), envFiles, ""); err != nil {
		return project{}, err
	}
	p.carried = true
	for _, c := range containers {
		p.carried = p.carried && containsPath(list(c.Labels[labelFiles]), override)
	}
	if !p.carried {
		files, err := composeFile(p.dir, p.envFiles)
		if err != nil {
			return project{}, err
		}
		p.carried = containsPath(files, override)
	}
	if !containsPath(p.files, override) {
		p.files = append(p.files, override)
	}
	return p, nil
}

// contradicts refuses a flag that names other files than the running project's.
func contradicts(flag string, said, runs []string, override string) error {
	if len(said) == 0 {
		return nil
	}
	besides := func(files []string) []string {
		return slices.DeleteFunc(slices.Clone(files), func(f string) bool { return samePath(f, override) })
	}
	if slices.EqualFunc(besides(said), besides(runs), samePath) {
		return nil
	}
	return fmt.Errorf("compose: %s says %s, but the running project was started with %s; leave the flag away, or start the project anew with these files", flag, strings.Join(said, ", "), strings.Join(runs, ", "))
}

// fromFolder is the project as Compose itself would find it in the folder:
// where nothing runs yet.
func fromFolder(cfg Config) (project, error) {
	p := project{name: cfg.ProjectName, dir: cfg.Dir, profiles: cfg.Profiles, envFiles: resolveAll(cfg.Dir, cfg.EnvFiles)}
	override := resolve(cfg.Dir, cfg.OverrideFile)
	files, err := composeFile(cfg.Dir, p.envFiles)
	if err != nil {
		return project{}, err
	}
	switch {
	case len(cfg.Files) > 0:
		p.files = resolveAll(cfg.Dir, cfg.Files)
	case len(files) > 0:
		p.files = files
	default:
		p.files = defaultFiles(cfg.Dir)
	}
	p.carried = containsPath(p.files, override) && len(cfg.Files) == 0
	if !containsPath(p.files, override) {
		p.files = append(p.files, override)
	}
	return p, nil
}

// defaultFiles are the names Compose looks for, and the override it loads
// beside them (https://docs.docker.com/compose/how-tos/multiple-compose-files/merge/).
func defaultFiles(dir string) []string {
	for _, base := range []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"} {
		file := filepath.Join(dir, base)
		if _, err := os.Stat(file); err != nil {
			continue
		}
		files := []string{file}
		stem := strings.TrimSuffix(file, filepath.Ext(file))
		for _, override := range []string{stem + ".override.yml", stem + ".override.yaml"} {
			if _, err := os.Stat(override); err == nil {
				return append(files, override)
			}
		}
		return files
	}
	return nil
}

// composeFile is what COMPOSE_FILE names, from the environment or else from
// the environment files, .env in the folder being the default one.
func composeFile(dir string, envFiles []string) ([]string, error) {
	names, separator := os.Getenv("COMPOSE_FILE"), os.Getenv("COMPOSE_PATH_SEPARATOR")
	if len(envFiles) == 0 {
		envFiles = []string{filepath.Join(dir, ".env")}
	}
	for _, file := range envFiles {
		env, err := godotenv.Read(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("compose: environment file %s cannot be read: %w", file, err)
		}
		names, separator = cmp.Or(names, env["COMPOSE_FILE"]), cmp.Or(separator, env["COMPOSE_PATH_SEPARATOR"])
	}
	if names == "" {
		return nil, nil
	}
	return resolveAll(dir, strings.Split(names, cmp.Or(separator, string(os.PathListSeparator)))), nil
}

// remedy is the line for .env that makes a plain "docker compose up" read the
// override too.
func (p project) remedy() string {
	names := make([]string, len(p.files))
	for i, file := range p.files {
		names[i] = file
		if short, err := filepath.Rel(p.dir, file); err == nil && !strings.HasPrefix(short, "..") {
			names[i] = short
		}
	}
	return fmt.Sprintf("COMPOSE_FILE=%s", strings.Join(names, string(os.PathListSeparator)))
}

// list splits a label that names several files.
func list(label string) []string {
	if label == "" {
		return nil
	}
	return strings.Split(label, ",")
}

func resolve(dir, file string) string {
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	return filepath.Join(dir, file)
}

func resolveAll(dir string, files []string) []string {
	all := make([]string, len(files))
	for i, file := range files {
		all[i] = resolve(dir, file)
	}
	return all
}

// samePath compares two paths as the file system does, where it can.
func samePath(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

func containsPath(files []string, file string) bool {
	return slices.ContainsFunc(files, func(f string) bool { return samePath(f, file) })
}

// find reads from the engine which project is meant.
func (w *Workload) find(ctx context.Context) ([]container, error) {
	all, err := w.engine.containers(ctx, w.cfg.Service)
	if err != nil {
		return nil, err
	}
	name, err := choose(w.cfg, all)
	if err != nil {
		return nil, err
	}
	cfg := w.cfg
	derived := name == ""
	if derived {
		name = w.nameOfFolder(ctx)
		cfg.ProjectName = name
	}
	var ours, others []container
	for _, c := range all {
		// A folder of the same name elsewhere makes a project of the same name,
		// which is not meant.
		if c.Labels[labelProject] == name && (!derived || samePath(c.Labels[labelDir], cfg.Dir)) {
			ours = append(ours, c)
		} else if c.running() {
			others = append(others, c)
		}
	}
	w.elsewhere = others
	of := ours
	if len(of) == 0 {
		if of, err = w.rest(ctx, name, derived); err != nil {
			return nil, err
		}
	}
	switch {
	case len(of) > 0:
		w.project, err = fromLabels(cfg, name, of)
	case w.project.name == "" || w.project.name != name:
		w.project, err = fromFolder(cfg)
	}
	return ours, err
}

// rest are the containers of the project's other services: where the service
// itself has none, they still say how the project was started.
func (w *Workload) rest(ctx context.Context, name string, derived bool) (of []container, err error) {
	all, err := w.engine.containers(ctx, "")
	for _, c := range all {
		if c.Labels[labelProject] == name && (!derived || samePath(c.Labels[labelDir], w.cfg.Dir)) {
			of = append(of, c)
		}
	}
	return of, err
}

// nameOfFolder is what Compose calls the project in the folder, where nothing
// that runs says it; empty where Compose cannot say.
func (w *Workload) nameOfFolder(ctx context.Context) string {
	var err error
	if w.compose == nil {
		if w.compose, err = findCompose(ctx, w.engine.docker); err != nil {
			return ""
		}
	}
	p, err := fromFolder(w.cfg)
	if err != nil {
		return ""
	}
	out, err := run(ctx, p.dir, slices.Concat(w.compose.words, w.existing(p).args(), []string{"config", "--format", "json"}))
	var m model
	if err != nil || json.Unmarshal([]byte(out), &m) != nil {
		return ""
	}
	return m.Name
}
