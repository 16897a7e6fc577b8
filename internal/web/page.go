package web

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/five-keys/autoscale/internal/chart"
)

//go:embed page
var pageFiles embed.FS

// pagePath is where a file of the page lies: among those of the page, or among the
// parts that it shares with reports.
func pagePath(name string) (fs.FS, string) {
	switch name {
	case "look.css", "draw.js":
		return chart.Parts(), name
	case "uPlot.min.css", "uPlot.iife.min.js":
		return chart.Parts(), "uplot/" + name
	}
	return pageFiles, "page/" + name
}

// root is the page for those who want one, and else a line that says what there
// is.
func (s *Server) root(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		servePage(w, r, "index.html")
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintf(w, "autoscale %s: the page is here for browsers, the API at /api/v1/services (docs/api.md describes it), metrics at /metrics, health at /healthz and /readyz\n", s.config.Version)
}

// pageFile is a file that the page needs.
func pageFile(w http.ResponseWriter, r *http.Request) {
	servePage(w, r, r.PathValue("file"))
}

// servePage serves a file of the page. A browser may keep it, and asks each time
// whether it is still the same.
func servePage(w http.ResponseWriter, r *http.Request, name string) {
	files, at := pagePath(name)
	text, err := fs.ReadFile(files, at)
	if err != nil {
		refuse(w, http.StatusNotFound, fmt.Errorf("there is no file %s of the page", name))
		return
	}
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(text))
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", tag)
	h.Set("Content-Type", contentType(name))
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(text) // a reader who has gone is no error of ours
}

// contentType is what a file is, whatever this machine calls it.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}
