//go:build cgo

package sqlite_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// What is secret in a file: who may read it, and when it is gone.

const secretText = "kept-from-strangers"

// A secretive harness changes hooks at random, which have something secret each.
type secretive struct {
	*rand.Rand
	t        *testing.T
	store    *sqlite.Store
	versions map[string]int64
}

func (s *secretive) hook(id string) hooks.Hook {
	value := strings.Repeat("x", s.IntN(200)) + secretText
	if s.IntN(100) == 0 {
		value += strings.Repeat("y", s.IntN(60_000)) + secretText
	}
	h := hooks.Hook{
		ID: id, URL: "https://example.com/?token=" + secretText, Events: []string{"*"}, CreatedAt: purgeStart, UpdatedAt: purgeStart,
		Headers: map[string]string{"Authorization": value}, Secrets: []hooks.SigningSecret{{Secret: secretText}},
	}
	if s.IntN(3) == 0 {
		h.Settings = []byte(`"` + secretText + `"`)
	}
	return h
}

func (s *secretive) step() {
	h := s.hook(fmt.Sprintf("hook-%08d", s.IntN(300)))
	version, exists := s.versions[h.ID]
	switch {
	case !exists:
		require.NoError(s.t, s.store.CreateHook(s.t.Context(), h, 0))
		s.versions[h.ID] = 0
	case s.IntN(3) == 0:
		s.delete(h.ID)
	default:
		h.Version = version
		require.NoError(s.t, s.store.UpdateHook(s.t.Context(), h))
		s.versions[h.ID]++
	}
}

func (s *secretive) delete(id string) {
	require.NoError(s.t, s.store.DeleteHook(s.t.Context(), hooks.Ref{ID: id}, purgeStart))
	delete(s.versions, id)
}

// secretsIn counts what is secret in the files of a database. Another process reads
// them: if this one did and closed them, SQLite's locks would be gone.
func secretsIn(t *testing.T, path string) map[string]int {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	counts := map[string]int{}
	for _, file := range files {
		content, err := exec.CommandContext(t.Context(), "cat", file).Output()
		require.NoError(t, err)
		if n := bytes.Count(content, []byte(secretText)); n > 0 {
			counts[filepath.Base(file)] = n
		}
	}
	return counts
}

// What was secret of a hook is in no file any more some seconds after the hook was
// deleted, or once the store is closed, whatever has moved from page to page.
func TestNothingSecretIsLeftOfADeletedHook(t *testing.T) {
	for name, gone := range map[string]func(t *testing.T, s *sqlite.Store){
		"after some seconds": func(*testing.T, *sqlite.Store) { time.Sleep(30 * time.Second) },
		"when it is closed":  func(t *testing.T, s *sqlite.Store) { require.NoError(t, s.Close()) },
	} {
		for _, beside := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, with another handle %v", name, beside), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s, path := openNormal(t)
					if beside {
						require.NoError(t, openDB(t, path).Ping())
					}
					h := &secretive{rand.New(rand.NewPCG(1, 2)), t, s, map[string]int64{}}
					for range 1500 {
						h.step()
					}
					require.NoError(t, s.CreateHook(t.Context(), h.hook("stays"), 0))
					require.NotZero(t, secretsIn(t, path)["hooks.db-wal"])
					for id := range h.versions {
						h.delete(id)
					}
					stays := hooks.Ref{ID: "stays"}
					gone(t, s)
					assert.NotZero(t, secretsIn(t, path)["hooks.db"], "of the hook that stays")

					s = openAt(t, path).(*sqlite.Store)
					require.NoError(t, s.DeleteHook(t.Context(), stays, purgeStart))
					gone(t, s)
					assert.Empty(t, secretsIn(t, path))
				})
			})
		}
	}
}

