package main

import "time"

// A kind is a way to measure.
type kind string

const (
	// ofBacklog: events are stored, then delivered.
	ofBacklog kind = "backlog"
	// ofCallers: goroutines trigger one event after another.
	ofCallers kind = "callers"
	// ofPace: an event is triggered each 10 ms, however long it takes.
	ofPace kind = "pace"
	// ofCommits: no deliveries, but commits of one row.
	ofCommits kind = "commits"
)

// A task is what a sender's process is asked to measure.
type task struct {
	Contender   string `json:"contender"`
	Kind        kind   `json:"kind"`
	Events      int    `json:"events"`
	Callers     int    `json:"callers,omitempty"`
	Hooks       int    `json:"hooks"` // that each event goes to
	Receiver    string `json:"receiver,omitempty"`
	Dir         string `json:"dir,omitempty"`
	Postgres    string `json:"postgres,omitempty"`
	PostgresPID int    `json:"postgresPID,omitempty"`
}

// A result is what it measured. Times are in nanoseconds.
type result struct {
	Deliveries int           `json:"deliveries"`
	Took       time.Duration `json:"took"`
	CPU        time.Duration `json:"cpu"`       // of the sender
	ServerCPU  time.Duration `json:"serverCPU"` // of the database
	Trigger    quantiles     `json:"trigger"`   // from a call of Trigger to its return
	Receipt    quantiles     `json:"receipt"`   // from a call of Trigger to the receiver
	Memory     int64         `json:"memory"`    // at most, in bytes
	Disk       float64       `json:"disk"`      // bytes a delivery, if that is of interest
	Counters   counters      `json:"counters,omitzero"`
}

// rate is in deliveries a second.
func (r result) rate() float64 { return float64(r.Deliveries) / r.Took.Seconds() }

// cpu is the sender's processor time a delivery.
func (r result) cpu() float64 { return r.CPU.Seconds() / float64(r.Deliveries) }
