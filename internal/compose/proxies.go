package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale/internal/haproxy"
	"github.com/five-keys/autoscale/internal/nginx"
	"github.com/five-keys/autoscale/internal/upstream"
)

// neighbour is a running container that is not one of the replicas.
type neighbour struct {
	container
	Image, Command  string
	NetworkSettings struct{ Networks map[string]struct{} }
}

// kind is the proxy that a neighbour is: "nginx", "haproxy", "traefik", "caddy";
// empty for none that is known.
func (n neighbour) kind() string {
	for _, kind := range []string{"nginx", "haproxy", "traefik", "caddy"} {
		if strings.Contains(n.Image+" "+n.Command, kind) {
			return kind
		}
	}
	return ""
}

// neighbours are the proxies, of a known kind, that share a network with the
// replicas, and the names under which they find these.
func (w *Workload) neighbours(ctx context.Context) (all []neighbour, names []string, err error) {
	names, networks := w.knownAs()
	if len(networks) == 0 {
		return nil, nil, nil // nothing runs
	}
	if err := w.engine.get(ctx, "/containers/json", nil, &all); err != nil {
		return nil, nil, err
	}
	return slices.DeleteFunc(all, func(n neighbour) bool {
		ours := slices.ContainsFunc(w.seen.replicas, func(r replica) bool { return r.ID == n.ID })
		shared := slices.ContainsFunc(slices.Collect(maps.Keys(n.NetworkSettings.Networks)), func(name string) bool { return slices.Contains(networks, name) })
		return ours || !shared || n.kind() == ""
	}), names, nil
}

