package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale/internal/command"
)

const (
	// answerTime is how long the API server may take for one answer.
	answerTime = 20 * time.Second
	// callTime is how long one call of kubectl may take: it may ask several times.
	callTime = 90 * time.Second
)

// ErrNoKubectl is wrapped by the error of a kubectl that is not there.
var ErrNoKubectl = errors.New("the kubectl command is not there")

// kubectl calls the user's kubectl for one cluster.
type kubectl struct {
	words                 []string // the command, with the flags that say which cluster
	namespaced            []string // the flag that says which namespace; none for the context's own
	context, server, name string   // as kubectl's configuration has them; name is the namespace's
	held                  []*os.File
}

// place names the cluster and namespace that a line is about.
func (k *kubectl) place() string {
	return fmt.Sprintf("context %s, server %s, namespace %s", k.context, k.server, k.name)
}

// connect asks kubectl which cluster is meant. It asks no server.
func connect(ctx context.Context, c Config) (*kubectl, error) {
	k := &kubectl{words: []string{c.Kubectl}}
	if c.Kubeconfig != "" {
		k.words = append(k.words, "--kubeconfig="+c.Kubeconfig)
	}
	if c.Context != "" {
		k.words = append(k.words, "--context="+c.Context)
	}
	if c.Namespace != "" {
		k.namespaced = []string{"--namespace=" + c.Namespace}
	}
	out, _, err := k.call(ctx, "", nil, "config", "view", "--minify", "--output=json")
	if err != nil {
		return nil, k.unknown(ctx, c, err)
	}
	var view struct {
		CurrentContext string `json:"current-context"`
		Clusters       []struct {
			Cluster struct{ Server string }
		}
		Contexts []struct {
			Context struct{ Namespace string }
		}
	}
	if err := json.Unmarshal([]byte(out), &view); err != nil {
		return nil, &Problem{Code: CodeFailed, Fact: fmt.Sprintf("%s does not print its configuration as JSON: %v", c.Kubectl, err), Remedy: "is it a kubectl? Name one with --kubectl"}
	}
	k.context, k.name = view.CurrentContext, c.Namespace
	if len(view.Clusters) > 0 {
		k.server = view.Clusters[0].Cluster.Server
	}
	if len(view.Contexts) > 0 && k.name == "" {
		k.name = view.Contexts[0].Context.Namespace
	}
	if k.name == "" {
		k.name = "default"
	}
	return k, nil
}

// inside is where a pod finds the namespace it runs in
// (https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/).
const inside = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// unknown is the problem of a kubectl that knows no cluster, or not the one that
// was asked for. In a pod kubectl needs no configuration.
func (k *kubectl) unknown(ctx context.Context, c Config, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	if host := os.Getenv("KUBERNETES_SERVICE_HOST"); host != "" && c.Context == "" && c.Kubeconfig == "" {
		if namespace, inPod := os.ReadFile(inside); inPod == nil {
			k.context, k.server, k.name = "in-cluster", "https://"+host, c.Namespace
			if k.name == "" {
				k.name = strings.TrimSpace(string(namespace))
			}
			return nil
		}
	}
	remedy := "name one with --context, or its configuration with --kubeconfig; --apply=never only writes the manifest"
	if out, _, listed := (&kubectl{words: slices.DeleteFunc(slices.Clone(k.words), func(w string) bool { return strings.HasPrefix(w, "--context=") })}).call(ctx, "", nil, "config", "get-contexts", "--output=name"); listed == nil && strings.TrimSpace(out) != "" {
		remedy = "it knows " + strings.Join(strings.Fields(out), ", ") + "; " + remedy
	}
	asked := "no context is set"
	switch {
	case c.Context != "":
		asked = "--context=" + c.Context
	case c.Kubeconfig != "":
		asked = "--kubeconfig=" + c.Kubeconfig
	}
	return &Problem{Code: CodeNoCluster, Fact: fmt.Sprintf("kubectl does not know which cluster is meant (%s): %v", asked, said(err)), Remedy: remedy}
}

