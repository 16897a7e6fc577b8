package compose

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/command"
)

// Apply says whether the engine is moved or only the override file written.
type Apply string

const (
	// ApplyAuto moves the engine where the docker command is there.
	ApplyAuto Apply = "auto"
	// ApplyAlways wants the docker command to be there.
	ApplyAlways Apply = "always"
	// ApplyNever writes the file only.
	ApplyNever Apply = "never"
)

// Config is what the user said of the service.
type Config struct {
	Service      string   // name of the Compose service
	Dir          string   // absolute path of the project folder
	DirGiven     bool     // Dir was asked for, not the default
	OverrideFile string   // the file that carries the count, from the project folder
	Files        []string // --file
	EnvFiles     []string // --env-file
	Profiles     []string // --profile
	ProjectName  string   // --project-name, or COMPOSE_PROJECT_NAME
	NameFromEnv  bool     // ProjectName stems from the environment
	Docker       string   // the docker command
	Apply        Apply
	Wait         time.Duration // how long a replica may take to be healthy; 0 derives it
	Max          int           // the most replicas that may be asked for
	Front        Front         // how the proxy in front is told
	DryRun       bool          // check and tell, change nothing
	// Tell takes what a person should see while things move.
	Tell func(text string)
	// Serialize keeps other moves in the same project away until what it returns
	// is unlocked, and waits for those under way for so long at most.
	Serialize func(ctx context.Context, project string, wait time.Duration) (Lock, error)
}

// Lock keeps others away.
type Lock interface {
	Unlock()
	// File is what a command inherits to keep the lock until it has ended, too.
	File() *os.File
}

func (c Config) nameFrom() string {
	if c.NameFromEnv {
		return "COMPOSE_PROJECT_NAME"
	}
	return "--project-name"
}

// ErrNoDocker is wrapped by the error of a docker command that is not there.
var ErrNoDocker = errors.New("the docker command is not there")

// ErrNotRunning is wrapped by the error of a service without any replica.
var ErrNotRunning = errors.New("no replica runs")

// Workload is one service of one Compose project.
type Workload struct {
	cfg       Config
	engine    *engine // nil: only the file is written
	engineID  string
	project   project
	elsewhere []container // running replicas of the same service name in other projects
	seen      view
	compose   *composeCommand // found when something first moves
	held      []*os.File      // what commands that move inherit
	ahead     ahead           // what was last seen of the proxies in front
}

// Hold has every command that moves something keep that lock: where this process
// is killed they are still at work, and the next run must not decide on what it
// sees meanwhile.
func (w *Workload) Hold(l Lock) { w.held = append(w.held, l.File()) }

// LetGo ends what Hold began, before the locks are unlocked.
func (w *Workload) LetGo() { w.held = nil }

// serialize takes the project's lock for a move.
func (w *Workload) serialize(ctx context.Context, wait time.Duration) (unlock func(), err error) {
	l, err := w.cfg.Serialize(ctx, w.project.name, wait)
	if err != nil {
		return nil, err
	}
	before := w.held
	w.Hold(l)
	return func() {
		w.held = before
		l.Unlock()
	}, nil
}

// view is what the last Observe saw.
type view struct {
	replicas  []replica
	all       []container // of whatever state
	leftovers []container
	paused    []container
}

// replica is one running container of the service.
type replica struct {
	autoscale.Replica
	listed container
	found  details
}

// Find asks the engine which project is meant. Where no engine is to be asked
// (ApplyNever, or no docker command with ApplyAuto), the Workload writes the
// file only.
func Find(ctx context.Context, cfg Config) (*Workload, error) {
	w := &Workload{cfg: cfg}
	if cfg.Apply != ApplyNever {
		_, err := exec.LookPath(cfg.Docker)
		switch {
		case err == nil:
			w.engine = newEngine(cfg.Docker)
		case cfg.Apply == ApplyAlways:
			return nil, fmt.Errorf("compose: --apply=always, but %w: %q is not on the PATH (%s); install it, or name it with --docker", ErrNoDocker, cfg.Docker, os.Getenv("PATH"))
		}
	}
	if w.engine == nil {
		var err error
		w.project, err = fromFolder(cfg)
		return w, err
	}
	if _, err := w.find(ctx); err != nil {
		w.Close()
		return nil, err
	}
	id, err := w.engine.identity(ctx)
	if err != nil {
		w.Close()
		return nil, err
	}
	w.engineID = id
	return w, nil
}

// Close ends the connection to the engine.
func (w *Workload) Close() {
	if w.engine != nil {
		w.engine.close()
	}
}

// Engine identifies the engine; empty where none is asked.
func (w *Workload) Engine() string { return w.engineID }

// Project is the Compose project's name; empty where nothing says it.
func (w *Workload) Project() string { return w.project.name }

// Dir is the project's folder, absolute.
func (w *Workload) Dir() string { return w.project.dir }

// Moves reports whether an engine is there to be moved.
func (w *Workload) Moves() bool { return w.engine != nil }

