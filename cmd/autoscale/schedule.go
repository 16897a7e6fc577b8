package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/compose"
	"github.com/five-keys/autoscale/internal/schedule"
	"github.com/five-keys/autoscale/internal/store"
)

// scheduleCommand has decisions made again and again.
type scheduleCommand struct {
	Print   schedulePrint   `cmd:"" help:"Print the cron line, or the units."`
	Install scheduleInstall `cmd:"" help:"Try it once with --dry-run, then install it."`
	Remove  scheduleRemove  `cmd:"" help:"Remove what was installed, and nothing else."`
	Status  scheduleStatus  `cmd:"" help:"Show everything that runs it for this service."`
}

// Help is what stands below the flags' summary.
func (c *scheduleCommand) Help() string {
	return `The flags of the decision stand behind --, as in:

  autoscale schedule install --cron --every 2m -- --provider=compose --min=1 --max=5 --rps-target=40

Exit status: 0 done; 1 refused or failed, and nothing was changed, or (status)
nothing runs it; 2 flags wrong in themselves.`
}

// ofLine are the flags of one decision, behind --.
type ofLine struct {
	Args []string `arg:"" optional:"" passthrough:"" placeholder:"-- FLAGS" help:"The flags of the decision, behind --."`
}

// words are the arguments without the -- before them.
func (l ofLine) words() []string {
	if len(l.Args) > 0 && l.Args[0] == "--" {
		return l.Args[1:]
	}
	return l.Args
}

// workload is the service that the flags name; those that only a decision needs
// may be missing.
func (l ofLine) workload(ctx context.Context, s streams) (schedule.Workload, error) {
	f, err := parseFlags(append([]string{"--provider=compose", "--min=1", "--max=1", "--rps-target=1"}, l.words()...))
	if err != nil && f == nil {
		return schedule.Workload{}, usage(err)
	}
	dir, err := f.home(ctx, s)
	return schedule.Workload{Service: f.Service, Dir: dir, Provider: string(f.Provider)}, err
}

// home is the folder of the project that the flags mean: that of the one that
// runs, which need not be the one they name. Where that cannot be asked, it is.
func (c *flags) home(ctx context.Context, s streams) (string, error) {
	dir, err := c.dir()
	if err != nil || c.Provider == k8s {
		return dir, err
	}
	w, err := compose.Find(ctx, c.workload(s, dir, &store.Key{Provider: string(c.Provider), Service: c.Service, Dir: dir}))
	if err != nil {
		return dir, ctx.Err()
	}
	defer w.Close()
	return w.Dir(), nil
}

// schedulePlan says what is to be scheduled, and how.
type schedulePlan struct {
	Cron    bool    `xor:"kind" required:"" help:"As a line for cron."`
	Systemd bool    `xor:"kind" required:"" help:"As a service and a timer for systemd."`
	Every   seconds `default:"2m" help:"Time from one run to the next; bare numbers are seconds."`
	Name    string  `placeholder:"NAME" help:"What the log and the units' descriptions call it; default: the project's folder."`
	Unit    string  `default:"autoscale" help:"Name of the units, and of the file in /etc/cron.d."`
	Log     string  `placeholder:"FILE" help:"Where cron's output goes; default: /var/log/NAME-autoscale.log for root."`
	System  bool    `xor:"whose" help:"For the machine: /etc/cron.d, or /etc/systemd/system (root's default)."`
	User    bool    `xor:"whose" help:"For this user: the crontab (the default), or the user's own units."`
	ofLine
}

func (p schedulePlan) kind() string {
	if p.Systemd {
		return schedule.KindSystemd
	}
	return schedule.KindCron
}

