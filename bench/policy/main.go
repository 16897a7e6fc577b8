// Command policy compares autoscale with the autoscalers that people know, on
// recorded load, in autoscale's own simulator:
//
//	go run . -traces DIR
//	go run . -generate DIR; go run . -traces DIR -slo 0.1,1
//
// The second writes generated loads, and compares settings that are learned for
// that many per cent with HPA and KPA at equal violations. DIR holds CSV files of
// seconds_since_start,rps. Each is scaled so that -replicas of 50 requests/s carry
// all but the highest hundredth of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/sim"
	"github.com/five-keys/autoscale/internal/trace"
)

// capacity is how many requests/s one replica carries; the load is scaled to it.
const capacity = 50

// comparison is what the flags ask for.
type comparison struct {
	traces   string
	replicas int
	startup  time.Duration
	limit    time.Duration
	queue    float64
	seeds    int
	sweep    bool
	answered bool
	generate string
	asks     []float64
	alone    bool
}

func main() {
	var c comparison
	flag.StringVar(&c.traces, "traces", "", "folder of recorded load, or one file")
	flag.IntVar(&c.replicas, "replicas", 20, "replicas that carry all but the highest hundredth of the load")
	flag.DurationVar(&c.startup, "startup", 30*time.Second, "time until a replica answers")
	flag.DurationVar(&c.limit, "limit", 500*time.Millisecond, "how long an answer may take")
	flag.Float64Var(&c.queue, "queue", 2, "how many seconds' worth of requests may wait for each replica")
	flag.IntVar(&c.seeds, "seeds", 5, "how often each is repeated, with other noise")
	flag.BoolVar(&c.sweep, "sweep", false, "look for what each costs at equal violations, over many targets")
	flag.BoolVar(&c.answered, "answered", false, "measure the requests that are answered, not those that come")
	flag.StringVar(&c.generate, "generate", "", "write the generated loads into this folder, which is there, and do no more")
	flag.Func("slo", "shares of the requests that may be violated, in per cent with commas: 0.1,1; sets what each costs against HPA and KPA at equal violations", c.ask)
	flag.BoolVar(&c.alone, "alone", false, "with -slo: without the others")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := c.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "policy:", err)
		os.Exit(1)
	}
}

func (c comparison) run(ctx context.Context) error {
	if c.generate != "" {
		return generate(c.generate)
	}
	if c.traces == "" {
		return errors.New("-traces is missing: name a folder of CSV files with seconds_since_start,rps, or one of them")
	}
	files := []string{c.traces}
	if info, err := os.Stat(c.traces); err != nil {
		return err
	} else if info.IsDir() {
		files, err = filepath.Glob(filepath.Join(c.traces, "*.csv"))
		if err != nil || len(files) == 0 {
			return fmt.Errorf("%s: no CSV file in it (%v)", c.traces, err)
		}
	}
	var all []outcome
	for _, file := range files {
		for _, linear := range []bool{false, true} {
			o, err := c.compare(ctx, file, linear)
			if err != nil {
				return err
			}
			if len(c.asks) == 0 {
				o.print(os.Stdout)
			}
			if len(c.asks) > 0 {
				equal(os.Stderr, []outcome{o}) // it takes long; the whole table comes at the end
			}
			all = append(all, o)
		}
	}
	if len(c.asks) > 0 {
		equal(os.Stdout, all)
	}
	summarize(os.Stdout, all)
	return nil
}

// outcome is what one recording came to.
type outcome struct {
	name   string
	length time.Duration
	linear bool
	hours  []float64 // the clairvoyant's, by seed
	rows   []*row
}

// row is what one setting came to, by seed.
type row struct {
	peer                    string
	target                  float64
	cost, violated, changes []float64
}

func (r *row) name() string { return fmt.Sprintf("%s %.2f", r.peer, r.target) }

