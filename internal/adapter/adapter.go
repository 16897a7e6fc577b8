// Package adapter keeps at hand what HorizontalPodAutoscalers ask of pods: the
// requests/s of each, read from its own metrics page at an interval, and judged as
// the decision judges a replica. What is in doubt is left out, since an autoscaler
// has a rule of its own for pods without a value, and none for a wrong one. It
// knows no cluster: somebody says which pods there are, and asks for the values.
package adapter

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/five-keys/autoscale"
)

// Metric is what is asked of the pods of one namespace.
type Metric struct {
	Namespace string
	// Name is the metric as an autoscaler asks for it: a gauge's own name, or that of
	// a counter's rate, X_per_second.
	Name string
	// Matchers narrow it to some of its series, in PromQL's syntax: {code="200"}.
	// Empty for all.
	Matchers string
}

func (m Metric) String() string { return m.Namespace + "/" + m.Name + m.Matchers }

// Page is where a pod's metrics stand.
type Page struct {
	Scheme string // http or https
	Port   uint16
	Path   string
}

// Pod is a pod that runs.
type Pod struct {
	UID, Name string
	Addr      netip.Addr
	// Started is when the youngest of its containers did; zero where that is not known.
	Started time.Time
	Page    Page
	// Fault says why the pod has no Page; empty where it has.
	Fault string
}

// Value is the load of one pod.
type Value struct {
	UID string
	RPS float64 // requests/s
	// Time is when it was read, Window the time that it is a rate over; 0 for a gauge.
	Time   time.Time
	Window time.Duration
}

// Reader reads one metric of pods from their pages, as prometheus.Source does.
type Reader interface {
	Read(ctx context.Context, replicas []autoscale.Replica) autoscale.Reading
}

// Config says how pods are read.
type Config struct {
	// Interval is the time in which each pod's value is renewed; 0 is 15 s. A counter
	// is read twice in it, so that a step in the load is seen whole within one.
	Interval time.Duration
	// Slots is how many pages may be read at the same time; 0 is 256.
	Slots int
	// Open makes the reader of a metric on a page. Its errors are about the metric.
	Open func(Metric, Page) (Reader, error)
	// Log hears of pods that are left out, and of their return.
	Log *slog.Logger
}

// quick is the time between the first three readings of a counter, which make its
// first rate.
const quick = 2 * time.Second

// Adapter reads the pods and has their values. Its methods may be called at the
// same time.
type Adapter struct {
	config Config
	slots  chan struct{}

	mu    sync.Mutex
	asked map[Metric]*asked
	reads map[autoscale.Verdict]uint64
}

// asked is one metric and the pods it is asked of.
type asked struct {
	metric  Metric
	settled time.Duration
	since   time.Time
	phase   time.Duration // of its readings within the interval
	readers map[Page]Reader
	series  map[string]*series // by UID
}

// New makes an Adapter that reads nothing before Run.
func New(c Config) *Adapter {
	c.Interval = cmp.Or(c.Interval, 15*time.Second)
	c.Slots = cmp.Or(c.Slots, 256)
	return &Adapter{config: c, slots: make(chan struct{}, c.Slots), asked: map[Metric]*asked{}, reads: map[autoscale.Verdict]uint64{}}
}

// Ask says of which pods the metric is asked now; what is known of others is
// forgotten. settled is how old a pod must be to count as without traffic where its
// page lacks a metric that the pages of others have.
func (a *Adapter) Ask(m Metric, settled time.Duration, pods []Pod) {
	a.mu.Lock()
	defer a.mu.Unlock()
	asking := a.asked[m]
	if asking == nil {
		asking = &asked{metric: m, since: time.Now(), phase: phase(m, a.config.Interval), readers: map[Page]Reader{}, series: map[string]*series{}}
		a.asked[m] = asking
	}
	asking.settled = settled
	keep := make(map[string]bool, len(pods))
	for _, pod := range pods {
		keep[pod.UID] = true
		s := asking.series[pod.UID]
		if s == nil {
			s = &series{}
			asking.series[pod.UID] = s
		}
		s.be(pod)
	}
	pages := map[Page]bool{}
	for uid, s := range asking.series {
		if !keep[uid] {
			delete(asking.series, uid)
			continue
		}
		pages[s.pod.Page] = true
	}
	for page := range asking.readers {
		if !pages[page] {
			delete(asking.readers, page)
		}
	}
}