// proxies are the problems of proxies that share a network with the replicas and
// look up their names only once.
func (w *Workload) proxies(ctx context.Context, all []neighbour, names []string) (problems []*Problem, err error) {
	for _, n := range all {
		var found []*Problem
		switch n.kind() {
		case "nginx":
			found, err = w.engine.nginxOnce(ctx, n, names)
		case "haproxy":
			found, err = w.engine.haproxyOnce(ctx, n, names)
		}
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	return problems, nil
}

// knownAs are the names under which others find the replicas, and the networks
// on which they do.
func (w *Workload) knownAs() (names, networks []string) {
	names = []string{w.cfg.Service}
	for _, r := range w.seen.replicas {
		names = append(names, r.Name)
		for name, network := range r.found.NetworkSettings.Networks {
			networks = append(networks, name)
			names = append(names, network.Aliases...)
		}
	}
	return names, networks
}

// lookAgain is for how long what was seen of the proxies in front is taken to be
// so: their configuration is read out of their containers, which a daemon need not
// do at each step.
const lookAgain = time.Minute

// ahead is what was seen of the proxies in front.
type ahead struct {
	at       time.Time
	warnings []string
	remedy   string
}

// lookAhead looks at the proxies in front, for each run: what is wrong with them,
// and how they come to see a replica that they do not. What cannot be looked at is
// no reason to end a run.
func (w *Workload) lookAhead(ctx context.Context, now time.Time) {
	if w.cfg.Max < 2 || now.Sub(w.ahead.at) < lookAgain {
		return
	}
	all, names, err := w.neighbours(ctx)
	if err != nil {
		return
	}
	w.ahead = ahead{at: now, remedy: w.seeing(all)}
	problems, err := w.proxies(ctx, all, names)
	if err != nil {
		return
	}
	for _, p := range problems {
		w.ahead.warnings = append(w.ahead.warnings, p.Error())
	}
}

// seeing says how the proxy in front comes to see a replica that it does not.
func (w *Workload) seeing(all []neighbour) string {
	if f := w.cfg.Front; f.File != "" {
		return fmt.Sprintf("look whether it reads %s, and at its log whether it could", w.ListPath())
	}
	if len(all) == 0 {
		return fmt.Sprintf("have it look service %q up again and again, or list the replicas for it with --upstream-file (docs/proxies.md)", w.cfg.Service)
	}
	n := all[0]
	switch n.kind() {
	case "nginx":
		return fmt.Sprintf("%s is nginx: %s", n.display(), nginxRemedy(w.cfg.Service, n))
	case "haproxy":
		return fmt.Sprintf("%s is HAProxy: %s", n.display(), haproxyRemedy(w.cfg.Service, n))
	case "traefik":
		return fmt.Sprintf(`%s is Traefik: with its Docker provider look at the labels of service %q and the network that traefik.docker.network names; with its file provider list the replicas with --upstream-file=…/%s.yml --upstream-format=traefik`, n.display(), w.cfg.Service, w.cfg.Service)
	}
	return fmt.Sprintf(`%s is Caddy: have it look again, with "dynamic a %s PORT { refresh 1s }" in reverse_proxy`, n.display(), w.cfg.Service)
}

// nginxRemedy says what an nginx needs in order to see all replicas of a name.
func nginxRemedy(name string, n neighbour) string {
	return `have it look again: "resolver 127.0.0.11 valid=5s;" and "set $backend ` + name + `; proxy_pass http://$backend:PORT;", or from nginx 1.27.3 on "server ` + name +
		`:PORT resolve;" in an upstream with a zone; or list the replicas for it, with --upstream-file=…/` + name + `.conf --upstream-format=nginx ` +
		`--on-change='docker compose exec -T ` + n.service() + ` nginx -s reload' (docs/proxies.md)`
}

// haproxyRemedy is nginxRemedy of a HAProxy.
func haproxyRemedy(name string, n neighbour) string {
	return `have it look again: "resolvers docker" with "nameserver dns 127.0.0.11:53", and "server-template app 10 ` + name + `:PORT resolvers docker init-addr none"; ` +
		`or list the replicas for it, with --upstream-file=…/` + name + `.cfg --upstream-format=haproxy --on-change='docker compose kill -s USR2 ` + n.service() + `' (docs/proxies.md)`
}

// service is what Compose calls the container's service.
func (n neighbour) service() string {
	if name := n.Labels[labelService]; name != "" {
		return name
	}
	return n.display()
}

// defaultConf is what nginx reads where its command names no other file.
const defaultConf = "/etc/nginx/nginx.conf"

// namedConf finds nginx's own option -c in a command, behind none but options of
// nginx. A shell has a -c as well, and the official image is often run by one:
// sh -c 'while :; do sleep 6h; nginx -s reload; done & nginx -g "daemon off;"'.
var namedConf = regexp.MustCompile(`(?:^|[\s"'/;&|(])nginx(?:-debug)?(?:\s+-[gpe]\s+(?:"[^"]*"|'[^']*'|[^\s"';&|]+))*\s+-c\s+["']?(/[^\s"';&|)]+)`)

// nginxConf is the file that the nginx of a container's command reads first.
func nginxConf(command string) string {
	if found := namedConf.FindStringSubmatch(command); found != nil {
		return path.Clean(found[1])
	}
	return defaultConf
}

// nginxOnce reads an nginx's configuration out of its container, in which nothing
// is run for that.
func (e *engine) nginxOnce(ctx context.Context, n neighbour, names []string) (problems []*Problem, err error) {
	conf := nginxConf(n.Command)
	files, err := e.beside(ctx, n.ID, conf)
	if err != nil {
		return nil, err
	}
	places, err := nginx.ResolvedOnce(conf, files, names)
	if err != nil {
		return nil, nil // another kind of nginx, or it keeps it elsewhere: nothing is known of it
	}
	for _, p := range places {
		if upstream.Marked(files[p.File]) {
			continue // the list that this run is about to write
		}
		problems = append(problems, &Problem{
			Code: CodeProxy,
			Fact: fmt.Sprintf("nginx in %s looks up %q once, when it starts (%s:%d: %s): it goes on asking replicas that are gone, and never asks new ones",
				n.display(), p.Name, p.File, p.Line, p.Directive),
			Remedy: nginxRemedy(p.Name, n),
		})
	}
	return problems, nil
}

// haproxyConfs finds the files that a HAProxy's command names.
var haproxyConfs = regexp.MustCompile(`\s-f\s+["']?(/[^\s"';&|)]+)`)

// haproxyOnce is nginxOnce of a HAProxy.
func (e *engine) haproxyOnce(ctx context.Context, n neighbour, names []string) (problems []*Problem, err error) {
	confs := []string{"/usr/local/etc/haproxy/haproxy.cfg"} // the official image's
	if found := haproxyConfs.FindAllStringSubmatch(n.Command, -1); found != nil {
		confs = nil
		for _, f := range found {
			confs = append(confs, path.Clean(f[1]))
		}
	}
	for _, conf := range confs {
		files, err := e.beside(ctx, n.ID, conf)
		if err != nil {
			return nil, err
		}
		if upstream.Marked(files[conf]) {
			continue
		}
		for _, p := range haproxy.ResolvedOnce(string(files[conf]), names) {
			problems = append(problems, &Problem{
				Code: CodeProxy,
				Fact: fmt.Sprintf("HAProxy in %s looks up %q once, when it starts (%s:%d: %s): it goes on asking a replica that is gone, and never asks new ones",
					n.display(), p.Name, conf, p.Line, p.Directive),
				Remedy: haproxyRemedy(p.Name, n),
			})
		}
	}
	return problems, nil
}

// beside are the files in the folder of one in a container, which is not the root's;
// none where there is no such folder.
func (e *engine) beside(ctx context.Context, id, file string) (map[string][]byte, error) {
	folder := path.Dir(file)
	if folder == "/" {
		folder = file // not the whole container
	}
	files, err := e.files(ctx, id, folder)
	if errors.Is(err, errGone) {
		return nil, nil // it keeps it elsewhere, or went
	}
	return files, err
}
