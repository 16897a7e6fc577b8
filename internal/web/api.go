package web

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/store"
)

const (
	// aDay is how far back is looked where nothing is said.
	aDay = 24 * time.Hour
	// usualLimit and maxLimit bound how many decisions or events are answered.
	usualLimit, maxLimit = 100, 1000
	// usualPoints is how many points a history has where no step is said, maxPoints
	// the most it may have.
	usualPoints, maxPoints = 500, 5000
)

// getServices answers where all services stand.
func (s *Server) getServices(w http.ResponseWriter, _ *http.Request) {
	now := time.Now()
	services := []service{}
	for _, shot := range s.daemon.Snapshots() {
		services = append(services, shown(shot, now))
	}
	good, err := s.reload.get()
	loaded := config{Loaded: good}
	if err != nil {
		loaded.Error = err.Error()
	}
	answer(w, http.StatusOK, struct {
		Version string    `json:"version"`
		Host    string    `json:"host"`
		Now     time.Time `json:"now"`
		// Changeable tells that there is a token: who shows it may change something.
		Changeable bool      `json:"changeable"`
		Config     config    `json:"config"`
		Services   []service `json:"services"`
	}{s.config.Version, s.config.Host, now, s.config.Token != "", loaded, services})
}

// config is the outcome of reading the configuration.
type config struct {
	// Loaded is when one was last taken over.
	Loaded time.Time `json:"loaded,omitzero"`
	// Error is why a newer one was not; empty where there is none.
	Error string `json:"error,omitempty"`
}

// getService answers where one service stands.
func (s *Server) getService(w http.ResponseWriter, r *http.Request) {
	shot, ok := s.find(r.PathValue("name"))
	if !ok {
		refuse(w, http.StatusNotFound, unknown(r))
		return
	}
	answer(w, http.StatusOK, shownWhole(shot, time.Now()))
}

// find looks a service up by its name.
func (s *Server) find(name string) (control.Snapshot, bool) {
	for _, shot := range s.daemon.Snapshots() {
		if shot.Name == name {
			return shot, true
		}
	}
	return control.Snapshot{}, false
}

func unknown(r *http.Request) error {
	return fmt.Errorf("there is no service %q; /api/v1/services has them all", r.PathValue("name"))
}

// getDecisions answers the decisions on a service, newest first.
func (s *Server) getDecisions(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, time.Now())
	from, to := q.span(aDay)
	limit := q.limit()
	changes := q.yes("changes")
	if !s.lookUp(w, q) {
		return
	}
	decisions := []store.Record{}
	for record, err := range s.history.Records(q.service, from, to, limit, changes) {
		if err != nil {
			s.broken(w, err)
			return
		}
		record.Reading = clean(record.Reading)
		record.Decision.Load = finite(record.Decision.Load)
		decisions = append(decisions, record)
		if len(decisions) == limit {
			break
		}
	}
	s.answerOf(w, r, len(decisions), struct {
		Decisions []store.Record `json:"decisions"`
	}{decisions})
}

// getHistory answers what a chart of a service shows, oldest first.
func (s *Server) getHistory(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, time.Now())
	from, to := q.span(aDay / 4)
	step := q.step(to.Sub(from))
	if !s.lookUp(w, q) {
		return
	}
	points, err := s.history.Points(q.service, from, to, step)
	if err != nil {
		s.broken(w, err)
		return
	}
	for i, p := range points {
		points[i].RPS = finite(p.RPS)
	}
	s.answerOf(w, r, len(points), struct {
		From   time.Time `json:"from"`
		To     time.Time `json:"to"`
		StepS  float64   `json:"step_s"`
		Points []Point   `json:"points"`
	}{from, to, step.Seconds(), append([]Point{}, points...)})
}

// getEvents answers what happened beside the steps, newest first.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, time.Now())
	q.service = r.URL.Query().Get("service")
	since := q.moment("since", q.now.Add(-aDay))
	limit := q.limit()
	if !s.lookUp(w, q) {
		return
	}
	events, err := s.history.Events(q.service, since, limit)
	if err != nil {
		s.broken(w, err)
		return
	}
	answer(w, http.StatusOK, struct {
		Events []Event `json:"events"`
	}{append([]Event{}, events...)})
}

