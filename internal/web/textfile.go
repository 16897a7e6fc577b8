package web

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/five-keys/autoscale/internal/control"
)

// inTextfile are the families that say something of a single decision as well: no
// ages, which do not grow in a file, and no counts of steps.
func inTextfile(f family) bool {
	return slices.Contains([]string{
		"service_info", "replicas", "replicas_wanted", "replicas_min", "replicas_max", "load_requests_per_second", "target_requests_per_second",
		"reading_doubtful", "reading_verdict", "step_failing", "paused", "paused_until_timestamp_seconds", "paused_since_timestamp_seconds",
	}, f.name)
}

// The families of a file alone: when it was so.
const (
	stepTime = "step_timestamp_seconds"
	goodTime = "evaluation_timestamp_seconds"
)

// dates are those families.
func dates() []family {
	date := func(name, help string, of func(*control.Snapshot) time.Time) family {
		return gauge(name, help, func(s *control.Snapshot, _ time.Time) (float64, bool) { return seconds(of(s)), !of(s).IsZero() })
	}
	return []family{
		date(stepTime, "When the last step ended.", func(s *control.Snapshot) time.Time { return s.Ran }),
		date(goodTime, "When a step last rested on a trusted reading and did not fail; absent before one did.", func(s *control.Snapshot) time.Time { return s.Succeeded }),
	}
}

// Textfile is where a service stands at now, for the textfile collector of
// node_exporter: what it has in common with the daemon's metrics is called the same.
// Each sample has the project as well, since several projects of a machine may have
// services of one name.
func Textfile(shot control.Snapshot, now time.Time) ([]byte, error) {
	var b bytes.Buffer
	names := []*dto.LabelPair{label("service", shot.Name)}
	all := slices.Concat(families, dates())
	slices.SortFunc(all, func(a, b family) int { return strings.Compare(a.name, b.name) })
	for _, f := range all {
		if !inTextfile(f) && f.name != stepTime && f.name != goodTime {
			continue
		}
		gathered := f.gather([]control.Snapshot{shot}, names, now)
		if len(gathered.Metric) == 0 {
			continue
		}
		for _, m := range gathered.Metric {
			if !slices.Contains(f.labels, "project") {
				m.Label = append(m.Label, label("project", shot.Last.Project))
			}
		}
		if _, err := expfmt.MetricFamilyToText(&b, gathered); err != nil {
			return nil, fmt.Errorf("%s cannot be written: %w", f.name, err)
		}
	}
	return b.Bytes(), nil
}

// Earlier is what a Textfile says of a service.
type Earlier struct {
	// Service and Project say whose it is.
	Service, Project string
	// Replicas is their last known number, where Counted.
	Replicas int
	Counted  bool
	// Succeeded is when a step last rested on a trusted reading; zero for never.
	Succeeded time.Time
}

// sample matches a line of a Textfile that gives a value.
var sample = regexp.MustCompile(`^autoscale_([a-z_]+)\{(.*)\} ([0-9.e+-]+)$`)

// labels matches each label of a sample.
var labels = regexp.MustCompile(`([a-z]+)=("(?:[^"\\]|\\.)*")`)

// ReadTextfile reads a Textfile. Anything else, such as a file that holds other
// metrics as well, is an error.
func ReadTextfile(text []byte) (e Earlier, err error) {
	known := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "# HELP autoscale_") || strings.HasPrefix(line, "# TYPE autoscale_") {
			continue
		}
		parts := sample.FindStringSubmatch(line)
		if parts == nil {
			return e, errors.New("it holds something that autoscale did not write")
		}
		value, err := strconv.ParseFloat(parts[3], 64)
		if err != nil {
			return e, fmt.Errorf("%s in it is no number", parts[3])
		}
		switch parts[1] {
		case "service_info":
			known = true
			for _, l := range labels.FindAllStringSubmatch(parts[2], -1) {
				text, _ := strconv.Unquote(l[2]) // one that is none names nobody
				switch l[1] {
				case "service":
					e.Service = text
				case "project":
					e.Project = text
				}
			}
		case "replicas":
			e.Replicas, e.Counted = int(value), true
		case goodTime:
			e.Succeeded = time.UnixMilli(int64(value * 1000))
		}
	}
	if !known {
		return e, errors.New("it is none that autoscale wrote")
	}
	return e, nil
}
