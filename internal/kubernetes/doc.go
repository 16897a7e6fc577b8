// Package kubernetes sets up the cluster's own HorizontalPodAutoscaler for one
// Deployment: its manifest, its start at the right count, and what would make it
// fail, said plainly. Afterwards the HPA decides; nothing here fights it, and
// nothing here lowers a count.
//
// Everything goes through the user's kubectl, so that its contexts, credentials
// and plug-ins apply. What is read is read with "kubectl get --raw", one answer
// of the API each, as
// https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/ has it.
package kubernetes