// lookUp reports whether q can be looked up in the history, and else answers why
// not.
func (s *Server) lookUp(w http.ResponseWriter, q *query) bool {
	switch {
	case q.err() != nil:
		refuse(w, http.StatusBadRequest, q.err())
	case s.history == nil:
		refuse(w, http.StatusServiceUnavailable, errors.New("no history is kept; the daemon's log says why"))
	default:
		return true
	}
	return false
}

// answerOf answers what was found of a service. One that is gone from the
// configuration may still have a history; without one, it is not known.
func (s *Server) answerOf(w http.ResponseWriter, r *http.Request, found int, v any) {
	if _, known := s.find(r.PathValue("name")); found == 0 && !known {
		refuse(w, http.StatusNotFound, unknown(r))
		return
	}
	answer(w, http.StatusOK, v)
}

// broken answers that the history cannot be read.
func (s *Server) broken(w http.ResponseWriter, err error) {
	s.log.Error("the history cannot be read", "error", err)
	refuse(w, http.StatusInternalServerError, fmt.Errorf("the history cannot be read: %w", err))
}

// query reads what a request asks for; everything that is wrong is in err.
type query struct {
	service string
	now     time.Time
	get     func(key string) string
	errs    []error
}

func newQuery(r *http.Request, now time.Time) *query {
	return &query{service: r.PathValue("name"), now: now, get: r.URL.Query().Get}
}

func (q *query) err() error { return errors.Join(q.errs...) }

func (q *query) wrong(key, want string) {
	q.errs = append(q.errs, fmt.Errorf("%s=%s: give %s", key, q.get(key), want))
}

// moment reads a time: RFC 3339, Unix seconds, or how long ago.
func (q *query) moment(key string, usual time.Time) time.Time {
	text := q.get(key)
	if text == "" {
		return usual
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t
	}
	// Up to the year 2286, so that no sum with a duration overflows.
	if unix, err := strconv.ParseFloat(text, 64); err == nil && unix >= 0 && unix < 1e10 {
		return time.UnixMilli(int64(unix * 1000)).UTC()
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return q.now.Add(-ago)
	}
	q.wrong(key, "a time such as 2026-11-23T12:00:00Z, Unix seconds, or how long ago such as 6h")
	return usual
}

// span reads from and to; usual is how long it is where from is not said.
func (q *query) span(usual time.Duration) (from, to time.Time) {
	to = q.moment("to", q.now)
	from = q.moment("from", to.Add(-usual))
	if !from.Before(to) {
		q.wrong("from", "a time before to")
	}
	return from, to
}

func (q *query) limit() int {
	text := q.get("limit")
	if text == "" {
		return usualLimit
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		q.wrong("limit", fmt.Sprintf("a number from 1 to %d", maxLimit))
		return usualLimit
	}
	return n
}

func (q *query) yes(key string) bool {
	text := q.get(key)
	if text == "" {
		return false
	}
	yes, err := strconv.ParseBool(text)
	if err != nil {
		q.wrong(key, "true or false")
	}
	return yes
}

// step reads the step of a history as long as whole.
func (q *query) step(whole time.Duration) time.Duration {
	least := max(whole/maxPoints, time.Second)
	text := q.get("step")
	if text == "" {
		seconds := math.Ceil((whole / usualPoints).Seconds())
		return max(time.Duration(seconds)*time.Second, time.Second)
	}
	step, err := duration(text)
	if err != nil || step < least {
		q.wrong("step", fmt.Sprintf("a duration of at least %s, for at most %d points", least.Round(time.Millisecond), maxPoints))
	}
	return step
}

// duration reads 90s, 3m, 1h30m, or bare seconds.
func duration(text string) (time.Duration, error) {
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 && seconds < 1e9 {
		return time.Duration(seconds) * time.Second, nil
	}
	return time.ParseDuration(text)
}
