package autoscale_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// tape hands out the fuzzer's bytes as choices; an exhausted tape gives zeros.
type tape struct{ bytes []byte }

func (t *tape) byte() int {
	if len(t.bytes) == 0 {
		return 0
	}
	b := t.bytes[0]
	t.bytes = t.bytes[1:]
	return int(b)
}

func (t *tape) float() float64 {
	if len(t.bytes) < 8 {
		return float64(t.byte())
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(t.bytes))
	t.bytes = t.bytes[8:]
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 1e308
	}
	return v
}

func (t *tape) pick(n int) int { return t.byte() % n }

func (t *tape) policy() autoscale.Policy {
	p := autoscale.Policy{Min: t.pick(4), Target: 40, Tolerance: float64(t.pick(10)) / 10, Cooldown: time.Duration(t.pick(4)) * time.Minute, Mode: autoscale.Auto}
	p.Max = max(p.Min+t.pick(10), 1)
	p.OnDoubt = t.pick(12)
	p.MaxUp, p.MaxDown = t.limit(), t.limit()
	if t.pick(8) == 0 {
		p.Target = max(t.float(), 1e-300)
	}
	p.Mode = []autoscale.Mode{autoscale.Auto, autoscale.Auto, autoscale.RaiseOnly, autoscale.Observe}[t.pick(4)]
	if t.pick(4) == 1 {
		p.InFlight, p.MaxReversals = float64(t.pick(40)), t.pick(4)
	}
	return p
}

func (t *tape) limit() autoscale.Limit {
	return []autoscale.Limit{{}, {Replicas: 1}, {Share: 0.5}}[t.pick(3)]
}

// observation is what a run at now may see of count replicas.
func (t *tape) observation(now autoscale.Instant, count int) autoscale.Observation {
	o := autoscale.Observation{At: now, Signal: "page", Settings: "v1", Current: count, Replicas: []autoscale.Replica{}}
	for i := range count {
		started := now.Time.Add(-time.Duration(t.pick(200)) * time.Minute)
		o.Replicas = append(o.Replicas, autoscale.Replica{ID: string(rune('a' + i)), Name: string(rune('a' + i)), Started: started})
	}
	o.Reading.Kind = []autoscale.Kind{autoscale.Gauge, autoscale.Counter}[t.pick(2)]
	o.Reading.Scope = []autoscale.Scope{autoscale.ScopeService, autoscale.ScopeReplica}[t.pick(2)]
	verdicts := []autoscale.Verdict{autoscale.OK, autoscale.OK, autoscale.OK, autoscale.OK, autoscale.Absent, autoscale.Unreachable, autoscale.Stale}
	n := 1
	if o.Reading.Scope == autoscale.ScopeReplica {
		n = count
	}
	for i := range n {
		for range 1 + t.pick(2) {
			s := autoscale.Sample{Process: string(rune('a' + i)), Time: now.Time.Add(time.Duration(t.pick(4)) * time.Second), Verdict: verdicts[t.pick(len(verdicts))]}
			s.Value = float64(t.byte())
			if t.pick(16) == 0 {
				s.Value = t.float()
			}
			o.Reading.Samples = append(o.Reading.Samples, s)
		}
	}
	if t.pick(5) == 1 {
		o.Delegate = &autoscale.Delegate{Name: "HPA", Acts: t.pick(2) == 1}
	}
	if t.pick(3) == 1 {
		t.strain(&o)
	}
	return o
}

// strain is what a run may see besides the load.
func (t *tape) strain(o *autoscale.Observation) {
	o.Host = autoscale.Host{Cores: float64(t.pick(5)), Memory: uint64(t.byte()) << 20, Free: uint64(t.byte()) << 20}
	for i := range o.Replicas {
		r := &o.Replicas[i]
		r.Usage = autoscale.Usage{Memory: int64(t.byte()) << 18, Time: o.At.Time, CPU: o.At.Time.Sub(r.Started) * time.Duration(t.pick(3)) / 2, Cores: float64(t.pick(3))}
	}
	for i := range o.Reading.Samples {
		s := &o.Reading.Samples[i]
		s.Answered, s.Failed, s.InFlight = s.Value, s.Value/4*float64(t.pick(3)), float64(t.byte())
	}
}

