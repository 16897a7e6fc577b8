package kubernetes

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/five-keys/autoscale"
)

// Page reads a page of a pod by way of the API server, for a pod whose address
// cannot be reached from here. u is the page's URL, of which host and port are
// the pod's; of a longer page than most bytes it reads so many and one more (https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#get-connect-proxy-path-pod-v1-core).
func (w *Workload) Page(ctx context.Context, r autoscale.Replica, u url.URL, most int64) (string, error) {
	name := r.Name + ":" + u.Port()
	if u.Scheme == "https" {
		name = "https:" + name
	}
	path := w.kubectl.path("/api/v1", "pods", name, "proxy") + "/" + strings.TrimPrefix(u.EscapedPath(), "/")
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	out, err := w.kubectl.raw(ctx, path, most)
	if is(err, faultDenied) {
		return "", fmt.Errorf("the cluster does not let pods be read through it (the right to get pods/proxy is missing)")
	}
	return out, err
}
