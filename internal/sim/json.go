package sim

import (
	"encoding/json"
	"io"
	"time"
)

// The fields of --output=json, which docs/simulation.md describes.
type (
	reportJSON struct {
		Version         int                 `json:"version"`
		Source          string              `json:"source"`
		Length          float64             `json:"length_s"`
		Requests        float64             `json:"requests"`
		ClairvoyantCost float64             `json:"clairvoyant_replica_hours"`
		ClairvoyantMiss float64             `json:"clairvoyant_violated_share"`
		Policies        []policyJSON        `json:"policies"`
		Curve           []triedJSON         `json:"curve,omitempty"`
		Recommendation  *recommendationJSON `json:"recommendation,omitempty"`
		Warnings        []string            `json:"warnings"`
	}
	policyJSON struct {
		Name string `json:"name"`
		figuresJSON
		Worst []minuteJSON `json:"worst_minutes"`
	}
	figuresJSON struct {
		Target    float64 `json:"rps_target"`
		Cooldown  float64 `json:"cooldown_s"`
		Hours     float64 `json:"replica_hours"`
		Ratio     float64 `json:"cost_ratio"`
		Violated  float64 `json:"violated_share"`
		Dropped   float64 `json:"dropped_share"`
		Changes   float64 `json:"changes_per_day"`
		Reversals float64 `json:"reversals_per_day"`
	}
	minuteJSON struct {
		At       float64 `json:"at_s"`
		Requests float64 `json:"requests"`
		Violated float64 `json:"violated"`
		Replicas int     `json:"replicas"`
	}
	triedJSON struct {
		Flags string `json:"flags"`
		figuresJSON
	}
	recommendationJSON struct {
		Asked float64 `json:"asked_share"`
		Flags string  `json:"flags"`
		figuresJSON
		Keeps  bool       `json:"keeps"`
		Unseen unseenJSON `json:"unseen"`
	}
	unseenJSON struct {
		Length   float64 `json:"length_s"`
		Count    int     `json:"count"`
		Kept     int     `json:"kept"`
		Violated float64 `json:"violated_share"`
		Worst    float64 `json:"worst_share"`
		Sure     float64 `json:"sure"`
		Holds    bool    `json:"holds"`
	}
)

// WriteJSON writes the report as one object on one line.
func (r *Report) WriteJSON(out io.Writer) error {
	all := reportJSON{
		Version: 1, Source: r.Source, Length: r.Length.Seconds(), Requests: r.Requests,
		ClairvoyantCost: r.Clairvoyant.ReplicaHours, ClairvoyantMiss: r.Clairvoyant.ViolatedShare,
		Policies: []policyJSON{}, Warnings: r.Warnings(),
	}
	if all.Warnings == nil {
		all.Warnings = []string{}
	}
	for i, s := range r.Scores {
		p := policyJSON{Name: s.Name, figuresJSON: figures(r.Settings[i], s), Worst: []minuteJSON{}}
		for _, m := range s.Worst {
			p.Worst = append(p.Worst, minuteJSON{m.At.Seconds(), m.Requests, m.Violated, m.Most})
		}
		all.Policies = append(all.Policies, p)
	}
	for _, t := range r.Tried {
		all.Curve = append(all.Curve, triedJSON{t.Flags(), figures(t.Setting, t.Score)})
	}
	if c := r.Choice; c != nil {
		u := c.Unseen
		all.Recommendation = &recommendationJSON{
			Asked: r.Recommend, Flags: c.Flags(), figuresJSON: figures(c.Setting, c.Score), Keeps: c.Keeps,
			Unseen: unseenJSON{u.Length.Seconds(), u.Count, u.Kept, u.ViolatedShare, u.Worst, u.Sure(), u.Holds(r.Recommend)},
		}
	}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(all)
}

// figures are what a setting came to.
func figures(s Setting, score Score) figuresJSON {
	return figuresJSON{
		Target: s.Target, Cooldown: time.Duration(s.Cooldown).Seconds(), Hours: score.ReplicaHours, Ratio: score.CostRatio,
		Violated: score.ViolatedShare, Dropped: score.DroppedShare, Changes: score.ChangesPerDay, Reversals: score.ReversalsPerDay,
	}
}
