package schedule

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCrontabEntries: every line that may decide on the service is found, and
// only what is surely another's is not.
func TestCrontabEntries(t *testing.T) {
	w := Workload{Service: "app", Dir: "/srv/bot"}
	for line, want := range map[string]string{ // "": left out; acts; still; with the rhythm
		`*/2 * * * * cd /srv/bot && /usr/bin/python3 tools/autoscale.py --provider=compose >> /x 2>&1`:  "acts 2m0s",
		`* * * * * cd /srv/bot && PATH=/x DOCKER_HOST=y autoscale --provider=compose --max-up=50\% >>x`: "acts 1m0s",
		`@hourly cd /srv/bot; flock -n /tmp/x autoscale --provider compose`:                             "acts 1h0m0s",
		`5 4 * * 1 bash -c "cd /srv/bot && exec autoscale --service=app"`:                               "acts 0s",
		`* * * * * autoscale --provider=compose --project-dir=/srv/bot`:                                 "acts 1m0s",
		`* * * * * autoscale --provider=compose --project-dir /srv/bot/`:                                "acts 1m0s",
		`* * * * * autoscale --provider=compose`:                                                        "acts 1m0s", // who knows where
		`* * * * * cd ~/bot && autoscale --provider=compose`:                                            "acts 1m0s",
		`* * * * * cd "$HOME" && autoscale --provider=compose`:                                          "acts 1m0s",
		`* * * * * cd /srv/bot && autoscale --mode=observe`:                                             "still 1m0s",
		`* * * * * cd /srv/bot && autoscale --dry-run`:                                                  "still 1m0s",
		`* * * * * cd /srv/bot && autoscale "`:                                                          "acts 1m0s", // no shell reads it
		`* * * * * cd /srv/other && autoscale --provider=compose`:                                       "",
		`* * * * * cd /srv/bot && autoscale --service=web`:                                              "",
		`* * * * * cd /srv/bot && autoscale --service web`:                                              "",
		`* * * * * cd /srv/bot && autoscale --provider=k8s`:                                             "",
		`* * * * * cd /srv/bot && autoscale status`:                                                     "",
		`# * * * * * cd /srv/bot && autoscale`:                                                          "",
		`AUTOSCALE=autoscale`:                                                                           "",
		`* * * * * bash -lc "cd /srv/bot && autoscale --provider=compose"`:                              "acts 1m0s",
		`* * * * * bash -o pipefail -c "cd /srv/bot && autoscale --provider=compose | x"`:               "acts 1m0s",
		`* * * * * su - deploy -c "cd bot && autoscale --provider=compose"`:                             "acts 1m0s",
		`* * * * * flock -n /tmp/l -c "cd /srv/bot && autoscale --provider=compose"`:                    "acts 1m0s",
		`* * * * * eval "cd /srv/bot; autoscale --provider=compose"`:                                    "acts 1m0s",
		`* * * * * cd $HOME/bot && autoscale --provider=compose`:                                        "acts 1m0s",
		`* * * * * cd /srv/$P && autoscale --provider=compose`:                                          "acts 1m0s",
		`* * * * * autoscale --provider=compose --project-dir=$HOME/bot`:                                "acts 1m0s",
		`* * * * * cd /srv/bot && autoscale --provider=compose --service=$S`:                            "acts 1m0s",
		`* * * * * cd /srv/bot && $AUTOSCALE --provider=compose`:                                        "acts 1m0s",
		`* * * * * cd /srv/bot && /opt/autoscale-1.2 --provider=compose`:                                "acts 1m0s",
		`* * * * * cd /srv/bot && (cd /srv/web && ./warm.sh); autoscale`:                                "acts 1m0s",
		`* * * * * cd /srv/bot || cd /srv/old; autoscale --provider=compose`:                            "acts 1m0s",
		`* * * * * cd /srv/bot || exit 1; autoscale --provider=compose`:                                 "acts 1m0s",
		`* * * * * cd /srv/web || exit 1; autoscale --provider=compose`:                                 "",
		`* * * * * cd /srv/web && cd - && autoscale --provider=compose`:                                 "acts 1m0s",
		`* * * * * cd / && env -C /srv/bot autoscale --provider=compose`:                                "acts 1m0s",
		`* * * * * cd /srv/web && export A=b && autoscale --provider=compose`:                           "",
		`* * * * * if cd /srv/web; then autoscale --provider=compose; fi`:                               "acts 1m0s",
		`* * * * * time autoscale --provider=compose --project-dir=/srv/bot`:                            "acts 1m0s",
		`* * * * * echo $(cd /srv/bot && autoscale --provider=compose)`:                                 "acts 1m0s",
		`* * * * * cd /srv/bot && autoscale --provider=compose --dry-run=false`:                         "acts 1m0s",
		`* * * * * cd /srv/bot && autoscale --provider=compose --mode=observe --mode=auto`:              "acts 1m0s",
		`* * * * * cd /opt/ops && autoscale -p bot --provider=compose`:                                  "acts 1m0s", // it may run in /srv/bot
		`* * * * * cd /opt && COMPOSE_PROJECT_NAME=bot autoscale --provider=compose`:                    "acts 1m0s",
		`* * * * * systemctl start autoscale.service`:                                                   "acts 1m0s",
		`* * * * * cd /srv/autoscale && ./backup.sh`:                                                    "",
		`* * * * * tar czf x.tgz /home/me/autoscale`:                                                    "",
		`* * * * * find /var/log/autoscale -delete`:                                                     "",
		`* * * * * systemctl restart autoscale`:                                                         "",
		`* * * * * docker restart autoscale`:                                                            "",
		`* * * * * cat /var/log/autoscale.log`:                                                          "",
		`* * * *`:                                                                                       "",
		`* * * * * true % cd /srv/bot && autoscale`:                                                     "",
	} {
		got := ""
		for _, e := range (crontab{where: "x", text: line + "\n"}).entries(w) {
			got = map[bool]string{true: "acts ", false: "still "}[e.Acts] + e.Every.String()
			if e.Ours || e.Edited || e.Text != line {
				t.Errorf("%s: %+v", line, e)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	named := crontab{text: "* * * * * root cd /srv/bot && autoscale\n", named: true}
	if got := named.entries(w); len(got) != 1 || !got[0].Acts {
		t.Errorf("%+v", got)
	}
}

// TestOurLines: our own line is known by its marker, and a changed one as that.
func TestOurLines(t *testing.T) {
	j := seeds()
	j.System = false
	line, err := j.Cron()
	if err != nil {
		t.Fatal(err)
	}
	lines := j.mark(line) + "\n" + line + "\n"
	var removed []string
	table := crontab{where: "x", text: "# mine\nA=b\n" + lines + "1 2 3 4 5 other\n", remove: func(_ context.Context, lines string) error {
		removed = append(removed, lines)
		return nil
	}}
	found := table.entries(j.Workload)
	if len(found) != 1 || !found[0].Ours || found[0].Edited || !found[0].Acts {
		t.Fatalf("%+v", found)
	}
	if err := found[0].Remove(t.Context()); err != nil || !slices.Equal(removed, []string{lines}) {
		t.Errorf("%v %q", err, removed)
	}
	renamed := table
	renamed.text = strings.Replace(table.text, j.Command[0], "/opt/scaler", 1)
	if e := renamed.entries(j.Workload); len(e) != 1 || !e[0].Edited || !e[0].Acts {
		t.Errorf("one that calls something else: %+v", e)
	}
	if other := (crontab{text: "* * * * * cd /srv/bot && autoscale --provider=k8s\n* * * * * cd /srv/bot && autoscale --provider=compose\n"}).entries(Workload{Service: "app", Dir: "/srv/bot", Provider: "k8s"}); len(other) != 1 {
		t.Errorf("on Kubernetes %v", other)
	}
	if other := table.entries(Workload{Service: "web", Dir: "/srv/bot"}); len(other) != 0 {
		t.Errorf("another service's: %+v", other)
	}
	table.text = strings.Replace(table.text, "--max=5", "--max=9", 1)
	found = table.entries(j.Workload)
	if len(found) != 1 || found[0].Ours || !found[0].Edited || found[0].Remove(t.Context()) == nil {
		t.Errorf("%+v", found)
	}
	for _, c := range []struct {
		e    Entry
		kind string
		says string
	}{
		{found[0], KindCron, "was changed since"},
		{Entry{Ours: true, Kind: KindCron, Where: "/etc/cron.d/autoscale"}, KindCron, "scheduled already"},
		{Entry{Ours: true, Kind: KindCron, Where: "crontab of " + userName()}, KindSystemd, "scheduled already"},
		{Entry{Acts: true, Kind: KindCron, Where: "/etc/crontab"}, KindCron, "by somebody else"},
		{Entry{Kind: KindCron, Where: "/etc/crontab"}, KindCron, ""},
		{Entry{Ours: true, Acts: true, Kind: KindCron, Where: "crontab of " + userName()}, KindCron, ""},
	} {
		_, err := j.replaces([]Entry{c.e}, c.kind)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.e, err, c.says)
		}
	}
}

// TestNextRun: by the clock on the wall, also where that jumps.
func TestNextRun(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 24, 10, 5, 30, 0, time.UTC)
	for _, c := range []struct {
		at         time.Time
		line, want string
	}{
		{at, "* * * * *", "24 10:06"}, {at, "*/2 * * * *", "24 10:06"}, {at, "*/30 * * * *", "24 10:30"}, {at, "0 */6 * * *", "24 12:00"},
		{at, "@hourly", "24 11:00"}, {at, "0 0 * * *", "25 00:00"}, {at, "*/45 * * * *", "24 10:45"}, {at, "7 3 * * 1", "01 00:00"},
		{time.Date(2026, 3, 29, 1, 30, 0, 0, berlin), "0 */6 * * *", "29 06:00"},
		{time.Date(2026, 10, 25, 0, 30, 0, 0, berlin), "0 0 * * *", "26 00:00"},
	} {
		if got := nextRun(c.at, strings.Fields(c.line)).Format("02 15:04"); got != c.want {
			t.Errorf("%s: %s, want %s", c.line, got, c.want)
		}
	}
}

