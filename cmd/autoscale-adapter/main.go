// Command autoscale-adapter serves, within a Kubernetes cluster, what
// HorizontalPodAutoscalers ask of pods: the requests/s that each pod's own metrics
// page tells. It needs neither a Prometheus nor a configuration.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
	aggregator "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
	custom "sigs.k8s.io/custom-metrics-apiserver/pkg/cmd"

	"github.com/five-keys/autoscale/internal/adapter"
	"github.com/five-keys/autoscale/internal/prometheus"
)

// version is set by the release build.
var version = "devel"

// program is the adapter with its flags.
type program struct {
	custom.AdapterBase

	interval, timeout time.Duration
	maxBytes          int64
	namespace         string
	service           string
	certificateLife   time.Duration
	drain             time.Duration
	showVersion       bool

	log *slog.Logger
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, pflag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "autoscale-adapter:", err)
		os.Exit(1)
	}
}

// flags are those of the library besides our own.
func (p *program) flags() *pflag.FlagSet {
	p.Name, p.FlagSet = "autoscale-adapter", pflag.NewFlagSet("autoscale-adapter", pflag.ContinueOnError)
	f := p.FlagSet
	f.DurationVar(&p.interval, "interval", 15*time.Second, "The time in which each pod's value is renewed.")
	f.DurationVar(&p.timeout, "timeout", 3*time.Second, "How long a pod may take to give its page.")
	f.Int64Var(&p.maxBytes, "max-bytes", 16<<20, "How large a page may be.")
	f.StringVar(&p.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "The namespace that this runs in; default: $POD_NAMESPACE.")
	f.StringVar(&p.service, "service", "autoscale-adapter", "The Service by which the API server calls this, for certificates of its own making.")
	f.DurationVar(&p.certificateLife, "certificate-life", 365*24*time.Hour, "How long a certificate of its own making is good; it is renewed when a third of that is left.")
	f.DurationVar(&p.drain, "drain", 5*time.Second, "How long it goes on answering after it was told to end, until it is called no more.")
	f.BoolVar(&p.showVersion, "version", false, "Print the version.")
	p.Flags() // the library's
	// Above any number that a cluster of 200 autoscalers asks at once.
	p.ClientQPS, p.ClientBurst = 50, 100
	return f
}

func run(ctx context.Context, args []string) error {
	p := &program{log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	if err := p.flags().Parse(args); err != nil {
		return err
	}
	if p.showVersion {
		_, err := fmt.Println("autoscale-adapter", version)
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	klog.SetSlogLogger(p.log)
	config, err := p.ClientConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	a := adapter.New(adapter.Config{Interval: p.interval, Open: p.open, Log: p.log})
	plan, err := newPlanner(client, a, p.log)
	if err != nil {
		return err
	}
	p.WithCustomMetrics(&podMetrics{adapter: a, pods: plan.pods})
	keep, err := p.certificates(ctx, client)
	if err != nil {
		return err
	}
	legacyregistry.RawMustRegister(newFigures(a))
	return p.serve(ctx, plan, a, keep)
}

func (p *program) check() error {
	switch {
	case len(p.FlagSet.Args()) > 0:
		return fmt.Errorf("unexpected %s: it takes flags only", strings.Join(p.FlagSet.Args(), " "))
	case p.interval < 2*time.Second:
		return fmt.Errorf("--interval=%v: it has to be at least 2s", p.interval)
	case p.timeout <= 0 || p.timeout > p.interval:
		return fmt.Errorf("--timeout=%v: it has to be above 0 and at most --interval=%v", p.timeout, p.interval)
	case p.maxBytes <= 0:
		return fmt.Errorf("--max-bytes=%d: it has to be above 0", p.maxBytes)
	case !p.ownCertificates():
	case p.namespace == "":
		return errors.New("--namespace is needed for a certificate of its own making; or --tls-cert-file and --tls-private-key-file")
	case p.certificateLife < time.Minute:
		return fmt.Errorf("--certificate-life=%v: it has to be at least a minute", p.certificateLife)
	}
	return nil
}

// open makes the reader of a page. What it reads is checked as every reading is; a
// pod's certificate is not, since nobody could have signed one for its address.
func (p *program) open(m adapter.Metric, page adapter.Page) (adapter.Reader, error) {
	return prometheus.New(prometheus.Config{
		URLs:   []string{fmt.Sprintf("%s://{replica}:%d%s", page.Scheme, page.Port, page.Path)},
		Scope:  "replica",
		Metric: fmt.Sprintf("{%q%s", m.Name, rest(m.Matchers)), Others: adapter.Names(m.Name, prometheus.Fallbacks(m.Name+m.Matchers)),
		Timeout: p.timeout, MaxBytes: p.maxBytes,
		TLS: &tls.Config{InsecureSkipVerify: true},
	})
}

// rest is what follows a metric's name within the braces of a selector.
func rest(matchers string) string {
	if matchers == "" {
		return "}"
	}
	return "," + strings.TrimPrefix(matchers, "{")
}

func (p *program) ownCertificates() bool { return p.SecureServing.ServerCert.CertKey.CertFile == "" }

// certificates makes sure of a first certificate, where it is of our own making, and
// returns what keeps it.
func (p *program) certificates(ctx context.Context, client kubernetes.Interface) (*certificates, error) {
	if !p.ownCertificates() {
		return nil, nil
	}
	p.SecureServing.ServerCert.CertDirectory = "" // nothing is written
	config, err := p.ClientConfig()
	if err != nil {
		return nil, err
	}
	apis, err := aggregator.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	c := &certificates{
		client: client, apis: apis.ApiregistrationV1().APIServices(), namespace: p.namespace, service: p.service, life: p.certificateLife,
		apiServices: []string{"v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io"},
		log:         p.log, serving: &serving{},
	}
	for {
		if err = c.look(ctx); err != nil {
			c.tell(err)
		}
		if cert, _ := c.serving.CurrentCertKeyContent(); cert != nil {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("interrupted before there was a certificate: %w", err)
		case <-time.After(time.Second):
		}
	}
}

// serve answers until the context ends, and then for a while on.
func (p *program) serve(ctx context.Context, plan *planner, a *adapter.Adapter, own *certificates) error {
	config, err := p.Config()
	if err != nil {
		return err
	}
	config.GenericConfig.ShutdownDelayDuration = p.drain
	if own != nil {
		config.GenericConfig.SecureServing.Cert = own.serving
	}
	server, err := p.Server()
	if err != nil {
		return err
	}
	err = server.GenericAPIServer.AddReadyzChecks(healthz.NamedCheck("values", func(*http.Request) error {
		if !plan.ready() {
			return errors.New("the cluster was not looked at yet")
		}
		return a.Ready()
	}))
	if err != nil {
		return err
	}
	// What is read is needed until the last answer is given.
	working, end := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	work.Go(func() { plan.run(working) })
	work.Go(func() { a.Run(working) })
	if own != nil {
		work.Go(func() { own.keep(working) })
	}
	err = server.GenericAPIServer.PrepareRun().RunWithContext(ctx)
	end()
	work.Wait()
	return err
}