// job puts the schedule together. Its errors are the flags'.
func (p schedulePlan) job(ctx context.Context, s streams) (schedule.Job, []string, error) {
	if at := slices.Index(p.Args, "--"); at > 0 {
		return schedule.Job{}, nil, fmt.Errorf("unknown before --: %s; see: autoscale schedule print --help", strings.Join(p.Args[:at], " "))
	}
	f, err := parseFlags(p.words())
	if err != nil {
		return schedule.Job{}, nil, fmt.Errorf("behind --: %w", err)
	}
	dir, err := f.home(ctx, s)
	if err != nil {
		return schedule.Job{}, nil, err
	}
	binary, err := program()
	if err != nil {
		return schedule.Job{}, nil, err
	}
	pinned, warnings, err := f.pinned(ctx)
	if err != nil {
		return schedule.Job{}, nil, err
	}
	folder, err := os.Getwd()
	if err != nil {
		return schedule.Job{}, nil, fmt.Errorf("this folder: %w", err)
	}
	system := p.System || p.Systemd && !p.User && os.Geteuid() == 0
	j := schedule.Job{
		Workload: schedule.Workload{Service: f.Service, Dir: dir, Provider: string(f.Provider)}, Name: p.Name, Unit: p.Unit, Every: time.Duration(p.Every),
		Folder: folder, Command: slices.Concat([]string{binary}, p.words(), pinned), Log: p.Log, Writable: f.writable(dir), System: system, User: "root",
	}
	if j.Name == "" {
		j.Name = strings.Trim(filepath.Base(dir), "/")
	}
	if j.Name == "" {
		j.Name = "root"
	}
	if j.Log == "" {
		j.Log = logFile(j.Name)
	}
	if j.Log, err = filepath.Abs(j.Log); err != nil {
		return schedule.Job{}, nil, fmt.Errorf("--log: %w", err)
	}
	tools := schedule.ComposeTools(f.Docker)
	if f.Provider == k8s {
		tools = schedule.KubernetesTools(f.Kubectl)
	}
	env, unfit := schedule.Environment(os.Environ(), p.kind(), system, tools)
	j.Env, warnings = env, append(warnings, unfit...)
	if shown := strings.Join(p.words(), " "); schedule.Shown(shown) != shown {
		warnings = append(warnings, "what --metrics-url, --metrics-header or --notify log in with will stand in a file that others may read; where it is secret, use a page that needs none, and --notify file:/path")
	}
	if p.Log != "" && p.Systemd {
		warnings = append(warnings, "--log is cron's; systemd keeps the output itself: journalctl -u "+p.Unit)
	}
	return j, slices.Concat(warnings, f.rare(j.Every), f.inert()), j.Validate()
}

// program is this program's own path, as it was called.
func program() (string, error) {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		path, err = os.Executable()
	}
	if err != nil {
		return "", fmt.Errorf("where this program lies cannot be told: %w", err)
	}
	if strings.Contains(path, "/go-build") {
		return "", fmt.Errorf("%s is gone as soon as it ends: build the program first (go build ./cmd/autoscale), and call that", path)
	}
	return path, nil
}

// logFile is where cron's output goes, of which name is a part.
func logFile(name string) string {
	name += "-autoscale.log"
	if os.Geteuid() == 0 {
		return filepath.Join("/var/log", name)
	}
	state := os.Getenv("XDG_STATE_HOME")
	if state == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return name
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, name)
}

// writable are the folders that a run writes to: the project's, where the
// override, the state file and the metrics lie in it, else theirs; those that they
// are links into; and those of the locks and of the temporary files.
func (c *flags) writable(dir string) []string {
	var all []string
	add := func(folder string) {
		for !exists(folder) {
			folder = filepath.Dir(folder)
		}
		within := func(other string) bool { return folder == other || strings.HasPrefix(folder, other+"/") }
		if !slices.ContainsFunc(all, within) {
			all = append(all, folder)
		}
	}
	override := c.ComposeFile
	if c.Provider == k8s {
		override = c.HPAFile
	}
	if !filepath.IsAbs(override) {
		override = filepath.Join(dir, override)
	}
	files := []string{override, c.statePath(dir)}
	if c.Textfile != "" {
		files = append(files, c.textfile(dir))
	}
	for _, file := range files {
		if inside, err := filepath.Rel(dir, file); err == nil && filepath.IsLocal(inside) {
			add(dir) // the folders in it may have to be made again
		}
		add(filepath.Dir(file))
		if real, err := filepath.EvalSymlinks(file); err == nil {
			add(filepath.Dir(real))
		}
	}
	add(store.LockFolder())
	add("/tmp") // without a TMPDIR, as a scheduler starts it
	return all
}

