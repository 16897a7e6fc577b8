package process

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// This test binary is the supervisor of the replicas it starts, and their program
// as well.
func TestMain(m *testing.M) {
	switch {
	case Supervising(os.Args):
		os.Exit(Supervise(os.Args))
	case len(os.Args) > 1 && os.Args[1] == "app":
		if err := app(os.Args[2:]); err != nil {
			log.Fatal(err)
		}
		os.Exit(0)
	case len(os.Args) > 1 && os.Args[1] == "owner":
		if err := own(os.Args[2:]); err != nil {
			log.Fatal(err)
		}
		os.Exit(0)
	}
	// A program with the race detector sleeps a second before it exits.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		log.Fatal(err)
	}
	goleak.VerifyTestMain(m)
}

// app is a replica's program. Its words say how it behaves: "children" start
// processes that would outlive it, "deaf" does not end on SIGTERM, "late" takes
// as long to start as the next word says, "fails" ends at once. More of them stand
// in the file ORDERS; a replica is unhealthy while there is one with its name behind.
func app(words []string) error {
	if orders, err := os.ReadFile(os.Getenv("ORDERS")); err == nil {
		words = append(words, strings.Fields(string(orders))...)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	for i, word := range words {
		switch word {
		case "children":
			if err := children(); err != nil {
				return err
			}
		case "deaf":
			signal.Ignore(syscall.SIGTERM)
		case "late":
			d, err := time.ParseDuration(words[i+1])
			if err != nil {
				return err
			}
			time.Sleep(d)
		case "fails":
			return fmt.Errorf("it fails, as it was told")
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	fmt.Printf("serves on %s\n", os.Getenv("PORT"))
	s := &http.Server{Handler: routes()}
	go func() {
		<-ctx.Done()
		_ = s.Shutdown(context.Background())
	}()
	if err := s.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%d %s", os.Getpid(), os.Getenv("PORT"))
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		_ = r.Write(w)
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.FormValue("for"))
		time.Sleep(d)
		fmt.Fprint(w, "done")
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := os.Stat(os.Getenv("ORDERS") + "-" + os.Getenv("AUTOSCALE_REPLICA")); err == nil {
			http.Error(w, "sick, as it was told", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/body", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %v", n, err)
	})
	return mux
}

// own owns two replicas, says so, and waits to be killed.
func own(words []string) error {
	w, err := Open(Config{
		Service: "app", Command: append([]string{os.Args[0], "app"}, words...), Dir: "/", Listen: "127.0.0.1:0", Wait: 20 * time.Second,
		Output: func(replica, line string) { fmt.Fprintf(os.Stderr, "%s | %s\n", replica, line) },
	})
	if err != nil {
		return err
	}
	if _, err := w.Set(context.Background(), 2); err != nil {
		return err
	}
	fmt.Println("owns")
	select {}
}

// children starts one process in this one's group, and one that has left it.
func children() error {
	for _, attr := range []*syscall.SysProcAttr{nil, {Setsid: true}} {
		cmd := exec.Command("sh", "-c", "trap '' TERM; sleep 1000 & sleep 1000; sleep 1000")
		cmd.SysProcAttr = attr
		if err := cmd.Start(); err != nil {
			return err
		}
	}
	return nil
}
