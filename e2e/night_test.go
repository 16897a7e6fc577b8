//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The night's cooldown, and the load that asks for one replica more.
const (
	nightCooldown = 3 * time.Second
	nightLoad     = 36
)

// truth is what the load asks for; not good where the page does not say so.
type truth struct {
	want int
	good bool
}

// look is one reading of the page.
type look struct {
	truth
	at time.Time
}

// seen is how many replicas ran at an instant, and what the load asked for then.
type seen struct {
	truth
	at    time.Time
	count int
	apart bool // others changed the count
}

// moved is a count that a run changed.
type moved struct {
	at       time.Time // of the decision
	from, to int
}

// night is a project that everything happens to, while cron starts runs that
// overlap, and callers and a checker look on.
type night struct {
	*project
	engine  *engine
	page    *page
	hook    *hook
	callers *callers
	began   time.Time
	calls   int
	slowest time.Duration
	cron    sync.WaitGroup
	stop    context.CancelFunc
	running sync.RWMutex // read by each run, written where none is to run

	mu     sync.Mutex
	now    truth
	looks  []look
	moves  []moved
	counts []seen
	ended  map[int]int // runs by status
	apart  bool        // others change the count
}

// newNight starts the project, its callers and its cron.
func newNight(t *testing.T) *night {
	t.Helper()
	n := &night{engine: ownEngine(t), hook: newHook(t), page: newPage(t, nightLoad), began: time.Now(), ended: map[int]int{}}
	if err := proxyImage(); err != nil {
		t.Fatal(err)
	}
	n.engine.image(built.image + ":1")
	n.engine.image(proxyName)
	compose := strings.NewReplacer("    stop_grace_period", "    restart: always\n    stop_grace_period", "    depends_on", "    restart: always\n    depends_on").Replace(fronted)
	n.project = newProject(t, "compose.yaml", compose, "tell.sh", tellScript)
	n.env = append(n.engine.env, "PROJECT="+n.name)
	n.must(os.Chmod(filepath.Join(n.dir, "tell.sh"), 0o755))
	n.tmpfs("tools", 8<<20)
	n.good(1)
	n.up()
	n.callers = newCallers(n.project, 20)
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	t.Cleanup(func() { stop(); n.cron.Wait() })
	for range 2 {
		n.cron.Go(func() {
			for ; ctx.Err() == nil; time.Sleep(600 * time.Millisecond) {
				n.run()
			}
		})
	}
	return n
}