// Observe asks the engine for the service's replicas, once. Without an engine
// the override file's count stands for them.
func (w *Workload) Observe(ctx context.Context) (autoscale.Replicas, error) {
	if w.engine == nil {
		return w.observeFile()
	}
	if err := w.look(ctx); err != nil {
		return autoscale.Replicas{}, err
	}
	r := autoscale.Replicas{Current: len(w.seen.replicas), Running: []autoscale.Replica{}}
	if r.Current == 0 {
		r.Stopped = w.notRunning(ctx)
	}
	for _, one := range w.seen.replicas {
		r.Running = append(r.Running, one.Replica)
	}
	w.use(&r)
	r.Warnings = append(r.Warnings, w.outOfMemory(ctx, time.Now())...)
	if !w.project.carried && r.Current > 0 {
		r.Warnings = append(r.Warnings, w.notCarried().Error())
	}
	r.Warnings = append(r.Warnings, w.foresee()...)
	w.lookAhead(ctx, time.Now())
	r.Warnings = append(r.Warnings, w.ahead.warnings...)
	r.Front = w.ahead.remedy
	settings, err := w.settings(ctx)
	r.Settings = settings
	return r, err
}

// notCarried is the problem of an override file that only we read.
func (w *Workload) notCarried() *Problem {
	return &Problem{
		Code: CodeNotCarried,
		Fact: fmt.Sprintf("a plain \"docker compose up -d\" does not read %s and would undo the scaling", w.cfg.OverrideFile),
		Remedy: fmt.Sprintf("put this line into %s (the next up -d may recreate service %s once): %s",
			filepath.Join(w.project.dir, ".env"), w.cfg.Service, w.project.remedy()),
	}
}

// foresee tells what would stop a raise, as far as the running replicas show it,
// before the night in which one is needed.
func (w *Workload) foresee() (warnings []string) {
	for _, c := range w.seen.paused {
		warnings = append(warnings, fmt.Sprintf("compose: %s is paused and not counted; docker unpause brings it back", c.display()))
	}
	if w.cfg.Max < 2 || len(w.seen.replicas) == 0 {
		return warnings
	}
	var problems []*Problem
	r := w.seen.replicas[0]
	parts := []string{w.project.name, w.cfg.Service, r.listed.Labels[labelNumber]}
	if r.Name != strings.Join(parts, "-") && r.Name != strings.Join(parts, "_") { // as Compose 1 named them
		problems = append(problems, w.containerName(r.Name))
	}
	for _, spec := range slices.Sorted(maps.Keys(r.found.HostConfig.PortBindings)) {
		inside, _, _ := strings.Cut(spec, "/")
		target, err := strconv.Atoi(inside)
		if err != nil {
			continue
		}
		for _, b := range r.found.HostConfig.PortBindings[spec] {
			problems = append(problems, w.checkPort(b.HostPort, target, w.cfg.Max))
		}
	}
	for _, p := range problems {
		if p != nil {
			warnings = append(warnings, "--max cannot be reached: "+p.Error())
		}
	}
	return warnings
}

// observeFile is Observe where no engine is asked.
func (w *Workload) observeFile() (autoscale.Replicas, error) {
	count, found, err := w.declared()
	if err != nil {
		return autoscale.Replicas{}, err
	}
	if !found {
		count = 1 // what Compose runs of a service that says nothing
	}
	r := autoscale.Replicas{Current: count}
	if w.cfg.Apply == ApplyAuto {
		r.Warnings = append(r.Warnings, fmt.Sprintf("compose: %q is not on the PATH, so only %s is written and nothing is moved; install docker, name it with --docker, or say --apply=never",
			w.cfg.Docker, w.cfg.OverrideFile))
	}
	return r, nil
}

// look fills w.seen.
func (w *Workload) look(ctx context.Context) error {
	ours, err := w.find(ctx)
	if err != nil {
		return err
	}
	w.seen = view{all: ours}
	for _, c := range ours {
		if c.leftover() {
			w.seen.leftovers = append(w.seen.leftovers, c)
		}
		if c.State == "paused" {
			w.seen.paused = append(w.seen.paused, c)
		}
		if !c.running() {
			continue
		}
		d, err := w.engine.inspect(ctx, c.ID)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return err
		}
		w.seen.replicas = append(w.seen.replicas, newReplica(c, d))
	}
	slices.SortFunc(w.seen.replicas, func(a, b replica) int { return a.listed.number() - b.listed.number() })
	return nil
}

// notRunning is the error for a service without any replica: scaling is not
// starting. It names the command that starts it.
func (w *Workload) notRunning(ctx context.Context) error {
	also := w.alsoRuns()
	if len(w.existing(w.project).files) == 0 {
		return fmt.Errorf("compose: no Compose file in %s; run in the project's folder, or name it with --project-dir%s", w.project.dir, also)
	}
	if err := w.unknownService(ctx); err != nil {
		return err
	}
	start := "docker compose " + command.Text(append(w.project.startArgs(), "up", "-d"))
	return fmt.Errorf("compose: %w of service %q in %s, and scaling does not start a project; start it with: cd %s && %s%s",
		ErrNotRunning, w.cfg.Service, w.project.dir, command.Text([]string{w.project.dir}), start, also)
}

