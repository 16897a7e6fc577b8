package web

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// Browsers get the page, everybody else a line.
func TestRoot(t *testing.T) {
	s := served(t, &known{}, nil)
	for _, c := range []struct {
		accept string
		page   bool
	}{
		{"", false}, {"*/*", false}, {"application/json", false},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", true},
	} {
		w := ask(s.Handler(), "GET", "/", "", "Accept: "+c.accept)
		page := strings.HasPrefix(w.Body.String(), "<!doctype html>")
		if w.Code != 200 || page != c.page || w.Header().Get("Vary") != "Accept" {
			t.Errorf("%s: %d %s", c.accept, w.Code, w.Body)
		}
		if kind := w.Header().Get("Content-Type"); strings.HasPrefix(kind, "text/html") != c.page {
			t.Errorf("%s: %s", c.accept, kind)
		}
	}
}

// All that the page asks for is there, of the right kind, and asked of us; every
// file is asked for by something.
func TestPageFiles(t *testing.T) {
	s := served(t, &known{}, nil)
	link := regexp.MustCompile(`(?:src|href)="([^"#]+)"|(?:from |import\()"\./([^"]+)"`)
	wanted := map[string]bool{}
	var read func(name, text string)
	read = func(name, text string) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			file := strings.TrimPrefix(m[1], "page/") + m[2]
			if strings.Contains(file, "/") {
				t.Errorf("%s asks for %s", name, m[0])
			}
			if wanted[file] {
				continue
			}
			wanted[file] = true
			w := ask(s.Handler(), "GET", "/page/"+file, "")
			if w.Code != 200 {
				t.Errorf("%s: %s: %d", name, file, w.Code)
			}
			read(file, w.Body.String())
		}
	}
	read("the page", ask(s.Handler(), "GET", "/", "", "Accept: text/html").Body.String())
	files, err := fs.ReadDir(pageFiles, "page")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != "index.html" && !wanted[f.Name()] {
			t.Errorf("nothing asks for %s", f.Name())
		}
	}
	for file, kind := range map[string]string{"main.js": "text/javascript", "draw.js": "text/javascript", "look.css": "text/css", "icon.svg": "image/svg+xml"} {
		if w := ask(s.Handler(), "GET", "/page/"+file, ""); !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
			t.Errorf("%s: %s", file, w.Header().Get("Content-Type"))
		}
	}
}

// A browser that has a file asks whether it is the same still.
func TestPageKept(t *testing.T) {
	s := served(t, &known{}, nil)
	w := ask(s.Handler(), "GET", "/page/main.js", "")
	tag := w.Header().Get("ETag")
	if tag == "" || w.Header().Get("Cache-Control") != "no-cache" {
		t.Fatalf("%v", w.Header())
	}
	if w := ask(s.Handler(), "GET", "/page/main.js", "", "If-None-Match: "+tag); w.Code != 304 || w.Body.Len() > 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(s.Handler(), "GET", "/page/main.js", "", `If-None-Match: "0"`); w.Code != 200 || w.Body.Len() == 0 {
		t.Errorf("%d", w.Code)
	}
	for _, file := range []string{"nothing.js", "..%2Fpage.go", "%2e%2e%2fpage.go", "", "page"} {
		if w := ask(s.Handler(), "GET", "/page/"+file, ""); w.Code != 404 {
			t.Errorf("%s: %d", file, w.Code)
		}
	}
}
