package kubernetes

import (
	"cmp"
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
	words                 []string // the command
	cluster               []string // the flags behind each call that say which cluster
	context, server, name string   // as kubectl's configuration has them; name is the namespace's
	held                  []*os.File
	changed               bool // a command that changes something was begun
}

// namespaced is the flag that says which namespace. It stands in every command
// that has one: what kubectl's configuration says may change between two of them.
func (k *kubectl) namespaced() string { return "--namespace=" + k.name }

// place names the cluster and namespace that a line is about.
func (k *kubectl) place() string {
	return fmt.Sprintf("context %s, server %s, namespace %s", k.context, k.server, k.name)
}

// connect asks kubectl which cluster is meant. It asks no server.
func connect(ctx context.Context, c Config) (*kubectl, error) {
	k := &kubectl{words: []string{c.Kubectl}}
	if c.Kubeconfig != "" {
		k.cluster = append(k.cluster, "--kubeconfig="+c.Kubeconfig)
	}
	if c.Context != "" {
		k.cluster = append(k.cluster, "--context="+c.Context)
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
	if c.Context == "" && k.context != "" {
		k.cluster = append(k.cluster, "--context="+k.context) // others may switch to another one at any time
	}
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

// inCluster stands for the context where kubectl has no configuration.
const inCluster = "in-cluster"

// Current tells which context and namespace kubectl means now, as the two flags
// that keep a command to them; without the first in a pod, where there is no
// context. It asks no server.
func Current(ctx context.Context, c Config) (flags []string, err error) {
	k, err := connect(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.Context == "" && k.context != inCluster {
		flags = append(flags, "--context="+k.context)
	}
	if c.Namespace == "" {
		flags = append(flags, k.namespaced())
	}
	return flags, nil
}

// unknown is the problem of a kubectl that knows no cluster, or not the one that
// was asked for. In a pod kubectl needs no configuration.
func (k *kubectl) unknown(ctx context.Context, c Config, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	if host := os.Getenv("KUBERNETES_SERVICE_HOST"); host != "" && c.Context == "" && c.Kubeconfig == "" {
		if namespace, inPod := os.ReadFile(inside); inPod == nil {
			// As kubectl itself does, which looks at that variable first.
			k.context, k.server, k.name = inCluster, "https://"+host, cmp.Or(c.Namespace, os.Getenv("POD_NAMESPACE"), strings.TrimSpace(string(namespace)))
			return nil
		}
	}
	remedy := "name one with --context, or its configuration with --kubeconfig; --apply=never only writes the manifest"
	anyContext := slices.DeleteFunc(slices.Clone(k.cluster), func(flag string) bool { return strings.HasPrefix(flag, "--context=") })
	if out, _, listed := (&kubectl{words: k.words, cluster: anyContext}).call(ctx, "", nil, "config", "get-contexts", "--output=name"); listed == nil && strings.TrimSpace(out) != "" {
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
	return k.run(ctx, command.Call{Words: args, Input: input, Held: held})
}

func (k *kubectl) run(ctx context.Context, c command.Call) (out, told string, err error) {
	c.Words, c.Limit, c.Env = slices.Concat(k.words, c.Words, k.cluster), callTime, environment
	return c.Run(ctx)
}

// environment keeps a person's own settings away from what is called here: their
// diff viewer would open, and their kuberc may have kubectl ask before it deletes,
// or apply in another way (https://kubernetes.io/docs/reference/kubectl/kuberc/).
var environment = []string{"KUBECTL_EXTERNAL_DIFF=", "KUBERC=off", "KUBECTL_KUBERC=false"}

// change runs a command that changes something in the cluster.
func (k *kubectl) change(ctx context.Context, args ...string) (out, told string, err error) {
	k.changed = true
	return k.call(ctx, "", k.held, args...)
}

// text is a command as a person would type it.
func (k *kubectl) text(args ...string) string {
	return command.Text(slices.Concat(k.words, args, k.cluster))
}

// unchanged says that nothing was changed, followed by what else there is to do,
// where that is known.
func (k *kubectl) unchanged(remedy string) string {
	if k.changed {
		return remedy
	}
	return "nothing was changed; " + remedy
}

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
	out, err := k.raw(ctx, path, 0)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		return &apiError{faultOther, fmt.Sprintf("the answer to %s cannot be read: %v", path, err)}
	}
	return nil
}

// raw is the answer as it comes; of one that is longer than most bytes, so many and
// one more. 0 is no bound.
func (k *kubectl) raw(ctx context.Context, path string, most int64) (string, error) {
	out, told, err := k.run(ctx, command.Call{Words: []string{"get", "--raw", path, "--request-timeout=" + answerTime.String()}, MaxOutput: most})
	if err == nil || errors.Is(err, command.ErrTooMuch) {
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
	case has("Error from server"): // so it did answer, be it of another that does not: a webhook
		return &apiError{faultOther, text}
	case has("Unable to connect to the server", "did you specify the right host", "no such host", "i/o timeout", "connection refused", "request canceled", "deadline exceeded", "TLS handshake", "x509:", "no route to host", "connection reset", "EOF"):
		return &Problem{Code: CodeUnreachable, Fact: fmt.Sprintf("the cluster does not answer (%s): %s", k.place(), text),
			Remedy: k.unchanged(fmt.Sprintf("look with: %s; --apply=never only writes the manifest", k.text("cluster-info")))}
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

// path is that of something in the namespace.
func (k *kubectl) path(group string, parts ...string) string {
	var path strings.Builder
	path.WriteString(group + "/namespaces/" + url.PathEscape(k.name))
	for _, part := range parts {
		path.WriteString("/" + url.PathEscape(part))
	}
	return path.String()
}
