// Package process runs the replicas of a service as processes of this machine,
// behind a reverse proxy of its own. The proxy sees every request, so that
// neither Docker nor a metrics page is needed to know the load.
//
// A replica is started with PORT in its environment, and gets requests once its
// health check passes. One that ends is started again, one that is unhealthy gets
// no new requests and is replaced, one that leaves finishes what it has begun.
// However this program ends, nothing that a replica has started outlives it: see
// Supervise.
package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/host"
)

// Config is what the user said of the service.
type Config struct {
	// Service names it; its replicas are called Service-1, Service-2, …
	Service string
	// Command is the program and its arguments; no shell reads them. {port} in an
	// argument stands for the port that the replica is to listen on, at 127.0.0.1.
	// PORT in its environment says it as well.
	Command []string
	// Dir is the folder that replicas run in, an absolute path.
	Dir string
	// Env is added to this process's environment, as NAME=value.
	Env []string
	// Listen is where the proxy listens, host:port.
	Listen string
	// HealthPath is what a healthy replica answers with a status from 200 to 399;
	// empty where it is enough that it accepts a connection.
	HealthPath string
	// Wait is how long a new replica may take to be healthy, and a request may wait
	// for one that is; 0 is 60 s.
	Wait time.Duration
	// Drain is how long a replica that leaves may take to finish its requests,
	// streams included.
	Drain time.Duration
	// Grace is how long a replica may take to end after SIGTERM, until SIGKILL.
	Grace time.Duration
	// Output takes each line that a replica writes; nil for nobody.
	Output func(replica, line string)
	// Tell takes what a person should see while things happen; nil for nobody.
	Tell func(text string)
}

// defaultWait is how long a new replica may take to be healthy.
const defaultWait = time.Minute

