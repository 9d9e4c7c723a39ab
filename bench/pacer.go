package main

import "time"

// A pacer chooses the sizes of measurements so that all of them end in time.
type pacer struct {
	began, deadline time.Time
	remaining       time.Duration // to measure, by the plan
	measured        time.Duration // so far, by the plan and the chosen scales
}

func newPacer(plan []workload, passes int, deadline time.Time, wants func(contender string) bool) *pacer {
	p := &pacer{began: time.Now(), deadline: deadline}
	for _, w := range plan {
		if w.kind == ofCommits {
			p.remaining += w.took
		}
		for _, name := range w.contenders {
			if wants(name) {
				p.remaining += w.withBare()
			}
		}
	}
	p.remaining *= time.Duration(passes)
	return p
}

// next returns the scale of what comes next, which would take so long by the
// plan.
func (p *pacer) next(took time.Duration) (scale float64) {
	const (
		spare = 3 * time.Second // to end in
		// Processes have to start, backlogs to be stored, and so on. This is
		// what to expect of it until it is known.
		factor, known = 1.8, 20 * time.Second
	)
	spent := time.Since(p.began).Seconds() + factor*known.Seconds()
	overhead := spent / (p.measured + known).Seconds()
	left := time.Until(p.deadline) - spare
	scale = max(left.Seconds()/overhead/p.remaining.Seconds(), 0)
	p.remaining -= took
	p.measured += time.Duration(float64(took) * scale)
	return scale
}
