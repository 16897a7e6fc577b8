package autoscale

// Replicas is what a workload says of itself.
type Replicas struct {
	// Current is how many replicas run or restart, whatever their health.
	Current int
	// Running are those replicas; nil where no engine can be asked and Current
	// is what the user's file says.
	Running []Replica
	// Host is the machine that they share, as far as it is known.
	Host Host
	// Settings identifies the image and settings that new replicas would have;
	// empty where unknown.
	Settings string
	// Stopped is set where no replica runs, and says how a person starts one:
	// scaling is not starting.
	Stopped error
	// Delegate is what else sets the count; nil where nothing does.
	Delegate *Delegate
	// Front says how a person has the proxy in front see a replica that gets no
	// traffic; empty where nothing is known of one.
	Front string
	// Warnings are for a person to look into.
	Warnings []string
}

// Delegate is an autoscaler that sets the count itself, such as a cluster's
// HorizontalPodAutoscaler. It alone lowers, and while it acts it alone raises.
type Delegate struct {
	// Name is how a person calls it: "HPA app-hpa".
	Name string
	// Acts tells that it is at work.
	Acts bool
}

// Outcome is what became of a move.
type Outcome struct {
	// Count is how many replicas there are now.
	Count int `json:"count"`
	// Failed tells that new replicas did not start.
	Failed bool `json:"failed,omitempty"`
	// Notes say what a person should know of the move: what it waits for, what
	// still starts, what was removed.
	Notes []string `json:"notes,omitempty"`
	// Warnings are for a person to look into.
	Warnings []string `json:"-"` // they stand among the run's own
	// Commands are the commands that were run (or, in a dry run, would be), as
	// a person would type them.
	Commands []string `json:"commands,omitempty"`
}
