package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/five-keys/autoscale"
)

// target is one page that is to be read.
type target struct {
	address
	process, label string
	scope          autoscale.Scope
	// hosts are the addresses to try in order, of a replica; none where the URL's
	// own host is asked.
	hosts []netip.AddrPort
	// replica is whose page it is, where hosts are its addresses.
	replica autoscale.Replica
	// several are the replicas that may stand behind the URL, of which a page that
	// speaks for the whole service should show all; none where that is not in
	// doubt.
	several []autoscale.Replica
	// verdict is what is known before anything was read; OK where the page has to
	// tell.
	verdict autoscale.Verdict
	detail  string
	// hint is said besides where no connection is to be had.
	hint string
}

// targets settles what each URL speaks for, and so which pages are to be read.
func (s *Source) targets(ctx context.Context, replicas []autoscale.Replica) (targets []target, notes []string) {
	expanded := map[string]bool{}
	for _, a := range s.addresses {
		port, _ := a.port() // checked by New
		if !a.perReplica {
			if s.config.Scope == "service" {
				targets = append(targets, s.single(a, nil))
				continue
			}
			owner := publisher(ctx, a, port, replicas)
			if owner == nil {
				targets = append(targets, s.single(a, replicas))
				continue
			}
			if len(replicas) > 1 {
				notes = append(notes, fmt.Sprintf("%s is a port of %s alone; port %d of each of the %d replicas is read instead", a, owner.replica, owner.container, len(replicas)))
			}
			port = owner.container
		}
		// Two URLs may stand for the same pages of the same replicas.
		key := fmt.Sprint(a.url.Scheme, port, a.url.RequestURI())
		if expanded[key] {
			notes = append(notes, fmt.Sprintf("%s stands for the same pages as a URL before it, and is left out", a))
			continue
		}
		expanded[key] = true
		targets = append(targets, perReplica(a, port, replicas)...)
	}
	return targets, notes
}

// single is the page of a URL that is read as it stands.
func (s *Source) single(a address, replicas []autoscale.Replica) target {
	t := target{
		address: a, process: a.String(), label: a.String(), scope: autoscale.ScopeService,
		verdict: autoscale.OK, hint: hint(a, replicas),
	}
	if s.config.Scope != "replica" {
		if len(replicas) > 1 {
			t.several = replicas
		}
		return t
	}
	t.scope = autoscale.ScopeReplica
	switch {
	case len(replicas) == 1:
		t.process, t.label = replicas[0].ID, replicas[0].Name
	case len(replicas) > len(s.addresses):
		t.verdict = autoscale.OneOfSeveral
		t.detail = fmt.Sprintf("--metrics-scope=replica says that the page is one replica's, and %d run; %s", len(replicas), remedy(a, ""))
	}
	return t
}

// remedy says how to have all replicas read.
func remedy(a address, otherwise string) string {
	return fmt.Sprintf("use --metrics-url=%s://{replica}:PORT%s with the port inside the container%s", a.url.Scheme, a.url.EscapedPath(), otherwise)
}

// hint helps where a URL was one replica's published port, and that replica is
// gone or has another port since its restart.
func hint(a address, replicas []autoscale.Replica) string {
	if len(replicas) == 0 || len(replicas[0].Ports) == 0 {
		return ""
	}
	p := replicas[0].Ports[0]
	return fmt.Sprintf("; %s publishes its port %d as %s: --metrics-url=%s://{replica}:%d%s reads every replica, whatever its ports",
		replicas[0].Name, p.Container, p.Host, a.url.Scheme, p.Container, a.url.EscapedPath())
}

// unknownHost helps where the host is a bare name that nobody knows: mostly that
// of a service, which is a name in its own network only.
func unknownHost(a address, err error) string {
	if _, ok := errors.AsType[*net.DNSError](err); !ok || strings.ContainsAny(a.url.Hostname(), ".:") {
		return ""
	}
	port := a.url.Port()
	if port != "" {
		port = ":" + port
	}
	return fmt.Sprintf("; the name of a service is known in its own network only: --metrics-url=%s://{replica}%s%s reads every replica", a.url.Scheme, port, a.url.EscapedPath())
}

// inside helps where no replica accepts a connection: it is told of the first one
// alone, as it is the same for all.
func inside(port uint16, r autoscale.Replica) string {
	text := fmt.Sprintf("; the port in the URL is the one inside the container: does the service listen on %d there, and not on 127.0.0.1 alone?", port)
	var published []string
	for _, p := range r.Ports {
		published = append(published, strconv.Itoa(int(p.Container)))
	}
	if len(published) > 0 {
		text += fmt.Sprintf(" (it publishes %s)", strings.Join(slices.Compact(published), ", "))
	}
	return text
}

// perReplica gives the page of each replica.
func perReplica(a address, port uint16, replicas []autoscale.Replica) []target {
	if len(replicas) == 0 {
		return []target{{
			address: a, process: a.String(), label: a.String(), scope: autoscale.ScopeReplica,
			verdict: autoscale.Unreachable,
			detail:  "no replica of the service runs, or nobody can say which do, so {replica} has no address",
		}}
	}
	targets := make([]target, len(replicas))
	for i, r := range replicas {
		t := target{address: a, process: r.ID, label: r.Name, scope: autoscale.ScopeReplica, verdict: autoscale.OK, replica: r}
		for _, ip := range r.Addrs {
			t.hosts = append(t.hosts, netip.AddrPortFrom(ip, port))
		}
		for _, p := range r.Ports {
			if p.Container == port {
				t.hosts = append(t.hosts, reachable(p.Host))
			}
		}
		if len(t.hosts) == 0 {
			t.verdict = autoscale.Unreachable
			t.detail = fmt.Sprintf("the replica has no address of its own and does not publish its port %d", port)
		}
		if i == 0 {
			t.hint = inside(port, r)
		}
		targets[i] = t
	}
	return targets
}

// reachable turns "every address of the host" into one that can be dialled.
func reachable(host netip.AddrPort) netip.AddrPort {
	switch host.Addr() {
	case netip.IPv4Unspecified():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), host.Port())
	case netip.IPv6Unspecified():
		return netip.AddrPortFrom(netip.IPv6Loopback(), host.Port())
	}
	return host
}

// published is a port of one replica that a URL points at.
type published struct {
	replica   string // its name
	container uint16
}

// publisher finds the replica that itself publishes the URL's host and port; nil
// where none does.
func publisher(ctx context.Context, a address, port uint16, replicas []autoscale.Replica) *published {
	var ips []netip.Addr
	looked := false
	for _, r := range replicas {
		for _, p := range r.Ports {
			if p.Host.Port() != port {
				continue
			}
			if !looked { // names are looked up only where the port fits
				ips, looked = hostAddrs(ctx, a.url.Hostname()), true
			}
			bound := p.Host.Addr().Unmap()
			if slices.ContainsFunc(ips, func(ip netip.Addr) bool { return ip == bound || bound.IsUnspecified() && local(ip) }) {
				return &published{replica: r.Name, container: p.Container}
			}
		}
	}
	return nil
}

// hostAddrs gives the addresses that a host's name stands for. A name that cannot
// be looked up has none: the read itself will say so.
func hostAddrs(ctx context.Context, host string) []netip.Addr {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{reachable(netip.AddrPortFrom(ip.Unmap(), 0)).Addr()}
	}
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	return ips
}

// local reports whether ip is an address of this machine.
func local(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return false // then the URL is read as it stands
	}
	return slices.ContainsFunc(interfaces, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		if !ok {
			return false
		}
		own, ok := netip.AddrFromSlice(n.IP)
		return ok && own.Unmap() == ip
	})
}
