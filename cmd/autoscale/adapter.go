package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	deploy "github.com/five-keys/autoscale/deploy/kubernetes"
	"github.com/five-keys/autoscale/internal/kubernetes"
)

// adapterCommand has the metrics adapter installed in a cluster.
type adapterCommand struct {
	Install   adapterInstall   `cmd:"" help:"Install it, unless the cluster's metrics API belongs to another."`
	Uninstall adapterUninstall `cmd:"" help:"Remove it, and nothing of another's."`
	Manifests adapterManifests `cmd:"" help:"Print what install applies."`
}

// Help is what stands below the flags' summary.
func (adapterCommand) Help() string {
	return `autoscale-adapter runs in the cluster and serves the requests per second of pods
to HorizontalPodAutoscalers, without Prometheus and without configuration
(docs/adapter.md).

Exit status: 0 done; 1 refused or failed: what belongs to another is left alone;
2 flags wrong in themselves, or nobody there to be asked and no --yes.`
}

// adapterCluster says which cluster is meant.
type adapterCluster struct {
	Context    string `placeholder:"NAME" help:"kubectl's context; default: its current one."`
	Kubeconfig string `placeholder:"FILE" help:"kubectl's configuration; default: its own."`
	Kubectl    string `default:"kubectl" help:"The kubectl to call."`
}

func (c adapterCluster) config() kubernetes.Config {
	return kubernetes.Config{Context: c.Context, Kubeconfig: c.Kubeconfig, Kubectl: c.Kubectl}
}

// adapterImage says what runs.
type adapterImage struct {
	Image string `placeholder:"IMAGE" help:"The image, as the cluster's nodes pull it; default: autoscale-adapter:latest, as make image builds it."`
}

// check refuses what is no image, and would be more than one in a manifest.
func (i adapterImage) check() error {
	if strings.ContainsAny(i.Image, " \t\r\n\"'#") {
		return usage(fmt.Errorf("--image=%q is not the name of an image", i.Image))
	}
	return nil
}

func installation(s streams, image string, wait time.Duration) kubernetes.Installation {
	names, apis := deploy.APIs()
	return kubernetes.Installation{
		Namespace: deploy.Namespace, Name: deploy.Name, Space: deploy.Space(), Workload: deploy.Workload(image),
		APIs: names, APIManifests: apis, Wait: wait, Tell: s.out,
	}
}

type adapterInstall struct {
	adapterCluster
	adapterImage
	Wait time.Duration `default:"2m" help:"How long it may take to be up, and then to answer; 0 does not wait."`
}

// Run installs it.
func (c *adapterInstall) Run(ctx context.Context, s streams) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.Wait < 0 {
		return usage(fmt.Errorf("--wait=%v: it has to be 0 or more", c.Wait))
	}
	return installation(s, c.Image, c.Wait).Install(ctx, c.config())
}

type adapterUninstall struct {
	adapterCluster
	Yes bool `short:"y" help:"Do it without asking."`
}

// Run says who loses what, asks, and removes it.
func (c *adapterUninstall) Run(ctx context.Context, s streams) error {
	i := installation(s, "", 0)
	losing, err := i.Losing(ctx, c.config())
	if err != nil {
		return err
	}
	if len(losing) > 0 {
		fmt.Fprintf(s.out, "HPAs that ask for metrics of pods, and that without it may raise by their other metrics and never lower: %s\n", strings.Join(losing, ", "))
	}
	if sure, err := s.confirm(ctx, "Remove the adapter?", c.Yes); err != nil || !sure {
		return err
	}
	return i.Uninstall(ctx, c.config())
}

type adapterManifests struct {
	adapterImage
}

// Run prints them.
func (c *adapterManifests) Run(s streams) error {
	if err := c.check(); err != nil {
		return err
	}
	_, apis := deploy.APIs()
	_, err := fmt.Fprint(s.out, strings.Join(append([]string{deploy.Space(), deploy.Workload(c.Image)}, apis...), "---\n"))
	return err
}
