package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale/internal/schedule"
	"github.com/five-keys/autoscale/internal/store"
)

// lastRun is when the last decision on the service was made; zero where none is
// recorded.
func lastRun(journal *store.Journal, w schedule.Workload) (last time.Time, err error) {
	for record, failed := range journal.Read() {
		if failed != nil {
			err = failed
			continue
		}
		of := record.Workload
		if of.Service == w.Service && of.Provider == w.Provider && filepath.Clean(of.Dir) == filepath.Clean(w.Dir) {
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
	if every > 0 && age > 3*every && now.Sub(newest(entries)) > 3*every {
		r.add(CodeSilent, fmt.Sprintf("it is to run every %s, and the last run was %s ago", schedule.Spell(every), age), "look at "+strings.Join(logs(entries), " and ")+"; run the line by hand")
	}
}

// newest is when the last of the schedules was put in its place: a run before that
// was not its own. It is zero where that cannot be told, as of a user's crontab,
// whose file has the time of any of its lines.
func newest(entries []schedule.Entry) (at time.Time) {
	for _, e := range entries {
		if !filepath.IsAbs(e.Where) {
			continue
		}
		if info, err := os.Stat(e.Where); err == nil && info.ModTime().After(at) {
			at = info.ModTime()
		}
	}
	return at
}

func rhythm(every time.Duration) string {
	if every == 0 {
		return ""
	}
	return ", every " + schedule.Spell(every)
}

// inactive is what to do about a schedule that nothing runs.
func inactive(e schedule.Entry) string {
	if e.Kind == schedule.KindSystemd {
		return "systemctl " + ofUser(e) + "enable --now " + filepath.Base(e.Where)
	}
	return "start cron (systemctl enable --now cron), or use --systemd"
}

// logs are the places where the runs of schedules leave word.
func logs(entries []schedule.Entry) (places []string) {
	for _, e := range entries {
		place := "the log that its line names and journalctl -u cron"
		if e.Kind == schedule.KindSystemd {
			unit := filepath.Base(e.Where)
			place = "journalctl " + ofUser(e) + "-u " + strings.TrimSuffix(unit, filepath.Ext(unit))
		}
		if !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	return places
}

// ofUser is the option by which systemd's programs mean a user's own manager,
// where the folder that a unit lies in says that it is such a one's: .../system
// or .../user (systemd.unit(5)).
func ofUser(e schedule.Entry) string {
	if filepath.Base(filepath.Dir(e.Where)) == "user" {
		return "--user "
	}
	return ""
}
