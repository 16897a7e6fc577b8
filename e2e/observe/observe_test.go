//go:build e2e

package observe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/five-keys/autoscale/internal/web"
)

// panel is what a test needs of a dashboard's panel.
type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Datasource  struct{ UID string }
	Targets     []struct {
		Expr       string
		Instant    bool
		Datasource struct{ UID string }
	}
}

// board is what a test needs of a dashboard.
type board struct {
	Panels     []panel
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

func readBoard(t *testing.T) board {
	t.Helper()
	text, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var b board
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// chosen puts in what a user has chosen, here everything.
var chosen = strings.NewReplacer("$instance", ".*", "$service", ".*", "$__rate_interval", "10s")

// One Prometheus and four machines, of which one is down and one hangs: every
// query of the dashboard shows something, every alert is raised, and its text is
// one that a person can read.
func TestPrometheus(t *testing.T) {
	web1, web2, web3 := machine(t, "web1"), machine(t, "web2"), serve(t, "web3", frozen{time.Now().Add(-time.Hour)})
	web1.Reloaded(nil)
	web2.Reloaded(nil)
	web2.Reloaded(errors.New("autoscale.yaml:3:1: unknown key"))
	var targets []string
	for _, s := range []*web.Server{web1, web2, web3} {
		targets = append(targets, s.MetricsAddr().String())
	}
	p := start(t, append(targets, free(t))...)
	eventually(t, "three machines answer", func() error {
		if n := p.value(t, "sum(up)"); n != 3 {
			return fmt.Errorf("%v", n)
		}
		return nil
	})
	t.Run("dashboard", func(t *testing.T) { p.dashboard(t) })
	t.Run("alerts", func(t *testing.T) { p.alerts(t) })
	t.Run("values", func(t *testing.T) { p.values(t) })
	t.Run("names", func(t *testing.T) {
		for _, address := range targets {
			checkMetrics(t, address)
		}
	})
}

// dashboard runs every query of the dashboard.
func (p *prometheus) dashboard(t *testing.T) {
	b := readBoard(t)
	queries := 0
	for _, panel := range b.Panels {
		for _, target := range panel.Targets {
			queries++
			expr := chosen.Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("%s: a variable that there is not: %s", panel.Title, expr)
			}
			eventually(t, panel.Title+" shows something: "+expr, func() error {
				result, err := p.query(expr, target.Instant)
				if err == nil && len(result) == 0 {
					err = errors.New("it is empty")
				}
				return err
			})
		}
	}
	if queries < 30 {
		t.Errorf("%d queries", queries)
	}
	variables := 0
	for _, v := range b.Templating.List {
		m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(chosen.Replace(v.Definition))
		if m == nil {
			continue
		}
		variables++
		var values []string
		if err := p.get("label/"+m[2]+"/values", url.Values{"match[]": {m[1]}}, &values); err != nil || len(values) < 2 {
			t.Errorf("%s: %v %v", v.Name, values, err)
		}
	}
	if variables != 2 {
		t.Errorf("%d variables are asked of Prometheus", variables)
	}
}

// alerts waits until every alert is raised, pending or firing.
func (p *prometheus) alerts(t *testing.T) {
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	type alert struct {
		Labels, Annotations map[string]string
	}
	raised := map[string]alert{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			eventually(t, rule.Alert+" is raised", func() error {
				var data struct{ Alerts []alert }
				err := p.get("alerts", nil, &data)
				for _, a := range data.Alerts {
					raised[a.Labels["alertname"]] = a
				}
				if _, ok := raised[rule.Alert]; err == nil && !ok {
					err = errors.New("it is not")
				}
				return err
			})
		}
	}
	if len(raised) < 8 {
		t.Errorf("%d alerts", len(raised))
	}
	for name, a := range raised {
		if a.Labels["instance"] == "" || !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) {
			t.Errorf("%s: %v", name, a.Labels)
		}
		for key, text := range a.Annotations {
			if text == "" || strings.Contains(text, "<") || strings.Contains(text, "{{") || strings.Contains(text, "%!") {
				t.Errorf("%s: %s: %s", name, key, text)
			}
		}
		if !strings.Contains(a.Annotations["summary"], a.Labels["instance"]) || !strings.Contains(a.Annotations["summary"], a.Labels["service"]) {
			t.Errorf("%s: the summary does not say whom it is about: %s", name, a.Annotations["summary"])
		}
	}
}

// values holds some of what is shown against what there is.
func (p *prometheus) values(t *testing.T) {
	for expr, want := range map[string]float64{
		`count(autoscale_build_info)`:                                        3,
		`count(autoscale_service_info)`:                                      11,
		`sum(autoscale_step_failing)`:                                        2,
		`sum(autoscale_reading_doubtful)`:                                    2,
		`sum(autoscale_paused)`:                                              2,
		`sum(autoscale_services)`:                                            11,
		`sum(autoscale_reading_verdict{verdict="unreachable"})`:              2,
		`sum(autoscale_config_last_reload_successful)`:                       1,
		`count(autoscale_load_requests_per_second{service="full"})`:          2,
		`sum(autoscale_replicas{service="full"})`:                            8,
		`count(autoscale_load_requests_per_second{service="doubtful"})`:      0,
		`sum(autoscale_evaluation_age_seconds{service="stuck"} > bool 3599)`: 1,
		`sum(autoscale_step_age_seconds{service="swings"} < bool 10)`:        2,
		`sum(rate(autoscale_moves_total{service="swings"}[10s]) > bool 0.3)`: 4,
		`sum(autoscale_evaluation_age_seconds{service="failing"} > bool 1)`:  2,
	} {
		eventually(t, expr, func() error {
			got := p.value(t, expr)
			if math.IsNaN(got) {
				got = 0 // nothing
			}
			if got != want {
				return fmt.Errorf("it is %v, want %v", got, want)
			}
			return nil
		})
	}
}

// checkMetrics has promtool look at one scrape.
func checkMetrics(t *testing.T, address string) {
	t.Helper()
	r, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(text), "autoscale_services") {
		t.Fatalf("%v: %.300s", err, text)
	}
	c := tool(t, "promtool", "check", "metrics")
	c.Stdin = strings.NewReader(string(text))
	if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// The rules are sound, and do what their own tests say.
func TestRules(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", rules}, {"test", "rules", ruleTests}} {
		if out, err := tool(t, "promtool", args...).CombinedOutput(); err != nil || !strings.Contains(string(out), "SUCCESS") {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// Grafana takes the dashboard as it is: every panel has a number and a place of
// its own, and asks the source that was chosen.
func TestDashboardIsSound(t *testing.T) {
	b := readBoard(t)
	numbers := map[int]string{}
	places := map[[2]int]string{}
	for _, p := range b.Panels {
		if other, taken := numbers[p.ID]; taken || p.ID == 0 {
			t.Errorf("%s and %s have number %d", p.Title, other, p.ID)
		}
		numbers[p.ID] = p.Title
		if p.GridPos.W == 0 || p.GridPos.H == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s: %+v", p.Title, p.GridPos)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, taken := places[[2]int{x, y}]; taken {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				places[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" || p.Datasource.UID != "${datasource}" {
				t.Errorf("%s asks %q", p.Title, target.Datasource.UID)
			}
		}
	}
	if len(b.Templating.List) != 3 || b.Templating.List[0].Type != "datasource" {
		t.Errorf("variables: %+v", b.Templating.List)
	}
}
