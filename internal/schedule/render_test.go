package schedule

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// seeds is the job of the first users' own description.
func seeds() Job {
	return Job{
		Workload: Workload{Service: "app", Dir: "/srv/bot"}, Name: "five-keys", Unit: "autoscale", Every: 2 * time.Minute, Folder: "/srv/bot",
		Command: []string{"/usr/local/bin/autoscale", "--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--cooldown=180"},
		Log:     "/var/log/five-keys-autoscale.log", Writable: []string{"/srv/bot/deploy", "/srv/bot/tools", "/run/lock", "/tmp"}, System: true, User: "root",
	}
}

// TestSeed: the line and the units come out as the first users wrote them, with
// autoscale for their script.
func TestSeed(t *testing.T) {
	j := seeds()
	j.System = false
	line, err := j.Cron()
	if want := "*/2 * * * * cd /srv/bot && /usr/local/bin/autoscale --provider=compose --min=1 --max=5 --rps-target=40 --cooldown=180 >> /var/log/five-keys-autoscale.log 2>&1"; err != nil || line != want {
		t.Errorf("%v\n%s\n%s", err, line, want)
	}
	j.System = true
	if line, err := j.Cron(); err != nil || !strings.HasPrefix(line, "*/2 * * * * root cd /srv/bot && ") {
		t.Errorf("%v %s", err, line)
	}
	service, timer, err := j.Units()
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, service, `[Unit]
Description=Five Keys autoscaler

[Service]
Type=oneshot
WorkingDirectory=/srv/bot
ExecStart=/usr/local/bin/autoscale --provider=compose --min=1 --max=5 --rps-target=40 --cooldown=180
ProtectSystem=strict
ReadWritePaths=-/srv/bot/deploy -/srv/bot/tools -/run/lock -/tmp`)
	wantLines(t, timer, `[Unit]
Description=Run autoscaler every 2 minutes

[Timer]
OnBootSec=2m
OnUnitActiveSec=2m
Unit=autoscale.service

[Install]
WantedBy=timers.target`)
}

// wantLines checks that all lines of want stand in text, in their order.
func wantLines(t *testing.T, text, want string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for line := range strings.SplitSeq(want, "\n") {
		at := slices.Index(lines, line)
		if at < 0 {
			t.Errorf("%q is missing, or not in its place, in\n%s", line, text)
			return
		}
		lines = lines[at+1:]
	}
}

func TestEvery(t *testing.T) {
	for every, want := range map[string][2]string{ // cron's fields, or its complaint; systemd's words
		"1m":    {"* * * * *", "minute"},
		"2m":    {"*/2 * * * *", "2 minutes"},
		"30m":   {"*/30 * * * *", "30 minutes"},
		"1h":    {"0 * * * *", "hour"},
		"6h":    {"0 */6 * * *", "6 hours"},
		"24h":   {"0 0 * * *", "day"},
		"15s":   {"such as 1m", "15 seconds"},
		"7m":    {"such as 6m", "7 minutes"},
		"45m":   {"such as 30m", "45 minutes"},
		"1h30m": {"such as 1h", "90 minutes"},
		"5h":    {"such as 4h", "5 hours"},
		"48h":   {"such as 24h", "2 days"},
	} {
		d, err := time.ParseDuration(every)
		if err != nil {
			t.Fatal(err)
		}
		fields, err := cronFields(d)
		if err != nil {
			fields = err.Error()
		}
		if !strings.Contains(fields, want[0]) {
			t.Errorf("%s: %s, want %s", every, fields, want[0])
		}
		if got := inWords(d); got != want[1] {
			t.Errorf("%s: %q, want %q", every, got, want[1])
		}
		if got := timeSpan(Spell(d)); got != d {
			t.Errorf("%s is spelt %s, which reads %s", d, Spell(d), got)
		}
		if err == nil {
			if got := cronEvery(strings.Fields(fields)); got != d && d < 24*time.Hour {
				t.Errorf("%s reads %s, want %s", fields, got, d)
			}
		}
	}
}

func TestValidate(t *testing.T) {
	if err := seeds().Validate(); err != nil {
		t.Error(err)
	}
	for says, spoil := range map[string]func(*Job){
		"--unit=a.b":    func(j *Job) { j.Unit = "a.b" },
		"--every=500ms": func(j *Job) { j.Every = 500 * time.Millisecond },
		"line break":    func(j *Job) { j.Command = append(j.Command, "a\nb") },
	} {
		j := seeds()
		spoil(&j)
		if err := j.Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	j := seeds()
	j.Command = append(j.Command, strings.Repeat("x", 900))
	if _, err := j.Cron(); err == nil || !strings.Contains(err.Error(), "--systemd") {
		t.Errorf("a line that cron would not take: %v", err)
	}
	for _, word := range []string{`a\\b`, `a\%b`} {
		j := seeds()
		j.Command = append(j.Command, word)
		if line, err := j.Cron(); err == nil {
			t.Errorf("crons differ on %s", line)
		}
	}
}

// FuzzCron: a real shell reads, of the line that cron hands it, the very words.
func FuzzCron(f *testing.F) {
	for _, word := range []string{"", "a b", `'"$x%`, "--max-up=50%", `http_requests_total{code!~"5.."}`, "{replica}", "ä", "#", "~", "!x", `a\b`, "*"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		j := seeds()
		j.Folder, j.Log, j.System = "/", "/dev/stdout", false
		j.Command = []string{"printf", `%s|`, word}
		j.Env = []string{"X=" + word}
		if j.Validate() != nil || len(word) > 300 {
			return
		}
		line, err := j.Cron()
		if err != nil {
			return
		}
		command := strings.TrimPrefix(line, "*/2 * * * * ")
		if strings.Contains(strings.ReplaceAll(command, `\%`, ""), "%") {
			t.Fatalf("cron would cut %s", command)
		}
		out, err := exec.Command("sh", "-c", cronCommand(command)).Output()
		if err != nil || string(out) != word+"|" {
			t.Errorf("%q came out as %q, %v: %s", word, out, err, command)
		}
	})
}

