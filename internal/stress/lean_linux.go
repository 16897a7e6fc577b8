package stress

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// Lean gives back the memory that only starting the program took: its garbage,
// and the program text that ran once, which the kernel maps again where it is
// needed. Where that cannot be done, nothing is lost.
func Lean() {
	debug.FreeOSMemory()
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		// 00400000-00e4a000 r-xp 00000000 fe:00 9977911 /path (proc_pid_maps(5))
		var from, to uintptr
		var may string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &may); err != nil || may != "r-xp" || !strings.HasSuffix(lines.Text(), " "+own) {
			continue // text alone is surely as it is in the file
		}
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
	}
}
