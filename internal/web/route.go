package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// route is one thing that can be asked for.
type route struct {
	method, path string
	// open routes can be read without the token also by other machines.
	open   bool
	handle http.HandlerFunc
}

// routes are all that listen: serves; docs/api.md describes each one.
func (s *Server) routes() []route {
	const v1 = "/api/v1"
	return []route{
		{http.MethodGet, "/", true, s.root},
		{http.MethodGet, "/page/{file}", true, pageFile},
		{http.MethodGet, "/metrics", true, s.metrics().ServeHTTP},
		{http.MethodGet, "/healthz", true, healthy},
		{http.MethodGet, "/readyz", true, s.ready},
		{http.MethodGet, v1 + "/services", false, s.getServices},
		{http.MethodGet, v1 + "/services/{name}", false, s.getService},
		{http.MethodGet, v1 + "/services/{name}/decisions", false, s.getDecisions},
		{http.MethodGet, v1 + "/services/{name}/history", false, s.getHistory},
		{http.MethodPost, v1 + "/services/{name}/pause", false, s.pause},
		{http.MethodDelete, v1 + "/services/{name}/pause", false, s.resume},
		{http.MethodGet, v1 + "/events", false, s.getEvents},
		{http.MethodGet, v1 + "/stream", false, s.getStream},
	}
}

// Handler serves everything, as the listen: address does.
func (s *Server) Handler() http.Handler { return s.guard.around(s.mux(s.routes())) }

// MetricsHandler serves /metrics and /healthz, as the metrics-listen: address
// does: read-only, to whatever name it was reached by.
func (s *Server) MetricsHandler() http.Handler {
	mux := s.mux([]route{
		{http.MethodGet, "/metrics", true, s.metrics().ServeHTTP},
		{http.MethodGet, "/healthz", true, healthy},
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		harden(w.Header())
		mux.ServeHTTP(w, r)
	})
}

// mux serves routes; whatever else is asked for is answered in JSON too.
func (s *Server) mux(routes []route) *http.ServeMux {
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, route := range routes {
		methods[route.path] = append(methods[route.path], route.method)
		mux.HandleFunc(route.method+" "+exact(route.path), func(w http.ResponseWriter, r *http.Request) {
			if status, err := s.guard.asked(r, route); err != nil {
				refuse(w, status, err)
				return
			}
			route.handle(w, r)
		})
	}
	for path, allowed := range methods {
		if slices.Contains(allowed, http.MethodGet) {
			allowed = append(allowed, http.MethodHead)
		}
		allow := strings.Join(allowed, ", ")
		mux.HandleFunc(exact(path), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", allow)
			refuse(w, http.StatusMethodNotAllowed, fmt.Errorf("%s cannot be asked of %s: only %s", r.Method, r.URL.Path, allow))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, fmt.Errorf("nothing is at %s; there are: %s", r.URL.Path, strings.Join(slices.Sorted(maps.Keys(methods)), ", ")))
	})
	return mux
}

// exact is the mux's pattern for a path and nothing below it.
func exact(path string) string {
	if strings.HasSuffix(path, "/") {
		return path + "{$}"
	}
	return path
}

// answer writes v as JSON. A reader who has gone meanwhile is no error of ours.
func answer(w http.ResponseWriter, status int, v any) {
	text, err := marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

// marshal writes v as JSON on one line, with < and > as they are: no answer is
// ever part of a page.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, status int, err error) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="autoscale"`)
	}
	answer(w, status, struct {
		Error string `json:"error"`
	}{err.Error()})
}
