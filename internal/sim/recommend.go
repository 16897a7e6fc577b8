package sim

import (
	"math"
	"strconv"
	"time"

	"github.com/five-keys/autoscale"
)

// Cooldowns are those that are tried.
func Cooldowns() []time.Duration {
	return []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}
}

// spare is how much of what a replica carries is left below the load at which a
// raise comes. Where more is answered than can be, it never comes; and what a
// replica carries is known to some per cent only.
const spare = 0.05

// Candidates are base with each of many targets and the cooldowns: from the highest
// target that can be kept, each a sixteenth below the one before.
func Candidates(base autoscale.Policy, capacity float64, cooldowns []time.Duration) (all []autoscale.Policy) {
	for _, cooldown := range cooldowns {
		for share := (1 - spare) / (1 + base.Tolerance); share > 0.2; share *= 15.0 / 16 {
			p := base
			p.Target, p.Cooldown = readable(share*capacity), cooldown
			all = append(all, p)
		}
	}
	return all
}

// readable is a target in three digits, as a person would write it.
func readable(v float64) float64 {
	text := strconv.FormatFloat(v, 'g', 3, 64)
	v, _ = strconv.ParseFloat(text, 64) // it was just written
	return v
}

// Recommendation is the cheapest of several settings that keeps what was asked for,
// and how far that can be trusted.
type Recommendation struct {
	// Best is the place of the setting among the scores.
	Best int
	// Keeps tells that it kept what was asked for on all that was seen, with room
	// to spare.
	Keeps bool
	// Unseen is what came of choosing in the same way before, again and again: each
	// time on what had been seen by then, and for the day that followed.
	Unseen Unseen
}

// Unseen are days (or shorter stretches, of a short load) that a choice had not
// seen.
type Unseen struct {
	// Length is that of a stretch; there are so many, and so many kept what was
	// asked for.
	Length      time.Duration
	Count, Kept int
	// ViolatedShare is that of all of them together, Worst that of the worst.
	ViolatedShare, Worst float64
	// Strictness is how many times less than asked had to be violated on what was
	// seen, for what was not to keep it.
	Strictness float64
}

// Holds reports whether what was not seen kept what was asked for, together.
func (u Unseen) Holds(asked float64) bool { return u.Count > 0 && u.ViolatedShare <= asked }

// Sure is how likely a further day keeps what is asked for, by those that did, at
// least: with nineteen out of twenty (the Wilson score's lower bound).
func (u Unseen) Sure() float64 {
	if u.Count == 0 {
		return 0
	}
	const z = 1.645
	n, p := float64(u.Count), float64(u.Kept)/float64(u.Count)
	return max(0, (p+z*z/(2*n)-z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n)))/(1+z*z/n))
}

// Recommend chooses among scores of one load the cheapest of which at most a share
// asked for is violated.
//
// What was seen does not come again as it was. So a setting must keep what is asked
// for even if the worst day came once more; and where choosing so would have
// failed before, on days that had not been seen by then, it must keep a half, a
// quarter or an eighth of it.
func Recommend(scores []Score, asked float64) Recommendation {
	d := newDays(scores)
	var r Recommendation
	for strictness := 1.0; strictness <= 8; strictness *= 2 {
		u := d.backtest(asked, strictness)
		if strictness == 1 || u.ViolatedShare < r.Unseen.ViolatedShare {
			r.Unseen = u
		}
		if u.Holds(asked) {
			break
		}
	}
	r.Best, r.Keeps = d.choose(d.count, asked/r.Unseen.Strictness)
	return r
}

// days are what each setting came to on each day.
type days struct {
	length time.Duration
	count  int
	of     [][]Bucket // by setting, by day
}

// shortDays is how many parts a load is divided into that has few days.
const shortDays = 8

func newDays(scores []Score) days {
	line := scores[0].Timeline
	n := len(line.Buckets)
	width := int(24 * time.Hour / max(line.Width, time.Second))
	if width == 0 || n < 4*width {
		width = max(1, n/shortDays)
	}
	d := days{length: time.Duration(width) * line.Width, count: max(1, n/width)}
	for _, s := range scores {
		all := make([]Bucket, d.count)
		for i, b := range s.Timeline.Buckets {
			at := min(i/width, d.count-1) // what is left over belongs to the last one
			all[at].Requests += b.Requests
			all[at].Violated += b.Violated
			all[at].Paid += b.Paid
		}
		d.of = append(d.of, all)
	}
	return d
}

// choose is the cheapest setting that keeps a share on the first so many days, even
// if the worst of them came once more; else, and then it reports false, the one
// that violates least.
func (d days) choose(seen int, share float64) (best int, keeps bool) {
	best = -1
	least, cheapest := 0, math.Inf(1)
	var leastViolated float64
	for i, all := range d.of {
		var sum, worst Bucket
		for _, b := range all[:seen] {
			sum.Requests, sum.Violated, sum.Paid = sum.Requests+b.Requests, sum.Violated+b.Violated, sum.Paid+b.Paid
			if b.Violated > worst.Violated {
				worst = b
			}
		}
		if i == 0 || sum.Violated < leastViolated {
			least, leastViolated = i, sum.Violated
		}
		if sum.Violated+worst.Violated <= share*(sum.Requests+worst.Requests) && sum.Paid < cheapest {
			best, cheapest = i, sum.Paid
		}
	}
	if best < 0 {
		return least, false
	}
	return best, true
}

// backtest chooses for each day of the second half by those before it.
func (d days) backtest(asked, strictness float64) Unseen {
	u := Unseen{Length: d.length, Strictness: strictness}
	var sum Bucket
	for day := max(1, d.count/2); day < d.count; day++ {
		best, _ := d.choose(day, asked/strictness)
		b := d.of[best][day]
		sum.Requests, sum.Violated = sum.Requests+b.Requests, sum.Violated+b.Violated
		u.Count++
		if b.Violated <= asked*b.Requests {
			u.Kept++
		}
		if b.Requests > 0 {
			u.Worst = max(u.Worst, b.Violated/b.Requests)
		}
	}
	if sum.Requests > 0 {
		u.ViolatedShare = sum.Violated / sum.Requests
	}
	return u
}
