package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// slowDisk stands for the workloads on a slow disk among what is missing.
const slowDisk = "slow disk"

// A report is all that was measured.
type report struct {
	Machine machine           `json:"machine"`
	Took    string            `json:"took"`
	Passes  int               `json:"passes"`
	CutOff  bool              `json:"cutOff,omitempty"` // the time was up in the next pass
	Others  float64           `json:"others"`           // the part of the processors that other programs used
	Sync    string            `json:"sync,omitempty"`   // that a slow disk takes more
	Missing map[string]string `json:"missing,omitempty"`
	Explain bool              `json:"-"`
	Records []record          `json:"records,omitempty"`

	// Neighbours are what was measured instead of contenders, in the store of
	// this name.
	Neighbours []neighbourRecord `json:"neighbours,omitempty"`
	Store      string            `json:"store,omitempty"`
	Files      uint64            `json:"files,omitempty"` // that may be open
}

func newReport() report { return report{Machine: thisMachine(), Missing: map[string]string{}} }

// A record is one measurement.
type record struct {
	Pass     int    `json:"pass"`
	Workload string `json:"workload"`
	Task     task   `json:"task"`
	Result   result `json:"result"`
	Error    string `json:"error,omitempty"`

	Rate      float64 `json:"rate"`      // deliveries a second
	OfBare    float64 `json:"ofBare"`    // the rate, in rates of the bare loop just before
	CPUOfBare float64 `json:"cpuOfBare"` // the sender's processor time a delivery, in that of the bare loop
	ServerCPU float64 `json:"serverCPU"` // the same for the database
	OfCommit  float64 `json:"ofCommit"`  // p50 of Trigger, in p50 of a bare commit in the same pass
	slow      bool    // on a slow disk
}

func (r *report) add(pass int, w workload, t task, got, bare result, err error) {
	c := record{Pass: pass, Workload: w.name, Task: t, Result: got, slow: w.slow}
	if err != nil {
		c.Error = err.Error()
		fmt.Fprintf(os.Stderr, "bench: %s, %s: %v\n", w.name, t.Contender, err)
	} else {
		c.Rate, c.OfBare = got.rate(), got.rate()/bare.rate()
		perDelivery := float64(got.Deliveries) * bare.cpu()
		c.CPUOfBare, c.ServerCPU = got.CPU.Seconds()/perDelivery, got.ServerCPU.Seconds()/perDelivery
		if commit := r.commit(pass, w.slow); commit > 0 {
			c.OfCommit = float64(got.Trigger.P50) / commit
		}
	}
	r.Records = append(r.Records, c)
}

// commit is how long a bare commit took in a pass, or 0.
func (r *report) commit(pass int, slow bool) float64 {
	for _, c := range r.Records {
		if c.Pass == pass && c.Task.Kind == ofCommits && c.slow == slow && c.Error == "" {
			return float64(c.Result.Trigger.P50)
		}
	}
	return 0
}

func (r *report) writeJSON(file string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o600)
}

// values are what value makes of these measurements in all passes, but for those
// that failed.
func (r *report) values(workload, contender string, value func(record) float64) (values []float64) {
	for _, c := range r.Records {
		if c.Workload == workload && c.Task.Contender == contender && c.Error == "" {
			values = append(values, value(c))
		}
	}
	return values
}

// failed reports whether one of these measurements failed.
func (r *report) failed(workload, contender string) bool {
	for _, c := range r.Records {
		if c.Workload == workload && c.Task.Contender == contender && c.Error != "" {
			return true
		}
	}
	return false
}