// call runs kubectl.
func (k *kubectl) call(ctx context.Context, input string, held []*os.File, args ...string) (out, told string, err error) {
	return command.Call{
		Words: slices.Concat(k.words, args), Input: input, Limit: callTime, Held: held,
		// A person's own diff viewer would open here.
		Env: []string{"KUBECTL_EXTERNAL_DIFF=diff -u -N"},
	}.Run(ctx)
}

// text is a command as a person would type it.
func (k *kubectl) text(args ...string) string { return command.Text(slices.Concat(k.words, args)) }

// fault is why the API server did not answer as asked.
type fault string

const (
	faultNotFound    fault = "NotFound"    // no such object, or no such API
	faultDenied      fault = "Forbidden"   // a right is missing
	faultUnavailable fault = "Unavailable" // an API whose own server does not answer
	faultOther       fault = "Other"
)

// apiError is an answer that is none.
type apiError struct {
	fault fault
	text  string
}

func (e *apiError) Error() string { return e.text }

func is(err error, f fault) bool {
	e, ok := errors.AsType[*apiError](err)
	return ok && e.fault == f
}

// get reads one answer of the API into v. Errors are an *apiError where the
// server said no, and a *Problem where no server did.
func (k *kubectl) get(ctx context.Context, v any, path string) error {
	out, err := k.raw(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		return &apiError{faultOther, fmt.Sprintf("the answer to %s cannot be read: %v", path, err)}
	}
	return nil
}

func (k *kubectl) raw(ctx context.Context, path string) (string, error) {
	out, told, err := k.call(ctx, "", nil, "get", "--raw", path, "--request-timeout="+answerTime.String())
	if err == nil {
		return out, nil
	}
	return "", k.failed(ctx, told, err)
}

// failed tells one failure of kubectl from another by what it said.
func (k *kubectl) failed(ctx context.Context, told string, err error) error {
	text := said(err)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(told, w) })
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	case errors.Is(err, exec.ErrNotFound):
		return err
	case has("(NotFound)", "could not find the requested resource", "the server doesn't have a resource type"):
		return &apiError{faultNotFound, text}
	case has("(Forbidden)"):
		return &apiError{faultDenied, text}
	case has("(Unauthorized)", "must be logged in", "provide credentials", "getting credentials"):
		return &Problem{Code: CodeDenied, Fact: fmt.Sprintf("the cluster does not know who you are (%s): %s", k.place(), text), Remedy: "log in again, or name another user with --context or --kubeconfig"}
	case has("(ServiceUnavailable)", "currently unable to handle the request"):
		return &apiError{faultUnavailable, text}
	case has("Unable to connect to the server", "did you specify the right host", "no such host", "i/o timeout", "connection refused", "request canceled", "deadline exceeded", "TLS handshake", "x509:", "no route to host", "connection reset", "EOF"):
		return &Problem{Code: CodeUnreachable, Fact: fmt.Sprintf("the cluster does not answer (%s): %s", k.place(), text),
			Remedy: fmt.Sprintf("look with: %s; nothing was changed, and --apply=never only writes the manifest", k.text("cluster-info"))}
	}
	return &apiError{faultOther, text}
}

// said is what a command said of its failure, without its status.
func said(err error) string {
	text := err.Error()
	if _, rest, ok := strings.Cut(text, "exit status "); ok {
		if _, words, ok := strings.Cut(rest, ": "); ok && words != "" {
			return words
		}
	}
	return text
}

// namespaced is the path of something in the namespace.
func (k *kubectl) path(group string, parts ...string) string {
	var path strings.Builder
	path.WriteString(group + "/namespaces/" + url.PathEscape(k.name))
	for _, part := range parts {
		path.WriteString("/" + url.PathEscape(part))
	}
	return path.String()
}