// FuzzDecide plays random weeks and checks what must hold at every run.
func FuzzDecide(f *testing.F) {
	f.Add([]byte("\x01\x05\x02\x02seeds are bytes; these are a few of them to begin with"))
	f.Add([]byte{3, 9, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 200, 200, 1, 1, 0, 0, 255, 255, 0, 4, 4, 4, 9, 9})
	f.Add(make([]byte, 300))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		play := &tape{bytes}
		p := play.policy()
		if err := p.Validate(); err != nil {
			return // not a policy
		}
		now := autoscale.Instant{Time: time.Unix(1_800_000_000, 0).UTC(), Uptime: time.Hour, Boot: "1"}
		var s autoscale.State
		count := play.pick(12)
		for range 16 {
			passed := time.Duration(play.pick(5)*play.byte()) * time.Second
			now.Time, now.Uptime = now.Time.Add(passed), now.Uptime+passed
			switch play.pick(30) {
			case 1:
				now.Boot += "x"
			case 2:
				now.Time = now.Time.Add(-time.Hour)
			case 3:
				count = play.pick(12)
			}
			o := play.observation(now, count)
			if play.pick(12) == 1 {
				s.Pause = &autoscale.Pause{Replicas: play.pick(6), Since: now.Time, Until: now.Time.Add(time.Duration(play.byte()) * time.Minute), By: "x"}
			}
			d, next := checkDecide(t, p, s, o)
			if d.To != d.From {
				reached := d.To
				failed := d.To > d.From && play.pick(4) == 0
				if failed {
					reached = d.From
				}
				next = next.Settle(d, now.Time, reached, "v1", failed)
				count = reached
			}
			s = next
		}
	})
}

func checkDecide(t *testing.T, p autoscale.Policy, s autoscale.State, o autoscale.Observation) (autoscale.Decision, autoscale.State) {
	t.Helper()
	before := mustJSON(s)
	d, next := autoscale.Decide(p, s, o)
	if mustJSON(s) != before {
		t.Fatal("Decide changed the state it was given")
	}
	again, nextAgain := autoscale.Decide(p, s, o)
	if !reflect.DeepEqual(d, again) || !reflect.DeepEqual(next, nextAgain) {
		t.Fatalf("two calls differ:\n%+v\n%+v", d, again)
	}
	var fromFile autoscale.State
	if err := json.Unmarshal([]byte(before), &fromFile); err != nil {
		t.Fatal(err)
	}
	if viaFile, _ := autoscale.Decide(p, fromFile, o); !reflect.DeepEqual(d, viaFile) {
		t.Fatalf("a state through JSON decides differently:\n%+v\n%+v", d, viaFile)
	}
	if s.Pause.InForce(o.At.Time) {
		limited := d.Reason == autoscale.NoMemory && d.To >= d.From && d.To < s.Pause.Replicas
		if s.Pause.Replicas == 0 && d.To != d.From || s.Pause.Replicas > 0 && d.To != d.From && d.To != s.Pause.Replicas && !limited {
			t.Fatalf("a pause is not obeyed: %+v", d)
		}
		return d, next
	}
	switch {
	case d.To < d.From && d.Verdict != autoscale.OK:
		t.Fatalf("lowered on %s: %+v", d.Verdict, d)
	case d.To < d.From && d.To < p.Min:
		t.Fatalf("lowered below the minimum: %+v", d)
	case d.To > d.From && d.To > p.Max:
		t.Fatalf("raised above the maximum: %+v", d)
	case d.To < d.From && !s.Known():
		t.Fatalf("lowered at the first run: %+v", d)
	case d.To < d.From && p.Mode != autoscale.Auto, d.To != d.From && p.Mode == autoscale.Observe:
		t.Fatalf("mode %s moved: %+v", p.Mode, d)
	case o.Delegate != nil && (d.To < d.From || o.Delegate.Acts && d.To != d.From):
		t.Fatalf("what another sets was moved: %+v", d)
	case d.Want < p.Min, d.Want > max(p.Max, d.From):
		t.Fatalf("wants what is out of bounds: %+v", d)
	case len(d.Steps) == 0 || d.Steps[len(d.Steps)-1].To != d.To || d.Sentence() == "":
		t.Fatalf("a number without its reasons: %+v", d)
	}
	checkMoreLoad(t, p, s, o, d)
	return d, next
}

// checkMoreLoad doubles every gauge: more load never means fewer replicas. A
// count above the maximum is the exception: only load that asks for no raise
// lets it be lowered, and it is lowered to the same maximum then.
func checkMoreLoad(t *testing.T, p autoscale.Policy, s autoscale.State, o autoscale.Observation, d autoscale.Decision) {
	t.Helper()
	if o.Reading.Kind != autoscale.Gauge {
		return
	}
	o.Reading.Samples = append([]autoscale.Sample{}, o.Reading.Samples...)
	for i := range o.Reading.Samples {
		o.Reading.Samples[i].Value = min(2*o.Reading.Samples[i].Value+1, math.MaxFloat64)
	}
	if more, _ := autoscale.Decide(p, s, o); more.To < d.To {
		t.Fatalf("more load, fewer replicas:\n%+v\n%+v", d, more)
	}
}