// rare warns of a rhythm in which a counter never lowers.
func (c *flags) rare(every time.Duration) []string {
	counter := c.RPSMetricType == string(autoscale.Counter) || strings.Contains(c.RPSMetric, "_total") || strings.Contains(c.RPSMetric, "_count")
	if !counter || every <= 15*time.Minute {
		return nil
	}
	return []string{fmt.Sprintf("--every=%s: two readings of a counter must lie at most 15 minutes apart, so this never lowers", every)}
}

// schedulePrint prints.
type schedulePrint struct{ schedulePlan }

// Run prints the line, or the units.
func (c *schedulePrint) Run(ctx context.Context, s streams) error {
	job, warnings, err := c.job(ctx, s)
	if err != nil {
		return usage(err)
	}
	warn(s, warnings)
	text, err := c.render(job)
	if err != nil {
		return usage(err)
	}
	_, err = fmt.Fprint(s.out, text)
	return err
}

// render is what will be scheduled, as a person may copy it.
func (p schedulePlan) render(job schedule.Job) (string, error) {
	if !p.Systemd {
		line, err := job.Cron()
		return line + "\n", err
	}
	service, timer, err := job.Units()
	return fmt.Sprintf("# %s.service\n%s\n# %s.timer\n%s", job.Unit, service, job.Unit, timer), err
}

func warn(s streams, warnings []string) {
	for _, warning := range warnings {
		_, _ = fmt.Fprintln(s.err, "autoscale: warning:", warning)
	}
}

// scheduleInstall installs.
type scheduleInstall struct{ schedulePlan }

// Run tries the command as the scheduler will call it, and installs it.
func (c *scheduleInstall) Run(ctx context.Context, s streams) error {
	job, warnings, err := c.job(ctx, s)
	if err != nil {
		return usage(err)
	}
	text, err := c.render(job)
	if err != nil {
		return usage(err)
	}
	if c.System && os.Geteuid() != 0 {
		return errors.New("--system needs root; run it with sudo, or use --user")
	}
	warn(s, warnings)
	lock, err := store.LockWorkload(ctx, store.Key{Provider: "schedule", Service: job.Service, Dir: job.Dir}, lockWait)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := try(ctx, s, job, c.kind()); err != nil {
		return err
	}
	where, replaced, warnings, err := job.Install(ctx, c.kind())
	warn(s, warnings)
	if err != nil {
		return err
	}
	if replaced != "" {
		_, _ = fmt.Fprintf(s.out, "replaced:\n%s\n", indented(replaced))
	}
	_, err = fmt.Fprintf(s.out, "installed in %s:\n%s\nlook at it with: %s\nundo it with:    %s\n", where, indented(text), job.Show("status"), job.Show("remove"))
	return err
}

// indented is text as it may be shown, set off from what stands around it.
func indented(text string) string {
	return "    " + strings.ReplaceAll(schedule.Shown(strings.TrimRight(text, "\n")), "\n", "\n    ")
}

// try runs the command once with --dry-run, in the environment that it will
// have. A doubt may pass; flags or a program that cannot work may not.
func try(ctx context.Context, s streams, job schedule.Job, kind string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	words, env, err := job.Trial(ctx, kind, "--dry-run", "--output=json")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	var said bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = job.Folder, env, &said
	out, err := cmd.Output()
	var tried struct {
		Status      int
		Text, Error string
		Decision    json.RawMessage
	}
	if json.Unmarshal(out, &tried) != nil {
		return fmt.Errorf("not installed: as %s would call it, the command fails: %w\n%s", kind, cmp.Or(err, errors.New("it prints no decision")), strings.TrimSpace(said.String()))
	}
	if tried.Decision == nil && tried.Status != statusDone {
		return fmt.Errorf("not installed: as %s would call it, no decision can be made: %s", kind, tried.Error)
	}
	_, _ = fmt.Fprintf(s.out, "tried once with --dry-run:\n    %s dry-run: %s\n", job.Service, cmp.Or(tried.Text, "--start would start it"))
	if tried.Status != statusDone {
		_, _ = fmt.Fprintf(s.err, "autoscale: warning: that ended with status 1%s: each run will say so until it is mended; autoscale doctor tells more\n", because(tried.Error))
	}
	return nil
}

