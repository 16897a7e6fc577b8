package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale/internal/schedule"
)

// remedies are the remedies of findings, by their codes.
func remedies(r Report) map[string]string {
	all := map[string]string{}
	for _, f := range r.Findings {
		all[f.Code] = f.Remedy
	}
	return all
}

// TestScheduled: what is told of a schedule names its own unit, and the manager
// that runs it.
func TestScheduled(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	cron := schedule.Entry{Kind: schedule.KindCron, Where: "crontab of root", Every: time.Minute, Acts: true}
	unit := func(where string) schedule.Entry {
		return schedule.Entry{Kind: schedule.KindSystemd, Where: where, Every: 2 * time.Minute, Acts: true}
	}
	for name, c := range map[string]struct {
		entries        []schedule.Entry
		inactive, logs string // the remedies
	}{
		"cron": {[]schedule.Entry{cron, cron}, "start cron (systemctl enable --now cron)", "look at the log that its line names and journalctl -u cron; run"},
		"the machine's": {[]schedule.Entry{unit("/etc/systemd/system/autoscale-bot.timer")},
			"systemctl enable --now autoscale-bot.timer", "look at journalctl -u autoscale-bot; run"},
		"a user's own": {[]schedule.Entry{unit("/home/user/.config/systemd/user/bot.timer")},
			"systemctl --user enable --now bot.timer", "look at journalctl --user -u bot; run"},
		"for all users": {[]schedule.Entry{unit("/etc/systemd/user/my.bot.timer")},
			"systemctl --user enable --now my.bot.timer", "look at journalctl --user -u my.bot; run"},
		"a service without a timer": {[]schedule.Entry{unit("/usr/lib/systemd/system/bot.service")},
			"systemctl enable --now bot.service", "look at journalctl -u bot; run"},
		"both": {[]schedule.Entry{unit("/etc/systemd/system/bot.timer"), cron},
			"start cron", "look at journalctl -u bot and the log that its line names and journalctl -u cron; run"},
	} {
		var r Report
		scheduled(&r, c.entries, now.Add(-time.Hour), now)
		got := remedies(r)
		if !strings.HasPrefix(got[CodeInactive], c.inactive) || !strings.HasPrefix(got[CodeSilent], c.logs) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestSilentAfterInstall: a run by hand from before the schedule was installed says
// nothing of it.
func TestSilentAfterInstall(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "autoscale.timer")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for age, want := range map[time.Duration]bool{time.Minute: false, 5 * time.Minute: false, 7 * time.Minute: true, 2 * time.Hour: true} {
		installed := now.Add(-age)
		if err := os.Chtimes(path, installed, installed); err != nil {
			t.Fatal(err)
		}
		var r Report
		scheduled(&r, []schedule.Entry{{Kind: schedule.KindSystemd, Where: path, Every: 2 * time.Minute, Active: true}}, now.Add(-time.Hour), now)
		if _, told := remedies(r)[CodeSilent]; told != want {
			t.Errorf("installed %s ago: told %v, want %v", age, told, want)
		}
	}
}
