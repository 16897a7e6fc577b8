package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestSecretShows: what stands in the file, what it is, and what may be seen.
func TestSecretShows(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("hunter2\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ key, written, text, shown string }{
		{"metrics-url", `http://u:hunter2@h:80/m`, "http://u:hunter2@h:80/m", "http://***@h:80/m"},
		{"metrics-url", `http://${PASSWORD}@h/`, "http://hunter2@h/", "http://***@h/"},
		{"metrics-url", `http://h/${PASSWORD}/m`, "http://h/hunter2/m", "http://h/***/m"},
		{"metrics-url", `"http://h/m?a=hunter2&b=hunter2&hunter2"`, "http://h/m?a=hunter2&b=hunter2&hunter2", "http://h/m?a=***&b=***&***"},
		{"metrics-url", `http://u:hun/ter2@h/`, "http://u:hun/ter2@h/", "http://***@h/"},
		{"metrics-url", `http://u:hunter2?x@h/`, "http://u:hunter2?x@h/", "***"},
		{"metrics-url", `http://$${x}/`, "http://${x}/", "http://${x}/"},
		{"metrics-header", `"A: hunter2"`, "A: hunter2", "A: ***"},
		{"metrics-header", `"A: x ${PASSWORD}"`, "A: x hunter2", "A: ***"},
		{"token", `hunter2`, "hunter2", "***"},
		{"token", `${PASSWORD}-${PASSWORD}`, "hunter2-hunter2", "***"},
		{"token", `{file: secret}`, "hunter2", "***"},
	} {
		t.Run(test.key+" "+test.written, func(t *testing.T) {
			text, service := "", "services:\n shop:\n"+enough
			if test.key == "token" {
				text = "token: " + test.written + "\n" + service
			} else {
				text = service + "  " + test.key + ": " + test.written + "\n"
			}
			file := parsed(t, filepath.Join(dir, "a.yaml"), text)
			source := file.Services[0].Sources[0]
			secret := file.Token
			switch test.key {
			case "metrics-url":
				secret = source.MetricsURL[0]
			case "metrics-header":
				secret = source.MetricsHeader[0]
			}
			if secret.Reveal() != test.text || secret.String() != test.shown {
				t.Errorf("%q, shown as %q", secret.Reveal(), secret)
			}
		})
	}
}

// TestSecretLeaks: no usual way to print what holds a secret shows it.
func TestSecretLeaks(t *testing.T) {
	secret := masked("hunter2", "hunter2", "")
	source := Source{MetricsURL: []Secret{secret}, MetricsHeader: []Secret{masked("A: hunter2", "A: hunter2", "header")}}
	hiding := struct{ inner Secret }{secret} // fmt cannot call its methods
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", secret, "source", source)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", secret, "source", source)
	inJSON, err := json.Marshal(source)
	if err != nil {
		t.Fatal(err)
	}
	inYAML, err := yaml.Marshal(source)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{log.String(), string(inJSON), string(inYAML)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{secret, source, hiding} {
			all = append(all, fmt.Sprintf(verb, v))
		}
	}
	for _, shown := range all {
		if strings.Contains(shown, "hunter2") || strings.Contains(shown, "68756e74657232") {
			t.Errorf("shown: %s", shown)
		}
	}
	if !strings.Contains(string(inJSON), "A: ***") {
		t.Errorf("JSON without the header's name: %s", inJSON)
	}
}
