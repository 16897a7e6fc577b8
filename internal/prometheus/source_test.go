package prometheus

import (
	"strings"
	"testing"
)

func source(t *testing.T, c Config) *Source {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewErrors(t *testing.T) {
	const good = "http://localhost:8000/metrics"
	for _, test := range []struct {
		config Config
		want   string
	}{
		{Config{}, "--metrics-url: at least one is needed"},
		{Config{URLs: []string{"localhost:8000/metrics"}}, `--metrics-url: it has to begin with http:// or https://, such as http://localhost:8000/metrics (got "localhost:8000/metrics")`},
		{Config{URLs: []string{"ftp://localhost/metrics"}}, "--metrics-url=ftp://localhost/metrics: only http and https are read"},
		{Config{URLs: []string{"http:///metrics"}}, "the host is missing"},
		{Config{URLs: []string{"http://localhost:99999/"}}, "the port has to be between 1 and 65535"},
		{Config{URLs: []string{"http://localhost:0/"}}, "the port has to be between 1 and 65535"},
		{Config{URLs: []string{"http://local host/"}}, "--metrics-url: not a URL"},
		{Config{URLs: []string{"http://x/{replica}"}}, "{replica} stands for the host"},
		{Config{URLs: []string{"http://{replica}.local/"}}, "{replica} stands for the host"},
		{Config{URLs: []string{"http://{replica}/{replica}"}}, "{replica} stands for the host"},
		{Config{URLs: []string{good, good}}, "--metrics-url=http://localhost:8000/metrics: stated twice"},
		{Config{URLs: []string{good}, Scope: "pod"}, "--metrics-scope=pod: it has to be auto, service or replica"},
		{Config{URLs: []string{"http://{replica}:80/"}, Scope: "service"}, "--metrics-url=http://{replica}:80/: {replica} speaks for one replica, which --metrics-scope=service denies"},
		{Config{URLs: []string{good}, Type: "histogram"}, "--rps-metric-type=histogram: it has to be gauge or counter"},
		{Config{URLs: []string{good}, Metric: "up{"}, "--rps-metric: position 4 of"},
		{Config{URLs: []string{good}, Headers: []string{"X-Key: a", "s3cret"}}, "--metrics-header number 2: it has to read"},
		{Config{URLs: []string{good}, Headers: []string{": s3cret"}}, "--metrics-header number 1"},
		{Config{URLs: []string{good}, Headers: []string{"X Key: s3cret"}}, "--metrics-header number 1"},
		{Config{URLs: []string{good}, Headers: []string{"X-Key: s3cret\r\nX: y"}}, "--metrics-header X-Key: its value holds a line break"},
		{Config{URLs: []string{good}, Timeout: -1}, "have to be above 0"},
		{Config{URLs: []string{"http://me:s3cret@local host/"}}, "--metrics-url: not a URL"},
		{Config{URLs: []string{"http://me:s3cret/x@localhost/"}}, "--metrics-url: not a URL"},
		{Config{URLs: []string{"me:s3cret@localhost/"}}, "--metrics-url: it has to begin"},
		{Config{URLs: []string{"ftp://me:s3cret@localhost/?token=s3cret"}}, "--metrics-url=ftp://localhost/?token=***: only"},
	} {
		_, err := New(test.config)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v:\n got %v\nwant %s", test.config, err, test.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	base := Config{URLs: []string{"http://u:s3cret@a:1/m?x=1&api_key=s3cret", "http://{replica}:8000/m"}, Metric: `m{b="1",a="2"}`, Headers: []string{"Authorization: Bearer s3cret"}}
	id := source(t, base).Identity()
	if want := `m{a="2",b="1"} type=auto scope=auto http://a:1/m?x=1&api_key=*** http://{replica}:8000/m`; id != want {
		t.Errorf("identity\n%s, want\n%s", id, want)
	}
	same := base
	same.URLs = []string{"http://{replica}:8000/m", "http://other:word@a:1/m?x=1&api_key=new"}
	same.Metric, same.Headers = `m{ a='2', b="1" }`, nil
	if got := source(t, same).Identity(); got != id {
		t.Errorf("the same source is %s", got)
	}
	for name, change := range map[string]func(*Config){
		"metric":   func(c *Config) { c.Metric = `n{b="1",a="2"}` },
		"selector": func(c *Config) { c.Metric = `m{b="1",a!="2"}` },
		"type":     func(c *Config) { c.Type = "gauge" },
		"scope":    func(c *Config) { c.Scope = "replica" },
		"path":     func(c *Config) { c.URLs = []string{base.URLs[0], "http://{replica}:8000/n"} },
		"query":    func(c *Config) { c.URLs = []string{"http://a:1/m?x=2&api_key=s3cret", base.URLs[1]} },
		"one less": func(c *Config) { c.URLs = base.URLs[:1] },
	} {
		other := base
		change(&other)
		if got := source(t, other).Identity(); got == id {
			t.Errorf("another %s has the same identity", name)
		}
	}
}

func TestAccept(t *testing.T) {
	for metric, want := range map[string]string{
		"":                        "text/plain;version=0.0.4;q=0.8,",
		`{"http.requests"}`:       "text/plain;version=0.0.4;escaping=allow-utf-8,",
		`requests{"my.code"="1"}`: "text/plain;version=0.0.4;escaping=allow-utf-8,",
	} {
		s := source(t, Config{URLs: []string{"http://localhost/"}, Metric: metric})
		if got := s.accept(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: Accept: %s, want it to begin with %s", metric, got, want)
		}
	}
}
