package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	registration "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/typed/apiregistration/v1"
)

// errNoAPI is the error of an API that the cluster does not have, or not yet.
var errNoAPI = errors.New("there is none")

// lookAgain is how often certificates are looked at.
const lookAgain = 30 * time.Second

// certificates keeps a certificate of our own making in a Secret, which all copies
// of this program share, and in the APIServices by which the API server calls us.
type certificates struct {
	client      kubernetes.Interface
	apis        registration.APIServiceInterface
	namespace   string
	service     string        // of the Service; the Secret is called so too, with -tls behind it
	apiServices []string      // the names of the APIServices that may be ours
	life        time.Duration // of a new certificate
	log         *slog.Logger
	serving     *serving

	pending pair   // is served once the API servers had time to learn of it
	known   bool   // some API of the cluster is ours
	told    string // the last failure that was logged
}

func (c *certificates) names() []string {
	name := c.service + "." + c.namespace + ".svc"
	return []string{name, name + ".cluster.local", c.service + "." + c.namespace}
}

// look leaves Secret, APIServices and what is served as they should be. A new
// certificate is made known first, and served at the look after that.
func (c *certificates) look(ctx context.Context) error {
	p, trusted, err := c.stored(ctx)
	if err != nil {
		return fmt.Errorf("the certificate: %w", err)
	}
	current, _ := c.serving.CurrentCertKeyContent()
	if current == nil || bytes.Equal(p.cert, c.pending.cert) {
		c.serving.set(p)
	}
	c.pending = p
	var failed []error
	c.known = false
	for _, name := range c.apiServices {
		switch err := c.register(ctx, name, trusted); {
		case err == nil:
			c.known = true
		case !errors.Is(err, errNoAPI):
			failed = append(failed, fmt.Errorf("APIService %s: %w", name, err))
		}
	}
	return errors.Join(failed...)
}

// The entries of the Secret: those of its type, and what clients are to trust.
const entryTrusted = "ca.crt"

// stored is the pair in the Secret, made anew where it is not fresh, and what
// clients are to trust.
func (c *certificates) stored(ctx context.Context) (p pair, trusted []byte, err error) {
	secrets, name := c.client.CoreV1().Secrets(c.namespace), c.service+"-tls"
	secret, err := secrets.Get(ctx, name, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return p, nil, err
	}
	now := time.Now()
	if !missing {
		p = pair{secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]}
		why := p.fresh(c.names(), c.life, now)
		if why == nil {
			return p, bundle(p.cert, secret.Data[entryTrusted], now), nil
		}
		c.log.Info("a new certificate is made", "secret", c.namespace+"/"+name, "why", why)
	}
	older := bundle(p.cert, secret.Data[entryTrusted], now)
	if p, err = newPair(c.names(), c.life, now); err != nil {
		return p, nil, err
	}
	trusted = bundle(p.cert, older, now)
	data := map[string][]byte{corev1.TLSCertKey: p.cert, corev1.TLSPrivateKeyKey: p.key, entryTrusted: trusted}
	if missing {
		secret = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.namespace, Labels: map[string]string{"app.kubernetes.io/name": c.service}},
			Type:       corev1.SecretTypeTLS, Data: data,
		}
		_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
	} else {
		secret.Data = data
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
	}
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return c.stored(ctx) // another copy of this program was faster
	}
	return p, trusted, err
}

// register has the API server trust the certificates, where the API is ours.
func (c *certificates) register(ctx context.Context, name string, trusted []byte) error {
	api, err := c.apis.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return errNoAPI
	}
	if err != nil {
		return err
	}
	if s := api.Spec.Service; s == nil || s.Namespace != c.namespace || s.Name != c.service {
		return fmt.Errorf("%w; it is left alone", errForeign)
	}
	if bytes.Equal(api.Spec.CABundle, trusted) && !api.Spec.InsecureSkipTLSVerify {
		return nil
	}
	api.Spec.CABundle, api.Spec.InsecureSkipTLSVerify = trusted, false
	_, err = c.apis.Update(ctx, api, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return nil // the next look has the newer one
	}
	return err
}

// tell logs a failure once, and its end.
func (c *certificates) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == c.told {
		return
	}
	if c.told = text; err == nil {
		c.log.Info("certificate and APIServices are as they should be")
		return
	}
	c.log.Warn("the API server may not trust this adapter", "err", err)
}
