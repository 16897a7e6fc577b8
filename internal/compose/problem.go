package compose

// Problem is something of the user's set-up that speaks against scaling, now or
// later.
type Problem struct {
	Code   string // a stable name: "container-name"
	Fact   string // what is so, and of what
	Remedy string // what to do about it
}

// Error says both the fact and the remedy.
func (p *Problem) Error() string { return "compose: " + p.Fact + "; " + p.Remedy }

// Codes of problems; docs/doctor.md says what each means.
const (
	CodeNoDocker       = "docker-missing"
	CodeSocketDenied   = "socket-denied"
	CodeEngineSilent   = "engine-unreachable"
	CodeEngineOld      = "engine-old"
	CodeComposeMissing = "compose-missing"
	CodeComposeOld     = "compose-old"
	CodeRejected       = "project-invalid"
	CodeNoService      = "service-unknown"
	CodeRefused        = "project-refused"
	CodeNotRunning     = "not-running"
	CodeNotCarried     = "override-not-carried"
	CodeOverride       = "override-unusable"
	CodeContainerName  = "container-name"
	CodeHostNetwork    = "host-network"
	CodeFixedPort      = "fixed-port"
	CodePortRange      = "port-range"
	CodeScale          = "scale-conflict"
	CodeSharedVolume   = "shared-volume"
	CodeNoHealthCheck  = "no-healthcheck"
	CodeNoGracePeriod  = "no-stop-grace-period"
	CodeNoRestart      = "no-restart"
	CodeUnset          = "variables-unset"
	CodeMemory         = "memory-short"
	CodeCPU            = "cpu-short"
	CodeProxy          = "proxy-resolves-once"
	CodeUpstream       = "upstream-unusable"
	CodeOnChange       = "on-change-missing"
)
