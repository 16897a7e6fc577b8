package prometheus

import (
	"fmt"
	"strings"
	"testing"
)

func TestAddressString(t *testing.T) {
	for raw, want := range map[string]string{
		"http://localhost:8000/metrics":                  "",
		"https://[::1]:8443/m":                           "",
		"http://{replica}:8000/metrics":                  "",
		"http://{replica}/m?x=%7Breplica":                "",
		"http://me:s3cret@host/m":                        "http://host/m",
		"http://me@{replica}:1/m":                        "http://{replica}:1/m",
		"http://host/m?match[]={a=\"b\"}&x":              "",
		"http://host/m?access_token=s3cret&b=1":          "http://host/m?access_token=***&b=1",
		"http://host/m?b=1&X-Amz-Signature=s3cret":       "http://host/m?b=1&X-Amz-Signature=***",
		"http://host/m#fragment":                         "http://host/m",
		"http://me:s3cret@host/m?password=s3cret#s3cret": "http://host/m?password=***",
	} {
		if want == "" {
			want = raw
		}
		a, err := parseAddress(raw)
		if err != nil || a.String() != want || strings.Contains(a.String(), "s3cret") {
			t.Errorf("%s: %s, error %v, want %s", raw, a, err, want)
		}
	}
}

// TestUnknownPlaceholder: a mistyped {replica} is told as such.
func TestUnknownPlaceholder(t *testing.T) {
	for raw, want := range map[string]string{
		"http://{replicas}:8000/metrics":      `--metrics-url: unknown {replicas}; did you mean {replica}? (got "http://{replicas}:8000/metrics")`,
		"http://{Replica}/metrics":            "unknown {Replica}; did you mean {replica}?",
		"http://app-{index}:8000/metrics":     "unknown {index}; did you mean {replica}?",
		"http://{}:8000/metrics":              "unknown {}; did you mean {replica}?",
		"http://me:s3cret@{host}:8000/":       "unknown {…} for the host; did you mean {replica}?",
		"http://host/{replica}":               "{replica} stands for the host",
		"http://host/m?q={job}":               "",
		"http://me:{s3cret}@{replica}:8000/m": "not a URL",
	} {
		_, err := parseAddress(raw)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || strings.Contains(fmt.Sprint(err), "s3cret") {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
	}
}

func TestAddressPort(t *testing.T) {
	for raw, want := range map[string]uint16{"http://a": 80, "https://a": 443, "http://[::1]:8000": 8000, "http://{replica}": 80} {
		a, err := parseAddress(raw)
		if err != nil {
			t.Fatal(err)
		}
		if port, err := a.port(); err != nil || port != want {
			t.Errorf("%s: port %d, error %v, want %d", raw, port, err, want)
		}
	}
}

// FuzzParseAddress checks that no password gets into an error or into what is
// printed.
func FuzzParseAddress(f *testing.F) {
	for _, rest := range []string{"host/m", "{replica}:8000/m", "[::1/m", "host:99999/", "ho st", "host/%zz?x=%zz", "", "a@b", "host/@/?#"} {
		f.Add(rest)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		const secret = "s3cret"
		if strings.Contains(rest, secret) {
			return
		}
		a, err := parseAddress("http://me:" + secret + "@" + rest)
		if err == nil && a.user.Username() != "me" {
			t.Fatalf("user %v", a.user)
		}
		if text := fmt.Sprint(a, err); strings.Contains(text, secret) {
			t.Fatalf("%q gives %q", rest, text)
		}
	})
}
