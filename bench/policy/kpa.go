package main

import (
	"context"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/serving/pkg/apis/autoscaling"
	"knative.dev/serving/pkg/autoscaler/aggregation"
	"knative.dev/serving/pkg/autoscaler/metrics"
	"knative.dev/serving/pkg/autoscaler/scaling"

	"github.com/five-keys/autoscale/internal/sim"
)

// Knative's defaults (config-autoscaler).
const (
	kpaScrape    = time.Second     // of the collector
	kpaTick      = 2 * time.Second // tickInterval
	kpaStable    = 60 * time.Second
	kpaPanic     = 6 * time.Second // 10 % of it
	kpaThreshold = 2               // panic-threshold-percentage: 200
	kpaUpRate    = 1000
	kpaDownRate  = 2
)

// kpa is Knative's autoscaler: its own code, over its own windows, by the clock of
// the simulation.
type kpa struct {
	min, max      int
	ready         int
	stable, panic *aggregation.TimedFloat64Buckets
	scaler        scaling.UniScaler
	log           *zap.SugaredLogger
	next          time.Time
}

// newKPA wants so many requests/s of each pod.
func newKPA(target float64, most int) *kpa {
	k := &kpa{
		min: 1, max: most, log: zap.NewNop().Sugar(),
		stable: aggregation.NewTimedFloat64Buckets(kpaStable, kpaScrape), panic: aggregation.NewTimedFloat64Buckets(kpaPanic, kpaScrape),
	}
	k.scaler = scaling.New(context.Background(), "ns", "service", k, k, &scaling.DeciderSpec{
		ScalingMetric: autoscaling.RPS, TargetValue: target, TotalValue: target, PanicThreshold: kpaThreshold, StableWindow: kpaStable,
		MaxScaleUpRate: kpaUpRate, MaxScaleDownRate: kpaDownRate, Reachable: true,
	})
	return k
}

// Step records what came in the last second, and decides every other one.
func (k *kpa) Step(ctx context.Context, p *sim.Plant, now time.Time) error {
	u := p.Usage()
	k.ready = u.Ready
	if u.Passed == 0 {
		return nil
	}
	rate := u.Offered / u.Passed.Seconds()
	k.stable.Record(now, rate)
	k.panic.Record(now, rate)
	if now.Before(k.next) {
		return nil
	}
	k.next = now.Add(kpaTick)
	result := k.scaler.Scale(k.log, now)
	if !result.ScaleValid {
		return nil
	}
	_, err := p.Set(ctx, min(max(int(result.DesiredPodCount), k.min), k.max))
	return err
}

// ReadyCount is how many pods answer.
func (k *kpa) ReadyCount() (int, error) { return k.ready, nil }

// NotReadyCount is not asked for.
func (k *kpa) NotReadyCount() (int, error) { return 0, nil }

// StableAndPanicRPS are the averages over both windows.
func (k *kpa) StableAndPanicRPS(_ types.NamespacedName, now time.Time) (stable, panic float64, err error) {
	if k.panic.IsEmpty(now) {
		return 0, 0, metrics.ErrNoData
	}
	return k.stable.WindowAverage(now), k.panic.WindowAverage(now), nil
}

// StableAndPanicConcurrency is not asked for.
func (k *kpa) StableAndPanicConcurrency(types.NamespacedName, time.Time) (stable, panic float64, err error) {
	return 0, 0, metrics.ErrNoData
}
