package process

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control/controltest"
)

// TestContract: what is true of every workload is true of processes.
func TestContract(t *testing.T) {
	controltest.Run(t, func(t *testing.T) controltest.Subject {
		m := newBrand()
		orders := filepath.Join(t.TempDir(), "orders")
		write := func(path, text string) {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		order := func(text string) func() { return func() { write(orders, text) } }
		w, log := open(t, func(c *Config) { c.Env = []string{string(m), "ORDERS=" + orders} })
		set(t, w, 1)
		return controltest.Subject{
			Workload: w, Running: func() []string { return m.replicas(t) },
			Break: order("fails"), Mend: order(""), Slow: order("late 2s"),
			Sicken: func(r autoscale.Replica) {
				write(orders+"-"+r.Name, "")
				eventually(t, log, r.Name+" is unhealthy", func() bool { return health(t, w, r) == autoscale.Unhealthy })
			},
			SettlesIn: 20 * time.Second,
		}
	})
}

// replicas are the names of those whose supervisors run.
func (m brand) replicas(t *testing.T) (names []string) {
	t.Helper()
	_, lines := m.left(t)
	for _, line := range lines {
		if match := regexp.MustCompile(supervisorWord + ` (\S+) --`).FindStringSubmatch(line); match != nil {
			names = append(names, match[1])
		}
	}
	slices.Sort(names)
	return names
}

// health is a replica's by now.
func health(t *testing.T, w *Workload, r autoscale.Replica) autoscale.Health {
	t.Helper()
	seen, err := w.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, now := range seen.Running {
		if now.ID == r.ID {
			return now.Health
		}
	}
	return ""
}