// because is an error in brackets, where there is one.
func because(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// inert warns of a line that would never change anything.
func (c *flags) inert() []string {
	if c.DryRun || c.Mode == autoscale.Observe {
		return []string{"with --dry-run or --mode=observe these runs will never change anything"}
	}
	return nil
}

// scheduleRemove removes.
type scheduleRemove struct{ ofLine }

// Run removes what is ours and unchanged, and names the rest.
func (c *scheduleRemove) Run(ctx context.Context, s streams) error {
	w, err := c.workload(ctx, s)
	if err != nil {
		return err
	}
	entries, warnings, err := schedule.Find(ctx, w)
	warn(s, warnings)
	if err != nil {
		return err
	}
	removed := 0
	var left []error
	for _, e := range entries {
		switch {
		case e.Ours:
			if err := e.Remove(ctx); err != nil {
				left = append(left, err)
				continue
			}
			removed++
			_, _ = fmt.Fprintf(s.out, "removed from %s: %s\n", e.Where, e.Text)
		case e.Edited:
			left = append(left, fmt.Errorf("%s was changed since it was installed; it stays, remove it by hand (crontab -e, or systemctl disable --now and the unit's files): %s", e.Where, e.Text))
		default:
			_, _ = fmt.Fprintf(s.out, "not installed by autoscale, it stays: %s: %s\n", e.Where, e.Text)
		}
	}
	if removed == 0 && len(left) == 0 {
		_, _ = fmt.Fprintf(s.out, "nothing is installed for service %q in %s\n", w.Service, w.Dir)
	}
	return errors.Join(left...)
}

// scheduleStatus shows.
type scheduleStatus struct {
	Output string `enum:"text,json" default:"text" placeholder:"text" help:"text, or json: one documented object."`
	ofLine
}

// schedules is the object that schedule status --output=json prints.
type schedules struct {
	Version   int              `json:"version"`
	Service   string           `json:"service"`
	Dir       string           `json:"dir"`
	Status    int              `json:"status"`
	Schedules []schedule.Entry `json:"schedules"`
	Warnings  []string         `json:"warnings"`
}

// Run shows every schedule of the service.
func (c *scheduleStatus) Run(ctx context.Context, s streams) error {
	w, err := c.workload(ctx, s)
	if err != nil {
		return err
	}
	entries, warnings, err := schedule.Find(ctx, w)
	if err != nil {
		return err
	}
	status := statusDoubt
	for _, e := range entries {
		if e.Active && (e.Acts || e.Ours) {
			status = statusDone
		}
	}
	if c.Output == "json" {
		encoder := json.NewEncoder(s.out)
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(schedules{
			Version: outputVersion, Service: w.Service, Dir: w.Dir, Status: status,
			Schedules: append([]schedule.Entry{}, entries...), Warnings: append([]string{}, warnings...),
		})
	} else {
		warn(s, warnings)
		err = showSchedules(s, w, entries)
	}
	if err == nil && status != statusDone {
		err = exit{status: status}
	}
	return err
}

func showSchedules(s streams, w schedule.Workload, entries []schedule.Entry) error {
	if len(entries) == 0 {
		_, err := fmt.Fprintf(s.out, "nothing runs autoscale for service %q in %s; see: autoscale schedule install --help\n", w.Service, w.Dir)
		return err
	}
	for _, e := range entries {
		by := "installed by autoscale"
		switch {
		case e.Edited:
			by = "installed by autoscale, changed since"
		case !e.Ours:
			by = "not installed by autoscale"
		}
		if !e.Acts {
			by += "; changes nothing (dry run or observe)"
		}
		if !e.Active {
			by += "; not running"
		}
		text := fmt.Sprintf("%s: %s\n  %s\n", e.Where, by, e.Text)
		if e.Every > 0 {
			text += "  every " + schedule.Spell(e.Every)
			if !e.Last.IsZero() {
				text += ", last " + e.Last.Local().Format(time.DateTime)
			}
			if e.Active && !e.Next.IsZero() {
				text += ", next " + e.Next.Local().Format(time.DateTime)
			}
			text += "\n"
		}
		if _, err := fmt.Fprint(s.out, text); err != nil {
			return err
		}
	}
	return nil
}