// compare runs all on one recording.
func (c comparison) compare(ctx context.Context, file string, linear bool) (outcome, error) {
	o := outcome{name: strings.TrimSuffix(filepath.Base(file), ".csv"), linear: linear}
	scale, first, err := c.scaleOf(file)
	if err != nil {
		return o, err
	}
	for seed := range c.seeds {
		recording, err := trace.Find(file, 1, scale)
		if err != nil {
			return o, err
		}
		all := c.contestants(first)
		contestants := make([]sim.Contestant, len(all))
		for i := range all {
			contestants[i] = all[i].Contestant
		}
		result, err := sim.Run(ctx, sim.Config{
			Service: c.service(), Load: sim.Load{Linear: linear, Noise: 0.05, Poisson: true, Seed: uint64(seed + 1)},
			Contestants: contestants, Min: 1, Max: c.most(),
		}, recording.Rates(time.Second, nil))
		if err != nil {
			return o, fmt.Errorf("%s: %w", o.name, err)
		}
		if result.Clairvoyant.ViolatedShare > 0 {
			return o, fmt.Errorf("%s: the clairvoyant violates %g", o.name, result.Clairvoyant.ViolatedShare)
		}
		o.length = result.Length
		o.hours = append(o.hours, result.Clairvoyant.ReplicaHours)
		for i, s := range result.Scores {
			if seed == 0 {
				o.rows = append(o.rows, &row{peer: all[i].peer, target: all[i].target})
			}
			r := o.rows[i]
			r.cost, r.violated, r.changes = append(r.cost, s.CostRatio), append(r.violated, 100*s.ViolatedShare), append(r.changes, s.ChangesPerDay)
		}
	}
	return o, nil
}

// service is the model; what is offered is seen, once every 15 s, unless -answered.
func (c comparison) service() sim.Service {
	return sim.Service{
		Capacity: capacity, Startup: c.startup, AtOnce: true, Drain: 10 * time.Second, Limit: c.limit, Queue: capacity * c.queue,
		Metrics: sim.Metrics{Gauge: true, Window: 15 * time.Second, Offered: !c.answered},
	}
}

// most is the maximum; it binds nobody.
func (c comparison) most() int { return 50 * c.replicas }

// scaleOf is by what the rates of a file are multiplied, and the first of them
// then.
func (c comparison) scaleOf(file string) (scale, first float64, err error) {
	recording, err := trace.Find(file, 1, 1)
	if err != nil {
		return 0, 0, err
	}
	var rates []float64
	for r, err := range recording.Rates(time.Second, nil) {
		if err != nil {
			return 0, 0, err
		}
		rates = append(rates, r.RPS)
	}
	first = rates[0]
	slices.Sort(rates)
	high := rates[len(rates)*99/100]
	if high == 0 {
		return 0, 0, fmt.Errorf("%s: hardly any load in it", file)
	}
	scale = capacity * float64(c.replicas) / high
	return scale, first * scale, nil
}

// peer is a contestant with the share of a replica's capacity that it aims at.
type peer struct {
	sim.Contestant
	peer   string
	target float64
}

// contestants are all, at the usual targets, or at many.
func (c comparison) contestants(first float64) (all []peer) {
	targets := []float64{0.7, 0.4}
	if c.sweep || len(c.asks) > 0 {
		targets = nil
		for t := 0.25; t < 0.96; t += 0.05 {
			targets = append(targets, t)
		}
	}
	for _, ask := range c.asks {
		all = append(all, peer{c.adaptive(ask, first), "asked %", ask})
	}
	if c.alone {
		return all
	}
	for _, target := range targets {
		rps := target * capacity
		begin := min(max(int(first/rps)+1, 1), c.most())
		add := func(name string, p sim.Pilot, every, at time.Duration) {
			all = append(all, peer{sim.Contestant{Name: name, Pilot: p, Every: every, First: at, Begin: begin}, name, target})
		}
		add("HPA", newHPA(rps, c.most()), hpaEvery, hpaEvery)
		add("KPA", newKPA(rps, c.most()), kpaScrape, kpaScrape)
		if len(c.asks) > 0 {
			continue
		}
		add("AWS", newAWS(rps, c.most()), awsPeriod, awsPeriod)
		add("seed", newSeed(rps, c.most()), 15*time.Second, 15*time.Second)
		ours := sim.ByPolicy("autoscale", autoscale.Policy{
			Min: 1, Max: c.most(), Target: rps, Tolerance: 0.1, Cooldown: 2 * time.Minute, MaxReversals: 6, Mode: autoscale.Auto,
		}, 15*time.Second, first)
		ours.First = 15 * time.Second
		all = append(all, peer{ours, ours.Name, target})
	}
	return all
}
