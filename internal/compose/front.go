package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/command"
	"github.com/five-keys/autoscale/internal/replace"
	"github.com/five-keys/autoscale/internal/upstream"
)

// Front is how the proxy in front of the service is told which replicas take
// traffic. Its zero value tells none.
type Front struct {
	File     string          // the list, from the project folder; empty for none
	Format   upstream.Format // of the list
	Port     uint16          // where the replicas listen, inside them; 0 where they expose only one
	Network  string          // the service's network that the proxy is on; OnHost; empty for the first that answers
	OnChange []string        // the command that has the proxy read the list; nil for none
	Drain    time.Duration   // between that and the end of a replica that leaves
	// Untold is the beginning of the name of a file that is there from before a
	// change until OnChange has succeeded, so that a run that was killed between
	// the two is made up for.
	Untold string
}

// OnHost is the Front.Network of a proxy that reaches the replicas by the ports
// that they publish.
const OnHost = "host"

const (
	// tellTime is how long the command of --on-change may take.
	tellTime = 30 * time.Second
	// connectTime is how long a replica may take to accept a connection where
	// several of its addresses may be meant.
	connectTime = time.Second
)

// fronted reports whether there is a proxy to be told.
func (w *Workload) fronted() bool { return w.cfg.Front.File != "" || len(w.cfg.Front.OnChange) > 0 }

// taking are those of the replicas that are to take traffic: the healthy ones.
// Where fewer than half are, unhealthy ones as well: then their checks say more
// of the load than of them, and the few would be buried by it (Envoy's panic
// threshold). One that never was healthy comes in only where there is no other.
func taking(all []replica) []replica {
	begun := slices.DeleteFunc(slices.Clone(all), func(r replica) bool {
		return r.found.State.Status != "running" || r.Health == autoscale.HealthStarting
	})
	healthy := slices.DeleteFunc(slices.Clone(begun), func(r replica) bool { return !r.healthy() })
	switch {
	case len(begun) == 0:
		return all
	case 2*len(healthy) < len(begun):
		return begun
	}
	return healthy
}

// without are the replicas less those that leave.
func without(all, leave []replica) []replica {
	return slices.DeleteFunc(slices.Clone(all), func(r replica) bool {
		return slices.ContainsFunc(leave, func(l replica) bool { return l.ID == r.ID })
	})
}

// ListPath is where the list for the proxy in front lies, where there is one.
func (w *Workload) ListPath() string { return resolve(w.project.dir, w.cfg.Front.File) }

// listed is the list as it stands, and as it says that those replicas take
// traffic; both are nil where there is none to be kept.
func (w *Workload) listed(ctx context.Context, replicas []replica) (was, text []byte, err error) {
	f := w.cfg.Front
	if f.File == "" {
		return nil, nil, nil
	}
	if was, err = upstream.Read(w.ListPath(), w.cfg.Service); err != nil {
		return nil, nil, err
	}
	servers, err := w.servers(ctx, replicas)
	if err != nil {
		return nil, nil, err
	}
	text, err = upstream.Render(f.Format, w.cfg.Service, servers)
	return was, text, err
}

// servers are the replicas with the addresses under which the proxy reaches them.
func (w *Workload) servers(ctx context.Context, replicas []replica) ([]upstream.Server, error) {
	port, err := w.frontPort()
	if err != nil || len(replicas) == 0 {
		return nil, err
	}
	var all []upstream.Server
	for _, r := range replicas {
		may, err := w.addresses(r, port)
		if err != nil {
			return nil, err
		}
		if len(may) == 0 {
			continue // it restarts, and has none at this instant
		}
		all = append(all, upstream.Server{Name: r.Name, Addr: reachable(ctx, may)})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("compose: no replica of service %q has an address just now; the list was left alone", w.cfg.Service)
	}
	return all, nil
}

// frontPort is the port inside the replicas that the proxy hands requests to.
func (w *Workload) frontPort() (uint16, error) {
	if w.cfg.Front.Port != 0 {
		return w.cfg.Front.Port, nil
	}
	ports := w.ExposedPorts()
	if len(ports) == 1 {
		return ports[0], nil
	}
	return 0, fmt.Errorf("compose: the replicas of service %q expose %d ports, so nobody can tell to which of them the proxy hands requests; name it with --upstream-port", w.cfg.Service, len(ports))
}

