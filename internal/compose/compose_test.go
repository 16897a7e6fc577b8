package compose

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// one is a container as the engine lists it.
func one(project, dir, state, number string) container {
	return container{ID: project + number, Names: []string{"/" + project + "-app-" + number}, State: state,
		Labels: map[string]string{labelProject: project, labelDir: dir, labelNumber: number}}
}

func TestChoose(t *testing.T) {
	here, there := t.TempDir(), t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(here, link); err != nil {
		t.Fatal(err)
	}
	shop, blog := one("shop", here, "running", "1"), one("blog", there, "running", "1")
	for name, c := range map[string]struct {
		cfg  Config
		all  []container
		want string
		err  string
	}{
		"what runs in the folder":           {Config{Dir: here}, []container{blog, shop}, "shop", ""},
		"the folder through a link":         {Config{Dir: link}, []container{shop}, "shop", ""},
		"nothing runs":                      {Config{Dir: here}, nil, "", ""},
		"only elsewhere":                    {Config{Dir: here}, []container{blog}, "", ""},
		"stopped here":                      {Config{Dir: here}, []container{one("shop", here, "exited", "1")}, "", ""},
		"named, elsewhere":                  {Config{Dir: here, ProjectName: "blog"}, []container{blog}, "blog", ""},
		"named, not started":                {Config{Dir: here, ProjectName: "new"}, []container{blog}, "new", ""},
		"named otherwise than what runs":    {Config{Dir: here, ProjectName: "new"}, []container{shop}, "", `--project-name says project "new", but what runs in ` + here + ` is project "shop"`},
		"the environment names it so":       {Config{Dir: here, ProjectName: "new", NameFromEnv: true}, []container{shop}, "", "COMPOSE_PROJECT_NAME says"},
		"named, but in another folder":      {Config{Dir: here, DirGiven: true, ProjectName: "blog"}, []container{blog}, "", "was started in " + there},
		"two projects of one folder":        {Config{Dir: here}, []container{shop, one("copy", here, "running", "1")}, "", "copy and shop both run"},
		"two of one folder, one of them up": {Config{Dir: here}, []container{shop, one("copy", here, "exited", "1")}, "shop", ""},
	} {
		got, err := choose(c.cfg, c.all)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v; want %q, %q", name, got, err, c.want, c.err)
		}
	}
}

func TestFromLabels(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	with := func(files, env string) container {
		c := one("shop", dir, "running", "1")
		c.Labels[labelFiles], c.Labels[labelEnvironment] = files, env
		return c
	}
	cfg := Config{Service: "app", Dir: dir, OverrideFile: "deploy/o.yml"}

	p, err := fromLabels(cfg, "shop", []container{with(in("compose.yaml")+","+in("extra.yaml")+",/tmp/"+pinPrefix+"1.yaml", in("prod.env"))})
	if want := []string{in("compose.yaml"), in("extra.yaml"), in("deploy/o.yml")}; err != nil || !slices.Equal(p.files, want) || p.carried || !slices.Equal(p.envFiles, []string{in("prod.env")}) {
		t.Errorf("%+v, %v", p, err)
	}
	if want := "COMPOSE_FILE=compose.yaml:extra.yaml:deploy/o.yml"; p.remedy() != want {
		t.Errorf("remedy %q, want %q", p.remedy(), want)
	}
	p, err = fromLabels(cfg, "shop", []container{with(in("deploy/o.yml")+","+in("compose.yaml"), "")})
	if want := []string{in("deploy/o.yml"), in("compose.yaml")}; err != nil || !slices.Equal(p.files, want) || !p.carried {
		t.Errorf("an override that is among them stays where it is: %+v, %v", p, err)
	}
	cfg.Files = []string{"other.yaml"}
	if _, err = fromLabels(cfg, "shop", []container{with(in("compose.yaml"), "")}); err == nil || !strings.Contains(err.Error(), "--file says") {
		t.Errorf("another --file: %v", err)
	}
	cfg.Files = []string{"compose.yaml", "deploy/o.yml"}
	if _, err = fromLabels(cfg, "shop", []container{with(in("compose.yaml"), "")}); err != nil {
		t.Errorf("the same --file: %v", err)
	}
}

