package main

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/five-keys/autoscale/internal/adapter"
	"github.com/five-keys/autoscale/internal/prometheus"
)

func podWith(annotations map[string]string, ports ...corev1.ContainerPort) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Annotations: annotations},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Ports: ports}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"},
	}
}

func named(name string, port int32) corev1.ContainerPort {
	return corev1.ContainerPort{Name: name, ContainerPort: port}
}

func TestPage(t *testing.T) {
	udp := named("dns", 53)
	udp.Protocol = corev1.ProtocolUDP
	for _, c := range []struct {
		name  string
		pod   *corev1.Pod
		page  adapter.Page
		fault string
	}{
		{"the only port", podWith(nil, named("", 8000), udp), adapter.Page{Scheme: "http", Port: 8000, Path: "/metrics"}, ""},
		{"a port named for it", podWith(nil, named("web", 80), named("http-metrics", 9100)), adapter.Page{Scheme: "http", Port: 9100, Path: "/metrics"}, ""},
		{"metrics goes first", podWith(nil, named("http-metrics", 9100), named("metrics", 9090)), adapter.Page{Scheme: "http", Port: 9090, Path: "/metrics"}, ""},
		{"annotations", podWith(map[string]string{annotationPort: "9999", annotationPath: "stats?format=prometheus", annotationScheme: "HTTPS"}, named("metrics", 9090)), adapter.Page{Scheme: "https", Port: 9999, Path: "/stats?format=prometheus"}, ""},
		{"an annotation that names a port", podWith(map[string]string{annotationPort: "web"}, named("web", 80), named("x", 81)), adapter.Page{Scheme: "http", Port: 80, Path: "/metrics"}, ""},
		{"several", podWith(nil, named("web", 80), named("admin", 81)), adapter.Page{}, "2 ports"},
		{"none", podWith(nil), adapter.Page{}, "0 ports"},
		{"not to be read", podWith(map[string]string{annotationScrape: "false"}, named("", 80)), adapter.Page{}, "says false"},
		{"no port", podWith(map[string]string{annotationPort: "70000"}, named("", 80)), adapter.Page{}, "is no port"},
		{"no scheme", podWith(map[string]string{annotationScheme: "ftp"}, named("", 80)), adapter.Page{}, "neither http nor https"},
	} {
		slimmed, err := slim(c.pod)
		if err != nil {
			t.Fatal(err)
		}
		got := seen(slimmed.(*corev1.Pod))
		if got.Page != c.page || c.fault == "" != (got.Fault == "") || !strings.Contains(got.Fault, c.fault) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestMatchers(t *testing.T) {
	for selector, want := range map[string]string{
		"":                          "",
		"code=200":                  `{"code"="200"}`,
		"code!=200":                 `{"code"!="200"}`,
		"b in (y,x.z),a notin (1,)": `{"a"!~"|1","b"=~"x\\.z|y"}`,
		"code":                      `{"code"!=""}`,
		"!code":                     `{"code"=""}`,
		"code in (200)":             `{"code"="200"}`,
	} {
		parsed, err := labels.Parse(selector)
		if err != nil {
			t.Fatal(err)
		}
		got := matchers(parsed)
		if got != want {
			t.Errorf("%s: %s, want %s", selector, got, want)
		}
		if _, err := prometheus.ParseSelector(`{"x"` + rest(got)); err != nil {
			t.Errorf("%s cannot be read again: %v", got, err)
		}
	}
}

func TestQuantity(t *testing.T) {
	for rps, want := range map[float64]string{0: "0", 12.5: "12500m", 0.0001: "1m", 40: "40", 1e300: "4611686018427387904"} {
		if q := quantity(rps); q.String() != want {
			t.Errorf("%v is %s, want %s", rps, q.String(), want)
		}
	}
}
