package hooks_test

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

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

// Each relative link in the documentation points to an existing file, and each
// fragment of one to a heading.
func TestLinksOfTheDocumentation(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	pages = append(pages, "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
	links := 0
	for _, page := range pages {
		for _, target := range linksIn(readProse(t, page)) {
			u, err := url.Parse(target)
			if !assert.NoError(t, err, "%s: link to %s", page, target) || u.IsAbs() || u.Host != "" {
				continue
			}
			links++
			file := page
			if u.Path != "" {
				file = filepath.Join(filepath.Dir(page), u.Path)
			}
			if _, err := os.Stat(file); !assert.NoError(t, err, "%s: link to %s", page, target) {
				continue
			}
			if u.Fragment != "" && filepath.Ext(file) == ".md" {
				assert.Contains(t, anchorsIn(readProse(t, file)), u.Fragment, "%s: link to %s", page, target)
			}
		}
	}
	assert.NotZero(t, links)
}

func TestAnchorsAreThoseOfGitHub(t *testing.T) {
	text := "# A heading\n\ntext\n\n## `Code`, and: more\n## Links [here](x.md) \n### Snake_case – 1.0\n## Same\n## Same ##\n#none\n## Größe"
	assert.Equal(t, []string{
		"a-heading", "code-and-more", "links-here", "snake_case--10", "same", "same-1", "größe",
	}, anchorsIn(text))
}

var (
	fenced   = regexp.MustCompile("(?ms)^ *```.*?^ *```[ \t]*$")
	codeSpan = regexp.MustCompile("`[^`\n]+`")
	link     = regexp.MustCompile(`\]\(\s*<?([^\s)>]+)[^)]*\)`)
	linkDef  = regexp.MustCompile(`(?m)^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)`)
	linkText = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	heading  = regexp.MustCompile(`(?m)^ {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$`)
)

// readProse returns the text of a Markdown file without its blocks of code.
func readProse(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return fenced.ReplaceAllString(string(text), "")
}

// linksIn returns the targets of the links in a Markdown text.
func linksIn(text string) (targets []string) {
	text = codeSpan.ReplaceAllString(text, "")
	for _, match := range append(link.FindAllStringSubmatch(text, -1), linkDef.FindAllStringSubmatch(text, -1)...) {
		targets = append(targets, match[1])
	}
	return targets
}

// anchorsIn returns the fragments that GitHub gives the headings of a Markdown text:
// in lower case, without punctuation, with hyphens for spaces, and with a number if an
// earlier heading has the same.
func anchorsIn(text string) (anchors []string) {
	seen := map[string]int{}
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsMark(r), unicode.IsNumber(r):
				return unicode.ToLower(r)
			}
			return -1
		}, linkText.ReplaceAllString(match[1], "$1"))
		n := seen[anchor]
		seen[anchor]++
		if n > 0 {
			anchor = fmt.Sprintf("%s-%d", anchor, n)
		}
		anchors = append(anchors, anchor)
	}
	return anchors
}