// addresses are where a proxy may reach a replica, the likeliest first.
func (w *Workload) addresses(r replica, port uint16) (all []netip.AddrPort, err error) {
	var published []netip.AddrPort
	for _, p := range r.Ports {
		if p.Container == port {
			published = append(published, onHost(p.Host))
		}
	}
	if name := w.cfg.Front.Network; name == OnHost {
		if len(published) == 0 && r.healthy() {
			return nil, fmt.Errorf("compose: %s publishes no host port for %d, and --upstream-network=host asks for one; publish a range of ports, or leave it away", r.Name, port)
		}
		return published, nil
	} else if name != "" {
		return w.onNetwork(r, name, port)
	}
	for _, ip := range r.Addrs {
		all = append(all, netip.AddrPortFrom(ip, port))
	}
	return append(all, published...), nil
}

// onNetwork is a replica's address on the network that the proxy is on.
func (w *Workload) onNetwork(r replica, name string, port uint16) ([]netip.AddrPort, error) {
	network, ok := r.found.NetworkSettings.Networks[name]
	if !ok {
		network, ok = r.found.NetworkSettings.Networks[w.project.name+"_"+name]
	}
	if !ok {
		return nil, fmt.Errorf("compose: %s is not on the network %q that --upstream-network names", r.Name, name)
	}
	for _, text := range []string{network.IPAddress, network.GlobalIPv6Address} {
		if ip, err := netip.ParseAddr(text); err == nil {
			return []netip.AddrPort{netip.AddrPortFrom(ip, port)}, nil
		}
	}
	return nil, nil
}

// onHost is a published address as one on this machine connects to it.
func onHost(a netip.AddrPort) netip.AddrPort {
	switch {
	case !a.Addr().IsUnspecified():
		return a
	case a.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
}

// reachable is the first of the addresses that accepts a connection. Where none
// does it is the first: a replica is not taken off the list for that.
func reachable(ctx context.Context, may []netip.AddrPort) netip.AddrPort {
	if len(may) == 1 {
		return may[0]
	}
	dialer := net.Dialer{Timeout: connectTime}
	for _, a := range may {
		if conn, err := dialer.DialContext(ctx, "tcp", a.String()); err == nil {
			conn.Close()
			return a
		}
	}
	return may[0]
}

// untoldPath is the file that is there while the proxy may not have been told.
func (w *Workload) untoldPath() string {
	return w.cfg.Front.Untold + w.project.name + "-" + w.cfg.Service
}

// untold reports whether an earlier change may not have reached the proxy.
func (w *Workload) untold() bool {
	_, err := os.Lstat(w.untoldPath())
	return err == nil
}

// Told forgets that the proxy may not have been told.
func (w *Workload) Told() error {
	if err := os.Remove(w.untoldPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("compose: %w", err)
	}
	return nil
}

// tell has the proxy in front send requests to those replicas and no others.
// Where that is what it was told last, nothing is done, unless always says so.
func (m *move) tell(ctx context.Context, replicas []replica, always bool) error {
	w, f := m.w, m.w.cfg.Front
	was, text, err := w.listed(ctx, replicas)
	if err != nil {
		return err
	}
	changes := string(was) != string(text)
	if !changes && !always && !w.untold() {
		return nil
	}
	if len(f.OnChange) > 0 {
		if err := replace.File(w.untoldPath(), nil, replace.Perm(0o600)); err != nil {
			return fmt.Errorf("compose: what the proxy is told cannot be remembered: %w", err)
		}
	}
	if changes {
		w.cfg.Tell(fmt.Sprintf("lists in %s: %s", w.ListPath(), replicaNames(replicas)))
		if err := replace.File(w.ListPath(), text, replace.Expect(was)); err != nil {
			return fmt.Errorf("compose: the list for the proxy: %w", err)
		}
	}
	if len(f.OnChange) == 0 {
		return nil
	}
	m.say(f.OnChange)
	call := command.Call{Words: f.OnChange, Dir: w.project.dir, Limit: tellTime, Env: []string{
		"AUTOSCALE_SERVICE=" + w.cfg.Service, "AUTOSCALE_REPLICAS=" + strings.ReplaceAll(replicaNames(replicas), ", ", " "),
	}}
	if _, _, err := call.Run(ctx); err != nil {
		return fmt.Errorf("compose: --on-change: %s: %w", command.Text(f.OnChange), err)
	}
	return w.Told()
}

// replicaNames are the replicas' names, for a person.
func replicaNames(replicas []replica) string {
	names := make([]string, len(replicas))
	for i, r := range replicas {
		names[i] = r.Name
	}
	return cmp.Or(strings.Join(names, ", "), "no replica")
}

// refresh leaves the proxy knowing what takes traffic, where nothing was to be
// moved. What there is to be done for that is done on a fresh look.
func (m *move) refresh(ctx context.Context) error {
	w := m.w
	if !w.fronted() || len(w.seen.replicas) == 0 || w.cfg.DryRun {
		return nil
	}
	was, text, err := w.listed(ctx, taking(w.seen.replicas))
	if err != nil || string(was) == string(text) && !w.untold() {
		return err
	}
	if err := w.look(ctx); err != nil || len(w.seen.replicas) == 0 {
		return err
	}
	return m.tell(ctx, taking(w.seen.replicas), false)
}

// moved tells the proxy what takes traffic after a move, also once ctx has ended.
// Where there is no list the command itself has to see that something changed.
// Where what runs could not be seen the next run does that: half of it would be too
// little.
func (m *move) moved(ctx context.Context) error {
	if !m.w.fronted() || !m.sure || len(m.w.seen.replicas) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime+tellTime)
	defer cancel()
	return m.tell(ctx, taking(m.w.seen.replicas), m.w.cfg.Front.File == "")
}

