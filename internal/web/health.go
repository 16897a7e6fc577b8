package web

import (
	"fmt"
	"io"
	"net/http"
)

// healthy says that this process answers.
func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n") // a reader who has gone is no error of ours
}

// ready says whether every service is looked after: the configuration was read,
// and each has come to the end of a step, be it a failed one.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	reasons := []string{}
	good, err := s.reload.get()
	switch {
	case good.IsZero() && err != nil:
		reasons = append(reasons, fmt.Sprintf("the configuration cannot be used: %v", err))
	case good.IsZero():
		reasons = append(reasons, "the configuration has not been read yet")
	}
	for _, shot := range s.daemon.Snapshots() {
		if shot.Steps == 0 {
			reasons = append(reasons, fmt.Sprintf("service %s has not ended its first step", shot.Name))
		}
	}
	status := http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, struct {
		Ready   bool     `json:"ready"`
		Reasons []string `json:"reasons"`
	}{len(reasons) == 0, reasons})
}
