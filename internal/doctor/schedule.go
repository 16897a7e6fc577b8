package doctor

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/five-keys/autoscale/internal/schedule"
	"github.com/five-keys/autoscale/internal/store"
)

// lastRun is when the last decision on the service was made; zero where none is
// recorded.
func lastRun(journal *store.Journal, service, dir string) (last time.Time, err error) {
	for record, failed := range journal.Read() {
		if failed != nil {
			err = failed
			continue
		}
		if record.Workload.Service == service && filepath.Clean(record.Workload.Dir) == filepath.Clean(dir) {
			last = record.Time
		}
	}
	return last, err
}

// scheduled looks whether something runs the decisions, and only once.
func scheduled(r *Report, entries []schedule.Entry, last, now time.Time) {
	if len(entries) == 0 {
		r.add(CodeNoSchedule, "nothing runs it again and again: there is no cron line and no timer for this service", "autoscale schedule install --cron -- FLAGS, or --systemd")
		return
	}
	var acting []string
	var every time.Duration
	for _, e := range entries {
		if e.Acts {
			acting = append(acting, e.Where)
		}
		if e.Every > 0 && (every == 0 || e.Every < every) {
			every = e.Every
		}
		if e.Last.After(last) {
			last = e.Last
		}
		r.fact("schedule: %s%s", e.Where, rhythm(e.Every))
		if !e.Active {
			r.add(CodeInactive, fmt.Sprintf("%s is there, but nothing runs it", e.Where), inactive(e))
		}
	}
	if len(acting) > 1 {
		r.add(CodeTwoSchedules, "more than one schedule scales this service: "+strings.Join(acting, ", "), "keep one, so that its lines say what happened")
	}
	if last.IsZero() {
		return
	}
	age := now.Sub(last).Round(time.Second)
	r.fact("last run: %s ago", age)
	if every > 0 && age > 3*every {
		r.add(CodeSilent, fmt.Sprintf("it is to run every %s, and the last run was %s ago", schedule.Spell(every), age), "look at its log, or at journalctl -u cron and journalctl -u autoscale; run the line by hand")
	}
}

func rhythm(every time.Duration) string {
	if every == 0 {
		return ""
	}
	return ", every " + schedule.Spell(every)
}

func inactive(e schedule.Entry) string {
	if e.Kind == "systemd" {
		return "systemctl enable --now " + filepath.Base(e.Where)
	}
	return "start cron (systemctl enable --now cron), or use --systemd"
}
