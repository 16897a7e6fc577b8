package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/config"
	"github.com/five-keys/autoscale/internal/notify"
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
	var to []place
	add := func(origin, url string) {
		if i := slices.IndexFunc(to, func(p place) bool { return p.url == url }); i >= 0 {
			to[i].origin += ", " + origin
			return
		}
		to = append(to, place{url, origin})
	}
	for i, url := range c.Notify {
		add(fmt.Sprintf("--notify number %d", i+1), url)
	}
	if c.Config != "" {
		f, err := daemonFile(c.Config)
		if err != nil {
			return err
		}
		for _, service := range f.Services {
			for _, url := range revealed(service.Notify) {
				add("services."+service.Name, url)
			}
		}
	}
	return c.try(ctx, s, to)
}

// place is a place by its URL, and where that stands.
type place struct{ url, origin string }

// try sends the message to all places, and says of each whether it arrived.
func (c *notifyTestCommand) try(ctx context.Context, s streams, to []place) error {
	if len(to) == 0 {
		return usage(errors.New("no place to tell; name one with --notify URL, or a configuration that has notify: with --config"))
	}
	var wrong []error
	all := make([]*notify.Place, len(to))
	for i, p := range to {
		var err error
		if all[i], err = notify.New(p.url); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", p.origin, err))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return usage(err)
	}
	failed := 0
	for i, err := range notify.SendAll(ctx, all, notify.Message{Title: titleOf(""), Text: "A test message: this is where autoscale tells what happens."}) {
		said := "told"
		if err != nil {
			failed++
			said = "not told: " + strings.TrimPrefix(err.Error(), all[i].Name+": ")
		}
		if _, err := fmt.Fprintf(s.out, "%s (%s): %s\n", all[i].Name, to[i].origin, said); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d places could not be told", failed, len(all))
	}
	return nil
}

// titleOf stands above each message: which machine speaks, and of which project
// where it has only one to speak of.
func titleOf(project string) string {
	title := "autoscale"
	if host, err := os.Hostname(); err == nil {
		title += " on " + host
	}
	if project != "" {
		title += ": " + filepath.Base(project) // one without a name is known by its folder
	}
	return title
}

// placesOf are the places to tell; what says where their URLs stand.
func placesOf(what string, urls []string) (all []*notify.Place, err error) {
	for i, url := range urls {
		place, failed := notify.New(url)
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%s number %d: %w", what, i+1, failed))
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

// tellPeople sends what a one-shot has to tell. It returns what went wrong, which
// changes nothing else.
func (c *flags) tellPeople(ctx context.Context, r result) (warnings []string) {
	if len(r.news) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // what was done is told, also where somebody is in a hurry
	all, err := placesOf("--notify", c.Notify)
	if err != nil {
		return []string{fmt.Sprintf("nobody was told: %v", err)} // a file's URL was changed since
	}
	reached, again := false, false
	for _, err := range notify.SendAll(ctx, all, notify.Message{Title: titleOf(r.key.Project), Text: strings.Join(r.news, "\n")}) {
		if err == nil {
			reached = true
			continue
		}
		_, final := errors.AsType[*notify.Refused](err)
		again = again || !final
		warnings = append(warnings, fmt.Sprintf("not told: %v", err))
	}
	if !reached && again {
		owed := func(told autoscale.Told) autoscale.Told { return notify.Owed(told, r.news, time.Now()) }
		if err := c.changeTold(ctx, r.key.Dir, c.entries(r)[0], owed); err != nil {
			warnings = append(warnings, fmt.Sprintf("nor will the next run tell it: %v", err))
		}
	}
	return warnings
}

// places are where a daemon tells what happens, each once.
type places struct {
	mu  sync.Mutex
	all map[string]*notify.Place
}

// of are those of the URLs, which were checked before.
func (p *places) of(urls []string) (all []*notify.Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[string]*notify.Place{}
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
