// Command autoscale keeps a service at the number of replicas its traffic
// needs.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/five-keys/autoscale/internal/process"
	"github.com/five-keys/autoscale/internal/prometheus"
	"github.com/five-keys/autoscale/internal/stress"
)

// Exit statuses, as the contract has them.
const (
	statusDone  = 0 // as decided, changed or not
	statusDoubt = 1 // doubt, a refusal, a failure: nothing was lowered
	statusUsage = 2 // flags wrong in themselves: nothing was read
)

// cli is the command line.
type cli struct {
	Scale    scaleCommand    `cmd:"" default:"withargs" help:"One decision, applied: read the load, compute the replicas, set them, exit. For cron, systemd timers, CI and hands."`
	Run      runCommand      `cmd:"" help:"The same decisions again and again, for many services, from one file; or for one, whose processes it runs itself."`
	Doctor   doctorCommand   `cmd:"" help:"Check a set-up before it is switched on: every finding with its remedy."`
	Schedule scheduleCommand `cmd:"" help:"Print, install, remove and look at the cron line or the systemd timer that runs it again and again."`
	Status   statusCommand   `cmd:"" help:"Where each service stands, by the last run."`
	Explain  explainCommand  `cmd:"" help:"Why the last decisions came out as they did, and what would change the number next."`
	Rollback rollbackCommand `cmd:"" help:"Undo it: schedule, count, state and journal."`
	Pause    pauseCommand    `cmd:"" help:"Leave a service's count alone for a time, or for as long as a command runs."`
	Hold     holdCommand     `cmd:"" help:"Hold a service at a count for a time."`
	Resume   resumeCommand   `cmd:"" help:"End a pause or a hold."`
	Demo     demoCommand     `cmd:"" help:"See it at work within a minute: a load, a service and its replicas, on this machine, with nothing but this program."`
	Notify   notifyCommand   `cmd:"" help:"Try where it tells what happens."`
	Adapter  adapterCommand  `cmd:"" help:"Print, install and remove the adapter that serves requests per second to HorizontalPodAutoscalers."`
	Stress   stressCommand   `cmd:"" help:"Send load to an HTTP server and measure what comes of it."`
	Simulate simulateCommand `cmd:"" help:"What a policy would have cost on recorded load, and how many requests would have waited too long."`
	Schema   schemaCommand   `cmd:"" help:"Print the JSON Schema of autoscale.yaml, by which editors complete it."`
	Version  versionCommand  `cmd:"" help:"Print the version."`

	DemoApp demoAppCommand `cmd:"" name:"demo-app" hidden:""`

	VersionFlag bool `name:"version" hidden:""`
}

func main() {
	if process.Supervising(os.Args) {
		os.Exit(process.Supervise(os.Args))
	}
	if len(os.Args) > 1 && os.Args[1] == "stress" {
		stress.Lean() // what a generator takes is not there for the server beside it
	}
	ending := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
	if len(os.Args) > 1 && os.Args[1] == "run" {
		ending = ending[:2] // to a daemon a hang-up says: read your configuration again
	}
	ctx, stop := signal.NotifyContext(context.Background(), ending...)
	// A reader that went away ("… | head -1") must not end a move in its middle.
	// Caught, not ignored, since children would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	status := run(ctx, os.Args[1:], streams{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		terminal: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd())),
	})
	stop()
	os.Exit(status)
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
	// terminal tells that a person is there to be asked.
	terminal bool
}

// exit is an error with the status that the process ends with. Its text, where
// it has one, has not been printed yet.
type exit struct {
	status int
	err    error
}

func (e exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e exit) Unwrap() error { return e.err }

// usage is an error in the flags themselves; run adds which command's help tells
// more.
func usage(err error) error { return exit{statusUsage, err} }

