package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/five-keys/autoscale/internal/command"
)

// answerTime is how long one question to the engine may take.
const answerTime = 20 * time.Second

// ErrEngine is wrapped by every error of an engine that does not answer.
var ErrEngine = errors.New("the Docker Engine does not answer")

// engine asks the Docker Engine through the user's docker command: its contexts
// and credentials apply, and all questions of one run share one process and one
// connection (https://docs.docker.com/reference/api/engine/).
type engine struct {
	docker string
	client *http.Client
	conns  sync.WaitGroup
}

func newEngine(docker string) *engine {
	e := &engine{docker: docker}
	e.client = &http.Client{Transport: &http.Transport{DialContext: e.dial, MaxConnsPerHost: 1, DisableCompression: true}}
	return e
}

// close ends the connection and waits for the docker command behind it.
func (e *engine) close() {
	e.client.CloseIdleConnections()
	e.conns.Wait()
}

// dial starts "docker system dial-stdio", which joins its standard input and
// output to the engine's socket.
func (e *engine) dial(context.Context, string, string) (net.Conn, error) {
	input, toChild, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	fromChild, output, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, input.Close(), toChild.Close())
	}
	c := &stdioConn{in: fromChild, out: toChild, cmd: exec.Command(e.docker, "system", "dial-stdio")}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = input, output, &c.stderr
	c.cmd.WaitDelay = time.Second
	command.OwnGroup(c.cmd)
	err = c.cmd.Start()
	err = errors.Join(err, input.Close(), output.Close())
	if err != nil {
		return nil, errors.Join(err, fromChild.Close(), toChild.Close())
	}
	e.conns.Add(1)
	c.done = e.conns.Done
	return c, nil
}

// stdioConn is a connection through a child's standard input and output.
type stdioConn struct {
	in, out *os.File
	cmd     *exec.Cmd
	stderr  bytes.Buffer
	closing sync.Once
	done    func()
}

// Read returns what the engine sent.
func (c *stdioConn) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	if n == 0 && errors.Is(err, io.EOF) {
		return 0, c.ended(err)
	}
	return n, err
}

// Write asks the engine.
func (c *stdioConn) Write(b []byte) (int, error) {
	n, err := c.out.Write(b)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) {
		return n, c.ended(err)
	}
	return n, err
}

// ended is why the child ended: its standard error where that says something,
// else err.
func (c *stdioConn) ended(err error) error {
	c.Close()
	if said := strings.TrimSpace(c.stderr.String()); said != "" {
		return childError(said)
	}
	return err
}

// childError is what the docker command said before it ended.
type childError string

func (e childError) Error() string { return string(e) }

// Close ends the child and waits for it.
func (c *stdioConn) Close() error {
	c.closing.Do(func() {
		c.out.Close()
		timer := time.AfterFunc(time.Second, func() { _ = c.cmd.Process.Kill() })
		// The child's exit status tells nothing that its words did not.
		_ = c.cmd.Wait()
		timer.Stop()
		c.in.Close()
		c.done()
	})
	return nil
}

func (c *stdioConn) LocalAddr() net.Addr                { return &net.UnixAddr{Name: "dial-stdio", Net: "unix"} }
func (c *stdioConn) RemoteAddr() net.Addr               { return c.LocalAddr() }
func (c *stdioConn) SetDeadline(t time.Time) error      { return c.in.SetDeadline(t) }
func (c *stdioConn) SetReadDeadline(t time.Time) error  { return c.in.SetReadDeadline(t) }
func (c *stdioConn) SetWriteDeadline(t time.Time) error { return c.out.SetWriteDeadline(t) }

// errGone is an object that the engine does not have.
var errGone = errors.New("not there")

// get asks the engine for one JSON answer. The paths bear no API version, so
// any engine answers in its own; only fields that all versions since 1.41 have
// are read.
func (e *engine) get(ctx context.Context, path string, query url.Values, answer any) error {
	body, err := e.ask(ctx, path, query)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("compose: the Docker Engine's answer to GET %s cannot be read: %w", path, err)
	}
	return nil
}

