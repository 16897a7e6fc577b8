package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ending is how Compose tells, in a dry run, of what it would stop or remove.
var ending = regexp.MustCompile(`(Container|Network|Volume)\s+(\S+)\s+(?:Stopping|Killing|Removing|Recreate)`)

// rehearse has Compose tell what it would do, and refuses a move that would
// stop or remove more than it should. Seen with Compose 5: a network whose
// definition changed since it was made is made anew by "up", whatever
// --no-recreate says, and every replica is stopped for it. There the networks
// are kept as they are, which is what Compose is told by a temporary file.
func (m *move) rehearse(ctx context.Context, model model, count int) error {
	leave, _ := victims(m.w.seen.replicas, min(count, len(m.w.seen.replicas)))
	if len(leave) > 0 && !m.byCompose(leave) {
		return nil // Compose is not called
	}
	too, err := m.wouldEnd(ctx, count, leave)
	if err != nil || len(too) == 0 {
		return err
	}
	if m.networks, err = m.keepNetworks(ctx, model); err != nil {
		return err
	}
	if m.networks != "" {
		if too, err = m.wouldEnd(ctx, count, leave); err != nil {
			return err
		}
	}
	if len(too) > 0 {
		return fmt.Errorf("compose: docker compose up would also stop or remove %s, since something of the project changed since it was started; deploy that change first with docker compose up -d", strings.Join(too, ", "))
	}
	m.warn("a network of the project was changed since it was made, and Compose would stop every replica to make it anew; it is left as it is until you deploy the change with docker compose up -d")
	return nil
}

// wouldEnd names what Compose would stop or remove on the way to count replicas,
// but for those that are to leave and those that have ended already.
func (m *move) wouldEnd(ctx context.Context, count int, leave []replica) ([]string, error) {
	files, remove, err := m.pins()
	if err != nil {
		return nil, err
	}
	defer remove()
	args := m.up(count, files...)
	at := len(m.w.compose.words)
	args = slices.Insert(args, at, "--dry-run")
	_, said, err := runTold(ctx, m.w.project.dir, "", args)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil && !strings.Contains(said, "Container ") {
		// A rehearsal that fails before it tells anything protects nobody: as if
		// the networks were to go.
		return []string{"whatever it does not tell in a rehearsal (" + err.Error() + ")"}, nil
	}
	expected := map[string]bool{}
	for _, r := range leave {
		expected[r.Name] = true
	}
	for _, c := range m.w.seen.leftovers {
		expected[c.display()] = true
	}
	too := map[string]bool{}
	for _, found := range ending.FindAllStringSubmatch(said, -1) {
		if !expected[found[2]] {
			too[strings.ToLower(found[1])+" "+found[2]] = true
		}
	}
	return slices.Sorted(maps.Keys(too)), nil
}

// keepNetworks is a part of a Compose file by which the project's networks that
// exist are somebody else's, so that Compose leaves them alone. It is empty for
// a Compose that does not know the tag for that.
func (m *move) keepNetworks(ctx context.Context, model model) (string, error) {
	major, minor := number(m.w.compose.version)
	if major < 2 || major == 2 && minor < 25 { // !override came with 2.24.4
		return "", nil
	}
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(model.Networks)) {
		name := model.Networks[key].Name
		exists, err := m.w.engine.hasNetwork(ctx, name)
		if err != nil {
			return "", err
		}
		if exists {
			fmt.Fprintf(&text, "  %s: !override {external: true, name: %s}\n", strconv.Quote(key), strconv.Quote(name))
		}
	}
	if text.Len() == 0 {
		return "", nil
	}
	return "networks:\n" + text.String(), nil
}

// hasNetwork reports whether the engine has a network of that name.
func (e *engine) hasNetwork(ctx context.Context, name string) (bool, error) {
	var network struct{ ID string }
	err := e.get(ctx, "/networks/"+name, nil, &network)
	if errors.Is(err, errGone) {
		return false, nil
	}
	return err == nil, err
}
