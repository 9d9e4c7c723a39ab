//go:build cgo && linux

package sqlite_test

import (
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// The power is cut at random: a process is killed, and the next one gets the files as the
// disk may have them, with all that was synced and a random part of what was not (see
// testdata/disk.c).

// buildDisk compiles the library that keeps what the disk has.
func buildDisk(t *testing.T) (library string) {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("needs a C compiler: cc")
	}
	require.NoError(t, err)
	library = filepath.Join(t.TempDir(), "disk.so")
	out, err := exec.Command(cc, "-shared", "-fPIC", "-O2", "-o", library, "testdata/disk.c", "-ldl", "-lpthread").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return library
}

// onDisk starts a process on a copy of the file, and returns the file that the disk has of
// it.
func onDisk(t *testing.T, library string, w task) (p *crashtest.Process, disk string) {
	t.Helper()
	worked, disk := filepath.Join(t.TempDir(), "hooks.db"), filepath.Join(t.TempDir(), "hooks.db")
	copyFiles(t, w.Path, worked)
	copyFiles(t, w.Path, disk)
	w.Path = worked
	return crashtest.Start(t, w, func(c *exec.Cmd) {
		c.Env = append(c.Env, "LD_PRELOAD="+library, "HOOKS_DISK="+filepath.Dir(disk))
	}), disk
}

// maxUnsettled is how many deliveries a loss of power leaves unsettled that were sent: those
// that a kill leaves, and settlements that the disk did not have.
const maxUnsettled = crashtest.MaxRepeated + 512

func TestNothingAcknowledgedIsLostWithThePower(t *testing.T) {
	t.Parallel()
	library := buildDisk(t)
	random, l := crashtest.NewRandom(t), crashtest.NewLedger(t)
	path := prepare(t, l)
	losses := 12
	if testing.Short() {
		losses = 4
	}
	var acknowledged []string
	for i := range losses {
		p, disk := onDisk(t, library, task{Path: path, Name: "p" + string(rune('a'+i)), Callers: 16})
		<-p.Ready
		time.Sleep(time.Duration(20+random.IntN(1500)) * time.Millisecond) // the moment is what is random
		p.Killed()
		acknowledged = append(acknowledged, p.Said[crashtest.Triggered]...)
		path = disk
		checkIntegrity(t, path)
		s := openAt(t, path)
		unsettled := 0
		received := l.Received()
		for _, d := range crashtest.Listed(t, s) {
			if received[d.EventID] > 0 && !d.State.Ended() {
				unsettled++
			}
		}
		assert.LessOrEqual(t, unsettled, maxUnsettled, "sent, and not settled")
		require.NoError(t, s.(*sqlite.Store).Close())
	}
	l.Complete(t, drain(t, path), acknowledged, losses*maxUnsettled)
}
