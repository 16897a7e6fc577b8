package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/fsnotify/fsnotify"

	"github.com/five-keys/autoscale/internal/config"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/notify"
	"github.com/five-keys/autoscale/internal/store"
	"github.com/five-keys/autoscale/internal/web"
)

const (
	// endWithin is how long the daemon takes to end: a command that moves replicas
	// may go on after that, and keeps the lock until it has ended.
	endWithin = 9 * time.Second
	// settleTime is how long a file must have been left alone before it is read
	// again: editors write in several steps.
	settleTime = 300 * time.Millisecond
)

// runCommand is the daemon.
type runCommand struct {
	flags
	Config string `placeholder:"FILE" help:"The configuration; default: autoscale.yaml here, else /etc/autoscale/autoscale.yaml."`
	Check  bool   `help:"Validate the configuration, print what is in force, and end."`
	Log    string `enum:"text,json" default:"text" placeholder:"text" help:"How the log is written: text, json."`
	ofFlags

	clocks clocks                     // nil for the machine's
	output func(replica, line string) // takes what replicas write; nil for nobody

	// A demonstration is a daemon with an audience; nil for none.
	through func(control.Source) control.Source          // stands before the source of processes
	follow  func(after control.Snapshot, events []event) // is told each step
	told    func(text string)                            // and what happens to replicas
}

// Help is what stands below the flags' summary.
func (c *runCommand) Help() string {
	return `Makes the same decisions as a line in cron, for each service of the file at its own
interval. The file is read again when it changes, or on SIGHUP; one that is wrong is
reported, and the one before stays in force.

Of one service the flags of such a line do instead of a file. With
--provider=process it runs the replicas itself, behind a proxy that counts the
requests: the program and its arguments stand behind --.

  autoscale run --provider=process --min=1 --max=5 --rps-target=40 --interval=1s -- ./app --verbose

With --check it prints the file that says the same. What is remembered then lies
where one decision would leave it, so that status, explain, pause and hold find it.

Exit status: 0 ended by SIGTERM or Ctrl-C; 1 it could not start; 2 the
configuration is wrong, or a flag.`
}

// configPath is where the configuration is.
func configPath(stated string) (string, error) {
	if stated != "" {
		return filepath.Abs(stated)
	}
	usual := []string{"autoscale.yaml", "/etc/autoscale/autoscale.yaml"}
	for _, path := range usual {
		if exists(path) {
			return filepath.Abs(path)
		}
	}
	return "", fmt.Errorf("there is neither %s here nor %s; name the configuration with --config", usual[0], usual[1])
}

// Run reads the configuration and looks after its services until ctx ends.
func (c *runCommand) Run(ctx context.Context, s streams, line *kong.Context) error {
	f, err := c.file(line)
	if err != nil {
		return err
	}
	if c.Check {
		return check(s, f)
	}
	if f.Path == "" && c.Provider == processes { // somebody is there to read it
		if err := processConfig(f.Services[0]).CheckListen(); err != nil {
			return err
		}
	}
	out := &logLines{out: s.err}
	var handler slog.Handler = slog.NewTextHandler(out, nil)
	if c.Log == "json" {
		handler = slog.NewJSONHandler(out, nil)
	}
	log := slog.New(handler)
	c.output = out.of(c.Log, log)
	d, err := c.open(f, log)
	if err != nil {
		return err
	}
	return d.run(ctx)
}

// file is what is to be looked after: by the flags, or by a file.
func (c *runCommand) file(line *kong.Context) (*config.File, error) {
	stated := c.stated(line)
	if len(stated) > 0 || len(c.Args) > 0 {
		return c.byFlags(stated)
	}
	path, err := configPath(c.Config)
	if err != nil {
		return nil, usage(err)
	}
	f, err := readConfig(path)
	if err != nil {
		return nil, exit{statusUsage, err}
	}
	return f, nil
}

// logLines is where a log goes, and what replicas write, a line at a time.
type logLines struct {
	mu  sync.Mutex
	out io.Writer
}

// Write writes b as a whole.
func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(b)
}

// of tells what replicas write, in the way of a log.
func (l *logLines) of(kind string, log *slog.Logger) func(replica, line string) {
	if kind == "json" {
		return func(replica, line string) { log.Info(line, "replica", replica) }
	}
	return func(replica, line string) { _, _ = fmt.Fprintf(l, "%s | %s\n", replica, line) } // as a log does
}

