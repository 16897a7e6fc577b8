package compose

import (
	"encoding/json"
	"strconv"
	"strings"
)

// service is what matters of one service as Compose resolves it.
type service struct {
	ContainerName string          `json:"container_name"`
	NetworkMode   string          `json:"network_mode"`
	Image         string          `json:"image"`
	Ports         []publishedPort `json:"ports"`

	Restart         string      `json:"restart"`
	StopGracePeriod string      `json:"stop_grace_period"`
	CPUs            json.Number `json:"cpus"`
	MemLimit        bytesCount  `json:"mem_limit"`
	HealthCheck     *struct {
		Disable bool     `json:"disable"`
		Test    []string `json:"test"`
	} `json:"healthcheck"`
	Volumes []struct {
		Type     string `json:"type"`
		Source   string `json:"source"`
		Target   string `json:"target"`
		ReadOnly bool   `json:"read_only"`
	} `json:"volumes"`
	Deploy struct {
		Resources struct {
			Limits       resources `json:"limits"`
			Reservations resources `json:"reservations"`
		} `json:"resources"`
		RestartPolicy *struct {
			Condition string `json:"condition"`
		} `json:"restart_policy"`
	} `json:"deploy"`
}

type publishedPort struct {
	Published string `json:"published"`
	Target    int    `json:"target"`
}

type resources struct {
	CPUs   json.Number `json:"cpus"`
	Memory bytesCount  `json:"memory"`
}

// bytesCount is a number of bytes, which Compose writes as a string.
type bytesCount int64

// UnmarshalJSON reads 1048576 and "1048576".
func (b *bytesCount) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	*b = bytesCount(n)
	return err
}

// cpus is how many CPUs one replica may use, or is to have; 0 where nothing
// says.
func (s service) cpus() float64 {
	for _, said := range []json.Number{s.Deploy.Resources.Limits.CPUs, s.CPUs, s.Deploy.Resources.Reservations.CPUs} {
		if n, err := said.Float64(); err == nil && n > 0 {
			return n
		}
	}
	return 0
}

// memory is how much one replica may use, or is to have, in bytes; 0 where
// nothing says.
func (s service) memory() int64 {
	for _, n := range []bytesCount{s.Deploy.Resources.Limits.Memory, s.MemLimit, s.Deploy.Resources.Reservations.Memory} {
		if n > 0 {
			return int64(n)
		}
	}
	return 0
}
