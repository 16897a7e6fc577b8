package compose

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/upstream"
)

// waiting is a replica of that name and health.
func waiting(name string, health autoscale.Health) replica {
	r := replica{Replica: autoscale.Replica{ID: name, Name: name, Health: health}}
	r.found.State.Status = "running"
	return r
}

// TestTaking: h is healthy, n has no check, u is unhealthy, s is starting, r restarts.
func TestTaking(t *testing.T) {
	health := map[byte]autoscale.Health{'h': autoscale.Healthy, 'n': autoscale.HealthNone, 'u': autoscale.Unhealthy, 's': autoscale.HealthStarting, 'r': autoscale.HealthStarting}
	for given, want := range map[string]string{
		"":            "",
		"h1 h2":       "h1, h2",
		"n1 s2":       "n1",
		"h1 u2":       "h1",
		"h1 s2 s3 s4": "h1",
		"h1 u2 u3 s4": "h1, u2, u3", // fewer than half: the load, not they
		"u1 u2":       "u1, u2",
		"u1 s2":       "u1",
		"s1 s2":       "s1, s2", // nobody else is there
		"r1 h2":       "h2",
		"r1":          "r1",
	} {
		var all []replica
		for name := range strings.FieldsSeq(given) {
			r := waiting(name, health[name[0]])
			if name[0] == 'r' {
				r.found.State.Status = "restarting"
			}
			all = append(all, r)
		}
		if got := replicaNames(taking(all)); got != want && !(want == "" && got == "no replica") {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}

// on has the replica on a network.
func (r replica) on(name, ip string) replica {
	if r.found.NetworkSettings.Networks == nil {
		r.found.NetworkSettings.Networks = map[string]struct {
			IPAddress, GlobalIPv6Address string
			Aliases                      []string
		}{}
	}
	network := r.found.NetworkSettings.Networks[name]
	network.IPAddress = ip
	r.found.NetworkSettings.Networks[name] = network
	if addr, err := netip.ParseAddr(ip); err == nil {
		r.Addrs = append(r.Addrs, addr)
	}
	return r
}

func TestServers(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	open := netip.MustParseAddrPort(listener.Addr().String())
	two := waiting("two", autoscale.Healthy).on("shop_back", "127.9.9.9").on("shop_front", "127.0.0.1")
	published := waiting("published", autoscale.Healthy).on("shop_default", "127.9.9.9")
	published.Ports = []autoscale.Port{{Container: 80, Host: open}, {Container: open.Port(), Host: netip.AddrPortFrom(netip.IPv4Unspecified(), open.Port())}}
	bare := waiting("bare", autoscale.Healthy)
	for name, c := range map[string]struct {
		front    Front
		replicas []replica
		want     string // or what the error says
	}{
		"one address is not tried":      {Front{Port: 9}, []replica{waiting("a", "").on("x", "10.9.9.9")}, "10.9.9.9:9"},
		"the first that answers":        {Front{Port: open.Port()}, []replica{two}, open.String()},
		"none answers":                  {Front{Port: 1}, []replica{two}, "127.9.9.9:1"},
		"the network that is named":     {Front{Port: 1, Network: "front"}, []replica{two}, "127.0.0.1:1"},
		"as the engine names it":        {Front{Port: 1, Network: "shop_back"}, []replica{two}, "127.9.9.9:1"},
		"no such network":               {Front{Port: 1, Network: "other"}, []replica{two}, `not on the network "other"`},
		"the published port":            {Front{Port: open.Port(), Network: OnHost}, []replica{published}, open.String()},
		"published, where that answers": {Front{Port: open.Port()}, []replica{published}, open.String()},
		"nothing is published":          {Front{Port: 9, Network: OnHost}, []replica{two}, "publishes no host port for 9"},
		"one that restarts is left out": {Front{Port: 1, Network: "front"}, []replica{two, waiting("b", "").on("shop_front", "")}, "127.0.0.1:1"},
		"nobody has an address":         {Front{Port: 1}, []replica{bare}, "has an address just now"},
		"nobody can tell the port":      {Front{}, []replica{two}, "--upstream-port"},
	} {
		w := &Workload{cfg: Config{Service: "app", Front: c.front}, project: project{name: "shop"}}
		w.seen.replicas = c.replicas
		servers, err := w.servers(t.Context(), c.replicas)
		got := ""
		if err != nil {
			got = err.Error()
		} else if len(servers) == 1 {
			got = servers[0].Addr.String()
		}
		if got != c.want && !(err != nil && strings.Contains(got, c.want)) {
			t.Errorf("%s: %v, %v; want %s", name, servers, err, c.want)
		}
	}
}

// What runs after a move and could not be seen is not what the proxy is told.
func TestMovedUnseen(t *testing.T) {
	dir := t.TempDir()
	w := &Workload{cfg: Config{Service: "app", Tell: func(string) {}, Front: Front{File: "list", Format: upstream.JSON, Port: 1}}, project: project{name: "shop", dir: dir}}
	w.seen.replicas = []replica{waiting("a", autoscale.Healthy).on("x", "10.0.0.2")}
	m := &move{w: w}
	if err := m.moved(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "list")); err == nil {
		t.Error("half of it was told")
	}
	m.sure = true
	if err := m.moved(t.Context()); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "list")); err != nil || !strings.Contains(string(text), "10.0.0.2") {
		t.Errorf("%s, %v", text, err)
	}
}
