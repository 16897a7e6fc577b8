package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/five-keys/autoscale"
)

const (
	// pauseWithin is how long a step under way is waited for.
	pauseWithin = 30 * time.Second
	// longestPause bounds a pause: one that everybody has forgotten must end.
	longestPause = 30 * 24 * time.Hour
	// maxWords bounds who and why, in characters.
	maxWords = 200
)

// pausing is the body of a request to pause.
type pausing struct {
	For      string    `json:"for"`
	Until    time.Time `json:"until"`
	Replicas int       `json:"replicas"`
	Reason   string    `json:"reason"`
	By       string    `json:"by"`
}

// pause leaves a service's count alone, or holds it, for a time.
func (s *Server) pause(w http.ResponseWriter, r *http.Request) {
	asked, status, err := readPausing(r.Body)
	if err != nil {
		refuse(w, status, err)
		return
	}
	if asked.By == "" {
		asked.By = "api@" + from(r)
	}
	p, err := asked.pause(time.Now())
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	s.setPause(w, r, p)
}

// resume ends a pause.
func (s *Server) resume(w http.ResponseWriter, r *http.Request) { s.setPause(w, r, nil) }

// setPause has the daemon set p and answers what became of it.
func (s *Server) setPause(w http.ResponseWriter, r *http.Request, p *autoscale.Pause) {
	name := r.PathValue("name")
	if _, ok := s.find(name); !ok {
		refuse(w, http.StatusNotFound, unknown(r))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), pauseWithin)
	defer cancel()
	err := s.daemon.Pause(ctx, name, p)
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		w.Header().Set("Retry-After", "30")
		refuse(w, http.StatusServiceUnavailable, fmt.Errorf("%w; ask again", err))
		return
	case err != nil:
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	if p == nil {
		s.log.Info("resumed", "service", name, "from", from(r))
	} else {
		s.log.Info("paused", "service", name, "replicas", p.Replicas, "until", p.Until, "by", p.By, "reason", p.Reason, "from", from(r))
	}
	answer(w, http.StatusOK, struct {
		Service string           `json:"service"`
		Pause   *autoscale.Pause `json:"pause"`
	}{name, p})
}

// from is the address that a request came from.
func from(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// readPausing reads a body strictly, and says what to answer where it is wrong.
func readPausing(body io.Reader) (p pausing, status int, err error) {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err = d.Decode(&p)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.Join(errors.New("something follows the object"), more)
		}
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return p, http.StatusRequestEntityTooLarge, fmt.Errorf("the body is larger than %d bytes", large.Limit)
	case err != nil:
		return p, http.StatusBadRequest, fmt.Errorf(`the body cannot be read (%w): give an object such as {"for": "30m", "reason": "database migration"}`, err)
	}
	return p, 0, nil
}

// pause is what p asks for at now.
func (p pausing) pause(now time.Time) (*autoscale.Pause, error) {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	until, err := p.end(now)
	if err != nil {
		errs = append(errs, err)
	}
	if p.Replicas < 0 {
		wrong("replicas: %d: give the number to hold, or leave it out to leave the count alone", p.Replicas)
	}
	for key, text := range map[string]string{"reason": p.Reason, "by": p.By} {
		if !plain(text) {
			wrong("%s: give one line of at most %d characters", key, maxWords)
		}
	}
	return &autoscale.Pause{Replicas: p.Replicas, Since: now, Until: until, By: p.By, Reason: p.Reason}, errors.Join(errs...)
}

// end is when a pause ends: it always has an end.
func (p pausing) end(now time.Time) (time.Time, error) {
	until := p.Until
	switch {
	case p.For != "" && !p.Until.IsZero():
		return until, errors.New("for and until contradict each other: give one")
	case p.For != "":
		length, err := duration(p.For)
		if err != nil || length <= 0 {
			return until, fmt.Errorf("for: %q: give a duration above 0, such as 30m", p.For)
		}
		until = now.Add(length)
	case p.Until.IsZero():
		return until, errors.New(`a pause needs an end: give for ("30m") or until ("2026-11-23T12:00:00Z")`)
	}
	if !until.After(now) {
		return until, fmt.Errorf("until: %s has passed", until.Format(time.RFC3339))
	}
	if until.After(now.Add(longestPause)) {
		return until, fmt.Errorf("a pause may last %d days, and can be renewed; to stop scaling for good set mode: observe", int(longestPause.Hours()/24))
	}
	return until, nil
}

// plain reports whether text is one short line that a log and a terminal can
// show.
func plain(text string) bool {
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(text) && utf8.RuneCountInString(text) <= maxWords
}
