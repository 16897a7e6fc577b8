//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/compose"
	"github.com/five-keys/autoscale/internal/control/controltest"
	"github.com/five-keys/autoscale/internal/store"
)

// TestContract: what is true of every workload is true of Compose services.
func TestContract(t *testing.T) {
	controltest.Run(t, func(t *testing.T) controltest.Subject {
		p := newProject(t)
		p.up()
		levers := func(settings string) func() {
			return func() { p.write("compose.yaml", strings.Replace(basic, `LEVERS: "1"`, settings, 1)) }
		}
		key := store.Key{Provider: "compose", Service: "app", Dir: p.dir}
		w, err := compose.Find(t.Context(), compose.Config{
			Service: "app", Dir: p.dir, DirGiven: true, OverrideFile: overrideFile, Docker: "docker", Apply: compose.ApplyAlways, Max: 5,
			Tell: func(text string) { t.Log(text) },
			Serialize: func(ctx context.Context, project string, wait time.Duration) (compose.Lock, error) {
				k := key
				k.Project = project
				return store.LockProject(ctx, k, wait)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Close)
		return controltest.Subject{
			Workload: w,
			Running: func() []string {
				names := strings.Fields(p.running("app"))
				for i, name := range names {
					names[i] = p.name + "-" + name
				}
				return names
			},
			Break: levers(`LEVERS: "exit=3"`), Mend: levers(`LEVERS: "1"`), Slow: levers(`LEVERS: "1", STARTUP: "2s"`),
			Sicken: func(r autoscale.Replica) {
				p.lever(strings.TrimPrefix(r.Name, p.name+"-"), "healthy=false")
				p.eventually(r.Name+" is unhealthy", func() bool {
					return strings.Contains(p.docker("ps", "--filter", "name="+r.Name, "--format", "{{.Status}}"), "(unhealthy)")
				})
			},
		}
	})
}
