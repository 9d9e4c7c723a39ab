package postgres

import (
	"strconv"
	"strings"
)

// conditions are the arguments of a statement, and the conditions of its WHERE.
type conditions struct {
	args  []any
	where []string
}

// arg adds an argument and returns its name in the statement, with its type.
func (c *conditions) arg(value any, kind string) string {
	c.args = append(c.args, value)
	return "$" + strconv.Itoa(len(c.args)) + "::" + kind
}

// and adds a condition, in which ? is the argument.
func (c *conditions) and(condition string, value any, kind string) {
	c.where = append(c.where, strings.ReplaceAll(condition, "?", c.arg(value, kind)))
}

// sql returns the conditions.
func (c *conditions) sql() string {
	if len(c.where) == 0 {
		return "true"
	}
	return strings.Join(c.where, " AND ")
}
