package compose

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/five-keys/autoscale/internal/nginx"
)

// maxConfiguration bounds what is read of a proxy's configuration, in bytes.
const maxConfiguration = 16 << 20

// neighbour is a running container that is not one of the replicas.
type neighbour struct {
	container
	Image, Command  string
	NetworkSettings struct{ Networks map[string]struct{} }
}

// proxies are the problems of nginx containers that share a network with the
// replicas and look up their names only once.
func (w *Workload) proxies(ctx context.Context) (problems []*Problem, err error) {
	names, networks := w.knownAs()
	if len(networks) == 0 {
		return nil, nil // nothing runs
	}
	var all []neighbour
	if err := w.engine.get(ctx, "/containers/json", nil, &all); err != nil {
		return nil, err
	}
	for _, n := range all {
		ours := slices.ContainsFunc(w.seen.replicas, func(r replica) bool { return r.ID == n.ID })
		shared := slices.ContainsFunc(slices.Collect(maps.Keys(n.NetworkSettings.Networks)), func(name string) bool { return slices.Contains(networks, name) })
		if ours || !shared || !strings.Contains(n.Image+" "+n.Command, "nginx") {
			continue
		}
		found, err := w.engine.resolvedOnce(ctx, n, names)
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

// resolvedOnce reads an nginx's configuration out of its container, in which
// nothing is run for that.
func (e *engine) resolvedOnce(ctx context.Context, n neighbour, names []string) (problems []*Problem, err error) {
	conf := nginxConf(n.Command)
	folder := path.Dir(conf)
	if folder == "/" {
		folder = conf // not the whole container
	}
	files, err := e.files(ctx, n.ID, folder)
	if errors.Is(err, errGone) {
		return nil, nil // it keeps it elsewhere, or went
	}
	if err != nil {
		return nil, err
	}
	places, err := nginx.ResolvedOnce(conf, files, names)
	if err != nil {
		return nil, nil // another kind of nginx: nothing is known of it
	}
	for _, p := range places {
		problems = append(problems, &Problem{
			Code: CodeProxy,
			Fact: fmt.Sprintf("nginx in %s looks up %q once, when it starts (%s:%d: %s): it goes on asking replicas that are gone, and never asks new ones",
				n.display(), p.Name, p.File, p.Line, p.Directive),
			Remedy: `have it look again: "resolver 127.0.0.11 valid=5s;" and "set $backend ` + p.Name + `; proxy_pass http://$backend:PORT;", or from nginx 1.27.3 on "server ` + p.Name + `:PORT resolve;" in an upstream with a zone`,
		})
	}
	return problems, nil
}

// files are the regular files at or below a path in a container, by absolute
// path.
func (e *engine) files(ctx context.Context, id, folder string) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	u := url.URL{Scheme: "http", Host: "docker", Path: "/containers/" + id + "/archive", RawQuery: url.Values{"path": {folder}}.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := e.client.Do(request)
	if err != nil {
		return nil, engineError(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		// It says what is not there; the rest of it is no concern of ours.
		return nil, fmt.Errorf("%s in %s: %w", folder, id, errGone)
	}
	return untar(io.LimitReader(response.Body, maxConfiguration), path.Dir(folder))
}

// untar reads the regular files of an archive whose names count from root, and
// follows its links. One that is cut short has those before the cut.
func untar(from io.Reader, root string) (map[string][]byte, error) {
	files, links := map[string][]byte{}, map[string]string{}
	archive := tar.NewReader(from)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("compose: the engine's archive cannot be read: %w", err)
		}
		name := path.Join(root, header.Name)
		switch header.Typeflag {
		case tar.TypeReg:
			text, err := io.ReadAll(archive)
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, fmt.Errorf("compose: the engine's archive cannot be read: %w", err)
			}
			files[name] = text
		case tar.TypeSymlink:
			links[name] = header.Linkname
		}
	}
	for name, to := range links {
		if !path.IsAbs(to) {
			to = path.Join(path.Dir(name), to)
		}
		if text, ok := files[to]; ok {
			files[name] = text
		}
	}
	return files, nil
}