// TestEnvironment: only what the scheduler does not give by itself is written,
// and nothing that may be secret.
func TestEnvironment(t *testing.T) {
	env, warnings := Environment([]string{"PATH=/nowhere", "HOME=/nowhere", "DOCKER_HOST=unix:///x", "COMPOSE_FILE=a:b", "DOCKER_PASSWORD=p", "DOCKER_TLS=", "TERM=x"}, KindSystemd, true, ComposeTools("no-such-docker"))
	if !slices.Equal(env, []string{"COMPOSE_FILE=a:b", "DOCKER_HOST=unix:///x"}) || len(warnings) != 1 || strings.Contains(warnings[0], "=p") {
		t.Errorf("%q %q", env, warnings)
	}
	dir := t.TempDir()
	putProgram(t, dir, "docker")
	env, _ = Environment([]string{"PATH=/nowhere:" + dir}, KindCron, false, ComposeTools("docker"))
	if !slices.Equal(env, []string{"PATH=/nowhere:" + dir}) {
		t.Errorf("%q", env)
	}
	if env, _ := Environment([]string{"PATH=/a:" + dir + ":/a:" + dir}, KindCron, false, ComposeTools("docker")); !slices.Equal(env, []string{"PATH=/a:" + dir}) {
		t.Errorf("%q", env)
	}
	// Where docker is not to be found here, this PATH is no help.
	if env, _ := Environment([]string{"PATH=/nowhere"}, KindCron, false, ComposeTools("docker")); len(env) != 0 {
		t.Errorf("%q", env)
	}
	if env, _ := Environment([]string{"PATH=/nowhere:" + dir}, KindCron, false, ComposeTools(dir+"/docker")); len(env) != 0 {
		t.Errorf("%q", env)
	}
}

