package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticksPerSecond is USER_HZ, which is 100 on Linux.
const ticksPerSecond = 100

// cpuTime is the time that all threads have computed, of this process or of its
// children that have ended.
func cpuTime(who int) (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(who, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

// serverTime is the same for a process and its children, those that have ended
// included. It is 0 for no process.
func serverTime(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	var ticks int64
	for _, file := range files {
		s, err := readStat(file)
		switch {
		case err != nil:
			continue // It has ended since, and is a child of which the parent knows.
		case s.pid == pid:
			ticks += s.own + s.children
		case s.parent == pid:
			ticks += s.own
		}
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// A stat is what /proc/PID/stat says, see proc_pid_stat(5); times in ticks.
type stat struct {
	pid, parent   int
	own, children int64
}

func readStat(file string) (s stat, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	// The name of the program may have spaces and parentheses.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if s.pid, err = strconv.Atoi(filepath.Base(filepath.Dir(file))); err != nil {
		return s, err
	}
	if s.parent, err = strconv.Atoi(fields[1]); err != nil {
		return s, err
	}
	for i, sum := range []*int64{&s.own, &s.own, &s.children, &s.children} {
		n, err := strconv.ParseInt(fields[11+i], 10, 64)
		if err != nil {
			return s, err
		}
		*sum += n
	}
	return s, nil
}

// peakMemory is the most memory that this process has had, in bytes.
func peakMemory() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kibibytes int64
	if _, err := fmt.Sscan(rest, &kibibytes); err != nil {
		return 0, fmt.Errorf("VmHWM: %w", err)
	}
	return kibibytes << 10, nil
}

// sizeOf is the size of all files in a directory, in bytes.
func sizeOf(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		return nil
	})
	return size, err
}