// run is the whole program but for the process it runs in.
func run(ctx context.Context, args []string, s streams) int {
	out, errs := s.out, s.err
	switch {
	case len(args) == 0:
		fmt.Fprintln(errs, "autoscale: no flags; see: autoscale --help")
		return statusUsage
	case args[0] == "--help" || args[0] == "-h" || args[0] == "help":
		args = []string{"scale", "--help"} // what a newcomer looks for
	case args[0] == "--version":
		args = []string{"version"}
	}
	done := -1
	parser, err := newParser(ctx, grammar(args), &usageLine{out}, errs, func(status int) { done = status }, s)
	if err != nil {
		fmt.Fprintln(errs, "autoscale:", err)
		return statusUsage
	}
	parser.Model.HelpFlag.Help = "Show this help."
	lookBack(parser)
	parsed, err := parser.Parse(args)
	if done >= 0 { // --help has printed
		return done
	}
	if err != nil {
		complain(errs, misuse(err, args))
		return statusUsage
	}
	err = parsed.Run()
	if err == nil {
		return statusDone
	}
	status := statusDoubt
	if end, ok := errors.AsType[exit](err); ok {
		status, err = end.status, end.err
		if status == statusUsage && err != nil {
			err = seeHelp(err, parsed.Selected())
		}
	}
	if err != nil {
		complain(errs, err)
	}
	return status
}

// complain prints each line of an error under the program's name.
func complain(out io.Writer, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(out, "autoscale:", line)
	}
}

func newParser(ctx context.Context, grammar any, out, errs io.Writer, done func(int), s streams) (*kong.Kong, error) {
	return kong.New(grammar,
		kong.Name("autoscale"),
		kong.Description("Keeps a service at the number of replicas its traffic needs: reads requests per second from Prometheus-format metrics, computes the replicas, applies them, and can always say why."),
		kong.Writers(out, errs),
		kong.Exit(done),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100, FlagsLast: true}),
		kongGroups(),
		kongVars(),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s),
	)
}

func kongGroups() kong.Option {
	return kong.ExplicitGroups([]kong.Group{
		{Key: "number", Title: "The number:"}, {Key: "readings", Title: "Readings:"},
		{Key: "compose", Title: "Compose:"}, {Key: "k8s", Title: "Kubernetes:"}, {Key: "process", Title: "Processes:"}, {Key: "run", Title: "This run:"},
		{Key: "load", Title: "The load:"}, {Key: "open", Title: "At a pace of its own:"}, {Key: "http", Title: "HTTP:"}, {Key: "capacity", Title: "What the server carries:"},
		{Key: "model", Title: "The service, as it is modelled:"}, {Key: "report", Title: "The report:"},
	})
}

func kongVars() kong.Option { return kong.Vars{"rps_metric": prometheus.DefaultMetric} }

// lookBack makes flags that a decision needs optional for the commands that make
// none: they take the whole line all the same. Their own are shown first.
func lookBack(parser *kong.Kong) {
	decision := parser.Model.Children[slices.IndexFunc(parser.Model.Children, func(n *kong.Node) bool { return n.Name == "scale" })]
	for _, command := range parser.Model.Children {
		switch command.Name {
		case "status", "explain":
			ownFirst(command, decision, "project-dir", "state-file", "output")
		case "doctor", "rollback", "pause", "hold", "resume", "run":
			ownFirst(command, decision)
		}
		switch command.Name {
		case "status", "explain", "rollback", "pause", "hold", "resume", "run":
			for _, flag := range command.Flags {
				flag.Required = command.Name == "hold" && flag.Name == "replicas"
				if flag.Name == "service" && command.Name != "rollback" && command.Name != "run" { // all, unless one is named
					flag.HasDefault, flag.Default = false, ""
				}
			}
		}
	}
}

// parseFlags reads the flags of one decision, as they stand behind "--" of
// another command.
func parseFlags(args []string) (*flags, error) {
	var c struct {
		Scale scaleCommand `cmd:""`
	}
	parser, err := kong.New(&c, kong.Name("autoscale"), kong.Exit(func(int) {}), kong.Writers(io.Discard, io.Discard), kongGroups(), kongVars())
	if err != nil {
		return nil, err
	}
	if _, err := parser.Parse(append([]string{"scale"}, args...)); err != nil {
		return nil, err
	}
	return &c.Scale.flags, c.Scale.check()
}

// usageLine prints help without the default command's name, which nobody types.
type usageLine struct{ out io.Writer }

// Write writes b as the user types it.
func (u *usageLine) Write(b []byte) (int, error) {
	_, err := u.out.Write(bytes.Replace(b, []byte("autoscale scale --"), []byte("autoscale --"), 1))
	return len(b), err
}
