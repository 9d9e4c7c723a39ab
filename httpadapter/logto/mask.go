package logto

import (
	"slices"
	"strings"
)

const mask = "******"

// masked returns a JSON value without what Logto's logs do not show: values
// under names of secrets are masked, scripts and environment variables left out,
// and NUL characters removed. It may change the value.
func masked(value any) any {
	switch v := value.(type) {
	case string:
		return strings.ReplaceAll(v, "\x00", "")
	case []any:
		for i := range v {
			v[i] = masked(v[i])
		}
		return v
	case object:
		v = slices.DeleteFunc(v, func(m member) bool { return isOmitted(plainName(m.name)) })
		for i, m := range v {
			if isSecret(m) {
				v[i].value = mask
			} else {
				v[i].value = masked(m.value)
			}
			v[i].name = strings.ReplaceAll(m.name, "\x00", "")
		}
		return v
	}
	return value
}

var separators = strings.NewReplacer("_", "", "-", "")

// plainName is a name without differences in its spelling.
func plainName(name string) string { return separators.Replace(strings.ToLower(name)) }

func isOmitted(name string) bool {
	return strings.HasPrefix(name, "script") || strings.HasSuffix(name, "script") || strings.Contains(name, "environmentvariables")
}

func isSecret(m member) bool {
	name := plainName(m.name)
	switch name {
	case "authorization", "xfunctionskey":
		return true
	case "passwordverified", "haspassword":
		_, harmless := m.value.(bool)
		return !harmless
	case "applicationsecret":
		o, isObject := m.value.(object)
		return !isObject || len(o) != 1 || o[0].name != "name"
	}
	return strings.HasSuffix(name, "token") ||
		slices.ContainsFunc([]string{"secret", "password", "apikey", "privatekey", "credential", "cookie"}, func(word string) bool {
			return strings.Contains(name, word)
		})
}
