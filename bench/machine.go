package main

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// A machine is where it was measured.
type machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	System    string `json:"system"`
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
}

func thisMachine() machine {
	return machine{
		Processor: valueOf("/proc/cpuinfo", "model name", ":"), Cores: runtime.NumCPU(),
		System: strings.Trim(valueOf("/etc/os-release", "PRETTY_NAME", "="), `"`),
		Kernel: firstLine("/proc/sys/kernel/osrelease"), Go: runtime.Version(),
	}
}

// valueOf finds the first value of a key in a file of keys and values.
func valueOf(file, key, separator string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if k, value, _ := strings.Cut(line, separator); strings.TrimSpace(k) == key {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// watchOthers begins to watch the processors. The function that it returns,
// once all processes of the benchmark have ended, tells which part of them was
// used by others.
func watchOthers() (others func() (float64, error), err error) {
	idle, all, err := processorTime()
	if err != nil {
		return nil, err
	}
	return func() (float64, error) {
		idleNow, allNow, err := processorTime()
		if err != nil {
			return 0, err
		}
		own, err := cpuTime(syscall.RUSAGE_SELF)
		if err != nil {
			return 0, err
		}
		children, err := cpuTime(syscall.RUSAGE_CHILDREN)
		if err != nil {
			return 0, err
		}
		total := allNow - all
		return max(total-(idleNow-idle)-(own+children).Seconds(), 0) / total, nil
	}, nil
}

// processorTime is the time, in seconds of all processors since the machine
// started, in which they were idle and in all, see proc_stat(5).
func processorTime() (idle, all float64, err error) {
	fields := strings.Fields(firstLine("/proc/stat"))
	for i, field := range fields[1:min(len(fields), 9)] { // Guests are counted as users too.
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, 0, err
		}
		all += ticks / ticksPerSecond
		if i == 3 || i == 4 { // idle, iowait
			idle += ticks / ticksPerSecond
		}
	}
	return idle, all, nil
}

func firstLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return string(line)
}