// ask asks the engine for an answer of any kind.
func (e *engine) ask(ctx context.Context, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	u := url.URL{Scheme: "http", Host: "docker", Path: path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := e.client.Do(request)
	if err != nil {
		return nil, engineError(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, engineError(ctx, err)
	}
	switch {
	case response.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", path, errGone)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("compose: the Docker Engine answers %s to GET %s: %s", response.Status, path, bytes.TrimSpace(body))
	}
	return body, nil
}

// engineError says that the engine does not answer, in the docker command's own
// words where it had any.
func engineError(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if said, ok := errors.AsType[childError](err); ok {
		err = said
	}
	return fmt.Errorf("compose: %w: %w; start it (systemctl start docker), or check DOCKER_HOST and the right to its socket", ErrEngine, err)
}

// container is what the engine lists of a container.
type container struct {
	ID      string `json:"Id"`
	Names   []string
	Created int64
	State   string
	Labels  map[string]string
}

// details is what the engine says of one container when asked for it.
type details struct {
	ID           string `json:"Id"`
	Name         string
	Image        string // the image's ID
	RestartCount int
	State        struct {
		Status     string
		Pid        int
		ExitCode   int
		OOMKilled  bool
		Error      string
		StartedAt  time.Time
		FinishedAt time.Time
		Health     *struct {
			Status string
			Log    []struct{ Output string }
		}
	}
	Config struct {
		Image       string
		Labels      map[string]string
		Healthcheck *struct {
			Test                  []string
			Interval, StartPeriod time.Duration
			Retries               int
		}
	}
	HostConfig struct {
		PortBindings        map[string][]struct{ HostPort string }
		Memory              int64 // bytes
		NanoCpus            int64
		CpuQuota, CpuPeriod int64
	}
	NetworkSettings struct {
		Ports    map[string][]struct{ HostIP, HostPort string }
		Networks map[string]struct {
			IPAddress, GlobalIPv6Address string
			Aliases                      []string
		}
	}
}

// containers lists every container of a Compose service, or of all services
// where none is named, whatever its state and project, but not the one-off ones of "docker compose run".
func (e *engine) containers(ctx context.Context, service string) ([]container, error) {
	labels := []string{labelProject, labelOneOff + "=False"}
	if service != "" {
		labels = append(labels, labelService+"="+service)
	}
	filters, err := json.Marshal(map[string][]string{"label": labels})
	if err != nil {
		return nil, err
	}
	var all []container
	err = e.get(ctx, "/containers/json", url.Values{"all": {"1"}, "filters": {string(filters)}}, &all)
	return all, err
}

// inspect asks for one container; errGone where it went meanwhile.
func (e *engine) inspect(ctx context.Context, id string) (details, error) {
	var d details
	err := e.get(ctx, "/containers/"+id+"/json", nil, &d)
	return d, err
}

// stopped reports whether somebody had a container stopped, which has ended: the
// engine then sent it a signal (https://docs.docker.com/reference/cli/docker/system/events/).
func (e *engine) stopped(ctx context.Context, d details) (bool, error) {
	filters, err := json.Marshal(map[string][]string{"container": {d.ID}, "event": {"kill"}})
	if err != nil {
		return false, err
	}
	// The signal may be recorded just after what it ended; the engine answers then.
	until := d.State.FinishedAt.Add(time.Second)
	sent, err := e.ask(ctx, "/events", url.Values{"filters": {string(filters)}, "since": {instant(d.State.StartedAt)}, "until": {instant(until)}})
	return len(bytes.TrimSpace(sent)) > 0, err
}

// instant is a time by the engine's clock, as its API takes it.
func instant(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

// identity is a name of the engine that stays for as long as its data does: the
// ID of its built-in network "host". It costs far less than asking for the
// engine's own ID, which makes the engine run three programs.
func (e *engine) identity(ctx context.Context) (string, error) {
	var network struct{ ID string }
	if err := e.get(ctx, "/networks/host", nil, &network); err != nil && !errors.Is(err, errGone) {
		return "", err
	}
	return network.ID, nil
}

// imageID is the ID of the image that a name stands for now; empty where the
// engine has none of that name.
func (e *engine) imageID(ctx context.Context, name string) (string, error) {
	var image struct{ ID string }
	err := e.get(ctx, "/images/"+name+"/json", nil, &image)
	if errors.Is(err, errGone) {
		return "", nil
	}
	return image.ID, err
}
