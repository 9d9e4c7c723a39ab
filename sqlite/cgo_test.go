//go:build cgo

package sqlite_test

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks/store"
)

// Without cgo, the tests of nocgo_test.go are the ones that run.
func TestWithoutCgo(t *testing.T) {
	t.Parallel()
	command, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command: ", err)
	}
	test := exec.CommandContext(t.Context(), command, "test", "-v", "-count=1", ".")
	test.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := test.CombinedOutput()
	require.NoError(t, err, "%s", output)
	assert.Contains(t, string(output), "--- PASS: TestWhatNeedsCgoSaysSo")
}

// Programs compile with and without cgo: the package has the same names.
func TestTheSameNamesWithoutCgo(t *testing.T) {
	t.Parallel()
	without := exportedNames(t, false)
	promoted := reflect.TypeFor[store.Copyable]() // which Store embeds there
	for name := range exportedNames(t, true) {
		method, ofStore := strings.CutPrefix(name, "Store.")
		_, ok := promoted.MethodByName(method)
		assert.True(t, without[name] || ofStore && ok, "%s needs cgo", name)
	}
}

// exportedNames returns the exported names of the package as it is built with or
// without cgo; those of methods come after their type's.
func exportedNames(t *testing.T, cgo bool) map[string]bool {
	t.Helper()
	target := build.Default
	target.CgoEnabled = cgo
	p, err := target.ImportDir(".", 0)
	require.NoError(t, err)
	names := map[string]bool{}
	add := func(prefix string, name *ast.Ident) {
		if name.IsExported() {
			names[prefix+name.Name] = true
		}
	}
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					add("", d.Name)
				} else if typ := receiver(d); ast.IsExported(typ) {
					add(typ+".", d.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						add("", spec.Name)
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							add("", name)
						}
					}
				}
			}
		}
	}
	require.True(t, names["Open"])
	return names
}

// receiver returns the name of a method's type, followed by its parameters if it has any.
func receiver(d *ast.FuncDecl) string {
	return strings.TrimPrefix(types.ExprString(d.Recv.List[0].Type), "*")
}
