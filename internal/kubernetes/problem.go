package kubernetes

// Problem is something of the cluster's, or of the manifest, that speaks against
// scaling, now or later.
type Problem struct {
	Code   string // a stable name: "hpa-conflict"
	Fact   string // what is so, and of what
	Remedy string // what to do about it
}

// Error says both the fact and the remedy.
func (p *Problem) Error() string { return "kubernetes: " + p.Fact + "; " + p.Remedy }

// Codes of problems; docs/doctor.md says what each means.
const (
	CodeNoKubectl      = "kubectl-missing"
	CodeNoCluster      = "cluster-unknown"
	CodeUnreachable    = "cluster-unreachable"
	CodeDenied         = "cluster-denied"
	CodeFailed         = "kubectl-failed"
	CodeNoDeployment   = "deployment-unknown"
	CodeStopped        = "deployment-stopped"
	CodeConflict       = "autoscaler-conflict"
	CodeForeignHPA     = "hpa-not-ours"
	CodeManifest       = "manifest-unusable"
	CodeRejected       = "manifest-rejected"
	CodeReplicasOwned  = "replicas-owned"
	CodeMetricUnserved = "rps-metric-unserved"
	CodeMetricStale    = "rps-metric-stale"
	CodeCPUUnserved    = "cpu-metric-unserved"
	CodeNoCPURequest   = "cpu-request-missing"
	CodeHPAInactive    = "hpa-inactive"
	CodeRights         = "rights-missing"
	CodeDisruption     = "disruption-budget"
	CodeAboveMax       = "above-max"
)
