package kubernetes

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func config() Config {
	return Config{Service: "app", Namespace: "prod", File: "k8s/hpa.yaml", Min: 2, Max: 10, Metric: Metric{Name: "http_requests_per_second"}, Target: 50, CPUTarget: 70, Cooldown: 3 * time.Minute}
}

// A manifest that this program wrote is as it wants it, and follows the flags
// and back again to the byte.
func TestManifestFollowsFlags(t *testing.T) {
	first := config()
	text := first.fresh()
	if again, err := first.edited(text); err != nil || string(again) != string(text) {
		t.Fatalf("written anew (%v):\n%s", err, again)
	}
	for name, change := range map[string]func(*Config){
		"bounds":   func(c *Config) { c.Min, c.Max = 3, 30 },
		"target":   func(c *Config) { c.Target = 0.5 },
		"cooldown": func(c *Config) { c.Cooldown = 1500 * time.Millisecond },
		"cpu":      func(c *Config) { c.CPUTarget = 90 },
		"no cpu":   func(c *Config) { c.CPUTarget = 0 },
		"metric": func(c *Config) {
			c.Metric = Metric{Name: "rps", Labels: map[string]string{"code": "200", "true": "no"}}
		},
	} {
		second := config()
		change(&second)
		there, err := second.edited(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantFields(t, there, second)
		if name == "metric" || name == "no cpu" {
			continue // at the list's end when it comes again
		}
		if want := second.fresh(); string(there) != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, there, want)
		}
		if back, err := first.edited(there); err != nil || string(back) != string(text) {
			t.Errorf("%s and back (%v):\n%s", name, err, back)
		}
	}
}

// wantFields checks what a manifest says against the configuration, as the API
// would read it.
func wantFields(t *testing.T, text []byte, c Config) {
	t.Helper()
	var got struct {
		Spec struct {
			MinReplicas int `yaml:"minReplicas"`
			MaxReplicas int `yaml:"maxReplicas"`
			Metrics     []yaml.Node
			Behavior    struct {
				ScaleDown struct {
					Window int `yaml:"stabilizationWindowSeconds"`
				} `yaml:"scaleDown"`
			}
		}
	}
	if err := yaml.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	pods, cpu := 0, 0
	for i := range got.Spec.Metrics {
		var m metric
		if got.Spec.Metrics[i].Decode(&m) != nil {
			continue // the cluster will not take it
		}
		if m.Type == "Pods" && m.Pods.Metric.Name == c.Metric.Name {
			pods++
		}
		if m.Type == "Resource" && m.Resource.Name == "cpu" {
			cpu++
		}
	}
	if got.Spec.MinReplicas != c.Min || got.Spec.MaxReplicas != c.Max || got.Spec.Behavior.ScaleDown.Window != c.window() || pods != 1 || c.CPUTarget > 0 && cpu != 1 {
		t.Errorf("%+v, %d pods, %d cpu, in\n%s", got.Spec, pods, cpu, text)
	}
}

func TestQuantity(t *testing.T) {
	for target, want := range map[float64]string{50: "50", 7.5: "7500m", 0.001: "1m", 0.1: "100m", 33.3333: "33333m", 1e15: "1000000000000000", 0.3: "300m", 1.1: "1100m"} {
		if got := quantity(target); got != want {
			t.Errorf("%v: %s, want %s", target, got, want)
		}
	}
}

