package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/config"
	"github.com/five-keys/autoscale/internal/notify"
	"github.com/five-keys/autoscale/internal/store"
)

// notifyCommand holds what is about messages.
type notifyCommand struct {
	Test notifyTestCommand `cmd:"" help:"Send a test message to every place."`
}

// notifyTestCommand sends a message to every place.
type notifyTestCommand struct {
	Notify []string `name:"notify" sep:"none" placeholder:"URL" help:"Where to; repeatable."`
	Config string   `placeholder:"FILE" help:"The daemon's configuration: every place that it names."`
}

// Help is what stands below the flags' summary.
func (c *notifyTestCommand) Help() string {
	return `  autoscale notify test --notify 'telegram://TOKEN@telegram?chats=@channel'
  autoscale notify test --config autoscale.yaml

Exit status: 0 every place was reached; 1 one was not; 2 flags or configuration
wrong in themselves.`
}

// Run sends it.
func (c *notifyTestCommand) Run(ctx context.Context, s streams) error {
	urls := c.Notify
	if c.Config != "" {
		f, err := daemonFile(c.Config)
		if err != nil {
			return err
		}
		for _, service := range f.Services {
			urls = append(urls, revealed(service.Notify)...)
		}
	}
	all, err := senders(slices.Compact(slices.Sorted(slices.Values(urls))))
	if err == nil && len(all) == 0 {
		err = errors.New("no place to tell; name one with --notify URL, or a configuration that has notify: with --config")
	}
	if err != nil {
		return usage(err)
	}
	failed := 0
	for _, place := range all {
		said := "told"
		if errs := notify.SendAll(ctx, []*notify.Sender{place}, notifyTitle(), "a test message: this is where autoscale tells what happens"); len(errs) > 0 {
			failed++
			said = "not told: " + strings.TrimPrefix(errs[0].Error(), place.Name+": ")
		}
		fmt.Fprintf(s.out, "%s: %s\n", place.Name, said)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d places could not be told", failed, len(all))
	}
	return nil
}

// notifyTitle stands above each message.
func notifyTitle() string {
	host, err := os.Hostname()
	if err != nil {
		return "autoscale"
	}
	return "autoscale on " + host
}

// senders are the places to tell.
func senders(urls []string) (all []*notify.Sender, err error) {
	for i, url := range urls {
		place, failed := notify.New(url)
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("--notify number %d: %w", i+1, failed))
			continue
		}
		all = append(all, place)
	}
	return all, err
}

// revealed are secrets as they are.
func revealed(all []config.Secret) (texts []string) {
	for _, one := range all {
		texts = append(texts, one.Reveal())
	}
	return texts
}

// news is what people are to be told of a run, and remembers that they were.
func (c *flags) news(ctx context.Context, r result, most int) (lines []string, err error) {
	run := notify.Run{Service: cmp.Or(c.label, c.Service), At: time.Now(), Decision: r.report.Decision, Count: r.report.Decision.From, Max: most}
	if !r.decided {
		run.Decision = autoscale.Decision{}
	}
	if o := r.report.Outcome; o != nil {
		run.Count = o.Count
	}
	if r.err != nil {
		run.Error = r.err.Error()
	}
	keys, file := []store.Key{r.key}, store.Open(c.statePath(r.key.Dir))
	if !r.decided { // it may not have been found
		if keys, file, err = c.remembered(r.key.Dir); err != nil {
			return nil, err
		}
	}
	for _, key := range keys {
		err = errors.Join(err, changeState(ctx, file, key, lockWait, func(s autoscale.State) (autoscale.State, bool) {
			if !s.Known() {
				return s, false
			}
			more, told := notify.News(s.Told, run)
			lines = append(lines, more...)
			changed := !told.Equal(s.Told)
			s.Told = told
			return s, changed
		}))
	}
	return lines, err
}

// tellPeople tells what a one-shot has to tell. It returns what went wrong, which
// changes nothing else.
func (c *flags) tellPeople(ctx context.Context, r result) (warnings []string) {
	if len(c.Notify) == 0 || c.DryRun {
		return nil
	}
	all, err := senders(c.Notify)
	var lines []string
	if err == nil {
		lines, err = c.news(ctx, r, int(c.Max))
	}
	if err != nil {
		warnings = append(warnings, fmt.Sprintf("nobody was told: %v", err))
	}
	if len(lines) == 0 {
		return warnings
	}
	for _, err := range notify.SendAll(ctx, all, notifyTitle(), strings.Join(lines, "\n")) {
		warnings = append(warnings, fmt.Sprintf("not told: %v", err))
	}
	return warnings
}

// places are where a daemon tells what happens, each once.
type places struct {
	mu  sync.Mutex
	all map[string]*notify.Sender
}

// of are the senders to so many URLs, which were checked before.
func (p *places) of(urls []string) (all []*notify.Sender) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[string]*notify.Sender{}
	}
	for _, url := range urls {
		if p.all[url] == nil {
			place, err := notify.New(url)
			if err != nil {
				continue // readConfig has refused it
			}
			p.all[url] = place
		}
		all = append(all, p.all[url])
	}
	return all
}