func TestFromFolder(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("COMPOSE_FILE", "")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files := func(cfg Config) string {
		t.Helper()
		cfg.Dir, cfg.OverrideFile = dir, "o.yml"
		p, err := fromFolder(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range p.files {
			names = append(names, filepath.Base(f))
		}
		return strings.Join(names, " ")
	}
	if got := files(Config{}); got != "o.yml" {
		t.Errorf("an empty folder: %s", got)
	}
	write("docker-compose.yml", "")
	write("docker-compose.override.yml", "")
	if got := files(Config{}); got != "docker-compose.yml docker-compose.override.yml o.yml" {
		t.Errorf("the override that Compose loads by itself: %s", got)
	}
	write("compose.yaml", "")
	if got := files(Config{}); got != "compose.yaml o.yml" {
		t.Errorf("the name that goes first: %s", got)
	}
	write(".env", "COMPOSE_PATH_SEPARATOR=;\nCOMPOSE_FILE=a.yaml;o.yml;b.yaml\n")
	if got := files(Config{}); got != "a.yaml o.yml b.yaml" {
		t.Errorf("COMPOSE_FILE of .env: %s", got)
	}
	if got := files(Config{Files: []string{"c.yaml"}}); got != "c.yaml o.yml" {
		t.Errorf("--file: %s", got)
	}
	write(".env", "A=\"without an end\n")
	if _, err := fromFolder(Config{Dir: dir, OverrideFile: "o.yml"}); err == nil {
		t.Error("an .env that cannot be read was passed over")
	}
}

func TestVictims(t *testing.T) {
	replicaOf := func(number, status string, health autoscale.Health) replica {
		r := replica{listed: one("shop", "/", "running", number), Replica: autoscale.Replica{Name: number, Health: health}}
		r.found.State.Status = status
		return r
	}
	all := []replica{
		replicaOf("1", "running", autoscale.Unhealthy), replicaOf("2", "running", autoscale.Healthy), replicaOf("3", "restarting", autoscale.HealthNone),
		replicaOf("9", "running", autoscale.HealthNone), replicaOf("10", "running", autoscale.Healthy), replicaOf("11", "running", autoscale.HealthStarting),
	}
	for count, want := range map[int]string{5: "11", 4: "11 3", 3: "11 3 1", 2: "11 3 1 10", 1: "11 3 1 10 9", 0: "11 3 1 10 9 2"} {
		leave, stay := victims(all, count)
		var names []string
		for _, r := range leave {
			names = append(names, r.Name)
		}
		if got := strings.Join(names, " "); got != want || len(stay) != count {
			t.Errorf("down to %d: %s leave, want %s", count, got, want)
		}
	}
}

func TestJudgeNewReplica(t *testing.T) {
	look := func(status string, restarts int, health string, started time.Time) details {
		var d details
		d.State.Status, d.RestartCount, d.State.StartedAt = status, restarts, started
		if health != "" {
			d.State.Health = &struct {
				Status string
				Log    []struct{ Output string }
			}{Status: health}
		}
		return d
	}
	now, old := time.Now(), time.Now().Add(-time.Minute)
	for name, c := range map[string]struct {
		d       details
		watched time.Duration
		want    progress
	}{
		"young without a check":      {look("running", 0, "", now), time.Hour / 100, coming},
		"ten seconds without one":    {look("running", 0, "", old), 11 * time.Second, up},
		"seen too shortly":           {look("running", 0, "", old), 9 * time.Second, coming},
		"restarted once":             {look("running", 1, "", old), time.Second, down},
		"restarting":                 {look("restarting", 0, "starting", old), time.Second, down},
		"exited":                     {look("exited", 0, "", old), time.Second, down},
		"never started":              {look("created", 0, "", time.Time{}), time.Second, down},
		"dead":                       {look("dead", 0, "", old), time.Second, down},
		"healthy":                    {look("running", 0, "healthy", now), time.Second, up},
		"unhealthy":                  {look("running", 0, "unhealthy", old), time.Second, down},
		"starting":                   {look("running", 0, "starting", old), time.Second, coming},
		"starting when time is over": {look("running", 0, "starting", old), time.Hour, late},
		"healthy after a restart":    {look("running", 2, "healthy", now), time.Second, down},
	} {
		if got, reason := judge(c.d, c.watched, time.Minute); got != c.want {
			t.Errorf("%s: %v (%s), want %v", name, got, reason, c.want)
		}
	}
}

func TestWait(t *testing.T) {
	check := func(interval, start time.Duration, retries int) (d details) {
		d.Config.Healthcheck = &struct {
			Test                  []string
			Interval, StartPeriod time.Duration
			Retries               int
		}{Interval: interval, StartPeriod: start, Retries: retries}
		return d
	}
	w := &Workload{}
	for want, d := range map[time.Duration]details{
		time.Minute:       {},
		90 * time.Second:  check(0, 0, 0), // the engine's defaults: 30 s, three times
		61 * time.Second:  check(2*time.Second, 51*time.Second, 5),
		120 * time.Second: check(0, 30*time.Second, 0),
	} {
		if got := w.wait(d); got != want {
			t.Errorf("%+v: %v, want %v", d.Config.Healthcheck, got, want)
		}
	}
	if got := w.wait(check(time.Second, time.Second, 1)); got != time.Minute {
		t.Errorf("shorter than 60 s: %v", got)
	}
	w.cfg.Wait = time.Second
	if got := w.wait(details{}); got != time.Second {
		t.Errorf("--wait: %v", got)
	}
}

func TestCheckPort(t *testing.T) {
	w := &Workload{cfg: Config{Service: "app"}}
	for published, err := range map[string]string{
		"": "", "0": "", "8000-8004": "",
		"8000":      `compose: service "app" publishes host port 8000, so only one replica can start; use a range (8000-8010:80) and read every replica with {replica}, or drop the port and put a proxy in front`,
		"8000-8003": "enough for 4 replicas, but 5 are wanted; widen the range to 8000-8004",
		"x":         "which is no port", "8000-x": "which is no range",
	} {
		if got := w.checkPort(published, 80, 5); (got == nil) != (err == "") || got != nil && !strings.Contains(got.Error(), err) {
			t.Errorf("%q: %v, want %q", published, got, err)
		}
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]bool{"2.20.0": true, "2.20.3-desktop.1": true, "2.100.0": true, "5.6.0": true, "2.19.9": false, "1.29.2": false, "": false, "dev": false} {
		if newEnough(version) != want {
			t.Errorf("%q: new enough is %v", version, !want)
		}
	}
}

// A docker command that says why it cannot connect is heard.
func TestEngineSilent(t *testing.T) {
	docker := filepath.Join(t.TempDir(), "docker")
	if err := os.WriteFile(docker, []byte("#!/bin/sh\necho 'permission denied while trying to connect' >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Find(t.Context(), Config{Service: "app", Dir: t.TempDir(), Docker: docker, Apply: ApplyAlways})
	if err == nil || !strings.Contains(err.Error(), "the Docker Engine does not answer: permission denied while trying to connect") {
		t.Errorf("%v", err)
	}
}
