package main

import (
	"iter"
	"log/slog"
	"time"

	"github.com/five-keys/autoscale/internal/config"
	"github.com/five-keys/autoscale/internal/history"
	"github.com/five-keys/autoscale/internal/store"
	"github.com/five-keys/autoscale/internal/web"
)

// past keeps what happened, for people. It is the web's History.
type past struct {
	*history.Store
	log *slog.Logger
}

func openPast(c config.History, log *slog.Logger) (*past, error) {
	s, err := history.OpenStore(c.File, c.Keep, c.Size)
	if err != nil {
		return nil, err
	}
	for _, warning := range s.Warnings() {
		log.Warn(warning)
	}
	return &past{s, log}, nil
}

func (p *past) close() error { return p.Store.Close() }

// append keeps a service's decision.
func (p *past) append(service string, r store.Record) error { return p.Append(service, r) }

// event keeps an event, and returns it as the web shows it.
func (p *past) event(e event, now time.Time) web.Event {
	kept, err := p.AddEvent(history.Event{Time: now, Service: e.service, Kind: e.kind, Text: e.text, By: e.by})
	if err != nil {
		p.log.Warn("an event is missing in the history", "event", e.text, "error", err)
	}
	return shownEvent(kept)
}

func shownEvent(e history.Event) web.Event {
	return web.Event{ID: e.ID, Time: e.Time, Service: e.Service, Kind: e.Kind, Text: e.Text, By: e.By}
}

// Points are what a chart is drawn of.
func (p *past) Points(service string, from, to time.Time, step time.Duration) ([]web.Point, error) {
	points, err := p.Store.Points(service, from, to, step)
	var all []web.Point
	for _, one := range points {
		all = append(all, web.Point(one))
	}
	return all, err
}

// Records are a service's decisions, newest first.
func (p *past) Records(service string, from, to time.Time, limit int, changes bool) iter.Seq2[store.Record, error] {
	return p.Store.Records(service, from, to, limit, changes)
}

// Events are what happened, newest first.
func (p *past) Events(service string, since time.Time, limit int) ([]web.Event, error) {
	events, err := p.Store.Events(service, since, limit)
	var all []web.Event
	for _, e := range events {
		all = append(all, shownEvent(e))
	}
	return all, err
}