func TestPerSecond(t *testing.T) {
	for counter, want := range map[string]string{"http_requests_total": "http_requests_per_second", "hits": "hits_per_second"} {
		if got := PerSecond(counter); got != want {
			t.Errorf("%s: %s, want %s", counter, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	good := config()
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"--min=0":           func(c *Config) { c.Min = 0 },
		"at most an hour":   func(c *Config) { c.Cooldown = time.Hour + 1 },
		"--cpu-target=-5":   func(c *Config) { c.CPUTarget = -5 },
		"--rps-target=NaN":  func(c *Config) { c.Target = math.NaN() },
		"--rps-target=+Inf": func(c *Config) { c.Target = math.Inf(1) },
		`--service="a\nb"`:  func(c *Config) { c.Service = "a\nb" },
		`--service="-a"`:    func(c *Config) { c.Service = "-a" },
		`--namespace="a/b"`: func(c *Config) { c.Namespace = "a/b" },
		"--hpa-file":        func(c *Config) { c.File = "" },
		"--hpa-file=-":      func(c *Config) { c.File = "-" },
		`path="/api"`:       func(c *Config) { c.Metric.Labels = map[string]string{"path": "/api"} },
		`_x="1"`:            func(c *Config) { c.Metric.Labels = map[string]string{"_x": "1"} },
	} {
		c := config()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// What somebody added to a metric of ours is not lost with it.
func TestMarkedMetricHoldsMore(t *testing.T) {
	labelled := config()
	labelled.Metric.Labels = map[string]string{"code": "200"}
	other := config()
	other.Metric, other.CPUTarget = Metric{Name: "rps"}, 0
	for name, c := range map[string]struct {
		from      Config
		was, is   string
		wantTells string
	}{
		"a selector":        {config(), "          name: http_requests_per_second\n", "          name: http_requests_per_second\n          selector: {matchLabels: {verb: GET}}\n", "line 20: "},
		"in our own style":  {config(), "          name: http_requests_per_second\n", "          name: http_requests_per_second\n          selector:\n            matchLabels:\n              verb: \"GET\"\n", "line 20: "},
		"one label more":    {labelled, "              code: \"200\"\n", "              code: \"200\"\n              verb: \"GET\"\n", "line 20: "},
		"a CPU of another":  {config(), "        name: cpu\n", "        name: cpu # of all\n", "line 25: "},
		"the selector's CR": {labelled, "\n", "\r\n", ""},
	} {
		text := strings.ReplaceAll(string(c.from.fresh()), c.was, c.is)
		if text == string(c.from.fresh()) {
			t.Fatalf("%s: no %q in\n%s", name, c.was, text)
		}
		out, err := other.edited([]byte(text))
		switch {
		case c.wantTells == "" && (err != nil || strings.Contains(string(out), "http_requests")):
			t.Errorf("%s: %v\n%s", name, err, out)
		case c.wantTells != "" && (err == nil || !strings.HasPrefix(err.Error(), c.wantTells)):
			t.Errorf("%s: %v, want %s, of\n%s%s", name, err, c.wantTells, text, out)
		}
	}
}

// A manifest with nothing but our own fields changed is known as the one that
// stood before.
func TestWithout(t *testing.T) {
	const head = "# mine\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: app-hpa\nspec:\n  scaleTargetRef: {kind: Deployment, name: app}\n  maxReplicas: 4\n"
	for name, was := range map[string]string{
		"no metric":  head,
		"its CPU":    head + "  metrics:\n  - type: Resource\n    resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}\n",
		"our metric": head + "  metrics:\n  - type: Pods\n    pods:\n      metric: {name: http_requests_per_second}\n      target: {type: AverageValue, averageValue: 30}\n",
		"another":    head + "  metrics:\n    - type: Pods\n      pods: {metric: {name: jobs}, target: {type: AverageValue, averageValue: 30}}\n  minReplicas: 2\n",
	} {
		c := config()
		is, err := c.edited([]byte(was))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		a, errA := c.without([]byte(was))
		b, errB := c.without(is)
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("%s: %v, %v\n%s\nand\n%s", name, errA, errB, a, b)
		}
		changed, err := c.without([]byte(strings.Replace(string(is), "# mine", "# yours", 1)))
		if err != nil || string(changed) == string(a) {
			t.Errorf("%s: a person's change is not seen (%v)", name, err)
		}
	}
}

// What kubectl says of a failure decides what a person is told.
func TestFailed(t *testing.T) {
	k := &kubectl{words: []string{"kubectl"}, context: "c", server: "https://s", name: "n"}
	for told, want := range map[string]string{
		"Error from server (NotFound): deployments.apps \"x\" not found":                                    string(faultNotFound),
		"Error from server (Forbidden): pods is forbidden: User \"u\" cannot list":                          string(faultDenied),
		"error: You must be logged in to the server (Unauthorized)":                                         CodeDenied,
		"Unable to connect to the server: dial tcp: lookup x: no such host":                                 CodeUnreachable,
		"The connection to the server localhost:8080 was refused - did you specify the right host or port?": CodeUnreachable,
		"Error from server (ServiceUnavailable): the server is currently unable to handle the request":      string(faultUnavailable),
		"error: something else": string(faultOther),
		"Error from server (InternalError): Internal error occurred: failed calling webhook \"w\": Post \"https://w\": dial tcp: connect: connection refused": string(faultOther),
		"Unable to connect to the server: getting credentials: exec: executable aws not found":                                                                CodeDenied,
		"Unable to connect to the server: tls: failed to verify certificate: x509: certificate signed by nobody":                                              CodeUnreachable,
	} {
		err := k.failed(t.Context(), told, errors.New("exit status 1: "+told))
		got := ""
		if p, ok := errors.AsType[*Problem](err); ok {
			got = p.Code
		}
		if e, ok := errors.AsType[*apiError](err); ok {
			got = string(e.fault)
		}
		if got != want || !strings.Contains(err.Error(), told) {
			t.Errorf("%s: %s (%v), want %s", told, got, err, want)
		}
	}
}

// FuzzManifest: whatever a person made of the manifest, it is refused, or says
// what is wanted and is then left alone; comments stay.
func FuzzManifest(f *testing.F) {
	c := config()
	for _, seed := range []string{
		string(c.fresh()), strings.ReplaceAll(string(c.fresh()), "    - ", "  - "),
		"apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: app-hpa}\nspec:\n  scaleTargetRef: {kind: Deployment, name: app}\n",
		"apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: app-hpa}\nspec:\n  scaleTargetRef: {kind: Deployment, name: app}\n  metrics:\n  - type: Resource # mine\n    resource: {name: cpu, target: {type: Utilization, averageUtilization: 1}}\n  # end\n",
	} {
		f.Add(seed, 5, 2.5, 80)
	}
	f.Fuzz(func(t *testing.T, text string, most int, target float64, cpu int) {
		c := config()
		c.Max, c.Target, c.CPUTarget = most, target, cpu
		if c.Max < 2 || c.Validate() != nil {
			return
		}
		out, err := c.edited([]byte(text))
		if err != nil {
			return
		}
		wantFields(t, out, c)
		for line := range strings.Lines(text) {
			if comment := strings.TrimSpace(line); strings.HasPrefix(comment, "#") && !strings.Contains(comment, "autoscale:") && !strings.Contains(string(out), comment) {
				t.Errorf("%q is gone from\n%s", comment, out)
			}
		}
		if again, err := c.edited(out); err != nil || string(again) != string(out) {
			t.Errorf("not left alone (%v):\n%s\nbecame\n%s", err, out, again)
		}
	})
}