// readConfig reads a configuration and everything in it that another room reads.
func readConfig(path string) (*config.File, error) {
	f, err := config.Read(path)
	if err != nil {
		return nil, err
	}
	var all config.Problems
	for _, s := range f.Services {
		at := "services." + s.Name
		if s.Provider == string(processes) {
			all = append(all, f.Locate(at, processConfig(s).Check())...)
		}
		for i, source := range s.Sources {
			c := flagsOf(f, s, false)
			c.setSource(source)
			if c.proxyCounts() {
				continue
			}
			_, err := c.reader(s.ProjectDir, nil)
			if len(s.Sources) > 1 {
				all = append(all, f.Locate(fmt.Sprintf("%s.sources[%d]", at, i), err)...)
			} else {
				all = append(all, f.Locate(at, err)...)
			}
		}
		_, err := placesOf("notify", revealed(s.Notify))
		all = append(all, f.Locate(at, err)...)
		calendar, err := calendarOf(s)
		all = append(all, f.Locate(at, err)...)
		for i, w := range calendar {
			all = append(all, f.Locate(fmt.Sprintf("%s.schedule[%d]", at, i), w.Validate())...)
		}
		if s.Provider == string(k8s) && len(s.Sources) > 1 {
			all = append(all, f.Locate(at+".sources", errors.New("on Kubernetes one source starts the Deployment, and the HPA reads what its manifest names; leave one here, and add further metrics to the manifest"))...)
		}
		if s.Provider == string(k8s) {
			all = append(all, f.Locate(at, flagsOf(f, s, false).checkKubernetes())...)
		}
	}
	if len(all) > 0 {
		return nil, all
	}
	return f, nil
}

// check prints what is in force.
func check(s streams, f *config.File) error {
	text, err := f.Effective()
	if err == nil {
		_, err = s.out.Write(text)
	}
	return err
}

// daemonRun is a daemon with all that belongs to it.
type daemonRun struct {
	command *runCommand
	file    *config.File
	wrong   bool // the configuration was wrong when it was last read
	log     *slog.Logger
	daemon  control.Daemon
	past    *past
	server  *web.Server
	owner   *owner
	outbox  *notify.Outbox
	places  places
	unlock  func()
}

// open makes everything ready; nothing is looked after yet.
func (c *runCommand) open(f *config.File, log *slog.Logger) (*daemonRun, error) {
	r := &daemonRun{command: c, file: f, log: log}
	r.outbox = notify.NewOutbox(titleOf(""), func(err error) { log.Warn("not told", "error", err) })
	r.owner = newOwner(c.output, func(service, text string) {
		log.Info(text, "service", service)
		if c.told != nil {
			c.told(text)
		}
	})
	if err := os.MkdirAll(f.State, 0o755); err != nil {
		return nil, fmt.Errorf("the state folder cannot be made: %w; name another with state: in %s", err, f.Path)
	}
	// One daemon for each state folder: two would forget what the other knows.
	lock, err := store.LockWorkload(context.Background(), store.Key{Provider: "daemon", Project: f.State}, time.Second)
	if err != nil {
		return nil, err
	}
	r.unlock = lock.Unlock
	if r.past, err = openPast(f.History, log); err != nil {
		r.unlock()
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		log.Warn("this machine's name is not known", "error", err)
	}
	r.server, err = web.New(web.Config{Listen: f.Listen, MetricsListen: f.MetricsListen, Token: f.Token.Reveal(), Version: versionText(), Host: host, Log: log}, &r.daemon, r.past)
	if err == nil {
		err = r.server.Listen()
	}
	if err != nil {
		r.close()
		return nil, err
	}
	r.daemon.Stepped = r.stepped
	r.owner.want(f.Services)
	r.daemon.Set(r.services(f))
	r.server.Reloaded(nil)
	return r, nil
}

func (r *daemonRun) close() {
	if err := r.past.close(); err != nil {
		r.log.Warn("the history was not closed in order", "error", err)
	}
	r.unlock()
}

// services are those of a configuration, ready to be looked after.
func (r *daemonRun) services(f *config.File) []control.Service {
	var all []control.Service
	for _, s := range f.Services {
		log := r.log.With("service", s.Name)
		all = append(all, control.Service{
			Name: s.Name, Provider: s.Provider, Target: s.Service, Interval: s.Interval,
			Identity: fmt.Sprint(s.Identity(), f.State),
			Open: func() control.Stepper {
				x := newStepper(f, s, r.command.DryRun, func(text string) { log.Info(text) }, func(record store.Record) error { return r.past.append(s.Name, record) })
				x.clocks, x.owner, x.through = r.command.clocks, r.owner, r.command.through
				if len(s.Notify) > 0 && !r.command.DryRun {
					x.people, x.outbox, x.places = s.Name, r.outbox, r.places.of(revealed(s.Notify))
				}
				if f.Path == "" {
					r.command.remembers(x)
				}
				return x
			},
		})
	}
	return all
}