// alsoRuns names the other projects in which a service of that name runs.
func (w *Workload) alsoRuns() string {
	var names []string
	for _, c := range w.elsewhere {
		names = append(names, fmt.Sprintf("%s (-p %s)", c.Labels[labelDir], c.Labels[labelProject]))
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return fmt.Sprintf("; a service %q runs in %s", w.cfg.Service, strings.Join(slices.Compact(names), ", "))
}

// unknownService asks Compose whether it knows the service, so that a misspelt
// name is not taken for a stopped one. Where Compose cannot answer, it is.
func (w *Workload) unknownService(ctx context.Context) error {
	var err error
	if w.compose == nil {
		if w.compose, err = findCompose(ctx, w.engine.docker); err != nil {
			return err
		}
	}
	out, err := run(ctx, w.project.dir, slices.Concat(w.compose.words, w.projectArgs(), []string{"config", "--services"}))
	if err != nil {
		return w.rejected(err, 1)
	}
	known := strings.Fields(out)
	if slices.Contains(known, w.cfg.Service) {
		return nil
	}
	return w.noService(known)
}

// startArgs are args as a person would type them in the folder.
func (p project) startArgs() []string {
	var args []string
	if p.name != "" && p.name != filepath.Base(p.dir) {
		args = append(args, "-p", p.name)
	}
	if p.carried {
		return args
	}
	for _, file := range p.files {
		if _, err := os.Stat(file); err != nil {
			continue
		}
		if short, err := filepath.Rel(p.dir, file); err == nil {
			file = short
		}
		args = append(args, "-f", file)
	}
	return args
}

// newReplica reads what the engine says of one container.
func newReplica(c container, d details) replica {
	r := replica{listed: c, found: d}
	r.Replica = autoscale.Replica{ID: c.ID, Name: c.display(), Started: d.State.StartedAt, Health: autoscale.HealthNone}
	if h := d.State.Health; h != nil {
		switch h.Status {
		case "starting":
			r.Health = autoscale.HealthStarting
		case "healthy":
			r.Health = autoscale.Healthy
		case "unhealthy":
			r.Health = autoscale.Unhealthy
		}
	}
	names := make([]string, 0, len(d.NetworkSettings.Networks))
	for name := range d.NetworkSettings.Networks {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		network := d.NetworkSettings.Networks[name]
		for _, text := range []string{network.IPAddress, network.GlobalIPv6Address} {
			if addr, err := netip.ParseAddr(text); err == nil {
				r.Addrs = append(r.Addrs, addr)
			}
		}
	}
	for spec, bindings := range d.NetworkSettings.Ports {
		number, protocol, _ := strings.Cut(spec, "/")
		inside, err := strconv.ParseUint(number, 10, 16)
		if err != nil || protocol != "tcp" {
			continue
		}
		for _, b := range bindings {
			addr, errAddr := netip.ParseAddr(b.HostIP)
			port, errPort := strconv.ParseUint(b.HostPort, 10, 16)
			if b.HostIP == "" {
				addr, errAddr = netip.IPv4Unspecified(), nil
			}
			if errAddr == nil && errPort == nil {
				r.Ports = append(r.Ports, autoscale.Port{Container: uint16(inside), Host: netip.AddrPortFrom(addr, uint16(port))})
			}
		}
	}
	slices.SortFunc(r.Ports, func(a, b autoscale.Port) int {
		return int(a.Container) - int(b.Container)
	})
	return r
}

// healthy reports whether a replica may be left to carry the load alone.
func (r replica) healthy() bool {
	return r.found.State.Status == "running" && (r.Health == autoscale.Healthy || r.Health == autoscale.HealthNone)
}

// settings identifies what new replicas would be made of: the project's files,
// but for the count, and the image its name stands for now. It is empty where
// nothing runs.
func (w *Workload) settings(ctx context.Context) (string, error) {
	if len(w.seen.replicas) == 0 {
		return "", nil
	}
	sum := sha256.New()
	files := append(slices.Clone(w.project.files), w.project.envFiles...)
	if len(w.project.envFiles) == 0 {
		files = append(files, filepath.Join(w.project.dir, ".env"))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("compose: project file cannot be read: %w", err)
		}
		if samePath(file, w.overridePath()) {
			text = w.withoutCount(text)
		}
		fmt.Fprintf(sum, "%s %d\n", file, len(text))
		sum.Write(text)
	}
	image := w.seen.replicas[0].found.Config.Image
	id, err := w.engine.imageID(ctx, image)
	if err != nil {
		return "", err
	}
	_, err = io.WriteString(sum, image+" "+id)
	return hex.EncodeToString(sum.Sum(nil)[:8]), err
}
