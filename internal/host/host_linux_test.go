package host

import (
	"os"
	"testing"
)

// This machine has processors and memory; this process is no container's.
func TestMachine(t *testing.T) {
	h := Machine()
	if h.Cores < 1 || h.Memory == 0 || h.Free == 0 || h.Free > h.Memory {
		t.Errorf("%+v", h)
	}
	for _, pid := range []int{os.Getpid(), 0, -1, 1 << 30} {
		if u, here := Container(pid, "26edb50f8734090bcc264bf0fbf58ed23f6aadc07842bf76c611af707ae938f4"); here {
			t.Errorf("process %d: %+v", pid, u)
		}
	}
}