// run is one of cron's: what it did is kept.
func (n *night) run() {
	n.running.RLock()
	defer n.running.RUnlock()
	r := n.autoscale(n.page.url(), "--metrics-scope=service", "--cooldown="+nightCooldown.String(), "--max-reversals=0", "--output=json", "--notify=generic+"+n.hook.URL+"/secret",
		"--upstream-file=list/app.json", "--upstream-format=json", "--upstream-port=8000", "--on-change=./tell.sh", "--drain=1s")
	var d struct {
		Decision *struct {
			At       time.Time
			From, To int
			Verdict  string
		}
		Outcome *struct{ Count int }
	}
	if err := json.Unmarshal([]byte(r.out), &d); err != nil {
		n.t.Errorf("not one JSON object: %v\n%s%s", err, r.out, r.errors)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended[r.status]++
	if d.Decision == nil || d.Outcome == nil || d.Outcome.Count == d.Decision.From {
		return
	}
	m := moved{d.Decision.At, d.Decision.From, d.Outcome.Count}
	n.moves = append(n.moves, m)
	if m.to < m.from && d.Decision.To < m.from { // and not others, meanwhile
		n.lowered(m, d.Decision.Verdict)
	}
}

// lowered holds a lowering against what was read for a cooldown before it; the lock
// is held.
func (n *night) lowered(m moved, verdict string) {
	if verdict != "ok" {
		n.t.Errorf("lowered from %d to %d on a reading that was %s", m.from, m.to, verdict)
	}
	for _, l := range n.looks {
		// What was read at either end may belong to the run before, or after.
		if l.at.Before(m.at.Add(-nightCooldown+300*time.Millisecond)) || l.at.After(m.at) {
			continue
		}
		if !l.good || l.want > m.to {
			n.t.Errorf("lowered from %d to %d at %s, though the page was read at %s: %+v", m.from, m.to, m.at, l.at, l.truth)
		}
	}
}

// good has the page say a load that asks for so many replicas.
func (n *night) good(want int) {
	n.set(truth{want, true}, text(fmt.Sprintf("# TYPE http_requests_per_second gauge\nhttp_requests_per_second %d\n", nightLoad*want)))
}

// bad has the page say something else than the load that there is.
func (n *night) bad(body func(http.ResponseWriter)) { n.set(truth{want: n.last().want}, body) }

// lies has the page say another number for a while.
func (n *night) lies(rps string, d time.Duration) {
	n.bad(text("# TYPE http_requests_per_second gauge\nhttp_requests_per_second " + rps + "\n"))
	time.Sleep(d)
}

func (n *night) set(now truth, body func(http.ResponseWriter)) {
	n.page.serve(func(w http.ResponseWriter) {
		n.mu.Lock()
		n.looks = append(n.looks, look{now, time.Now()})
		n.mu.Unlock()
		body(w)
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = now
}

func (n *night) last() truth {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now
}

// becomes has the load ask for so many, and waits until that was read and they run.
func (n *night) becomes(want int) {
	n.t.Helper()
	n.good(want)
	n.eventually(fmt.Sprintf("%d replicas run", want), func() bool {
		n.mu.Lock()
		last := n.looks[max(0, len(n.looks)-2):] // runs overlap: either may be the one that acts
		read := len(last) == 2 && last[0].truth == truth{want, true} && last[0].truth == last[1].truth
		n.mu.Unlock()
		return read && n.count() == want
	})
}

// keeps looks that the count does not change for longer than two cooldowns.
func (n *night) keeps(want int) {
	n.t.Helper()
	for end := time.Now().Add(2*nightCooldown + time.Second); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		if now := n.count(); now != want {
			n.t.Fatalf("%d replicas, and not %d", now, want)
		}
	}
}

// aside does what others do to the replicas, and is not held against us.
func (n *night) aside(what func()) {
	n.t.Helper()
	n.counted()
	n.mark(true)
	what()
	n.becomes(n.last().want)
	n.settle()
	n.reachable()
	n.mark(false)
	n.callers = newCallers(n.project, 20)
}

// counted ends the calls and counts them.
func (n *night) counted() {
	n.t.Helper()
	n.calls += n.callers.end()
	n.slowest = max(n.slowest, n.callers.slowest)
}

func (n *night) mark(apart bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.apart = apart
}

// happenings are all that happens; each leaves a load that the page says, and the
// replicas that it asks for.
func (n *night) happenings(random *rand.Rand) map[string]func() {
	some := func() int { return 2 + random.IntN(3) }
	compose := n.read("compose.yaml")
	releases := 0
	return map[string]func(){
		"a spike": func() { n.becomes(5); n.becomes(some()) },
		"the metrics are gone": func() {
			was := some()
			n.becomes(was)
			n.bad(func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) })
			n.keeps(was)
		},
		"the metrics lie": func() {
			n.becomes(5)
			n.lies("NaN", nightCooldown+2*time.Second)
			n.lies("-1", nightCooldown+time.Second)
			n.becomes(5)
			n.lies("0", nightCooldown-time.Second)
			n.becomes(5)
			n.lies(fmt.Sprint(nightLoad), nightCooldown-time.Second) // one replica only
			n.becomes(5)
		},
		"a deployment": func() {
			n.becomes(some())
			n.aside(func() {
				releases++
				n.write("compose.yaml", strings.Replace(compose, `LEVERS: "1"`, fmt.Sprintf(`LEVERS: "1", RELEASE: "%d"`, releases), 1))
				n.docker("compose", "up", "-d", "app")
			})
		},
		"an image that crashes": func() {
			was := n.count()
			if was == 5 {
				n.becomes(3)
				was = 3
			}
			now := n.read("compose.yaml")
			failed := func() int { n.mu.Lock(); defer n.mu.Unlock(); return n.ended[1] }
			before := failed()
			n.write("compose.yaml", strings.Replace(now, `LEVERS: "1`, `LEVERS: "exit=3&after=300ms`, 1))
			n.good(was + 1)
			n.eventually("a run fails of it", func() bool { return failed() > before })
			n.eventually("no replica of it is left", func() bool { return n.count() == was && len(n.containers("app")) == was })
			n.write("compose.yaml", now)
			n.becomes(was + 1)
		},
		"hands": func() {
			n.becomes(3)
			n.aside(func() {
				n.docker("compose", "up", "-d", "--no-deps", "--no-recreate", "--scale", "app=5", "app")
				n.eventually("5 replicas run", func() bool { return n.count() == 5 })
				n.docker("compose", "up", "-d", "--no-deps", "--no-recreate", "--scale", "app=1", "app")
			})
		},
		"the engine dies": func() {
			n.becomes(some())
			n.aside(func() {
				n.engine.kill()
				time.Sleep(time.Second)
				n.engine.restart(n.project)
				n.eventually("the replicas are back", func() bool {
					_, err := n.tryDocker("ps")
					return err == nil && n.count() > 0
				})
			})
		},
		"the disk is full": func() {
			n.becomes(3)
			free := n.fill("tools")
			n.becomes(4)
			n.good(1)
			n.keeps(4)
			free()
			n.becomes(1)
		},
		"the clock is set": func() {
			n.becomes(4)
			n.running.Lock() // no run in between
			n.edit(func(state map[string]any) {
				at := state["at"].(map[string]any)
				was, err := time.Parse(time.RFC3339Nano, at["time"].(string))
				n.must(err)
				at["time"] = was.Add(time.Hour).Format(time.RFC3339Nano)
			})
			n.good(1)
			began := time.Now()
			n.running.Unlock()
			n.eventually("1 replica runs", func() bool { return n.count() == 1 })
			if took := time.Since(began); took < nightCooldown {
				n.t.Errorf("lowered %s after the clock was set", took)
			}
		},
		"the proxy cannot be told": func() {
			n.becomes(2)
			n.write("refuse", "")
			n.becomes(4)
			n.good(2)
			n.keeps(4)
			n.must(os.Remove(filepath.Join(n.dir, "refuse")))
			n.becomes(2)
		},
	}
}