// Drop forgets a metric that nobody asks for any more.
func (a *Adapter) Drop(m Metric) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.asked, m)
}

// phase is when within the interval a metric is read: all its pods at once, so that
// their sum is one of a moment, and other metrics at other times.
func phase(m Metric, interval time.Duration) time.Duration {
	h := fnv.New64a()
	fmt.Fprint(h, m)
	return time.Duration(h.Sum64() % uint64(interval))
}

// tick is how often it is looked which pods are due.
const tick = 100 * time.Millisecond

// Run reads the pods until the context ends, and waits for what it began.
func (a *Adapter) Run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var reading sync.WaitGroup
	defer reading.Wait()
	for {
		a.startDue(ctx, &reading)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// startDue begins the readings that are due, as far as there are slots: what does
// not get one is due at the next tick.
func (a *Adapter) startDue(ctx context.Context, reading *sync.WaitGroup) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for _, asking := range a.asked {
		for _, s := range asking.series {
			if s.reading || s.pod.Fault != "" || now.Before(s.next) {
				continue
			}
			select {
			case a.slots <- struct{}{}:
			default:
				return
			}
			s.reading = true
			reader, err := a.reader(asking, s.pod.Page)
			pod := s.pod
			reading.Go(func() {
				defer func() { <-a.slots }()
				a.read(ctx, asking, s, pod, reader, err)
			})
		}
	}
}

// reader is the one for a page of the metric.
func (a *Adapter) reader(asking *asked, page Page) (Reader, error) {
	if r := asking.readers[page]; r != nil {
		return r, nil
	}
	r, err := a.config.Open(asking.metric, page)
	if err != nil {
		return nil, err
	}
	asking.readers[page] = r
	return r, nil
}

// read reads one pod once.
func (a *Adapter) read(ctx context.Context, asking *asked, s *series, pod Pod, reader Reader, err error) {
	r := autoscale.Reading{Samples: []autoscale.Sample{{Process: pod.UID, Name: pod.Name, Verdict: autoscale.Malformed}}}
	if err != nil {
		r.Samples[0].Detail, r.Samples[0].Time = err.Error(), time.Now()
	} else if r = reader.Read(ctx, []autoscale.Replica{pod.replica()}); ctx.Err() != nil {
		return // the end of this program is no fault of the pod's
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s.reading = false
	if s.pod.Page != pod.Page || s.pod.Addr != pod.Addr {
		return // what was read is no longer where the pod's page is
	}
	before, first := s.measured.Verdict, s.rounds == 0
	s.take(asking.metric, r)
	a.reads[s.measured.Verdict]++
	s.next = s.due(asking.phase, a.config.Interval)
	a.tell(asking.metric, s, before, first)
}

// tell logs that a pod is left out, or has a value again.
func (a *Adapter) tell(m Metric, s *series, before autoscale.Verdict, first bool) {
	now := s.measured.Verdict
	switch {
	case a.config.Log == nil || now == before:
	case now.Doubtful():
		a.config.Log.Warn("a pod is left out", "namespace", m.Namespace, "pod", s.pod.Name, "metric", m.Name+m.Matchers, "verdict", string(now), "detail", s.measured.Detail)
	case !first && before.Doubtful():
		a.config.Log.Info("a pod can be read again", "namespace", m.Namespace, "pod", s.pod.Name, "metric", m.Name+m.Matchers)
	}
}

func (p Pod) replica() autoscale.Replica {
	return autoscale.Replica{ID: p.UID, Name: p.Name, Started: p.Started, Addrs: []netip.Addr{p.Addr}}
}
