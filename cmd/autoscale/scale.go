package main

import (
	"context"
	"slices"
	"time"
)

// scaleCommand is one decision.
type scaleCommand struct{ flags }

// Help is what stands below the flags' summary.
func (c *scaleCommand) Help() string {
	return `Example, in the folder of the Compose project:

  autoscale --provider=compose --min=1 --max=5 --rps-target=40 --metrics-url='http://{replica}:8000/metrics' --service=app

and for a Deployment on Kubernetes, whose HPA it sets up and starts:

  autoscale --provider=k8s --min=2 --max=10 --rps-target=50 --cpu-target=70 --metrics-url=http://metrics.local/metrics --service=app --namespace=prod

Add --dry-run to see the decision without anything being written or moved.
Exit status: 0 as decided; 1 doubt, a refusal or a failure, and nothing was
lowered; 2 flags wrong in themselves.

Other commands, each with a --help of its own:

  autoscale doctor     check this set-up: every finding with its remedy
  autoscale schedule   have cron or systemd run it
  autoscale status     where each service stands
  autoscale explain    why, and what would change the number next
  autoscale rollback   undo it
  autoscale demo       see it at work, with nothing but this program
  autoscale stress     send load, and find what one replica carries
  autoscale version`
}

// Run makes one decision and prints it.
func (c *scaleCommand) Run(ctx context.Context, s streams) error {
	if err := c.check(); err != nil {
		return usage(err)
	}
	dir, err := c.dir()
	if err != nil {
		return c.print(s, result{err: err})
	}
	if len(c.Notify) > 0 && !c.DryRun {
		c.people = c.Service
	}
	r := c.once(ctx, s, dir)
	c.lost(ctx, &r, int(c.Max))
	r.report.Warnings = slices.Concat(r.report.Warnings, c.writeTextfile(ctx, dir, r, time.Now()), c.tellPeople(ctx, r))
	return c.print(s, r)
}
