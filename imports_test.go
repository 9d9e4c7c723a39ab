package hooks_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/seed-2c6e3a5a/hooks"

// rootImports is what the root may import besides the standard library.
var rootImports = []string{"github.com/google/uuid", "golang.org/x/sync", "code.dny.dev/ssrf", module + "/internal"}

// parts are the directories that know the root, and not each other.
var parts = []string{"memory", "sqlite", "postgres", "httpadapter"}

// forTests are the directories of packages for tests, which may import all.
var forTests = []string{"hookstest", "store/storetest", "httpadapter/internal/apitest"}

// within reports whether one import path or directory is another or below it.
func within(p, parent string) bool { return p == parent || strings.HasPrefix(p, parent+"/") }

func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// forbidden says why code in a directory of the module, "." for the root, may
// not import a package, or "".
func forbidden(dir, imported string) string {
	if slices.ContainsFunc(forTests, func(p string) bool { return within(dir, p) }) {
		return ""
	}
	if imported == "testing" {
		return "production code does not know tests"
	}
	if isStandard(imported) {
		return ""
	}
	switch {
	case within(dir, "internal/filter") && within(imported, "github.com/expr-lang/expr"):
		return ""
	case dir == "." && !slices.ContainsFunc(rootImports, func(p string) bool { return within(imported, p) }):
		return "the root keeps its dependencies few"
	case within(dir, "memory") && imported != module && !within(imported, module+"/internal"):
		return "memory needs the root alone"
	case within(dir, "internal") && !within(imported, module+"/internal"):
		return "what is internal knows nothing of its users"
	}
	for _, part := range parts {
		if !within(dir, part) {
			continue
		}
		for _, other := range parts {
			if other != part && within(imported, module+"/"+other) {
				return "backends and httpadapter do not know each other"
			}
		}
	}
	return ""
}

func TestForbiddenImports(t *testing.T) {
	for _, tt := range []struct {
		dir, imported string
		forbidden     bool
	}{
		{".", "net/http", false},
		{".", "golang.org/x/sync/errgroup", false},
		{".", module + "/internal/clock", false},
		{".", module + "/memory", true},
		{".", "golang.org/x/syncopation", true},
		{".", "github.com/stretchr/testify/assert", true},
		{".", "testing", true},
		{".", "github.com/expr-lang/expr", true},
		{"internal/filter", "github.com/expr-lang/expr/vm", false},
		{"internal/filter", module, true},
		{"memory", module, false},
		{"memory", "github.com/google/uuid", true},
		{"memory", module + "/internal/heap", false},
		{"internal/dispatch", module, true},
		{"internal/dispatch", module + "/internal/heap", false},
		{"hookstest", "testing", false},
		{"hookstest", module + "/memory", false},
		{"store/storetest", "testing", false},
		{"store", "testing", true},
		{"httpadapter/internal/apitest", module + "/memory", false},
		{"httpadapter/internal/wire", "testing", true},
		{"sqlite", "github.com/mattn/go-sqlite3", false},
		{"sqlite", module + "/memory", true},
		{"postgres", module + "/httpadapter/okta", true},
		{"httpadapter", module + "/httpadapter/okta", false},
		{"httpadapter/okta", module + "/sqlite", true},
		{"examples/server", module + "/sqlite", false},
		{"examples/server", "testing", true},
	} {
		assert.Equal(t, tt.forbidden, forbidden(tt.dir, tt.imported) != "", "%s imports %s", tt.dir, tt.imported)
	}
}

func TestImports(t *testing.T) {
	seen := map[string]int{}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			nested := err == nil && name != "."
			if nested || name != "." && strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(name))
		seen[dir]++
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			assert.Empty(t, forbidden(dir, imported), "%s imports %s", name, imported)
		}
		return nil
	})
	require.NoError(t, err)
	for _, dir := range []string{".", "memory", "hookstest", "store/storetest"} {
		assert.NotZero(t, seen[dir], "no files in %s", dir)
	}
}
