package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// lost is an error where a replica that was to stay does not run as it did.
func (m *move) lost(stay []replica) error {
	var gone []string
	for _, was := range stay {
		same := func(r replica) bool { return r.ID == was.ID && r.Started.Equal(was.Started) }
		if !slices.ContainsFunc(m.w.seen.replicas, same) {
			gone = append(gone, was.Name)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return fmt.Errorf("compose: %s ran before the move and was stopped or restarted meanwhile; see docker events and the service's own log", strings.Join(gone, ", "))
}

// lower takes replicas away: unhealthy ones first, then those with the highest
// numbers. All that stay must be healthy, or it waits. The proxy in front knows of
// it before they stop.
func (m *move) lower(ctx context.Context, count int) error {
	leave, stay := victims(m.w.seen.replicas, count)
	if m.mustWait(stay) {
		return errors.Join(m.declare(len(m.w.seen.replicas)), m.refresh(ctx))
	}
	if err := m.drain(ctx, leave); err != nil {
		return err
	}
	if err := m.declare(count); err != nil {
		return errors.Join(fmt.Errorf("%w; nothing was lowered", err), m.giveBack(ctx))
	}
	err := m.remove(ctx, leave, count)
	return errors.Join(err, m.settled(ctx), m.lost(stay), m.moved(ctx))
}

// mustWait reports, and notes, that not all that are to stay are healthy.
func (m *move) mustWait(stay []replica) bool {
	for _, r := range stay {
		if !r.healthy() {
			m.note("waiting: %s is %s, and only healthy replicas may be left", r.Name, r.condition())
			return true
		}
	}
	return false
}

// remove takes the replicas in leave away, each with its own grace period: by
// Compose where it is known to choose the same ones, since only it runs a
// service's pre_stop hooks, else by ID.
func (m *move) remove(ctx context.Context, leave []replica, count int) error {
	if err := m.clearLeftovers(ctx); err != nil {
		return err
	}
	for _, r := range leave {
		if !r.healthy() {
			m.note("%s goes first: it is %s", r.Name, r.condition())
		}
	}
	if m.byCompose(leave) {
		if err := m.compose(ctx, count); err != nil {
			return fmt.Errorf("compose: lowering service %q to %d failed: %w", m.w.cfg.Service, count, err)
		}
		return nil
	}
	if _, err := m.docker(ctx, append([]string{"stop"}, ids(leave)...)...); err != nil {
		return err
	}
	_, err := m.docker(ctx, append([]string{"rm"}, ids(leave)...)...)
	return err
}

// byCompose reports whether Compose, left to itself, takes just these replicas.
func (m *move) byCompose(leave []replica) bool {
	sick := slices.ContainsFunc(leave, func(r replica) bool { return !r.healthy() })
	return !sick && m.w.compose.takesHighest()
}

// victims divides the replicas into those that leave and the count that stay.
func victims(all []replica, count int) (leave, stay []replica) {
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(a, b replica) int {
		if a.healthy() != b.healthy() {
			if a.healthy() {
				return 1
			}
			return -1
		}
		return b.listed.number() - a.listed.number()
	})
	return order[:len(all)-count], order[len(all)-count:]
}

// condition says in a word how a replica is.
func (r replica) condition() string {
	if status := r.found.State.Status; status != "running" {
		return status
	}
	return string(r.Health)
}
