package main

import (
	"net"
	"strings"
	"testing"

	"github.com/five-keys/autoscale/internal/config"
)

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// What runs is handed on from one stepper to the next while it is made of the same,
// and ended where it is not, or is gone, or all ends.
func TestOwner(t *testing.T) {
	said := ""
	o := newOwner(nil, func(_, text string) { said += text })
	s := config.Service{Name: "app", Provider: "process", Command: []string{"sh"}, ProjectDir: t.TempDir(), Proxy: free(t)}
	o.want([]config.Service{s})
	first, fresh, err := o.take(s)
	if err != nil || !fresh {
		t.Fatal(fresh, err)
	}

	scaled := s
	scaled.Max, scaled.Drain, scaled.HealthPath = 7, 3, "/healthz"
	o.want([]config.Service{scaled})
	o.leave(s, first)
	if second, fresh, err := o.take(scaled); second != first || fresh || err != nil {
		t.Fatal("what only is scaled otherwise was not handed on", fresh, err)
	}

	other := scaled
	other.Command = []string{"sh", "-c", "exit"}
	o.want([]config.Service{other})
	o.leave(scaled, first) // ends it, so that its address is free
	third, fresh, err := o.take(other)
	if third == first || !fresh || err != nil {
		t.Fatal(fresh, err)
	}

	o.leave(other, third)
	o.want(nil) // gone between two steppers
	o.wg.Wait()
	if err := processConfig(other).CheckListen(); err != nil {
		t.Error("after it was gone:", err)
	}

	o.want([]config.Service{s})
	fourth, _, err := o.take(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.take(s); err == nil || !strings.Contains(err.Error(), "something else listens there") {
		t.Errorf("a second one at the same address: %v", err)
	}
	o.leave(s, fourth)
	o.end()
	o.wg.Wait()
	if err := processConfig(s).CheckListen(); err != nil {
		t.Error("after all ended:", err)
	}
	if said != "" {
		t.Error(said)
	}
}