// Check looks for what is wrong in c itself, in the words of the flags.
func (c Config) Check() error {
	var errs []error
	if len(c.Command) == 0 || c.Command[0] == "" {
		errs = append(errs, errors.New("the command is missing; write what runs one replica: autoscale run … -- ./app, or command: [./app] in the file"))
	} else if _, err := c.program(); err != nil {
		errs = append(errs, fmt.Errorf("the command %s cannot be run: %w; name a program that is there", c.Command[0], err))
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if _, number := strconv.ParseUint(port, 10, 16); err != nil || number != nil {
		errs = append(errs, fmt.Errorf("--proxy=%s: give host:port, such as 127.0.0.1:8080", c.Listen))
	} else if host != "" && strings.Contains(host, "/") {
		errs = append(errs, fmt.Errorf("--proxy=%s: give host:port, not a URL", c.Listen))
	}
	if c.HealthPath != "" && !strings.HasPrefix(c.HealthPath, "/") {
		errs = append(errs, fmt.Errorf("--health-path=%s: it has to begin with /", c.HealthPath))
	}
	for _, d := range []struct {
		flag string
		time time.Duration
	}{{"wait", c.Wait}, {"drain", c.Drain}, {"grace", c.Grace}} {
		if d.time < 0 {
			errs = append(errs, fmt.Errorf("--%s=%s: a time cannot be below 0", d.flag, d.time))
		}
	}
	return errors.Join(errs...)
}

// program is the path of what is run.
func (c Config) program() (string, error) {
	name := c.Command[0]
	if strings.ContainsRune(name, filepath.Separator) && !filepath.IsAbs(name) {
		name = filepath.Join(c.Dir, name)
	}
	return exec.LookPath(name)
}

// Workload is a service whose replicas are processes of this one. Its methods
// may be called at the same time, but Set by one caller only.
type Workload struct {
	cfg      atomic.Pointer[Config]
	listener net.Listener
	server   *http.Server
	proxy    http.Handler
	opened   time.Time
	stopped  chan struct{} // closed once the server serves no more
	// open starts the program of a replica. Tests have one without processes.
	open func(*replica) (*backend, error)

	wg sync.WaitGroup // the replicas' goroutines

	mu sync.Mutex
	// replicas are all there are, those that leave among them, in the order in
	// which they came.
	replicas []*replica
	// changed is closed, and made anew, whenever a replica begins to take requests
	// or nothing does any more.
	changed chan struct{}
	serial  uint64
	turn    int // where the search for a replica begins
	waiting int // requests that wait for a replica
	// remarked is when a request that failed was told of, and unremarked how many
	// failed since.
	remarked   time.Time
	unremarked int
	meter      meter
	// attempts counts starts from nothing that failed, one after the other, and
	// again is when the next may be made.
	attempts int
	again    time.Time
	// ending is when everything has to have ended, endGrace the time before that
	// which is for SIGTERM; zero while it goes on.
	ending   time.Time
	endGrace time.Duration
	closed   bool
}

// Open listens, and starts no replica yet.
func Open(cfg Config) (*Workload, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	w := newWorkload(cfg)
	var err error
	if w.listener, err = cfg.listen(); err != nil {
		return nil, err
	}
	w.serve()
	return w, nil
}

// CheckListen looks whether the proxy can listen.
func (c Config) CheckListen() error {
	l, err := c.listen()
	if err != nil {
		return err
	}
	return l.Close()
}

func (c Config) listen() (net.Listener, error) {
	l, err := net.Listen("tcp", c.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the proxy cannot listen: %w; something else listens there: another autoscale? Give another address with --proxy", err)
	}
	if err != nil {
		return nil, fmt.Errorf("the proxy cannot listen: %w", err)
	}
	return l, nil
}

// filled is c with what stands for what was left away.
func (c Config) filled() Config {
	if c.Wait == 0 {
		c.Wait = defaultWait
	}
	if c.Output == nil {
		c.Output = func(string, string) {}
	}
	if c.Tell == nil {
		c.Tell = func(string) {}
	}
	return c
}

// config is what the user says by now.
func (w *Workload) config() *Config { return w.cfg.Load() }

// Adjust takes over what may change while replicas run: HealthPath, for replicas
// that start from now on, Wait, Drain, Grace, Output and Tell.
func (w *Workload) Adjust(c Config) {
	c = c.filled()
	next := *w.config()
	next.HealthPath, next.Wait, next.Drain, next.Grace, next.Output, next.Tell = c.HealthPath, c.Wait, c.Drain, c.Grace, c.Output, c.Tell
	w.cfg.Store(&next)
}

func newWorkload(cfg Config) *Workload {
	cfg = cfg.filled()
	w := &Workload{opened: time.Now(), changed: make(chan struct{}), stopped: make(chan struct{})}
	w.cfg.Store(&cfg)
	w.meter.begin(w.opened)
	w.open = w.launch
	w.proxy = w.reverseProxy()
	return w
}

// Addr is where the proxy listens.
func (w *Workload) Addr() net.Addr { return w.listener.Addr() }

// Observe tells what there is now. A replica that is being started again counts;
// one that leaves does not.
func (w *Workload) Observe(context.Context) (autoscale.Replicas, error) {
	settings, err := w.settings()
	if err != nil {
		return autoscale.Replicas{}, err
	}
	seen := autoscale.Replicas{Running: []autoscale.Replica{}, Settings: settings}
	w.mu.Lock()
	var supervisors []int
	of := map[string]int{}
	for _, r := range w.replicas {
		if r.leaving {
			continue
		}
		seen.Running = append(seen.Running, r.shown())
		if r.backend != nil {
			of[r.id] = r.backend.program.supervisor
			supervisors = append(supervisors, r.backend.program.supervisor)
		}
	}
	w.mu.Unlock()
	usage := usages(supervisors)
	for i, r := range seen.Running {
		seen.Running[i].Usage = usage[of[r.ID]]
	}
	seen.Host = host.Machine()
	seen.Current = len(seen.Running)
	return seen, nil
}

// settings identifies what new replicas are made of: the command and its program.
// It is another one in each process, so that a failed start of an earlier one
// keeps nothing from being tried.
func (w *Workload) settings() (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, os.Getpid(), w.opened.UnixNano(), w.config().Dir, w.config().Command, w.config().Env)
	path, err := w.config().program()
	if err == nil {
		info, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("the program of the replicas: %w", err)
		}
		fmt.Fprintln(sum, path, info.Size(), info.ModTime().UnixNano())
	}
	// A program that is gone just now, as while it is being built, stops no
	// replica that runs; starting another one will say so.
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// launch starts the program of a replica.
func (w *Workload) launch(r *replica) (*backend, error) {
	port, err := freePort()
	if err != nil {
		return nil, fmt.Errorf("no port for it: %w", err)
	}
	words := make([]string, len(w.config().Command))
	for i, word := range w.config().Command {
		words[i] = strings.ReplaceAll(word, "{port}", strconv.Itoa(port))
	}
	program, err := launch{
		name: r.name, words: words, dir: w.config().Dir, output: r.heard,
		env: environ(os.Environ(), append(w.config().Env[:len(w.config().Env):len(w.config().Env)], "PORT="+strconv.Itoa(port), "AUTOSCALE_REPLICA="+r.name)...),
	}.start()
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	return &backend{
		replica: r, program: program, address: address, started: time.Now(),
		trip: transport(address), probe: probeOf(address, w.config().HealthPath),
	}, nil
}