// FuzzUnitWords: what is quoted for a unit reads back as it was, and a marker as
// what it marks.
func FuzzUnitWords(f *testing.F) {
	for _, word := range []string{"", "a b", `'"$x%`, `a\b`, ";", "#x", "$$", "%%", "\\", "ä"} {
		f.Add(word, "b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		j := seeds()
		j.Command = []string{"/x", a, b}
		if j.Validate() != nil {
			return
		}
		quoted, want := make([]string, len(j.Command)), make([]word, len(j.Command))
		for i, text := range j.Command {
			quoted[i], want[i] = unitQuote(text, true), word{text, true}
		}
		for i, got := range unitWords(strings.Join(quoted, " ")) {
			got.known = got.known || strings.HasPrefix(got.text, "~") // systemd takes it as it is
			if got != want[i] {
				t.Errorf("%+v came back as %+v", want[i], got)
			}
		}
		w := Workload{Service: a, Dir: b}
		got, changed, ok := marked(w.mark("x"), "x")
		if !ok || changed || got != w && strings.ToValidUTF8(a+b, "") == a+b {
			t.Errorf("%+v came back as %+v, %v, %v", w, got, changed, ok)
		}
		if _, changed, ok := marked(w.mark("x"), "y"); !ok || !changed {
			t.Error("a change goes unseen")
		}
	})
}

// TestRemedies: what is printed to undo a schedule names just that one; and what
// cron cannot do is said as it is.
func TestRemedies(t *testing.T) {
	for want, w := range map[string]Workload{
		"autoscale schedule remove -- --project-dir=/srv/bot":                    {Service: "app", Dir: "/srv/bot"},
		"autoscale schedule remove -- --provider=k8s --project-dir=/srv/bot":     {Service: "app", Dir: "/srv/bot", Provider: "k8s"},
		"autoscale schedule remove -- --service=web '--project-dir=/srv/my bot'": {Service: "web", Dir: "/srv/my bot"},
	} {
		if got := w.Show("remove"); got != strings.ReplaceAll(want, "'--project-dir=/srv/my bot'", "--project-dir='/srv/my bot'") || !strings.HasSuffix(w.mark("x"), "taken away by: "+got) {
			t.Errorf("%q, and %q", got, w.mark("x"))
		}
	}
	for every, want := range map[time.Duration]string{15 * time.Second: "whole minutes, such as 1m", 90 * time.Second: "whole minutes", 2 * time.Second: "--every=2m?", 7 * time.Minute: "equal parts"} {
		if _, err := cronFields(every); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", every, err, want)
		}
	}
}

func TestShown(t *testing.T) {
	for line, want := range map[string]string{
		`* * * * * cd /x && autoscale '--metrics-header=A: b c' --min=1`:                 `* * * * * cd /x && autoscale --metrics-header=*** --min=1`,
		`autoscale --metrics-header "A: b \" c" --min=1`:                                 `autoscale --metrics-header=*** --min=1`,
		`autoscale "--metrics-header=A: it's" '--metrics-header' 'x y' >> z`:             `autoscale --metrics-header=*** --metrics-header=*** >> z`,
		`bash -c "autoscale --metrics-header='Authorization: Bearer s3cret' --min=1"`:    `bash -c "autoscale --metrics-header=*** --min=1"`,
		"Description=Bob's\nExecStart=/a --metrics-header=A:b\nX=y":                      "Description=Bob's\nExecStart=/a --metrics-header=***\nX=y",
		`autoscale --metrics-url=http://me:pass@host:8000/metrics --min=1`:               `autoscale --metrics-url=http://***@host:8000/metrics --min=1`,
		`autoscale '--metrics-url=http://me:p@ss@host/m?a=b&token=s3cret' --min=1`:       `autoscale '--metrics-url=http://***@host/m?a=b&token=***' --min=1`,
		`autoscale --notify generic+https://h/s3cret --notify='discord://a b@1' --min=1`: `autoscale --notify=*** --notify=*** --min=1`,
		`autoscale '--notify=file:/etc/pager' --min=1`:                                   `autoscale '--notify=file:/etc/pager' --min=1`,
		`autoscale  --min=1 `: `autoscale  --min=1 `,
		``:                    ``,
	} {
		if got := Shown(line); got != want {
			t.Errorf("%s\n got %s\nwant %s", line, got, want)
		}
	}
}