// watch looks at the count all the while.
func (n *night) watch() (end func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(300 * time.Millisecond):
			}
			out, err := n.tryDocker("ps", "-q", "--filter", "label=com.docker.compose.project="+n.name, "--filter", "label=com.docker.compose.service=app")
			n.mu.Lock()
			n.counts = append(n.counts, seen{n.now, time.Now(), len(strings.Fields(out)), n.apart || err != nil})
			n.mu.Unlock()
		}
	})
	return func() { close(done); wg.Wait() }
}

// bounds holds the counts against the bounds, and against the least that the load
// asked for in the time before that a change takes.
func (n *night) bounds() {
	n.t.Helper()
	const takes = 30 * time.Second
	for i, s := range n.counts {
		least := 5
		for j := i; j >= 0 && n.counts[j].at.After(s.at.Add(-takes)); j-- {
			least = min(least, n.counts[j].want)
			if n.counts[j].apart || j == 0 {
				least = 0 // who knows
			}
		}
		if s.count > 5 || s.count < least {
			n.t.Errorf("%d replicas at %s; the load asked for no less than %d", s.count, s.at, least)
		}
	}
}

var (
	countOf  = regexp.MustCompile(`replicas: \d+`)
	toldMove = regexp.MustCompile(`app: \d+ -> \d+ replica`)
)

// TestBadNight: everything happens to one service in one night, in an order that the
// seed gives, while cron's runs overlap. Nothing is lowered on doubt, no request
// fails of scaling, of the user's files nothing but the count changes, and each move
// is told once.
func TestBadNight(t *testing.T) {
	t.Parallel()
	rounds := 1
	if os.Getenv("AUTOSCALE_E2E") == "all" {
		rounds = 3
	}
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("AUTOSCALE_SEED"); given != "" {
		if _, err := fmt.Sscan(given, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("AUTOSCALE_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	n := newNight(t)
	watched := n.watch()
	compose, override := n.read("compose.yaml"), n.read(overrideFile)
	all := n.happenings(random)
	for range rounds {
		names := make([]string, 0, len(all))
		for name := range all {
			names = append(names, name)
		}
		slices.Sort(names)
		random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			t.Logf("%s: %s", time.Now().Format(time.TimeOnly), name)
			all[name]()
		}
	}
	n.becomes(3)
	n.becomes(2)
	n.stop()
	n.cron.Wait()
	watched()
	n.counted()
	n.bounds()
	n.check(compose, override)
}

// check holds what is left against what was.
func (n *night) check(compose, override string) {
	n.t.Helper()
	n.run() // what could not be told is told now
	// Of many moves in an hour only the first are told: each once, and nothing that was
	// not.
	const few = 6
	happened, said := map[string]int{}, n.hook.told()
	for i, m := range n.moves {
		move := fmt.Sprintf("app: %d -> %d replica", m.from, m.to)
		happened[move]++
		if told := strings.Count(said, move); i < few && told == 0 {
			n.t.Errorf("%q was not told", move)
		}
	}
	lines := strings.Split(said, "\n")
	for _, line := range lines {
		if found := toldMove.FindString(line); found != "" {
			if happened[found]--; happened[found] < 0 {
				n.t.Errorf("%q was told too often", found)
			}
		}
	}
	// What began within ten minutes of a failure is the same one; each ends once.
	failed, recovered := strings.Count(said, "app: failed"), strings.Count(said, "app: recovered, after it failed")
	if longest := recovered + 1 + int(time.Since(n.began)/(10*time.Minute)); failed == 0 || failed > longest || recovered > failed {
		n.t.Errorf("%d failures and %d recoveries were told", failed, recovered)
	}
	release := regexp.MustCompile(`, RELEASE: "\d+"`)
	if now := release.ReplaceAllString(n.read("compose.yaml"), ""); now != compose {
		n.t.Errorf("compose.yaml is\n%s", now)
	}
	if now := n.read(overrideFile); countOf.ReplaceAllString(now, "") != countOf.ReplaceAllString(override, "") {
		n.t.Errorf("the override file is\n%s", now)
	}
	n.agrees()
	n.t.Logf("%d requests, the slowest took %s; %d moves, %d told; runs by status %v", n.calls, n.slowest, len(n.moves), len(toldMove.FindAllString(said, -1)), n.ended)
	if n.calls < 200 || len(n.moves) < 10 {
		n.t.Error("too little happened for a test")
	}
	if n.t.Failed() {
		n.t.Logf("told:\n%s", said)
	}
}
