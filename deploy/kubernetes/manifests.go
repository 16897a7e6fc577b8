// Package kubernetes holds the manifests of the metrics adapter, which are applied
// with kubectl by "autoscale adapter install", and by hand with kustomize.
package kubernetes

import (
	_ "embed"
	"strings"
)

// Namespace is where the adapter is installed, and Name is how all of it is called.
const (
	Namespace = "autoscale-system"
	Name      = "autoscale-adapter"
)

// image is the one that the manifests name.
const image = "image: autoscale-adapter:latest"

//go:embed namespace.yaml
var namespace string

//go:embed rbac.yaml
var rbac string

//go:embed deployment.yaml
var deployment string

//go:embed apiservice.yaml
var apiService string

// Space is the namespace.
func Space() string { return namespace }

// Workload is all that runs the adapter in its namespace: rights, Deployment,
// Service. The image is the given one, or else what was built here.
func Workload(from string) string {
	all := rbac + "---\n" + deployment
	if from != "" {
		all = strings.Replace(all, image, "image: "+from, 1)
	}
	return all
}

// APIs are the names of the APIServices, of which a cluster has one each, and
// their manifests.
func APIs() (names, manifests []string) {
	manifests = strings.Split(apiService, "---\n")
	for _, text := range manifests {
		_, rest, _ := strings.Cut(text, "  name: ")
		name, _, _ := strings.Cut(rest, "\n")
		names = append(names, name)
	}
	return names, manifests
}
