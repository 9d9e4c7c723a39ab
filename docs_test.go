package hooks_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each test that docs/security.md names as the proof of a promise exists.
func TestSecurityNamesItsTests(t *testing.T) {
	exists := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	require.NoError(t, fs.WalkDir(os.DirFS("."), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, match := range declared.FindAllSubmatch(source, -1) {
			exists[string(match[1])] = true
		}
		return err
	}))
	text, err := os.ReadFile("docs/security.md")
	require.NoError(t, err)
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllSubmatch(text, -1)
	require.NotEmpty(t, named)
	for _, match := range named {
		assert.True(t, exists[string(match[1])], "there is no %s", match[1])
	}
}

// Each link of a page to a file of the project leads to a file that exists, and to a
// heading in it if the link has a fragment.
func TestLinksBetweenThePages(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	require.NoError(t, err)
	docs, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	docs = append(docs, "docs/model/README.md")
	link := regexp.MustCompile(`\]\(([^):\s]+)\)`) // those with a colon lead elsewhere
	count := 0
	for _, page := range append(pages, docs...) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			count++
			file, fragment, _ := strings.Cut(match[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			content, err := os.ReadFile(target)
			if assert.NoError(t, err, "%s links to %s", page, match[1]) && fragment != "" {
				assert.Contains(t, headings(string(content)), fragment, "%s links to %s", page, match[1])
			}
		}
	}
	assert.NotZero(t, count)
}

// headings returns the fragments that GitHub gives to the headings of a page.
func headings(text string) []string {
	var fragments []string
	dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, match := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		fragments = append(fragments, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-"))
	}
	return fragments
}
