package sim

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/five-keys/autoscale"
)

// Setting is what a policy of a report decides by.
type Setting struct {
	Name string
	autoscale.Policy
	// Every is the time from one step to the next.
	Every time.Duration
}

// Ask is what a report is asked for.
type Ask struct {
	// Source is where the load comes from, for people.
	Source  string
	Service Service
	Load    Load
	// Settings are compared. They may be none where Recommend is set.
	Settings []Setting
	// Sweep tries many targets beside those of Sweep's setting; nil tries none.
	Sweep *Setting
	// Recommend chooses among them, and among several cooldowns, the cheapest of
	// which at most so large a share is violated; 0 chooses none.
	Recommend float64
	// First is the rate at which the load begins, in requests/s.
	First float64
}

// Config is what has to be simulated.
func (a Ask) Config() Config {
	cfg := Config{Service: a.Service, Load: a.Load, Min: math.MaxInt}
	for _, s := range append(slices.Clone(a.Settings), a.tried()...) {
		cfg.Contestants = append(cfg.Contestants, ByPolicy(s.Name, s.Policy, s.Every, a.First))
		cfg.Min, cfg.Max = min(cfg.Min, s.Min), max(cfg.Max, s.Max)
	}
	return cfg
}

// tried are the settings of the sweep.
func (a Ask) tried() (all []Setting) {
	if a.Sweep == nil {
		return nil
	}
	cooldowns := []time.Duration{a.Sweep.Cooldown}
	if a.Recommend > 0 {
		cooldowns = Cooldowns()
	}
	for _, p := range Candidates(a.Sweep.Policy, a.Service.Capacity, cooldowns) {
		all = append(all, Setting{Name: fmt.Sprintf("--rps-target=%v --cooldown=%s", p.Target, short(p.Cooldown)), Policy: p, Every: a.Sweep.Every})
	}
	return all
}

// Report is what a simulation came to, for people and programs.
type Report struct {
	Ask
	Result
	// Tried are the settings of the sweep, each with its score.
	Tried []Tried
	// Choice is nil where nothing was to be recommended.
	Choice *Choice
}

// Tried is a setting of the sweep.
type Tried struct {
	Setting
	Score Score
}

// Choice is what is recommended.
type Choice struct {
	Recommendation
	Tried
}

// NewReport is a report of a result of a's Config.
func NewReport(a Ask, r Result) *Report {
	report := &Report{Ask: a, Result: r}
	n := len(a.Settings)
	for i, s := range a.tried() {
		report.Tried = append(report.Tried, Tried{s, r.Scores[n+i]})
	}
	report.Scores = r.Scores[:n:n]
	if a.Recommend > 0 {
		chosen := Recommend(r.Scores[n:], a.Recommend)
		report.Choice = &Choice{chosen, report.Tried[chosen.Best]}
	}
	return report
}

// Flags are those that say a setting's number.
func (s Setting) Flags() string {
	return fmt.Sprintf("--rps-target=%v --cooldown=%s --min=%d --max=%d", s.Target, short(s.Cooldown), s.Min, s.Max)
}

// front are those of the settings that were tried than which none is both cheaper
// and violates less, from the cheapest on.
func (r *Report) front() (all []Tried) {
	sorted := slices.Clone(r.Tried)
	slices.SortStableFunc(sorted, func(a, b Tried) int {
		return cmp.Or(cmp.Compare(a.Score.ReplicaHours, b.Score.ReplicaHours), cmp.Compare(a.Score.ViolatedShare, b.Score.ViolatedShare))
	})
	for _, t := range sorted {
		if n := len(all); n == 0 || t.Score.ViolatedShare < all[n-1].Score.ViolatedShare {
			all = append(all, t)
		}
	}
	return all
}

// shown are the scores that are shown beside one another: those of the settings, of
// the choice, and the clairvoyant's.
func (r *Report) shown() (all []Score) {
	all = slices.Clone(r.Scores)
	if r.Choice != nil {
		chosen := r.Choice.Score
		chosen.Name = "recommended"
		all = append(all, chosen)
	}
	clairvoyant := r.Clairvoyant
	clairvoyant.Name = "clairvoyant"
	return append(all, clairvoyant)
}

// short writes a time as flags have it: 90s, 5m, 1h.
func short(d time.Duration) string {
	for _, unit := range []struct {
		time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= unit.Duration && d%unit.Duration == 0 {
			return fmt.Sprintf("%d%s", d/unit.Duration, unit.name)
		}
	}
	return fmt.Sprintf("%gs", d.Seconds())
}

// percent writes a share as people read it: in three digits, and no nearer than
// one in a million.
func percent(share float64) string {
	switch p := 100 * share; {
	case share == 0:
		return "0 %"
	case p < 0.0001:
		return "< 0.0001 %"
	default:
		return fmt.Sprintf("%.3g %%", p)
	}
}

// moment is a time since the beginning, as "day 3, 14:05".
func moment(at time.Duration) string {
	day, rest := at/(24*time.Hour), at%(24*time.Hour)
	return fmt.Sprintf("day %d, %02d:%02d", day+1, int(rest.Hours()), int(rest.Minutes())%60)
}

// long is a length of time in words.
func long(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.3g days", d.Hours()/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%.3g hours", d.Hours())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.3g seconds", d.Seconds())
	}
	return fmt.Sprintf("%.3g minutes", d.Minutes())
}

// sureness says how far the choice can be trusted.
func (c *Choice) sureness(asked float64) string {
	u := c.Unseen
	day := "days"
	if u.Length < 24*time.Hour {
		day = "stretches of " + long(u.Length)
	}
	switch {
	case u.Count < 2:
		return "the load is too short to tell: nothing was left that the choice had not seen"
	case !u.Holds(asked):
		return fmt.Sprintf("not sure: chosen in the same way, each time by the days before, %s were violated on %d %s that had not been seen by then, up to %s on the worst; %d of them kept %s. Days to come may be as much unlike those before",
			percent(u.ViolatedShare), u.Count, day, percent(u.Worst), u.Kept, percent(asked))
	}
	text := fmt.Sprintf("chosen in the same way, each time by what came before, %d of %d %s kept it that had not been seen by then, all together at %s",
		u.Kept, u.Count, day, percent(u.ViolatedShare))
	if u.Kept < u.Count {
		text += fmt.Sprintf(" (the worst at %s)", percent(u.Worst))
	}
	return text + fmt.Sprintf("; by that number alone a further one keeps it with a likelihood of at least %.0f %%", 100*u.Sure())
}
