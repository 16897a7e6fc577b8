//go:build e2e && linux

package simulated

import (
	"net/http"

	"github.com/five-keys/autoscale/internal/app"
)

// handler is the work, and a health check beside it.
func handler(a *app.App) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", a.Work)
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	return mux
}