// drain takes the replicas that leave off the proxy's list and gives it time to
// finish with them. After an error it has them back.
func (m *move) drain(ctx context.Context, leave []replica) (err error) {
	w := m.w
	if !w.fronted() {
		return nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%w; nothing was lowered", err), m.giveBack(ctx))
		}
	}()
	if err := m.tell(ctx, taking(without(w.seen.replicas, leave)), true); err != nil {
		return err
	}
	if w.cfg.Front.Drain > 0 {
		w.cfg.Tell(fmt.Sprintf("waiting %s for requests under way to %s", w.cfg.Front.Drain, replicaNames(leave)))
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("compose: interrupted while the proxy finished with %s: %w", replicaNames(leave), context.Cause(ctx))
	case <-time.After(w.cfg.Front.Drain):
	}
	return m.stillSo(ctx, leave)
}

// stillSo is an error where meanwhile something happened that speaks against the
// lowering.
func (m *move) stillSo(ctx context.Context, leave []replica) error {
	if err := m.unchanged(ctx); err != nil {
		return err
	}
	for _, r := range without(m.w.seen.replicas, leave) {
		if !r.healthy() {
			return fmt.Errorf("compose: %s is %s by now, and only healthy replicas may be left", r.Name, r.condition())
		}
	}
	return nil
}

// giveBack has the proxy send requests to all replicas again, also once ctx has
// ended.
func (m *move) giveBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime+tellTime)
	defer cancel()
	if err := m.w.look(ctx); err != nil {
		return err
	}
	m.out.Count = len(m.w.seen.replicas)
	if err := m.tell(ctx, taking(m.w.seen.replicas), true); err != nil {
		return fmt.Errorf("the proxy could not be told again of the replicas that stay (%w); the next run does", err)
	}
	return nil
}

// List leaves the proxy in front knowing which replicas take traffic, where
// nothing else is to be done: that rests on the engine alone, so also where the
// load is in doubt. It must follow Observe.
func (w *Workload) List(ctx context.Context) (autoscale.Outcome, error) {
	m := &move{w: w, out: autoscale.Outcome{Count: len(w.seen.replicas)}}
	if w.engine == nil {
		return m.out, nil
	}
	err := m.refresh(ctx)
	m.out.Count = len(w.seen.replicas)
	return m.out, err
}

// lookPath finds the program of a command that runs in dir.
func lookPath(dir, program string) (string, error) {
	if strings.Contains(program, "/") {
		program = resolve(dir, program)
	}
	return exec.LookPath(program)
}

// unlisted are the problems of the list and of the command beside it, for Survey.
func (w *Workload) unlisted(ctx context.Context) (problems []*Problem) {
	f := w.cfg.Front
	if f.File != "" && len(w.seen.replicas) > 0 {
		if _, _, err := w.listed(ctx, taking(w.seen.replicas)); err != nil {
			problems = append(problems, &Problem{CodeUpstream, strings.TrimPrefix(trimmed(err), "upstream: "), "mend that, or name another file with --upstream-file"})
		}
	}
	if len(f.OnChange) == 0 {
		return problems
	}
	if _, err := lookPath(w.project.dir, f.OnChange[0]); err != nil {
		problems = append(problems, &Problem{CodeOnChange, fmt.Sprintf("--on-change: %v", err), "name the program with its whole path: cron and systemd have a short PATH"})
	}
	return problems
}