// TestEnvironmentOfKubernetes: kubectl's own.
func TestEnvironmentOfKubernetes(t *testing.T) {
	dir := t.TempDir()
	putProgram(t, dir, "kubectl")
	env, _ := Environment([]string{"PATH=/nowhere:" + dir, "KUBECONFIG=/k", "DOCKER_HOST=x"}, KindCron, false, KubernetesTools("kubectl"))
	if !slices.Equal(env, []string{"PATH=/nowhere:" + dir, "KUBECONFIG=/k"}) {
		t.Errorf("%q", env)
	}
}

// TestScripts: a script that a line runs is looked into.
func TestScripts(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]int{
		"#!/bin/sh\ncd /srv/bot\nexec autoscale --provider=compose \"$@\"\n": 1,
		"#!/bin/sh\ncd /srv/web\nexec autoscale --provider=compose\n":        0,
		"#!/bin/sh\n# backs up what autoscale writes\ntar c /srv\n":          0,
		"#!/bin/sh\nif autoscale \"\n":                                       1, // no shell reads it
	} {
		path := filepath.Join(dir, "scale.sh")
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{path, "cd " + dir + " && ./scale.sh", "nice sh -e " + path, "bash -c 'cd " + dir + " && sh scale.sh'"} {
			if got := (crontab{text: "* * * * * " + line + "\n"}).entries(Workload{Service: "app", Dir: "/srv/bot"}); len(got) != want {
				t.Errorf("%s: %q: %+v", line, text, got)
			}
		}
	}
}

// FuzzCrontabEntries: no crontab makes it panic.
func FuzzCrontabEntries(f *testing.F) {
	f.Add("* * * * * cd /x && autoscale\n")
	f.Add("@daily sh -c 'sh -c \"autoscale $(x)\"'\n")
	f.Add(seeds().mark("x") + "\nx\n")
	f.Fuzz(func(_ *testing.T, text string) {
		w := Workload{Service: "app", Dir: "/srv/bot"}
		crontab{text: text}.entries(w)
		crontab{text: text, named: true, remove: func(context.Context, string) error { return nil }}.entries(w)
	})
}
