package kubernetes

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Apply says whether the cluster is asked and changed, or only the manifest
// written.
type Apply string

const (
	// ApplyAuto asks the cluster where kubectl is there.
	ApplyAuto Apply = "auto"
	// ApplyAlways wants kubectl to be there.
	ApplyAlways Apply = "always"
	// ApplyNever writes the manifest only.
	ApplyNever Apply = "never"
)

// Metric is what the HPA asks of each pod, in requests/s.
type Metric struct {
	// Name is the one it is served under.
	Name string
	// Labels are those that its series must have.
	Labels map[string]string
}

// PerSecond is the name under which the rate of a counter is served: X_total as
// X_per_second, any other name with _per_second behind it.
func PerSecond(counter string) string { return strings.TrimSuffix(counter, "_total") + "_per_second" }

// Config is what the user said of the Deployment.
type Config struct {
	Service    string // name of the Deployment
	Namespace  string // --namespace; empty for the context's own
	Context    string // --context; empty for the current one
	Kubeconfig string // --kubeconfig; empty for kubectl's own
	Kubectl    string // the kubectl command
	Apply      Apply
	Dir        string // absolute path of the folder that paths count from
	File       string // the manifest, from Dir

	Min, Max  int           // replicas
	Metric    Metric        // asked of each pod
	Target    float64       // requests/s that one pod should carry
	CPUTarget int           // average CPU utilisation in per cent; 0 leaves CPU out
	Cooldown  time.Duration // the HPA's stabilization window for the way down

	// resolved is the namespace that is meant, once kubectl has told.
	resolved string

	DryRun bool // check and tell, change nothing
	// Tell takes what a person should see while things move.
	Tell func(text string)
}

// maxWindow is the longest stabilization window of the API, in seconds
// (HPAScalingRules.stabilizationWindowSeconds).
const maxWindow = 3600

// Validate reports everything in c that no HPA can have, in the words of the
// command line's flags.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Min < 1 {
		wrong("--min=%d: an HPA that counts requests per pod sees none without a pod, and would never start one; set --min=1", c.Min)
	}
	if c.window() > maxWindow {
		wrong("--cooldown=%s: an HPA's stabilization window is at most an hour; set --cooldown=3600 or less", c.Cooldown)
	}
	if c.CPUTarget < 0 {
		wrong("--cpu-target=%d: give the average CPU utilisation in per cent, such as 75, or 0 to leave CPU out", c.CPUTarget)
	}
	if !(c.Target >= 0.001 && c.Target <= 1e15) {
		wrong("--rps-target=%v: an HPA counts in thousandths of a request/s, from 0.001 up to 1e15", c.Target)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Metric.Labels)) {
		if value := c.Metric.Labels[name]; !labelled(name) || value != "" && !labelled(value) {
			wrong("--rps-metric: %s=%q cannot be selected by in an HPA: labels there are letters, digits, -, _ and . (none of the last three at an end), 63 at most; leave it away, or serve a metric that has it", name, value)
		}
	}
	return errors.Join(append(errs, c.ValidateNames())...)
}

// labelled reports whether text can be a label's name or value
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set).
func labelled(text string) bool {
	inner := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r)
	}
	return text != "" && len(text) <= 63 && !strings.ContainsFunc(text, func(r rune) bool { return !inner(r) }) && !strings.ContainsAny(text[:1]+text[len(text)-1:], "-_.")
}

// ValidateNames is Validate of what a rollback needs: service, namespace and file.
func (c Config) ValidateNames() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !named(c.Service) {
		wrong("--service=%q is no name of a Deployment: those have lower-case letters, digits, - and . only", c.Service)
	}
	if c.Namespace != "" && !named(c.Namespace) {
		wrong("--namespace=%q is no name of a namespace: those have lower-case letters, digits and - only", c.Namespace)
	}
	switch c.File {
	case "":
		wrong("--hpa-file is empty; name the file that the manifest is written to")
	case "-":
		wrong("--hpa-file=-: the manifest is kept in a file, and changed in it; name one")
	}
	return errors.Join(errs...)
}

// named reports whether text can be an object's name
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/).
func named(text string) bool {
	inner := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' }
	return text != "" && len(text) <= 253 && !strings.ContainsFunc(text, func(r rune) bool { return !inner(r) }) && !strings.ContainsAny(text[:1]+text[len(text)-1:], "-.")
}

// window is the cooldown in whole seconds, as the API has it.
func (c Config) window() int { return int(math.Ceil(c.Cooldown.Seconds())) }

// quantity writes requests/s as the API does: "50", "7500m". Parts of a
// thousandth are dropped, towards more replicas.
// (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)
func quantity(target float64) string {
	thousandths := int64(math.Floor(target*1000 + 1e-6)) // 0.3 is 299.99999999999994 of them
	if thousandths%1000 == 0 {
		return strconv.FormatInt(thousandths/1000, 10)
	}
	return strconv.FormatInt(thousandths, 10) + "m"
}

// hpa is the name of the Deployment's HPA.
func (c Config) hpa() string { return c.Service + "-hpa" }