// If the process dies before, it is gone some seconds after the file was opened
// again.
func TestNothingSecretIsLeftAfterACrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, path := openNormal(t)
		h := &secretive{rand.New(rand.NewPCG(3, 4)), t, s, map[string]int64{}}
		for range 100 {
			h.step()
		}
		for id := range h.versions {
			h.delete(id)
		}
		crashed := filepath.Join(t.TempDir(), "hooks.db")
		for _, file := range []string{"", "-wal"} {
			require.NoError(t, exec.CommandContext(t.Context(), "cp", path+file, crashed+file).Run())
		}
		require.NotEmpty(t, secretsIn(t, crashed))
		s = openAt(t, crashed).(*sqlite.Store)
		time.Sleep(30 * time.Second)
		assert.Empty(t, secretsIn(t, crashed))
		require.NoError(t, s.Close())
	})
}

// A new file is for its owner alone, as are those beside it.
func TestFilesThatAreCreated(t *testing.T) {
	t.Parallel()
	for _, umask := range []int{0, 0o022, 0o077, 0o777} {
		for _, handleFirst := range []bool{false, true} {
			for name, prepare := range map[string]func(t *testing.T, path string) fs.FileMode{
				"a new file": func(*testing.T, string) fs.FileMode { return 0o600 },
				"a link to a new file": func(t *testing.T, path string) fs.FileMode {
					require.NoError(t, os.Symlink(filepath.Join(t.TempDir(), "target.db"), path))
					return 0o600
				},
				"an empty file": func(t *testing.T, path string) fs.FileMode {
					require.NoError(t, os.WriteFile(path, nil, 0o600))
					require.NoError(t, os.Chmod(path, 0o640))
					return 0o640
				},
				"a file that is there": func(t *testing.T, path string) fs.FileMode {
					require.NoError(t, openAt(t, path).(*sqlite.Store).Close())
					require.NoError(t, os.Chmod(path, 0o644))
					return 0o644
				},
			} {
				t.Run(fmt.Sprintf("%s, umask %03o, handle first %v", name, umask, handleFirst), func(t *testing.T) {
					t.Parallel()
					path := filepath.Join(t.TempDir(), "a b&c+d%41?#.db")
					want := prepare(t, path)
					p := crashtest.Start(t, task{Path: path, Modes: true, Umask: umask, OpenDB: handleFirst})
					require.NoError(t, p.Wait(), "%s", &p.Stderr)
					var modes []string
					for _, file := range []string{"", "-shm", "-wal"} {
						modes = append(modes, fmt.Sprintf("%s %s", want, file))
					}
					assert.ElementsMatch(t, modes, p.Said[sayMode])
					left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
					require.NoError(t, err)
					assert.Empty(t, left)
				})
			}
		}
	}
}

// tellModes opens the file and says which permissions it and those beside it have.
func (w task) tellModes(ctx context.Context) error {
	syscall.Umask(w.Umask)
	if w.OpenDB {
		db, err := sqlite.OpenDB(ctx, w.Path)
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
	}
	s, err := sqlite.Open(ctx, w.Path, sqlite.Options{})
	if err != nil {
		return err
	}
	path, err := filepath.EvalSymlinks(w.Path)
	if err != nil {
		return err
	}
	for _, file := range []string{"", "-shm", "-wal"} {
		info, err := os.Stat(path + file)
		if err != nil {
			return err
		}
		crashtest.Say(sayMode, info.Mode(), file)
	}
	return s.Close()
}

func TestPathsThatAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, tt := range map[string]struct{ path, want string }{
		"none":                {"", "invalid path: must name a file"},
		"in memory":           {":memory:", "invalid path: must name a file"},
		"a directory":         {dir, "it is a directory"},
		"a missing directory": {filepath.Join(dir, "missing", "hooks.db"), "missing: no such file or directory"},
		"below a file":        {filepath.Join(filled(t), "hooks.db"), "not a directory"},
		"a NUL byte":          {dir + "/a\x00b", "invalid argument"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sqlite.Open(t.Context(), tt.path, sqlite.Options{})
			assert.ErrorContains(t, err, tt.want)
			_, err = sqlite.OpenDB(t.Context(), tt.path)
			assert.ErrorContains(t, err, tt.want)
		})
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}