// run looks after the services until ctx ends.
func (r *daemonRun) run(ctx context.Context) error {
	defer r.close()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var watcher *fsnotify.Watcher
	if r.file.Path != "" {
		var err error
		if watcher, err = watch(r.file.Path); err != nil {
			r.log.Warn("changes of the configuration go unseen; send SIGHUP after one", "error", err)
		} else {
			defer watcher.Close()
		}
	}
	served, looked := make(chan error, 1), make(chan struct{})
	defer r.tellPeople(ctx)()
	go func() {
		err := r.server.Serve(ctx)
		if err != nil {
			stop(err) // nobody could see it or stop it
		}
		served <- err
	}()
	go func() {
		r.daemon.Run(ctx)
		close(looked)
	}()
	r.log.Info("looks after the services", "config", cmp.Or(r.file.Path, "flags"), "services", len(r.file.Services), "listen", shownAddr(r.server))
	r.notify(sd.SdNotifyReady)
	r.tend(ctx, watcher, func() { stop(errors.New("the terminal is gone")) })
	r.notify(sd.SdNotifyStopping)
	r.owner.end()
	select {
	case <-looked:
	case <-time.After(endWithin):
		r.log.Warn("a step is under way still; what it began goes on, and keeps others away until it has ended")
	}
	r.owner.wg.Wait() // those have a limit of their own
	return <-served
}

// tellPeople sends what they are to be told, until it is called off; then what is
// left of it.
func (r *daemonRun) tellPeople(ctx context.Context) (end func()) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		r.outbox.Run(ctx)
		close(ended)
	}()
	return func() {
		stop()
		<-ended
	}
}

func shownAddr(s *web.Server) string {
	if addr := s.Addr(); addr != nil {
		return addr.String()
	}
	return "off"
}

// tend reads the configuration again when it changes, and tells systemd that all
// is well, until ctx ends. Without a file a hang-up is what it is to most
// programs: the end.
func (r *daemonRun) tend(ctx context.Context, watcher *fsnotify.Watcher, end func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	var changes chan fsnotify.Event
	var faults chan error
	if watcher != nil {
		changes, faults = watcher.Events, watcher.Errors
	}
	settled := time.NewTimer(time.Hour)
	settled.Stop()
	watchdog := r.watchdog()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-hangup:
			if r.file.Path == "" {
				end()
				continue
			}
			r.reload()
		case e, ok := <-changes:
			switch {
			case !ok:
				changes = nil
			case filepath.Base(e.Name) == filepath.Base(r.file.Path) || e.Name == "..data": // a mounted ConfigMap's link
				settled.Reset(settleTime)
			}
		case err, ok := <-faults:
			if !ok {
				faults = nil
				continue
			}
			r.log.Warn("watching the configuration", "error", err)
		case <-settled.C:
			r.reload()
		case <-watchdog:
			_ = r.daemon.Snapshots() // it answers, so nothing hangs that all wait for
			r.notify(sd.SdNotifyWatchdog)
		}
	}
}

// watch looks at the configuration's folder: editors replace the file.
func watch(path string) (*fsnotify.Watcher, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := watcher.Add(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, watcher.Close())
	}
	return watcher, nil
}

// notify tells systemd, where it started us.
func (r *daemonRun) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		r.log.Warn("systemd could not be told", "state", state, "error", err)
	}
}

// watchdog ticks twice in the time after which systemd would start us anew; never
// where it does not watch.
func (r *daemonRun) watchdog() <-chan time.Time {
	every, err := sd.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return nil
	}
	return time.Tick(every / 2)
}

// reload reads the configuration again. One that is wrong changes nothing.
func (r *daemonRun) reload() {
	r.notify(sd.SdNotifyReloading)
	defer r.notify(sd.SdNotifyReady)
	f, err := readConfig(r.file.Path)
	r.server.Reloaded(err)
	mended := r.wrong && err == nil
	r.wrong = err != nil
	if err != nil {
		r.log.Error("the configuration is wrong; the one before stays in force", "error", err)
		r.happened(event{kind: "config-invalid", text: err.Error()})
		return
	}
	for _, fixed := range []struct {
		key     string
		changed bool
	}{
		{"state", f.State != r.file.State}, {"listen", f.Listen != r.file.Listen}, {"metrics-listen", f.MetricsListen != r.file.MetricsListen},
		{"token", f.Token.Reveal() != r.file.Token.Reveal()}, {"history", f.History != r.file.History},
	} {
		if fixed.changed {
			r.log.Warn("this takes effect when the daemon is started again", "key", fixed.key)
		}
	}
	f.State = r.file.State
	r.owner.want(f.Services)
	r.daemon.Set(r.services(f))
	same := slices.EqualFunc(f.Services, r.file.Services, func(a, b config.Service) bool { return a.Identity() == b.Identity() })
	f.Listen, f.MetricsListen, f.Token, f.History = r.file.Listen, r.file.MetricsListen, r.file.Token, r.file.History
	if r.file = f; !same || mended {
		r.log.Info("took over the configuration", "services", len(f.Services))
		r.happened(event{kind: "config-reloaded", text: fmt.Sprintf("%d services", len(f.Services))})
	}
}
