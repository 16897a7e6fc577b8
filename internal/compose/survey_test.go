package compose

import (
	"strings"
	"testing"
)

// TestModelled: what Compose rejects for the count alone does not hide what else
// is wrong with the project.
func TestModelled(t *testing.T) {
	const (
		scale  = `*"-f - "*) echo "services.app: can't set distinct values on 'scale' and 'deploy.replicas'" >&2; exit 15;;`
		name   = `*"-f - "*) echo 'services.app: container name must be unique' >&2; exit 15;;`
		listed = `*--services) echo app;;`
		good   = `*) echo '{"services": {"app": {"container_name": "foo", "restart": "always"}}}';;`
		bad    = `*) echo 'no such key: surprise' >&2; exit 15;;`
	)
	for title, c := range map[string]struct {
		cases  []string
		codes  string // of what speaks against it, in order
		remedy string // a part of the first one's
	}{
		"nothing rejected":            {[]string{listed, good}, CodeContainerName, "remove container_name"},
		"scale: beside the count":     {[]string{scale, listed, good}, CodeScale + " " + CodeContainerName, "remove scale:"},
		"beside the override's":       {[]string{"*o.yml*) echo \"distinct values on 'scale'\" >&2; exit 15;;", listed, good}, CodeScale + " " + CodeContainerName, "remove scale:"},
		"a container's name":          {[]string{name, listed, good}, CodeContainerName, `remove container_name`},
		"scale:, and otherwise wrong": {[]string{scale, listed, bad}, CodeScale, "could not be looked at"},
		"otherwise wrong":             {[]string{bad}, CodeRejected, "mend it"},
	} {
		t.Setenv("COMPOSE_FILE", "")
		dir := t.TempDir()
		put(t, dir, map[string]string{"compose.yaml": "services: {}\n", "o.yml": "services: {app: {deploy: {replicas: 2}}}\n"})
		cfg := Config{Service: "app", Dir: dir, OverrideFile: "o.yml", Max: 5}
		p, err := fromFolder(cfg)
		if err != nil {
			t.Fatal(err)
		}
		w := &Workload{cfg: cfg, project: p, compose: composeScript(t, "case \"$*\" in "+strings.Join(c.cases, "\n")+" esac")}
		m, rejected, err := w.modelled(t.Context())
		if err != nil {
			t.Errorf("%s: %v", title, err)
			continue
		}
		problems := []*Problem{rejected}
		if m != nil {
			problems = w.against(*m, rejected)
		}
		var codes []string
		for _, p := range problems {
			codes = append(codes, p.Code)
		}
		if got := strings.Join(codes, " "); got != c.codes || !strings.Contains(problems[0].Remedy, c.remedy) || strings.Contains(problems[0].Fact, "…") {
			t.Errorf("%s: %s: %v, want %s: %s", title, got, problems[0], c.codes, c.remedy)
		}
	}
}

// TestUncarried: where there is no Compose file none is offered to be read beside
// the override.
func TestUncarried(t *testing.T) {
	t.Setenv("COMPOSE_FILE", "")
	for name, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"an empty folder":     {nil, false},
		"the override alone":  {map[string]string{"o.yml": "services: {}\n"}, false},
		"a project":           {map[string]string{"compose.yaml": "services: {}\n"}, true},
		"a project with both": {map[string]string{"compose.yaml": "services: {}\n", "o.yml": "services: {}\n"}, true},
	} {
		dir := t.TempDir()
		put(t, dir, c.files)
		cfg := Config{Service: "app", Dir: dir, OverrideFile: "o.yml"}
		p, err := fromFolder(cfg)
		if err != nil {
			t.Fatal(err)
		}
		w := &Workload{cfg: cfg, project: p}
		if _, _, ok := w.Carry(); ok != c.want || (w.uncarried() != nil) != c.want {
			t.Errorf("%s: offered %v, told %v, want %v", name, ok, w.uncarried() != nil, c.want)
		}
	}
}
