package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

//go:embed shim/slowsync.c
var shimSource []byte

// buildShim compiles the library that, preloaded, makes each fsync take longer,
// and returns the environment that preloads it.
func buildShim(ctx context.Context, dir string, longer time.Duration) (environment []string, err error) {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		return nil, fmt.Errorf("cc %w", errNotInstalled)
	}
	source, library := filepath.Join(dir, "slowsync.c"), filepath.Join(dir, "slowsync.so")
	if err := os.WriteFile(source, shimSource, 0o600); err != nil {
		return nil, err
	}
	cc := exec.CommandContext(ctx, compiler, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl")
	if out, err := cc.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cc: %w: %s", err, bytes.TrimSpace(out))
	}
	return []string{"LD_PRELOAD=" + library, "BENCH_SYNC_NS=" + strconv.FormatInt(longer.Nanoseconds(), 10)}, nil
}
