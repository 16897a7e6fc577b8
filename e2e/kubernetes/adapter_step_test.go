//go:build e2e

package kubernetes

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// The time from a step in the load to the HPA's new count. Here the adapter reads
// every 2 s, and the HPA looks every 2 s.
func TestAdapterStep(t *testing.T) {
	steps := 3
	if os.Getenv("AUTOSCALE_E2E") == "all" {
		steps = 20
	}
	n := newNamespace(t)
	port := freePort(t)
	n.deployment("app", 2, pods{port: port})
	load := n.newSpread(port, 15)
	a := n.newAdapters()
	a.start()
	a.served()
	// By itself an HPA adds no more than four pods in 15 s, which must not be what is
	// measured. What is: an HPA that looks while a part of the step is seen raises by
	// that part, and by the rest once the new pods have values.
	n.apply(strings.Replace(quickHPA, "behavior: {", "behavior: {scaleUp: {policies: [{type: Pods, value: 100, periodSeconds: 1}]}, ", 1))
	n.acts()
	var took []time.Duration
	for range steps {
		n.eventually("two replicas", func() bool { return n.replicas("app") == 2 })
		time.Sleep(time.Duration(len(took)%7) * 400 * time.Millisecond) // at any moment of both intervals
		began := time.Now()
		load.rps.Store(55)
		var path []string // of counts, and when they were first seen
		last := 2
		n.eventually("six replicas", func() bool {
			if now := n.replicas("app"); now != last {
				path, last = append(path, fmt.Sprintf("%d after %v", now, time.Since(began).Round(100*time.Millisecond))), now
			}
			return last == 6
		})
		t.Log(strings.Join(path, ", "))
		took = append(took, time.Since(began))
		load.rps.Store(15)
	}
	slices.Sort(took)
	t.Logf("figure: %d steps, from the load to the HPA's new count: median %v, worst %v", steps, took[len(took)/2].Round(10*time.Millisecond), took[len(took)-1].Round(10*time.Millisecond))
}
