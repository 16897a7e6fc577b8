package process

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"time"
)

// lowestPort is the lowest that is given to a replica. Those below belong to
// services that people know by number.
const lowestPort = 20000

// freePort is a port of 127.0.0.1 that nobody listens on. It lies below those
// that the kernel gives to outgoing connections, one of which could take it
// before the replica does.
func freePort() (int, error) {
	highest := firstEphemeral()
	for range 100 {
		if highest-lowestPort < 1000 {
			break
		}
		port := lowestPort + rand.IntN(highest-lowestPort)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		// Some systems let one listen on an address while another has its port on
		// all of them.
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			_ = c.Close() // nothing was said
			continue
		}
		if l, err := net.Listen("tcp", address); err == nil {
			return port, l.Close()
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.Join(errors.New("the kernel gave no TCP port"), l.Close())
	}
	return addr.Port, l.Close()
}
