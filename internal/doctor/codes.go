package doctor

import (
	"github.com/five-keys/autoscale/internal/compose"
	"github.com/five-keys/autoscale/internal/kubernetes"
)

// Codes of findings that are neither the Compose project's nor the cluster's.
const (
	CodeUnreachable  = "metrics-unreachable"
	CodeLate         = "metrics-late"
	CodeSlow         = "metrics-slow"
	CodeTooLarge     = "metrics-too-large"
	CodeMalformed    = "metrics-malformed"
	CodeAbsent       = "metric-absent"
	CodeKindUnknown  = "metric-kind-unknown"
	CodeNoNumber     = "metric-no-number"
	CodeStale        = "metric-stale"
	CodeOneOfSeveral = "one-of-several"
	CodeQuery        = "query-rejected"
	CodePartial      = "query-partial"
	CodeLogMissing   = "access-log-unreadable"
	CodeLogMalformed = "access-log-malformed"
	CodeLogSilent    = "access-log-silent"
	CodeTracked      = "override-in-git"
	CodeNoSchedule   = "no-schedule"
	CodeTwoSchedules = "schedules-several"
	CodeInactive     = "schedule-inactive"
	CodeSilent       = "schedule-silent"
)

// level is how much a finding of that code matters.
func level(code string) Level {
	switch code {
	case CodeNoSchedule:
		return LevelNote
	case CodeSlow, CodePartial, CodeTracked, CodeTwoSchedules, CodeSilent,
		compose.CodeEngineOld, compose.CodeNotCarried, compose.CodeSharedVolume, compose.CodeNoHealthCheck, compose.CodeNoGracePeriod,
		compose.CodeNoRestart, compose.CodeUnset, compose.CodeMemory, compose.CodeCPU, compose.CodeProxy,
		kubernetes.CodeReplicasOwned, kubernetes.CodeDisruption, kubernetes.CodeAboveMax:
		return LevelWarning
	}
	return LevelError
}
