package main

import (
	"context"
	"math"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/sim"
)

// The HorizontalPodAutoscaler's defaults.
const (
	hpaEvery     = 15 * time.Second // --horizontal-pod-autoscaler-sync-period
	hpaTolerance = 0.1              // --horizontal-pod-autoscaler-tolerance
	hpaWindow    = 5 * time.Minute  // behavior.scaleDown.stabilizationWindowSeconds
	hpaPeriod    = 15 * time.Second // behavior.scaleUp.policies: in so long
	hpaPods      = 4                // so many pods more
	hpaDouble    = 2                // or so many times as many, whichever is more
)

// hpa is the HorizontalPodAutoscaler with a Pods metric and the defaults of
// autoscaling/v2. hpa_test.go holds it against the real controller, step by step.
type hpa struct {
	target   int64 // of each pod, in thousandths of requests/s, as the API has it
	min, max int
	// recent are the recommendations of the stabilization window, changes those of
	// the count within the period of the policies.
	recent, changes []counted
	begun           bool
}

// counted is a count, or a change of it, at an instant.
type counted struct {
	at time.Time
	n  int
}

// newHPA wants so many requests/s of each pod.
func newHPA(target float64, most int) *hpa {
	return &hpa{target: int64(math.Round(target * 1000)), min: 1, max: most}
}

// Step makes one step.
func (h *hpa) Step(ctx context.Context, p *sim.Plant, now time.Time) error {
	there, err := p.Observe(ctx)
	if err != nil {
		return err
	}
	reading := p.Read(ctx, nil).Samples[0]
	ready := p.Usage().Ready
	if reading.Verdict != autoscale.OK || ready == 0 {
		return nil // without metrics the controller keeps what is there
	}
	_, err = p.Set(ctx, h.next(now, there.Current, ready, int64(math.Round(reading.Value*1000/float64(ready)))))
	return err
}

// next is the count at which the controller sets the scale, where ready of count
// pods carry each of that many thousandths of requests/s, and the others start.
func (h *hpa) next(now time.Time, count, ready int, each int64) int {
	if !h.begun {
		h.begun = true
		h.recent = append(h.recent, counted{now, count})
	}
	want := h.bound(now, count, h.stabilize(now, count, h.replicas(count, ready, each)))
	if want != count {
		h.changes = append(since(h.changes, now.Add(-hpaPeriod)), counted{now, want - count})
	}
	return want
}

// replicas is calcPlainMetricReplicas of the calculator.
func (h *hpa) replicas(count, ready int, each int64) int {
	within := func(ratio float64) bool { return 1-hpaTolerance <= ratio && ratio <= 1+hpaTolerance }
	ratio := float64(each) / float64(h.target)
	if count == ready || ratio <= 1 {
		if within(ratio) {
			return count
		}
		return int(math.Ceil(ratio * float64(ready)))
	}
	// Those that start are taken to carry nothing.
	all := float64(each*int64(ready)/int64(count)) / float64(h.target)
	if within(all) || all < 1 {
		return count
	}
	return max(int(math.Ceil(all*float64(count))), count)
}

// stabilize is stabilizeRecommendationWithBehaviors.
func (h *hpa) stabilize(now time.Time, count, want int) int {
	h.recent = since(h.recent, now.Add(-hpaWindow))
	highest := want
	for _, r := range h.recent {
		highest = max(highest, r.n)
	}
	h.recent = append(h.recent, counted{now, want})
	if want > count {
		return want
	}
	return min(highest, count)
}

// bound is convertDesiredReplicasWithBehaviorRate.
func (h *hpa) bound(now time.Time, count, want int) int {
	if want <= count {
		return max(want, h.min)
	}
	began := count
	for _, c := range since(h.changes, now.Add(-hpaPeriod)) {
		began -= c.n
	}
	return min(want, max(began+hpaPods, began*hpaDouble, count), h.max)
}

// since are those after an instant.
func since(all []counted, edge time.Time) []counted {
	for len(all) > 0 && !all[0].at.After(edge) {
		all = all[1:]
	}
	return all
}
