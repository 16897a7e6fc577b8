package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/five-keys/autoscale/internal/app"
)

// levers make one replica misbehave on purpose. They exist only where LEVERS
// is set: to 1, or to levers that are pulled at the start (LEVERS=healthy=false).
// Afterwards: docker exec CONTAINER /app -lever 'rps=120&slow=2s'.
//
//	rps=120           the gauge says 120; rps=real measures again
//	healthy=false     the health check fails; healthy=true mends it
//	slow=2s           the metrics page takes 2 s; slow=0s mends it
//	page=cut          the metrics page ends in the middle; page=bare lacks the
//	                  series of requests; page=whole mends both
//	busy=0.5          half a core works for nothing; busy=0 ends that
//	hold=100          100 MB of memory are held; hold=0 lets them go
//	exit=3            the process ends with status 3; exit=3&after=2s in 2 s
type levers struct {
	mu   sync.Mutex
	rps  *float64
	sick bool
	slow time.Duration
	page string
	busy float64
	held [][]byte           // of a megabyte each
	idle context.CancelFunc // ends what busy began
}

func (l *levers) handle(w http.ResponseWriter, r *http.Request) {
	if err := l.pull(r.URL.Query()); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	log.Printf("app: lever %s", r.URL.RawQuery)
	fmt.Fprintln(w, "ok")
}

// pull sets all the levers that are named, or none where one is wrong.
func (l *levers) pull(values url.Values) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	rps, sick, slow, page := l.rps, l.sick, l.slow, l.page
	busy, hold := l.busy, len(l.held)
	exit, after := -1, time.Duration(0)
	for name := range values {
		value := values.Get(name)
		var err error
		switch name {
		case "rps":
			rps, err = gauge(value)
		case "healthy":
			var well bool
			well, err = strconv.ParseBool(value)
			sick = !well
		case "slow":
			slow, err = time.ParseDuration(value)
		case "after":
			after, err = time.ParseDuration(value)
		case "exit":
			exit, err = strconv.Atoi(value)
		case "busy":
			busy, err = strconv.ParseFloat(value, 64)
		case "hold":
			hold, err = strconv.Atoi(value)
		case "page":
			page = value
			if page != "whole" && page != "cut" && page != "bare" {
				err = errors.New("want whole, cut or bare")
			}
		default:
			err = errors.New("no such lever: want rps, healthy, slow, page, busy, hold, exit or after")
		}
		if err != nil {
			return fmt.Errorf("lever %s=%s: %w", name, value, err)
		}
	}
	l.rps, l.sick, l.slow, l.page = rps, sick, slow, page
	l.work(busy)
	l.hold(hold)
	if exit >= 0 {
		time.AfterFunc(after, func() {
			log.Printf("app: exit %d, as the lever says", exit)
			os.Exit(exit)
		})
	}
	return nil
}

// work keeps the share of a core busy.
func (l *levers) work(share float64) {
	if share == l.busy {
		return
	}
	if l.idle != nil {
		l.idle()
	}
	ctx, stop := context.WithCancel(context.Background())
	l.busy, l.idle = share, stop
	const turn = 10 * time.Millisecond
	go func() {
		for ctx.Err() == nil {
			for began := time.Now(); time.Since(began) < time.Duration(share*float64(turn)); {
			}
			time.Sleep(time.Duration((1 - share) * float64(turn)))
		}
	}()
}

// hold keeps so many MB of memory, each page of it written to.
func (l *levers) hold(megabytes int) {
	for len(l.held) < megabytes {
		one := make([]byte, 1<<20)
		for i := 0; i < len(one); i += 4096 {
			one[i] = 1
		}
		l.held = append(l.held, one)
	}
	if len(l.held) > max(megabytes, 0) {
		clear(l.held[max(megabytes, 0):])
		l.held = l.held[:max(megabytes, 0)]
		debug.FreeOSMemory()
	}
}

// gauge reads a fixed value for the gauge, NaN and infinities included; nil for "real".
func gauge(value string) (*float64, error) {
	if value == "real" {
		return nil, nil
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

func (l *levers) unhealthy() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sick
}

// shape makes the metrics page as the levers say; without any it is the app's own.
func (l *levers) shape(ctx context.Context, a *app.App, now time.Time) (string, error) {
	if l == nil {
		return a.Page(now, nil), nil
	}
	l.mu.Lock()
	rps, slow, shape := l.rps, l.slow, l.page
	l.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	page := a.Page(now, rps)
	switch shape {
	case "cut":
		return page[:len(page)/2], nil
	case "bare":
		return page[strings.Index(page, "# HELP process_start"):], nil
	}
	return page, nil
}
