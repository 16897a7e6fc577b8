// Command server is a service whose replicas the tests run as processes. Its
// answers say which process they are from.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

func main() {
	startup := flag.Duration("startup", 0, "time it takes to start")
	children := flag.Bool("children", false, "start processes that do not end by themselves")
	rps := flag.Float64("rps", 0, "what the metrics page says")
	flag.Parse()
	if err := serve(*startup, *children, *rps); err != nil {
		log.Fatal("server: ", err)
	}
}

func serve(startup time.Duration, children bool, rps float64) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if children {
		for _, attr := range []*syscall.SysProcAttr{nil, {Setsid: true}} {
			cmd := exec.Command("sh", "-c", "trap '' TERM; sleep 1000 & sleep 1000; sleep 1000")
			cmd.SysProcAttr = attr
			if err := cmd.Start(); err != nil {
				return err
			}
		}
	}
	time.Sleep(startup)
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	fmt.Println("serves as process", os.Getpid())
	s := &http.Server{Handler: routes(ctx, rps), ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		done <- s.Shutdown(context.Background())
	}()
	if err := s.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return <-done
}

// routes take "for" as the time that an answer takes.
func routes(ctx context.Context, rps float64) http.Handler {
	pid := strconv.Itoa(os.Getpid())
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return // the client has gone
		}
		wait(r)
		w.Header().Set("Took", time.Since(began).String())
		fmt.Fprint(w, pid)
	})
	// Its head comes at once, so that a client knows where its request is.
	mux.HandleFunc("/begin", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Process", pid)
		_ = http.NewResponseController(w).Flush()
		wait(r)
		fmt.Fprint(w, pid)
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := 0; r.Context().Err() == nil && ctx.Err() == nil; n++ {
			fmt.Fprintf(w, "data: %s %d\n\n", pid, n)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(50 * time.Millisecond):
			case <-r.Context().Done():
			case <-ctx.Done():
			}
		}
	})
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, text, err := c.Read(ctx)
			if err != nil {
				return
			}
			if err := c.Write(ctx, kind, append([]byte(pid+" "), text...)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE http_requests_per_second gauge\nhttp_requests_per_second %g\n", rps)
	})
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	return mux
}

func wait(r *http.Request) {
	takes, err := time.ParseDuration(r.FormValue("for"))
	if err == nil {
		time.Sleep(takes)
	}
}
